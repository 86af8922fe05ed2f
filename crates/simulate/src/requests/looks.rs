//! What a reader of all proxies makes of its readings, look by look: as `envoy::stats::Counters` and the controller's
//! scraper do, which read over a network.

use rollout::{LookSummary, ProxyCoverage};
use tally::{Counted, Follower, Loss, Reading};

/// A proxy is stale after so many looks without an answer.
const STALE_LOOKS: u64 = 5;

/// Follows all proxies.
#[derive(Debug)]
pub(super) struct Looks {
    every_ms: u64,
    from_ms: u64,
    proxies: Vec<Source>,
}

#[derive(Debug, Default)]
struct Source {
    follower: Follower,
    /// When it answered last.
    last_ms: Option<u64>,
    /// From when on it tells at the next look.
    from_ms: u64,
}

impl Looks {
    pub(super) const fn new(every_ms: u64) -> Self {
        Self { every_ms, from_ms: 0, proxies: Vec::new() }
    }

    /// What these readings say, and what they lack.
    pub(super) fn take(
        &mut self,
        readings: Vec<Option<Reading>>,
        now_ms: u64,
    ) -> (LookSummary, Vec<Counted>) {
        self.proxies.resize_with(readings.len().max(self.proxies.len()), Source::default);
        let begun_ms = std::mem::replace(&mut self.from_ms, now_ms);
        let mut counted = Vec::new();
        let (mut told, mut whole, mut from_ms) = (false, 0, begun_ms);
        let mut lacking: Vec<String> = Vec::new();
        for (number, (source, reading)) in self.proxies.iter_mut().zip(readings).enumerate() {
            let mut lacks = None;
            if let Some(reading) = reading {
                let (of_proxy, loss) = source.follower.take(reading);
                counted.extend(of_proxy);
                lacks = loss.filter(|loss| *loss != Loss::Torn).map(|loss| loss.to_string());
                if source.last_ms.replace(now_ms).is_none() {
                    source.from_ms = now_ms;
                }
            }
            let Some(last_ms) = source.last_ms else {
                lacking.push(format!("proxy {number}: stale source: never answered"));
                continue;
            };
            let silent_ms = now_ms - last_ms;
            if silent_ms > STALE_LOOKS * self.every_ms {
                lacks = lacks.or(Some(format!("stale source: no answer for {silent_ms} ms")));
            }
            let told_from_ms = std::mem::replace(&mut source.from_ms, last_ms);
            if last_ms > told_from_ms {
                (told, from_ms) = (true, from_ms.min(told_from_ms));
            }
            match lacks {
                None => whole += 1,
                Some(why) => lacking.push(format!("proxy {number}: {why}")),
            }
        }
        let lacking = lacking.join("; ");
        let asked = u32::try_from(self.proxies.len()).unwrap_or(u32::MAX);
        let gap = (!told).then(|| lacking.clone());
        let coverage = ProxyCoverage { told: whole, asked, lacking, ..ProxyCoverage::default() };
        let seen = LookSummary { from_ms, to_ms: now_ms, gap, coverage };
        (seen, counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_silent_says_nothing_of_when_the_counts_of_others_began() {
        let mut looks = Looks::new(1_000);
        let mut take = |told: [bool; 2], now_ms| {
            let readings = told.map(|told| told.then(Reading::default)).to_vec();
            let LookSummary { from_ms, coverage, .. } = looks.take(readings, now_ms).0;
            (from_ms, coverage.told, coverage.asked)
        };
        for now_ms in [1_000, 2_000, 3_000] {
            take([true, true], now_ms);
        }
        for now_ms in [10_000, 11_000, 12_000] {
            take([true, false], now_ms);
        }
        assert_eq!(take([true, false], 13_000), (12_000, 1, 2));
        assert_eq!(take([true, true], 14_000), (3_000, 2, 2), "then it tells it all");
    }
}
