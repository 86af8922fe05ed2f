//! A run, a mesh that follows it, and a steady load: told second by second on a fake clock.

use std::collections::BTreeMap;

use split::Arm;

use crate::{
    Acks, Aged, Bins, Counts, Effect, Endpoint, Event, Group, Human, Interval, Moments, Now, Phase, State,
    step,
};

pub(crate) const HEAD: &str = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
";

/// How a version answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub(super) errors: f64,
    /// All answer times, multiplied.
    pub(super) slower: f64,
    pub(super) confidence: f64,
    /// The part that is never answered.
    pub(super) hangs: f64,
}

pub(super) const GOOD: Model = Model { errors: 0.01, slower: 1.0, confidence: 0.85, hangs: 0.0 };

/// Answer times in milliseconds and the part of requests that take them: lognormal, median 50 ms, sigma 0.5.
fn smooth() -> Vec<(f64, f64)> {
    let below = |ms: f64| judge::special::normal_cdf((ms / 50.0).ln() / 0.5);
    (60..240)
        .map(|bin| {
            let (from, to) = (tally::latency_upper_ms(bin - 1), tally::latency_upper_ms(bin));
            ((from * to).sqrt(), below(to) - below(from))
        })
        .collect()
}

/// The state, which a step takes and gives back.
#[derive(Clone)]
pub(super) struct Held(pub(super) Option<State>);

impl Held {
    fn take(&mut self) -> Option<State> {
        self.0.take()
    }
}

impl std::ops::Deref for Held {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.as_ref().expect("a step went wrong before")
    }
}

impl std::ops::DerefMut for Held {
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_mut().expect("a step went wrong before")
    }
}

/// What is told of a step: the state before it, the event, its effects, and when it is.
pub(super) type Onlooker = fn(&State, &Event, &[Effect], Now);

pub(super) struct Story {
    pub(super) state: Held,
    pub(super) effects: Vec<Effect>,
    /// (second, canary ppm) of every publication.
    pub(super) weights: Vec<(u64, u32)>,
    pub(super) per_second: u64,
    pub(super) times: Vec<(f64, f64)>,
    pub(super) stable: Model,
    pub(super) canary: Model,
    /// Do the proxies follow?
    pub(super) follow: bool,
    /// Does the source count groups of users?
    pub(super) grouped: bool,
    /// Do users send all their requests at once, so that the groups of one second are few?
    pub(super) clumped: bool,
    /// Do counts arrive?
    pub(super) counted: bool,
    /// Do stable's counts arrive with them?
    pub(super) stable_heard: bool,
    /// By how much the wall clock is ahead of the steady one, in milliseconds.
    pub(super) wall_ms: i64,
    /// Does the deploy tool do its work?
    pub(super) deploys: bool,
    pub(super) ms: u64,
    /// The part of a count that did not make a whole one yet, by what is counted.
    rests: BTreeMap<(&'static str, Arm, u64), f64>,
    /// Requests assigned, and those of them that hang, by second and arm: they are overdue when they are old enough.
    young: BTreeMap<(u64, Arm), (u64, u64)>,
    /// How further arms answer; those that are not named answer well.
    pub(super) others: BTreeMap<Arm, Model>,
    deployed: bool,
    /// Looks at each step.
    pub(super) look: Option<Onlooker>,
}

/// Who gives a reason.
pub(super) fn urged() -> Human {
    Human { who: "anna".to_owned(), reason: "incident 12".to_owned() }
}

pub(super) fn human() -> Human {
    Human { who: "anna".to_owned(), reason: String::new() }
}

impl Story {
    /// `lines` are added to the spec.
    #[track_caller]
    pub(super) fn of(lines: &str) -> Self {
        let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
        let loaded =
            manifest::load(&format!("{HEAD}{lines}")).unwrap_or_else(|problems| panic!("{problems}"));
        Self {
            state: Held(Some(State::new(loaded.plan.clone(), 1, 0, Now::at_ms(0)))),
            effects: Vec::new(),
            weights: Vec::new(),
            per_second: 200,
            times: smooth(),
            stable: GOOD,
            canary: GOOD,
            follow: true,
            grouped: false,
            clumped: false,
            counted: true,
            stable_heard: true,
            wall_ms: 0,
            deploys: true,
            ms: 0,
            rests: BTreeMap::new(),
            young: BTreeMap::new(),
            others: BTreeMap::new(),
            deployed: false,
            look: None,
        }
    }

    pub(super) fn canary(mut self, change: impl FnOnce(&mut Model)) -> Self {
        change(&mut self.canary);
        self
    }

    pub(super) fn per_second(mut self, requests: u64) -> Self {
        self.per_second = requests;
        self
    }

    pub(super) fn start(mut self) -> Self {
        self.take(&Event::Start(human()));
        self
    }

    pub(super) fn take(&mut self, event: &Event) {
        let Some(state) = self.state.take() else { panic!("a step went wrong before") };
        let before = self.look.map(|look| (look, state.clone()));
        let now = Now { unix_ms: self.unix_ms(self.ms), ..Now::at_ms(self.ms) };
        let (state, effects) = step(state, event, now);
        self.state = Held(Some(state));
        if let Some((look, before)) = before {
            look(&before, event, &effects, now);
        }
        for effect in &effects {
            if let Effect::Publish(publication) = effect {
                self.weights.push((self.ms / 1_000, publication.policy.arms.canary.weight_ppm));
            }
        }
        self.effects.extend(effects);
    }

    /// What the wall clock shows.
    fn unix_ms(&self, ms: u64) -> u64 {
        ms.saturating_add_signed(self.wall_ms)
    }

