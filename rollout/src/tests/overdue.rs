use crate::{Aged, Overdue, Totals};

/// Looks as (ms, assigned, finished, late); overdue after 2 s. Expected: the sums at the end.
#[track_caller]
fn check(looks: &[(u64, u64, u64, u64)], reached: u64, overdue: u64) {
    let mut tracker = Overdue::new(2_000);
    let mut sum = Aged::default();
    for &(at_ms, assigned, finished, late) in looks {
        let news = tracker.look(Totals { at_ms, assigned, finished, late });
        assert!(news.overdue <= news.reached, "{news:?} at {at_ms}");
        sum = Aged { reached: sum.reached + news.reached, overdue: sum.overdue + news.overdue };
    }
    assert_eq!((sum.reached, sum.overdue), (reached, overdue));
}

#[test]
fn what_is_not_answered_is_seen_while_it_is_not() {
    // All answered at once.
    check(&[(0, 0, 0, 0), (1_000, 10, 10, 0), (2_000, 20, 20, 0), (3_000, 30, 30, 0)], 10, 0);
    // Nothing answered: what is two seconds old is overdue.
    check(
        &[(0, 0, 0, 0), (1_000, 10, 0, 0), (2_000, 20, 0, 0), (3_000, 30, 0, 0), (4_000, 40, 0, 0)],
        20,
        20,
    );
    // Answered late: first seen waiting, then finished late, counted once.
    check(
        &[(0, 0, 0, 0), (1_000, 10, 0, 0), (3_000, 10, 0, 0), (4_000, 10, 10, 10), (5_000, 10, 10, 10)],
        10,
        10,
    );
    // Half hangs, half is fast: seen once the fast ones cannot hide it.
    check(
        &[(0, 0, 0, 0), (1_000, 10, 5, 0), (2_000, 20, 10, 0), (3_000, 30, 15, 0), (20_000, 30, 15, 0)],
        30,
        15,
    );
    // Too young to say anything.
    check(&[(0, 0, 0, 0), (1_999, 10, 0, 0)], 0, 0);
}

#[test]
fn a_restart_of_the_counters_loses_no_report() {
    let mut tracker = Overdue::new(2_000);
    for at_s in 0..=5 {
        tracker.look(Totals { at_ms: at_s * 1_000, assigned: at_s * 10, finished: 0, late: 0 });
    }
    tracker.restart();
    let mut sum = Aged::default();
    for at_s in 6..=12 {
        let news =
            tracker.look(Totals { at_ms: at_s * 1_000, assigned: (at_s - 6) * 10, finished: 0, late: 0 });
        sum = Aged { reached: sum.reached + news.reached, overdue: sum.overdue + news.overdue };
    }
    assert_eq!((sum.reached, sum.overdue), (40, 40));
}

proptest::proptest! {
    /// Never more than there are: each request is assigned, and maybe finished some time later.
    #[test]
    fn never_more_than_the_truth(delays in proptest::collection::vec((0_u64..20_000, proptest::option::of(0_u64..6_000)), 0..200)) {
        let mut tracker = Overdue::new(2_000);
        let mut sum = Aged::default();
        for at_ms in (0..=30_000).step_by(700) {
            let assigned = delays.iter().filter(|(start, _)| *start <= at_ms).count() as u64;
            let ends = |from: u64| delays.iter().filter(move |(start, d)| d.is_some_and(|d| start + d <= at_ms && d >= from)).count() as u64;
            let news = tracker.look(Totals { at_ms, assigned, finished: ends(0), late: ends(2_001) });
            sum = Aged { reached: sum.reached + news.reached, overdue: sum.overdue + news.overdue };
            let truth = delays.iter().filter(|(start, d)| start + 2_000 <= at_ms && d.is_none_or(|d| d >= 2_000)).count() as u64;
            proptest::prop_assert!(sum.overdue <= truth, "{sum:?} {truth} at {at_ms}");
            proptest::prop_assert!(sum.overdue <= sum.reached);
        }
    }
}
