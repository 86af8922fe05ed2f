use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

type Seen = BTreeMap<(Arm, u32, Progress), u64>;

fn tick(waiting: &mut InFlight, now_ms: u64, seen: &mut Seen) {
    waiting.tick(now_ms * MS, |reached| {
        *seen.entry((reached.arm, reached.age_ms, reached.progress)).or_default() += reached.n;
    });
}

/// What was counted of a request that ends so after `ends_ms`, by `at_ms`; ticks are 100 ms apart.
#[track_caller]
fn check(ending: Option<(u64, Ending)>, at_ms: u64, want: &[(u32, Progress)]) {
    let (mut waiting, mut seen) = (InFlight::new(&[500, 2_000]), Seen::new());
    tick(&mut waiting, 0, &mut seen);
    let ticket = waiting.admit(Arm::Canary);
    for now in (100..=at_ms).step_by(100) {
        if let Some((ends_ms, ending)) = ending
            && (now - 100..now).contains(&ends_ms)
        {
            ticket.end(ending);
        }
        tick(&mut waiting, now, &mut seen);
    }
    let want: Seen = want.iter().map(|&(age, progress)| ((Arm::Canary, age, progress), 1)).collect();
    assert_eq!(seen, want, "{ending:?} by {at_ms} ms");
}

#[test]
fn a_request_is_counted_once_at_every_age_as_what_it_is_by_then() {
    use Progress::{Answered, Left, LeftSoon, Waiting};
    check(None, 500, &[]);
    check(None, 600, &[(500, Waiting)]);
    check(None, 3_000, &[(500, Waiting), (2_000, Waiting)]);
    check(Some((50, Ending::Answered)), 3_000, &[(500, Answered), (2_000, Answered)]);
    check(Some((1_000, Ending::Answered)), 3_000, &[(500, Waiting), (2_000, Answered)]);
    check(Some((1_000, Ending::Left)), 3_000, &[(500, Waiting), (2_000, Left)]);
    check(Some((50, Ending::Left)), 3_000, &[(500, LeftSoon), (2_000, LeftSoon)]);
    check(Some((50, Ending::NoOutcome)), 3_000, &[]);
    check(Some((1_000, Ending::NoOutcome)), 3_000, &[(500, Waiting)]);
}

#[test]
fn the_first_thing_that_becomes_of_a_request_counts_unless_it_is_nobodys() {
    let (mut waiting, mut seen) = (InFlight::new(&[500]), Seen::new());
    let answered = waiting.admit(Arm::Stable);
    answered.end(Ending::Answered);
    answered.end(Ending::Left);
    let local = waiting.admit(Arm::Stable);
    local.end(Ending::Answered);
    local.end(Ending::NoOutcome);
    (0..10).for_each(|at| tick(&mut waiting, at * 100, &mut seen));
    assert_eq!(seen, Seen::from([((Arm::Stable, 500, Progress::Answered), 1)]));
    assert!(waiting.is_empty());
}

#[test]
fn a_wall_clock_that_jumps_neither_ages_requests_nor_keeps_them_young() {
    let (mut waiting, mut seen) = (InFlight::new(&[2_000]), Seen::new());
    tick(&mut waiting, 1_000_000, &mut seen);
    let _ticket = waiting.admit(Arm::Canary);
    tick(&mut waiting, 1_000_100, &mut seen);
    tick(&mut waiting, 5_000_000, &mut seen);
    assert!(seen.is_empty(), "an hour did not pass");
    (1..=15).for_each(|at| tick(&mut waiting, at * 100, &mut seen));
    assert_eq!(seen.len(), 1, "set back, it goes on from there");
}

proptest! {
    /// However requests end: at each age each is in exactly one place, and nothing is kept once all have reached the
    /// last.
    #[test]
    fn every_request_is_somewhere(
        ends in proptest::collection::vec((0u64..4_000, 0u64..6_000, 0..2u8, any::<bool>()), 0..200),
    ) {
        let (mut waiting, mut seen) = (InFlight::new(&AGES_MS), Seen::new());
        let mut open: Vec<(u64, Ticket, Ending)> = Vec::new();
        for now in 0..500_u64 {
            let now_ms = now * 100;
            for &(at, lasts, ending, canary) in &ends {
                if at / 100 == now {
                    let arm = if canary { Arm::Canary } else { Arm::Stable };
                    let ending = if ending == 0 { Ending::Answered } else { Ending::Left };
                    open.push((at + lasts, waiting.admit(arm), ending));
                }
            }
            open.retain(|(end, ticket, ending)| {
                if *end <= now_ms { ticket.end(*ending) }
                *end > now_ms
            });
            tick(&mut waiting, now_ms, &mut seen);
        }
        for age in AGES_MS {
            let all: u64 = seen.iter().filter(|((_, of, _), _)| *of == age).map(|(_, n)| n).sum();
            prop_assert_eq!(all, ends.len() as u64);
        }
        prop_assert!(waiting.is_empty());
    }
}