    /// One second: the mesh follows, the load is counted, the deploy tool works, time is told.
    pub(super) fn second(&mut self) {
        let (from_ms, weights, epoch) = (self.ms, self.state.weights, self.state.epoch);
        self.ms += 1_000;
        if let Some(publication) = &self.state.publication
            && publication.acks.connected == 0
        {
            let acks = Acks {
                publication: publication.sent.id,
                acknowledged: if self.follow { 2 } else { 1 },
                connected: 2,
                missing: if self.follow { vec![] } else { vec!["envoy-2".to_owned()] },
                refused: vec![],
            };
            self.take(&Event::Acks(acks));
        }
        let requests = self.count("requests", Arm::Stable, 0, self.per_second as f64);
        let lead = self.state.plan.arm();
        let mut on_trial = BTreeMap::new();
        let mut rest = requests;
        for arm in self.state.plan.arms_in().collect::<Vec<_>>() {
            let share = f64::from(self.state.plan.share_of(arm, &weights)) / 1e6;
            let copied = if arm == lead { f64::from(weights.shadow_ppm) / 1e6 } else { 0.0 };
            let assigned = self.count("assigned", arm, 0, requests as f64 * (share + copied));
            rest -= if copied > 0.0 { 0 } else { assigned };
            on_trial.insert(arm, self.answers(arm, assigned));
        }
        let canary = on_trial.remove(&lead).unwrap_or_default();
        let stable = self.answers(Arm::Stable, rest);
        if self.counted {
            let interval = Interval {
                epoch,
                from_ms: self.unix_ms(from_ms),
                to_ms: self.unix_ms(self.ms),
                canary,
                rivals: on_trial,
                stable: if self.stable_heard { stable } else { Counts::default() },
                ..Interval::default()
            };
            self.take(&Event::Interval(Box::new(interval)));
        }
        if self.state.watches_stable() {
            self.deployed |= self.deploys;
            let plan = &self.state.plan;
            let version = if self.deployed { plan.canary.clone() } else { plan.stable.clone() };
            let endpoint = Endpoint { url: "http://stable".to_owned(), version: Some(version), error: None };
            self.take(&Event::StableReports(vec![endpoint]));
            if self.deployed {
                self.take(&Event::HandBackDone);
            }
        }
        self.take(&Event::Tick);
    }

    /// Until the condition holds, at most `seconds`; returns how many it took.
    #[track_caller]
    pub(super) fn until(&mut self, seconds: u64, what: impl Fn(&State) -> bool) -> u64 {
        for second in 0..=seconds {
            if what(&self.state) {
                return second;
            }
            self.second();
        }
        panic!(
            "not within {seconds} s: {} ({:?})\n{:#?}",
            self.state.message(),
            self.state.phase,
            self.state.verdicts()
        );
    }

    #[track_caller]
    pub(super) fn ends(&mut self, seconds: u64) -> u64 {
        self.until(seconds, State::is_over)
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.state.phase
    }

    /// Whole numbers that add up to the wanted ones over time: a load without noise.
    fn count(&mut self, what: &'static str, arm: Arm, part: u64, wanted: f64) -> u64 {
        let rest = self.rests.entry((what, arm, part)).or_default();
        *rest += wanted;
        let whole = rest.floor();
        *rest -= whole;
        whole as u64
    }

    fn answers(&mut self, arm: Arm, assigned: u64) -> Counts {
        let model = match arm {
            Arm::Stable | Arm::Baseline => self.stable,
            Arm::Canary => self.canary,
            Arm::Other(_) => self.others.get(&arm).copied().unwrap_or(GOOD),
        };
        let hung = self.count("hung", arm, 0, assigned as f64 * model.hangs).min(assigned);
        let outcomes = assigned - hung;
        let mut latency = Bins::default();
        for (part, (ms, share)) in self.times.clone().into_iter().enumerate() {
            let n = self.count("time", arm, part as u64, outcomes as f64 * share);
            *latency.0.entry(tally::latency_bin((ms * model.slower * 1e6) as u64)).or_default() += n;
        }
        let after_ms = self.state.plan.overdue_after_ms;
        self.young.insert((self.ms, arm), (assigned, hung + latency.longer_than(after_ms)));
        let aged = self.ms.checked_sub(after_ms).and_then(|at| self.young.remove(&(at, arm)));
        let overdue =
            aged.map_or(Aged::default(), |(reached, overdue)| Aged { reached, overdue, left_soon: 0 });
        let n = outcomes as f64;
        let errors = self.count("errors", arm, 0, n * model.errors);
        // Users in the same group have nothing to do with each other: errors go round.
        let groups = (arm == Arm::Stable && self.grouped).then(|| {
            let at = self.ms / 1_000;
            let of = |total: u64, group: u64| match self.clumped {
                // Five users a second; whose turn it is has no order.
                true => {
                    (0..5)
                        .filter(|user| ((at * 5 + user).wrapping_mul(2_654_435_761) >> 7) % 100 == group)
                        .count() as u64
                        * total
                        / 5
                }
                false => total / 100 + u64::from((group + at * 37) % 100 < total % 100),
            };
            (0..100)
                .map(|group| Group {
                    group: group as u16,
                    finished: of(outcomes, group),
                    errors: of(errors, group),
                })
                .collect()
        });
        Counts {
            assigned,
            finished: outcomes,
            outcomes,
            errors,
            overdue,
            latency,
            confidence: Moments {
                n: outcomes,
                sum: n * model.confidence,
                sum_squares: n * (model.confidence.powi(2) + 0.08_f64.powi(2)),
            },
            groups,
            ..Counts::default()
        }
    }
}
