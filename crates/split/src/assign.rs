use crate::arms::Arms;
use crate::key::Place;
use crate::policy::Lease;
use crate::rule::{Rule, Scope};
use crate::{Answers, Arm, Attribute, Cause, Confidence, Draws, Point, Request, Route, Weight};

/// A policy ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Splitter {
    pub(crate) incarnation: u64,
    pub(crate) generation: u64,
    pub(crate) lease: Option<Lease>,
    pub(crate) plans: Vec<Plan>,
}

/// One rollout, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) epoch: u64,
    pub(crate) scope: Scope,
    pub(crate) role: Role,
    pub(crate) header: String,
    pub(crate) version_header: String,
    pub(crate) hold_without_lease: bool,
    pub(crate) assigner: Assigner,
    pub(crate) arms: Arms,
    pub(crate) shadow: Weight,
    pub(crate) overrides: Vec<(Rule, Arm)>,
    pub(crate) cohorts: Vec<Cohort>,
    pub(crate) confidence: Option<Confidence>,
    pub(crate) count_groups: bool,
    pub(crate) ages_ms: Vec<u32>,
    pub(crate) answers: Option<Answers>,
}

/// Requests that have a weight of their own, and the arm it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cohort {
    pub(crate) rule: Rule,
    pub(crate) weight: Weight,
    pub(crate) arm: Arm,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Decide,
    Follow { peers: Vec<String> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assigner {
    Draw,
    RequestId { salt: String },
    Hash { salt: String, keys: Vec<Place>, draw_without_key: bool },
}

/// How the lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds, or the policy has none.
    Live,
    /// It ran out: each rollout does what its policy says.
    Expired,
    /// The controller took it back: stable, whatever the policy says.
    Revoked,
}

/// Where a request goes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The arm.
    pub arm: Arm,
    /// Why it was chosen.
    pub cause: Cause,
    /// The user's group, when a key was found.
    pub group: Option<u8>,
    /// Does the canary get a copy of what stable answers?
    pub shadow: bool,
}

impl Assignment {
    /// A request that stable answers, and nobody else hears of.
    #[must_use]
    pub const fn stable(cause: Cause) -> Self {
        Self { arm: Arm::Stable, cause, group: None, shadow: false }
    }

    /// What the routing header says.
    #[must_use]
    pub const fn route(&self) -> Route {
        if self.shadow { Route::Shadow } else { Route::Arm(self.arm) }
    }
}

/// The rollout that owns a request.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'s> {
    plan: &'s Plan,
    index: usize,
}

impl Splitter {
    /// The incarnation and generation of the policy: a pair that never falls.
    #[must_use]
    pub const fn pair(&self) -> (u64, u64) {
        (self.incarnation, self.generation)
    }

    /// The lease, when the policy has one.
    #[must_use]
    pub const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Every rollout, in order.
    pub fn rollouts(&self) -> impl Iterator<Item = Claim<'_>> {
        self.plans.iter().enumerate().map(|(index, plan)| Claim { plan, index })
    }

    /// The rollout at a place in the policy ([`Claim::index`]).
    #[must_use]
    pub fn rollout(&self, index: usize) -> Option<Claim<'_>> {
        self.plans.get(index).map(|plan| Claim { plan, index })
    }

    /// The rollout that owns the request; none: the request is not touched and not counted.
    #[must_use]
    pub fn claim(&self, request: &impl Request) -> Option<Claim<'_>> {
        self.rollouts().find(|claim| claim.plan.scope.covers(request))
    }
}

