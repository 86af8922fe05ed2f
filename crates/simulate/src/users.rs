//! Users who come back: their requests go together, and stay with one version where assignment is sticky.

use rollout::Group;

use crate::chance::Chance;
use crate::shape::GROUPS;

/// How long a user stays, in seconds: shorter than a stage, longer than a look.
const STAY_SECONDS: f64 = 60.0;

/// Users whose requests go together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Users {
    /// Requests of one user, on average (geometric).
    pub requests_each: f64,
    /// The share of users whom all errors happen to, above 0.
    pub prone: f64,
}

/// The users who are there at one time. A request is anybody's; who leaves makes room for another.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    users: Users,
    here: Vec<User>,
}

#[derive(Clone, Copy, Debug)]
struct User {
    /// From 0 to 1: where the hash puts this user. Below the canary's share it is the canary's.
    place: f64,
    group: usize,
    prone: bool,
}

/// Shares of the traffic, and of each arm's requests that end in an error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    pub canary: f64,
    pub baseline: f64,
    pub sticky: bool,
    pub canary_errors: f64,
    pub stable_errors: f64,
}

/// Requests and errors of an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    pub n: u64,
    pub errors: u64,
}

/// What a look's requests came to, arm by arm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub canary: Requests,
    pub stable: Requests,
    pub baseline: Requests,
    /// Stable's, by group of users.
    pub groups: Vec<Group>,
}

impl Crowd {
    /// Those of a world with so many requests a second.
    pub(crate) fn new(users: Users, per_second: f64, chance: &mut Chance) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 10 million
        let many = (per_second * STAY_SECONDS / users.requests_each).clamp(1.0, 1e7) as usize;
        let here = (0..many).map(|_| User::new(users, chance)).collect();
        Self { users, here }
    }

    /// `n` requests.
    pub(crate) fn call(&mut self, n: u64, split: Split, chance: &mut Chance) -> Calls {
        let mut calls = Calls { groups: groups(), ..Calls::default() };
        for _ in 0..n {
            let at = chance.below(self.here.len());
            let Some(user) = self.here.get_mut(at) else { continue };
            let place = if split.sticky { user.place } else { chance.unit() };
            let (arm, rate) = if place < split.canary {
                (&mut calls.canary, split.canary_errors)
            } else if place >= 1.0 - split.baseline {
                (&mut calls.baseline, split.stable_errors)
            } else {
                (&mut calls.stable, split.stable_errors)
            };
            let failed = chance.happens(self.users.errors(user.prone, rate));
            arm.n += 1;
            arm.errors += u64::from(failed);
            let of_stable = place >= split.canary && place < 1.0 - split.baseline;
            if of_stable && let Some(group) = calls.groups.get_mut(user.group) {
                group.finished += 1;
                group.errors += u64::from(failed);
            }
            if chance.happens(1.0 / self.users.requests_each) {
                *user = User::new(self.users, chance);
            }
        }
        calls
    }
}

impl User {
    fn new(users: Users, chance: &mut Chance) -> Self {
        Self { place: chance.unit(), group: chance.below(GROUPS), prone: chance.happens(users.prone) }
    }
}

impl Users {
    /// The chance that a request fails, where `rate` of all do: all of it with the prone, the rest where that is not
    /// enough.
    fn errors(self, prone: bool, rate: f64) -> f64 {
        let with_prone = (rate / self.prone).min(1.0);
        if prone {
            with_prone
        } else {
            (rate - self.prone * with_prone) / (1.0 - self.prone).max(f64::EPSILON)
        }
    }
}

/// All groups, empty.
pub(crate) fn groups() -> Vec<Group> {
    (0..GROUPS).map(|group| Group { group: u16::try_from(group).unwrap_or(0), ..Group::default() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(sticky: bool, users: Users) -> (Calls, f64) {
        let mut chance = Chance::new(3, 0, 0);
        let mut crowd = Crowd::new(users, 100.0, &mut chance);
        let split = Split { canary: 0.2, baseline: 0.1, sticky, canary_errors: 0.02, stable_errors: 0.01 };
        let calls = crowd.call(400_000, split, &mut chance);
        // Clumping: the variance between stable's groups, over that of requests by themselves.
        let p = calls.stable.errors as f64 / calls.stable.n as f64;
        let between: f64 =
            calls.groups.iter().map(|g| (g.errors as f64 - p * g.finished as f64).powi(2)).sum();
        (calls.clone(), between / (p * (1.0 - p) * calls.stable.n as f64))
    }

    #[test]
    fn shares_and_rates_are_kept_and_errors_clump() {
        let (calls, clumped) = called(true, Users { requests_each: 20.0, prone: 0.05 });
        let share = |requests: Requests, of: f64| requests.n as f64 / 400_000.0 / of;
        assert!(
            (share(calls.canary, 0.2) - 1.0).abs() < 0.05 && (share(calls.baseline, 0.1) - 1.0).abs() < 0.08
        );
        let rate = |requests: Requests| requests.errors as f64 / requests.n as f64;
        assert!((rate(calls.canary) / 0.02 - 1.0).abs() < 0.3, "{:?}", calls.canary);
        assert!((rate(calls.stable) / 0.01 - 1.0).abs() < 0.2, "{:?}", calls.stable);
        // 1 + (E[R^2]/E[R] - 1) x intra-user correlation = 1 + 38 x .19.
        assert!((5.5..12.0).contains(&clumped), "{clumped}");
        let (_, alone) = called(true, Users { requests_each: 1.0, prone: 1.0 });
        assert!((0.6..1.5).contains(&alone), "{alone}");
    }

    #[test]
    fn errors_beyond_the_prone_reach_the_others() {
        let users = Users { requests_each: 5.0, prone: 0.05 };
        assert!((users.errors(true, 0.01) - 0.2).abs() < 1e-12 && users.errors(false, 0.01).abs() < 1e-12);
        let all = 0.05 * users.errors(true, 0.3) + 0.95 * users.errors(false, 0.3);
        assert!((all - 0.3).abs() < 1e-12 && users.errors(true, 0.3) <= 1.0);
        assert!((Users { prone: 1.0, ..users }.errors(true, 0.3) - 0.3).abs() < 1e-12);
    }
}
