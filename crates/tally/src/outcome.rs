//! What is counted of a request that has ended with an outcome?

use split::{Arm, Assignment, Cause};

use crate::{Class, Ending, GroupEvent, LATENCY_TOP, What, latency_bin};

/// A request that ended with an outcome ([`Class::is_outcome`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Where the request went, and why.
    pub assignment: Assignment,
    /// How it ended.
    pub class: Class,
    /// Did it take more than one try?
    pub retried: bool,
    /// The time it took; `None`: no time was given.
    pub time: Option<AnswerTime>,
    /// Was it assigned by the weights that are in force now? Requests of earlier weights are of another age in each arm.
    pub is_present: bool,
    /// Does the rollout count outcomes per group of users?
    pub counts_groups: bool,
}

/// The time that a client waited for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerTime {
    /// So many nanoseconds.
    Took(u64),
    /// The model never answered to the end: longer than any.
    Never,
}

impl AnswerTime {
    /// `answer_ns` is the time of the last try, which is all that Envoy measures; `whole_ns` gives the time of the whole
    /// request, and is asked only for one that was retried.
    pub fn of(
        class: Class,
        retried: bool,
        answer_ns: Option<u64>,
        whole_ns: impl FnOnce() -> Option<u64>,
    ) -> Option<Self> {
        if matches!(class, Class::Timeout | Class::Reset) {
            return Some(Self::Never);
        }
        let answer_ns = answer_ns?;
        let whole_ns = if retried { whole_ns() } else { None };
        Some(Self::Took(whole_ns.map_or(answer_ns, |whole_ns| whole_ns.max(answer_ns))))
    }

    /// In whole milliseconds; `None`: it has no time of its own.
    #[must_use]
    pub const fn whole_ms(self) -> Option<u64> {
        match self {
            Self::Took(ns) => Some(ns / 1_000_000),
            Self::Never => None,
        }
    }

    fn bin(self) -> u16 {
        match self {
            Self::Took(ns) => latency_bin(ns),
            Self::Never => LATENCY_TOP,
        }
    }
}

impl Outcome {
    /// The counters that rise by one, beside that of [`What::Finished`]. Only requests assigned by weight are counted.
    pub fn counted(self) -> impl Iterator<Item = What> {
        let Assignment { arm, cause, group, .. } = self.assignment;
        let by_weight = cause == Cause::Weight;
        let latency = self.time.filter(|_| by_weight && self.is_present);
        // A share of those with an answer time, so counted for the same requests.
        let retried = latency.filter(|_| self.retried).map(|_| What::Retried);
        let group = group.filter(|_| by_weight && self.counts_groups && arm == Arm::Stable);
        let failed = group.filter(|_| self.class.is_error());
        [
            retried,
            latency.map(|time| What::Latency(time.bin())),
            group.map(|group| What::Group(group, GroupEvent::Finished)),
            failed.map(|group| What::Group(group, GroupEvent::Error)),
        ]
        .into_iter()
        .flatten()
    }
}

impl Ending {
    /// How a request of this class ended, for those that count who waits.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Gone => Self::Left,
            Class::Local | Class::Overflow => Self::NoOutcome,
            _ => Self::Answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn stable(cause: Cause) -> Assignment {
        Assignment { group: Some(7), ..Assignment::stable(cause) }
    }

    fn usual() -> Outcome {
        Outcome {
            assignment: stable(Cause::Weight),
            class: Class::Ok,
            retried: false,
            time: Some(AnswerTime::Took(MS)),
            is_present: true,
            counts_groups: false,
        }
    }

    #[track_caller]
    fn check(outcome: Outcome, expected: &[What]) {
        assert_eq!(outcome.counted().collect::<Vec<_>>(), expected, "{outcome:?}");
    }

    #[test]
    fn what_is_counted_of_an_outcome() {
        let latency = What::Latency(latency_bin(MS));
        let group = |event| What::Group(7, event);
        check(usual(), &[latency]);
        check(Outcome { retried: true, ..usual() }, &[What::Retried, latency]);
        check(Outcome { time: None, ..usual() }, &[]);
        check(Outcome { time: Some(AnswerTime::Never), ..usual() }, &[What::Latency(LATENCY_TOP)]);
        // Of the weights before: its time is of another age, and so are its tries; its group is not.
        check(Outcome { is_present: false, ..usual() }, &[]);
        check(
            Outcome { is_present: false, retried: true, counts_groups: true, ..usual() },
            &[group(GroupEvent::Finished)],
        );
        let failed = Outcome { class: Class::ServerError, counts_groups: true, ..usual() };
        check(failed, &[latency, group(GroupEvent::Finished), group(GroupEvent::Error)]);
        check(Outcome { counts_groups: true, ..usual() }, &[latency, group(GroupEvent::Finished)]);
        // Groups are stable's alone, and of users that have a key.
        let canary = Assignment { arm: Arm::Canary, ..stable(Cause::Weight) };
        check(Outcome { assignment: canary, ..failed }, &[latency]);
        let keyless = Assignment { group: None, ..stable(Cause::Weight) };
        check(Outcome { assignment: keyless, ..failed }, &[latency]);
        // Nothing but the weights makes evidence.
        for cause in [Cause::Override, Cause::Cohort, Cause::NoKey] {
            check(Outcome { assignment: stable(cause), retried: true, ..failed }, &[]);
        }
    }

    #[test]
    fn a_retried_request_took_what_its_client_waited() {
        #[track_caller]
        fn check(class: Class, retried: bool, times: [Option<u64>; 2], expected: Option<AnswerTime>) {
            let [answer, whole] = times;
            let asked = std::cell::Cell::new(false);
            let whole = || {
                asked.set(true);
                whole
            };
            assert_eq!(AnswerTime::of(class, retried, answer, whole), expected);
            assert!(retried || !asked.get(), "the whole is asked for retries alone");
        }
        let took = |ns| Some(AnswerTime::Took(ns));
        check(Class::Ok, false, [Some(5), Some(9)], took(5));
        check(Class::Ok, true, [Some(5), Some(9)], took(9));
        check(Class::Ok, true, [Some(5), None], took(5));
        check(Class::Ok, true, [Some(9), Some(5)], took(9));
        check(Class::ServerError, false, [None, Some(9)], None);
        check(Class::ServerError, true, [None, Some(9)], None);
        for class in [Class::Timeout, Class::Reset] {
            check(class, true, [Some(5), Some(9)], Some(AnswerTime::Never));
            check(class, false, [None, None], Some(AnswerTime::Never));
        }
        assert_eq!(AnswerTime::Took(2 * MS - 1).whole_ms(), Some(1));
        assert_eq!(AnswerTime::Never.whole_ms(), None);
    }

    #[test]
    fn a_class_ends_the_wait_in_one_way() {
        for (ending, classes) in [
            (Ending::Left, vec![Class::Gone]),
            (Ending::NoOutcome, vec![Class::Local, Class::Overflow]),
            (
                Ending::Answered,
                vec![Class::Ok, Class::ServerError, Class::Timeout, Class::Reset, Class::Upgrade],
            ),
        ] {
            assert!(classes.iter().all(|class| Ending::of(*class) == ending), "{ending:?}");
        }
    }
}