impl<'s> Claim<'s> {
    /// The rollout's place in the policy.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The rollout's name.
    #[must_use]
    pub fn name(&self) -> &'s str {
        &self.plan.name
    }

    /// The rollout's epoch.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.plan.epoch
    }

    /// The routing header.
    #[must_use]
    pub fn header(&self) -> &'s str {
        &self.plan.header
    }

    /// The response header that names the version.
    #[must_use]
    pub fn version_header(&self) -> &'s str {
        &self.plan.version_header
    }

    /// The version an arm is served by.
    #[must_use]
    pub fn version(&self, arm: Arm) -> &'s str {
        &self.plan.arms.served(arm).version
    }

    /// The rollout's own confidence in the version an arm is served by, for answers that carry none.
    #[must_use]
    pub fn confidence_in(&self, arm: Arm) -> Option<&'s str> {
        self.plan.arms.served(arm).confidence.as_deref()
    }

    /// Every arm of the rollout.
    pub fn arms(&self) -> impl Iterator<Item = Arm> + use<'s> {
        Arm::NAMELESS.into_iter().chain(self.plan.arms.others.iter().map(|other| Arm::Other(other.name)))
    }

    /// Where confidence is read and shown.
    #[must_use]
    pub const fn confidence(&self) -> Option<&'s Confidence> {
        self.plan.confidence.as_ref()
    }

    /// What is read in the bodies of answers.
    #[must_use]
    pub const fn answers(&self) -> Option<&'s Answers> {
        self.plan.answers.as_ref()
    }

    /// Are stable's outcomes counted per group of users?
    #[must_use]
    pub const fn counts_groups(&self) -> bool {
        self.plan.count_groups
    }

    /// The ages at which it is counted which requests wait, in milliseconds; empty: whatever is usual.
    #[must_use]
    pub fn ages_ms(&self) -> &'s [u32] {
        &self.plan.ages_ms
    }

    /// Does another proxy decide and count, and this one only keep what it decided?
    #[must_use]
    pub const fn follows(&self) -> bool {
        matches!(self.plan.role, Role::Follow { .. })
    }

    /// The route a trusted hop chose; stable's when there is none, or the peer is not believed.
    #[must_use]
    pub fn followed(&self, request: &impl Request) -> Route {
        let believed = match &self.plan.role {
            Role::Decide => false,
            Role::Follow { peers } => {
                peers.iter().any(|peer| peer == "*")
                    || request
                        .attribute(Attribute::Peer)
                        .is_some_and(|peer| peers.iter().any(|name| *peer == *name.as_bytes()))
            }
        };
        if !believed {
            return Route::Arm(Arm::Stable);
        }
        request
            .header(&self.plan.header)
            .and_then(|value| std::str::from_utf8(&value).ok().and_then(Route::parse))
            .filter(|route| match route {
                Route::Arm(arm) => self.plan.arms.has(*arm),
                Route::Shadow => true,
            })
            .unwrap_or(Route::Arm(Arm::Stable))
    }

    /// Decides: override and cohort first, then the weight, then the lease.
    pub fn assign(&self, request: &impl Request, standing: Standing, draws: &mut Draws) -> Assignment {
        let fallback = match standing {
            Standing::Live => false,
            Standing::Expired => !self.plan.hold_without_lease,
            Standing::Revoked => true,
        };
        if fallback {
            return Assignment::stable(Cause::Fallback);
        }
        if let Some((_, arm)) = self.plan.overrides.iter().find(|(rule, _)| rule.holds(request)) {
            return Assignment { arm: *arm, ..Assignment::stable(Cause::Override) };
        }
        let cohort = self.plan.cohorts.iter().find(|cohort| cohort.rule.holds(request));
        let (point, group) = match self.point(request) {
            Some(point) => (point, Some(point.group)),
            None => match &self.plan.assigner {
                Assigner::Hash { draw_without_key: false, .. } => {
                    return Assignment::stable(Cause::NoKey);
                }
                _ => (Point::drawn(draws.draw()), None),
            },
        };
        let keyless = group.is_none() && matches!(self.plan.assigner, Assigner::Hash { .. });
        let group = group.filter(|_| matches!(self.plan.assigner, Assigner::Hash { .. }));
        match cohort {
            Some(cohort) => {
                let arm = if cohort.weight.holds_from_bottom(point) { cohort.arm } else { Arm::Stable };
                Assignment { arm, group, ..Assignment::stable(Cause::Cohort) }
            }
            None => {
                let cause = if keyless { Cause::NoKey } else { Cause::Weight };
                let arm = self.plan.arms.at(point);
                // From the bottom, as the canary: the users whose requests it has seen are the first it will serve.
                let shadow = arm == Arm::Stable && self.plan.shadow.holds_from_bottom(point);
                Assignment { arm, cause, group, shadow }
            }
        }
    }

    /// The point of the request's key, or of its id; `None` when there is nothing to hash.
    fn point(&self, request: &impl Request) -> Option<Point> {
        match &self.plan.assigner {
            Assigner::Draw => None,
            Assigner::RequestId { salt } => {
                request.header("x-request-id").filter(|id| !id.is_empty()).map(|id| Point::of(salt, &id))
            }
            Assigner::Hash { salt, keys, .. } => {
                keys.iter().find_map(|place| place.read(request)).map(|key| Point::of(salt, &key))
            }
        }
    }
}
