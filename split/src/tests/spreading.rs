//! How keys spread over the key space: monotone, exact at the ends, uniform on sequential ids, the same for ever.

use proptest::prelude::*;
use serde_json::json;

use super::splitter;
use crate::{Arm, Draws, GROUPS, MILLION, Point, Standing, Weight};

fn at(splitter: &crate::Splitter, user: &str) -> Arm {
    let headers: &[(&str, &[u8])] = &[("x-user-id", user.as_bytes())];
    splitter.claim(&headers).expect("owned").assign(&headers, Standing::Live, &mut Draws::seeded(0)).arm
}

fn arms(canary: u32, baseline: u32) -> serde_json::Value {
    json!({"arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": canary},
                    "baseline": {"weight_ppm": baseline}}})
}

proptest! {
    #[test]
    fn raising_a_weight_moves_users_only_from_stable_to_that_arm(
        user in ".{1,40}", low in 0..=MILLION, high in 0..=MILLION,
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let (before, after) = (at(&splitter(arms(low, 0)), &user), at(&splitter(arms(high, 0)), &user));
        prop_assert!(before == after || (before, after) == (Arm::Stable, Arm::Canary));
        let share = |canary: u32| (canary / 2, canary / 2);
        let ((c1, b1), (c2, b2)) = (share(low), share(high));
        let (before, after) = (at(&splitter(arms(c1, b1)), &user), at(&splitter(arms(c2, b2)), &user));
        prop_assert!(before == after || before == Arm::Stable);
    }

    #[test]
    fn nobody_at_nothing_and_everybody_at_all(user in ".{1,40}") {
        prop_assert_eq!(at(&splitter(arms(0, 0)), &user), Arm::Stable);
        prop_assert_eq!(at(&splitter(arms(MILLION, 0)), &user), Arm::Canary);
        prop_assert_eq!(at(&splitter(arms(0, MILLION)), &user), Arm::Baseline);
    }

    #[test]
    fn the_ends_of_the_key_space_obey_too(ppm in 1..MILLION) {
        let weight = Weight::from_ppm(ppm).expect("a weight");
        prop_assert!(weight.holds_from_bottom(Point::drawn(0)));
        prop_assert!(!weight.holds_from_bottom(Point::drawn(u64::MAX)));
        prop_assert!(weight.holds_from_top(Point::drawn(u64::MAX)));
        prop_assert!(!weight.holds_from_top(Point::drawn(0)));
    }
}

/// Sequential ids are what real systems have and what weak hashes fail on. Chi-square over 100 cells has mean 99 and
/// standard deviation 14; 170 is five of them away.
#[test]
fn sequential_ids_spread_evenly_over_positions_and_groups_independently() {
    const USERS: u32 = 100_000;
    const CELLS: usize = 100;
    let (mut positions, mut groups, mut both) = ([0u32; CELLS], [0u32; CELLS], [0u32; CELLS]);
    for user in 0..USERS {
        let point = Point::of("ranker/1", format!("user{user}").as_bytes());
        let cell = usize::try_from((u128::from(point.position) * 100) >> 64).expect("below 100");
        positions[cell] += 1;
        groups[usize::from(point.group)] += 1;
        both[(cell / 10) * 10 + usize::from(point.group) / 10] += 1;
    }
    assert_eq!(usize::from(GROUPS), CELLS);
    for cells in [positions, groups, both] {
        let expected = f64::from(USERS) / 100.0;
        let chi: f64 = cells.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        assert!(chi < 170.0, "chi-square {chi}");
    }
}

#[test]
fn two_salts_put_different_users_first() {
    let weight = Weight::from_ppm(50_000).expect("a weight");
    let first = |salt: &str| {
        (0..20_000)
            .filter(|user| weight.holds_from_bottom(Point::of(salt, format!("user{user}").as_bytes())))
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (one, two) = (first("ranker/1"), first("ranker/2"));
    // 5 % of 20,000 is 1,000, and chance alone makes 50 common.
    assert!(one.len().abs_diff(1_000) < 160 && two.len().abs_diff(1_000) < 160);
    assert!(one.intersection(&two).count() < 100);
}

/// A changed hash would move every user of every running rollout.
#[test]
fn golden_vectors_hold() {
    let golden: Vec<(String, String, u64, u8)> =
        serde_json::from_str(include_str!("golden.json")).expect("golden vectors");
    assert!(golden.len() >= 16);
    for (salt, key, position, group) in golden {
        assert_eq!(Point::of(&salt, key.as_bytes()), Point { position, group }, "{salt} {key}");
    }
}

#[test]
fn draws_are_even_and_repeat_from_their_seed() {
    let weight = Weight::from_ppm(10_000).expect("a weight");
    let mut draws = Draws::seeded(42);
    let hits = (0..1_000_000).filter(|_| weight.holds_from_bottom(Point::drawn(draws.draw()))).count();
    // 10,000 expected, standard deviation 99.5.
    assert!(hits.abs_diff(10_000) < 500, "{hits}");
    assert_eq!(Draws::seeded(42).draw(), Draws::seeded(42).draw());
    assert_ne!(Draws::seeded(42).draw(), Draws::seeded(43).draw());
}
