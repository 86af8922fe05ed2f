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

/// Canary, baseline and two further arms; `b` starts at 30 %, `c` at 60 %.
fn four(canary: u32, baseline: u32, b: u32, c: u32) -> serde_json::Value {
    json!({"arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": canary},
        "baseline": {"weight_ppm": baseline},
        "others": [{"name": "b", "version": "v3", "start_ppm": 300_000, "weight_ppm": b},
                   {"name": "c", "version": "v4", "start_ppm": 600_000, "weight_ppm": c}]}})
}

fn other(name: &str) -> Arm {
    Arm::parse(name).expect("a name")
}

proptest! {
    #[test]
    fn raising_one_arm_of_many_moves_users_only_from_stable_to_it(
        user in ".{1,40}", weights in [0..=300_000u32, 0..=100_000u32, 0..=300_000u32, 0..=300_000u32],
        which in 0usize..4, more in 0..=MILLION,
    ) {
        let limits = [300_000, 100_000, 300_000, 300_000];
        let arm = [Arm::Canary, Arm::Baseline, other("b"), other("c")][which];
        let policy = |w: [u32; 4]| splitter(four(w[0], w[1], w[2], w[3]));
        let mut raised = weights;
        raised[which] = raised[which].max(more.min(limits[which]));
        let (before, after) = (at(&policy(weights), &user), at(&policy(raised), &user));
        prop_assert!(before == after || (before, after) == (Arm::Stable, arm), "{before} {after}");
    }

    #[test]
    fn an_arm_alone_grows_round_the_end_to_everybody(
        user in ".{1,40}", low in 0..=MILLION, high in 0..=MILLION,
    ) {
        let alone = |weight| at(&splitter(four(0, 0, 0, weight)), &user);
        let (low, high) = (low.min(high), low.max(high));
        let (before, after) = (alone(low), alone(high));
        prop_assert!(before == after || (before, after) == (Arm::Stable, other("c")));
        prop_assert_eq!(alone(0), Arm::Stable);
        prop_assert_eq!(alone(MILLION), other("c"));
    }

    /// Whatever is accepted leaves no point to two arms, so the shares add up to at most the whole.
    #[test]
    fn shares_that_would_meet_are_refused(
        weights in [0..=MILLION, 0..=MILLION, 0..=MILLION, 0..=MILLION], position: u64,
    ) {
        let [canary, baseline, b, c] = weights;
        if let Ok(splitter) = crate::Splitter::compile(&super::policy(four(canary, baseline, b, c))) {
            prop_assert!(weights.iter().map(|w| u64::from(*w)).sum::<u64>() <= u64::from(MILLION));
            let point = Point::drawn(position);
            let holds = |ppm: u32| Weight::from_ppm(ppm).expect("a weight");
            let in_b = holds(b).holds_from(holds(300_000), point);
            let in_c = holds(c).holds_from(holds(600_000), point);
            let (low, high) = (holds(canary).holds_from_bottom(point), holds(baseline).holds_from_top(point));
            prop_assert!([low, high, in_b, in_c].iter().filter(|held| **held).count() <= 1);
            let _ = splitter;
        }
    }
}

#[test]
fn shares_of_many_arms_are_as_large_as_stated() {
    let splitter = splitter(four(100_000, 50_000, 200_000, 10_000));
    let mut seen = std::collections::BTreeMap::<Arm, u32>::new();
    for user in 0..100_000 {
        *seen.entry(at(&splitter, &format!("user{user}"))).or_default() += 1;
    }
    for (arm, share) in [(Arm::Canary, 0.1_f64), (Arm::Baseline, 0.05), (other("b"), 0.2), (other("c"), 0.01)]
    {
        let (got, sigma) = (f64::from(seen[&arm]), (1e5 * share * (1.0 - share)).sqrt());
        assert!((got - 1e5 * share).abs() < 5.0 * sigma, "{arm}: {got}");
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
