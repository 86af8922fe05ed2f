//! What became of the traffic's shares while a rollout was followed, look by look.

use std::ops::Range;

use crate::load::Spans;

/// When the weight fell, and when the proxy was without its lease. Moments are of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Requests that went to stable for want of a lease.
    pub requests_without_lease: u64,
    /// Looks in which there were more of them than in the look before.
    pub without_lease: Spans,
    /// Looks in which the weight fell.
    fell: Vec<Range<u64>>,
    last: Option<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at_ns: u64,
    weight_ppm: u32,
}

impl Traffic {
    /// What a look finds: the canary's weight, and all requests so far that went to stable for want of a lease. What
    /// nobody told is as it was.
    pub fn look(&mut self, at_ns: u64, weight_ppm: Option<u32>, without_lease: Option<u64>) {
        let weight_ppm = weight_ppm.or(self.last.map(|last| last.weight_ppm)).unwrap_or(0);
        let without_lease = without_lease.unwrap_or(self.requests_without_lease);
        let before = self.last.unwrap_or(Look { at_ns, weight_ppm });
        if weight_ppm < before.weight_ppm {
            self.fell.push(before.at_ns..at_ns);
        }
        if without_lease > self.requests_without_lease {
            self.without_lease.add(before.at_ns..at_ns);
            self.requests_without_lease = without_lease;
        }
        self.last = Some(Look { at_ns, weight_ppm });
    }

    /// The parts of a span in which the weight did not fall.
    pub fn rising(&self, span: &Range<u64>) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let mut from = span.start;
        for fell in self.fell.iter().filter(|fell| fell.end > span.start && fell.start < span.end) {
            parts.push(from..fell.start);
            from = fell.end;
        }
        parts.push(from..span.end);
        parts.retain(|part| part.start < part.end);
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(looks: &[(u64, u32, u64)]) -> Traffic {
        let mut traffic = Traffic::default();
        looks.iter().for_each(|(at, weight, without)| traffic.look(*at, Some(*weight), Some(*without)));
        traffic
    }

    #[track_caller]
    fn check_rising(looks: &[(u64, u32, u64)], parts: &[(u64, u64)]) {
        let found = traffic(looks).rising(&(10..100));
        assert_eq!(found.iter().map(|part| (part.start, part.end)).collect::<Vec<_>>(), parts);
    }

    #[test]
    fn nobody_is_held_to_a_weight_that_was_taken_back() {
        check_rising(&[], &[(10, 100)]);
        check_rising(&[(0, 0, 0), (20, 5, 0), (30, 50, 0)], &[(10, 100)]);
        check_rising(&[(20, 50, 0), (30, 5, 0), (40, 50, 0)], &[(10, 20), (30, 100)]);
        check_rising(&[(20, 50, 0), (30, 20, 0), (40, 5, 0), (50, 5, 0)], &[(10, 20), (40, 100)]);
        check_rising(&[(0, 50, 0), (15, 5, 0), (95, 50, 0), (101, 0, 0)], &[(15, 95)]);
        check_rising(&[(100, 50, 0), (110, 5, 0)], &[(10, 100)]);
    }

    #[test]
    fn a_lost_lease_is_seen_while_requests_go_to_stable_for_it() {
        let known = traffic(&[(10, 5, 0), (20, 5, 0), (30, 5, 7), (40, 5, 9), (50, 5, 9)]);
        assert_eq!(known.requests_without_lease, 9);
        let mut silent = known.clone();
        silent.look(60, None, None);
        silent.look(70, None, Some(12));
        assert_eq!((silent.requests_without_lease, silent.without_lease.within(&(0..100))), (12, 30));
        assert_eq!(silent.fell.len(), 0, "a controller that is silent takes no weight back");
        assert_eq!(known.without_lease.within(&(0..100)), 20);
        assert!(known.without_lease.touch(&(25..26)) && !known.without_lease.touch(&(45..50)));
    }
}
