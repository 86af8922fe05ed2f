use split::{Arm, Cause};

use super::*;
use crate::Class;

fn series(what: What) -> Series {
    Series { rollout: "r".to_owned(), version: "v".to_owned(), arm: Arm::Canary, what }
}

fn assigned(place: u8) -> Series {
    series(What::Assigned(Cause::Weight, Some(Slot::Of(place))))
}

fn reading(epoch: u64, counters: &[(Series, u64)]) -> Reading {
    Reading {
        process: "p".to_owned(),
        counters: counters.iter().cloned().collect(),
        epochs: BTreeMap::from([("r".to_owned(), epoch)]),
        ..Reading::default()
    }
}

/// What the last of these readings says: epoch and increment of each counter, and what is lost.
#[track_caller]
fn check(readings: &[Reading], want: &[(Option<u64>, u64)], loss: Option<Loss>) {
    let mut follower = Follower::default();
    let mut said = (Vec::new(), None);
    for reading in readings {
        said = follower.take(reading.clone());
    }
    let mut got: Vec<_> = said.0.iter().map(|counted| (counted.epoch, counted.n)).collect();
    got.sort_unstable();
    assert_eq!((got.as_slice(), said.1), (want, loss));
}

#[test]
fn growth_is_of_the_epoch_that_its_slot_stood_for() {
    let first = reading(7, &[(assigned(3), 5)]);
    check(std::slice::from_ref(&first), &[], Some(Loss::First));
    check(&[first.clone(), reading(7, &[(assigned(3), 9)])], &[(Some(7), 4)], None);
    // The epoch before, counted by a worker that lags or by a request that ended late.
    check(
        &[first.clone(), reading(8, &[(assigned(3), 9), (assigned(0), 3)])],
        &[(Some(7), 4), (Some(8), 3)],
        None,
    );
    check(&[first.clone(), reading(7, &[(assigned(3), 5), (assigned(1), 1)])], &[(Some(5), 1)], None);
    let late = series(What::Finished(Cause::Weight, Class::Ok, Some(Slot::Late)));
    check(&[first.clone(), reading(7, &[(assigned(3), 5), (late, 1)])], &[], None);
    let fallback = series(What::Assigned(Cause::Fallback, None));
    check(&[first, reading(7, &[(assigned(3), 5), (fallback, 1)])], &[(None, 1)], None);
}

#[test]
fn answer_times_count_only_while_the_weights_stay() {
    let latency = |n| (series(What::Latency(50)), n);
    check(&[reading(7, &[latency(1)]), reading(7, &[latency(4)])], &[(Some(7), 3)], None);
    check(&[reading(7, &[latency(1)]), reading(8, &[latency(4)])], &[], None);
}

#[test]
fn a_push_in_the_middle_of_a_reading_puts_it_off() {
    let first = reading(7, &[(assigned(3), 5)]);
    // Slot 0 is epoch 8, which the gauge did not announce yet.
    let torn = reading(7, &[(assigned(3), 6), (assigned(0), 3)]);
    check(&[first.clone(), torn.clone()], &[], Some(Loss::Torn));
    let whole = reading(8, &[(assigned(3), 6), (assigned(0), 4)]);
    check(&[first.clone(), torn.clone(), whole], &[(Some(7), 1), (Some(8), 4)], None);
    // A gauge that stays behind must not stop everything.
    check(&[first, torn.clone(), torn], &[(Some(7), 1)], Some(Loss::Skipped));
}

#[test]
fn weights_that_changed_too_often_are_told_apart_where_they_can_be() {
    let first = reading(7, &[(assigned(3), 5)]);
    let next = reading(9, &[(assigned(3), 6), (assigned(0), 2), (assigned(1), 2)]);
    // Slot 1 is epoch 9, or 5 from before.
    check(&[first, next], &[(Some(7), 1), (Some(8), 2)], Some(Loss::Skipped));
}

fn other_process(n: u64) -> Reading {
    Reading { process: "q".to_owned(), ..reading(7, &[(assigned(3), n)]) }
}

#[test]
fn a_new_process_counts_from_nothing_and_a_reset_is_lost() {
    let first = reading(7, &[(assigned(3), 5)]);
    let other = other_process(2);
    check(&[first.clone(), other.clone()], &[(Some(7), 2)], Some(Loss::Restarted));
    check(&[first.clone(), other, reading(7, &[(assigned(3), 3)])], &[(Some(7), 3)], Some(Loss::Restarted));
    let heir = Reading { inherits: true, ..other_process(9) };
    check(&[first.clone(), heir.clone()], &[], Some(Loss::Restarted));
    check(&[first.clone(), heir, Reading { inherits: true, ..other_process(11) }], &[(Some(7), 2)], None);
    check(&[first.clone(), reading(7, &[])], &[], Some(Loss::Reset));
    check(&[first, reading(7, &[]), reading(7, &[(assigned(3), 3)])], &[(Some(7), 3)], None);
}

#[test]
fn what_was_not_asked_for_is_neither_new_nor_gone() {
    let scope = |versions: &[&str]| {
        Some(Arc::new(versions.iter().map(|version| ("r".to_owned(), (*version).to_owned())).collect()))
    };
    let with = |reading: Reading, versions: &[&str]| Reading { scope: scope(versions), ..reading };
    let known = reading(7, &[(assigned(3), 5)]);
    check(&[with(reading(7, &[]), &["u"]), with(known.clone(), &["v"])], &[], None);
    check(&[with(known.clone(), &["v"]), with(reading(7, &[]), &["u"])], &[], None);
    check(
        &[with(known.clone(), &["u"]), with(known, &["v"]), with(reading(7, &[(assigned(3), 6)]), &["v"])],
        &[(Some(7), 1)],
        None,
    );
}

/// A part of a page is missing, and comes back.
#[test]
fn what_is_back_with_all_it_ever_counted_is_not_counted_again() {
    let both = |stable, canary| reading(7, &[(assigned(2), stable), (assigned(3), canary)]);
    let part = |stable| reading(7, &[(assigned(2), stable)]);
    check(&[both(5, 100), part(6)], &[], Some(Loss::Reset));
    check(&[both(5, 100), part(6), both(8, 104)], &[(Some(6), 2)], Some(Loss::Reset));
    check(&[both(5, 100), part(6), both(8, 104), both(9, 107)], &[(Some(6), 1), (Some(7), 3)], None);
    // Away for more than a reading, and for the second time.
    let twice = [both(5, 100), part(6), part(7), both(8, 104), part(8), both(8, 110)];
    check(&twice, &[], Some(Loss::Reset));
    // Counters that were set to zero are counted from there.
    check(&[both(5, 100), part(6), both(6, 3)], &[(Some(7), 3)], None);
    // Another process knows nothing of it.
    let next = Reading { process: "q".to_owned(), ..both(1, 200) };
    check(&[both(5, 100), part(6), next], &[(Some(6), 1), (Some(7), 200)], Some(Loss::Restarted));
}
