//! How many requests a run's versions get: measured, whatever assigned them.

use std::collections::{BTreeMap, VecDeque};

use rollout::{Rates, State};
use split::Arm;
use tally::What;

use scrape::Increments;

/// Long enough that a scaler is not shaken by every second, short enough that it sees a step within one.
const WINDOW_MS: u64 = 30_000;

/// Requests of the last samples.
#[derive(Default)]
pub struct Measured {
    samples: VecDeque<Sample>,
    /// Did the last one miss a proxy?
    missed: bool,
}

struct Sample {
    from_ms: u64,
    to_ms: u64,
    canary: u64,
    stable: u64,
    others: BTreeMap<Arm, u64>,
}

impl Measured {
    /// Takes a look in. One that missed a proxy says too little and is left out, and so is the next one: what it tells of
    /// that proxy is of a longer time.
    pub fn take(&mut self, state: &State, news: &Increments) {
        while self.samples.front().is_some_and(|look| look.to_ms + WINDOW_MS <= news.to_ms) {
            self.samples.pop_front();
        }
        let missed = news.there(state).any(|source| !source.told);
        let after_one = std::mem::replace(&mut self.missed, missed);
        if missed || after_one || news.gap.is_some() || news.to_ms <= news.from_ms {
            return;
        }
        let mut look = Sample {
            from_ms: news.from_ms,
            to_ms: news.to_ms,
            canary: 0,
            stable: 0,
            others: BTreeMap::new(),
        };
        for one in
            news.counted_of(&state.plan.name).filter(|one| matches!(one.series.what, What::Assigned(..)))
        {
            let arm = one.series.arm;
            match arm {
                _ if arm == state.plan.arm() => look.canary += one.n,
                Arm::Stable | Arm::Baseline => look.stable += one.n,
                Arm::Canary | Arm::Other(_) => *look.others.entry(arm).or_default() += one.n,
            }
        }
        self.samples.push_back(look);
    }

    /// Requests per second; `None`: no look was whole lately.
    #[allow(clippy::cast_precision_loss)] // counts and milliseconds
    pub fn rates(&self) -> Option<Rates> {
        let ms: u64 = self.samples.iter().map(|look| look.to_ms - look.from_ms).sum();
        let rate = |n: u64| n as f64 * 1e3 / ms as f64;
        let per_second = |of: fn(&Sample) -> u64| rate(self.samples.iter().map(of).sum());
        let mut others: BTreeMap<Arm, u64> = BTreeMap::new();
        for (arm, n) in self.samples.iter().flat_map(|look| &look.others) {
            *others.entry(*arm).or_default() += n;
        }
        (ms > 0).then(|| Rates {
            canary: per_second(|look| look.canary),
            stable: per_second(|look| look.stable),
            others: others.into_iter().map(|(arm, n)| (arm, rate(n))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use split::Cause;
    use tally::{Counted, Series};

    use super::*;
    use scrape::Source;

    fn look(from_ms: u64, to_ms: u64, counts: &[(&str, Arm, Cause, u64)], gap: bool) -> Increments {
        let counters = counts.iter().map(|(rollout, arm, cause, n)| {
            let what = What::Assigned(*cause, None);
            let series = Series { rollout: (*rollout).to_owned(), version: "v".to_owned(), arm: *arm, what };
            Counted { series, epoch: None, n: *n }
        });
        let gap = gap.then(|| "a silent proxy".to_owned());
        Increments { from_ms, to_ms, counted: counters.collect(), gap, ..Increments::default() }
    }

    #[test]
    fn requests_of_the_last_whole_looks_per_second() {
        let text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n";
        let state = State::new(manifest::load(text).expect("a rollout").plan, 1, 0, rollout::Now::at_ms(0));
        let mut measured = Measured::default();
        let mut take = |look: Increments| {
            measured.take(&state, &look);
            measured.rates().map(|rates| (rates.canary, rates.stable))
        };
        assert_eq!(take(look(0, 1_000, &[], true)), None);
        let busy = [
            ("ranker", Arm::Canary, Cause::Weight, 10),
            ("ranker", Arm::Canary, Cause::Cohort, 5),
            ("ranker", Arm::Stable, Cause::Weight, 80),
            ("ranker", Arm::Baseline, Cause::Weight, 10),
            ("other", Arm::Stable, Cause::Weight, 999),
        ];
        assert_eq!(take(look(1_000, 2_000, &busy, false)), Some((15.0, 90.0)));
        assert_eq!(take(look(2_000, 3_000, &[], true)), Some((15.0, 90.0)), "a gap is no silence");
        // A proxy that told nothing for a while, and then all of it at once.
        let silent = Source { told: false, ..Source::default() };
        let half = Increments { sources: vec![silent], ..look(1_000, 3_000, &busy, false) };
        assert_eq!(take(half), Some((15.0, 90.0)));
        assert_eq!(take(look(1_000, 4_000, &busy, false)), Some((15.0, 90.0)));
        assert_eq!(take(look(3_000, 5_000, &[], false)), Some((5.0, 30.0)));
        assert_eq!(take(look(31_500, 32_000, &[], false)), Some((0.0, 0.0)), "what is old is forgotten");
    }
}
