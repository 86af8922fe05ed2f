//! Spans of `CLOCK_MONOTONIC`: when the machine did not keep up, when a lease was lost.

use std::ops::Range;

/// Spans in nanoseconds, in order, none touching another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<Range<u64>>);

/// A failed exchange is looked at from this long before it was sent until as long after it was over: what follows from
/// a processor that was not to be had shows a little later.
const AROUND_NS: u64 = 500_000_000;

/// A failure is the machine's when it did not keep up for this share of that time.
const EXPLAINS: f64 = 0.25;

impl Spans {
    /// Adds a span; spans come in the order in which they end.
    pub fn add(&mut self, span: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if span.start <= last.end => {
                last.start = last.start.min(span.start);
                last.end = last.end.max(span.end);
            }
            _ => self.0.push(span),
        }
    }

    /// Nanoseconds that a span shares with these.
    pub fn within(&self, span: &Range<u64>) -> u64 {
        let shared = |known: &Range<u64>| known.end.min(span.end).saturating_sub(known.start.max(span.start));
        self.0.iter().map(shared).sum()
    }

    /// The share of a span that lies in these; 0 of an empty one.
    pub fn share(&self, span: &Range<u64>) -> f64 {
        let long = span.end.saturating_sub(span.start);
        if long == 0 { 0.0 } else { self.within(span) as f64 / long as f64 }
    }

    /// Whether any lies in a span or touches it.
    pub fn touch(&self, span: &Range<u64>) -> bool {
        self.0.iter().any(|known| known.start <= span.end && span.start <= known.end)
    }

    /// Of those in which the machine did not keep up: do they explain that an exchange failed which lasted from and to
    /// these moments?
    pub fn explains(&self, sent_ns: u64, finished_ns: u64) -> bool {
        let around = sent_ns.saturating_sub(AROUND_NS)..finished_ns.saturating_add(AROUND_NS);
        self.share(&around) >= EXPLAINS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn all(spans: &[(u64, u64)]) -> Spans {
        let mut known = Spans::default();
        spans.iter().for_each(|(from, to)| known.add(from * MS..to * MS));
        known
    }

    #[track_caller]
    fn check(spans: &[(u64, u64)], (sent, finished): (u64, u64), explains: bool) {
        assert_eq!(all(spans).explains(sent * MS, finished * MS), explains);
    }

    #[test]
    fn a_failure_is_the_machine_s_when_it_was_busy_for_a_good_part_of_it() {
        check(&[], (10_000, 10_010), false);
        // A quick failure: of a second and a bit, a quarter must have been busy.
        check(&[(9_700, 9_900)], (10_000, 10_010), false);
        check(&[(9_700, 10_000)], (10_000, 10_010), true);
        check(&[(9_600, 9_750), (10_100, 10_250)], (10_000, 10_010), true);
        check(&[(8_000, 9_400), (10_600, 20_000)], (10_000, 10_010), false);
        // One that waited for three seconds: a busy moment does not explain it.
        check(&[(11_000, 11_400)], (10_000, 13_000), false);
        check(&[(11_000, 12_100)], (10_000, 13_000), true);
    }

    #[test]
    fn spans_that_touch_are_one() {
        let known = all(&[(0, 100), (100, 200), (150, 180), (300, 400)]);
        assert_eq!(known, all(&[(0, 200), (300, 400)]));
        assert_eq!(known.within(&(50 * MS..350 * MS)), 200 * MS);
        assert_eq!((known.share(&(0..400 * MS)), known.share(&(7..7))), (0.75, 0.0));
        let touched = |from, to| known.touch(&(from * MS..to * MS));
        assert!(touched(190, 210) && touched(200, 250) && touched(0, 900) && touched(310, 320));
        assert!(!touched(210, 290) && !touched(401, 500));
    }
}
