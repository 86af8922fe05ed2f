//! Shares that follow the evidence: where they go, what holds them, and what they never touch.

mod property;

use split::Arm;

use super::story::{GOOD, Held, Model, Story, human, urged};
use crate::{Acks, Cause, Counts, Effect, Endpoints, Event, Interval, Now, Pause, Phase, Rates, State, step};

const STAGES: &str = "stages:
- {weight: 2%, bake: 10m, deadline: 2h}
- {weight: 5%, bake: 1h, deadline: 6h, approval: true}
- {weight: 20%, bake: 10s, deadline: 1h}
- {weight: 100%, bake: 10s}
gates: [{name: errors, metric: error_rate, against: stable, margin: 5x, passBelow: 8%, ignoreBelow: 8%}]
bandit: {floor: 1%, ceiling: 15%, every: 1m}
";

const THREE: &str =
    "arms: [{name: b, version: v3}, {name: c, version: v4}]\nchoose: {by: person, after: 5%}\n";

fn arm(name: &str) -> Arm {
    Arm::parse(name).expect("a name")
}

fn errors(share: f64) -> Model {
    Model { errors: share, ..GOOD }
}

/// One version, with this share of errors beside stable's 2 %.
fn alone(errors: f64) -> Story {
    let mut story = Story::of(STAGES).per_second(1_000).canary(|model| model.errors = errors);
    story.stable.errors = 0.02;
    story.start()
}

/// Errors of canary, b and c beside stable's 2 %.
fn three(shares: [f64; 3]) -> Story {
    let mut story =
        Story::of(&format!("{THREE}{STAGES}")).per_second(2_000).canary(|model| model.errors = shares[0]);
    story.others = [(arm("b"), errors(shares[1])), (arm("c"), errors(shares[2]))].into();
    story.stable.errors = 0.02;
    story.start()
}

fn shares(state: &State) -> Vec<u32> {
    ["canary", "b", "c"].map(|name| state.plan.share_of(arm(name), &state.weights)).to_vec()
}

/// What shares were moved to, and when.
fn moves(story: &Story) -> Vec<(u64, u32)> {
    let moved = |effect: &Effect| match effect {
        Effect::Publish(sent) if matches!(sent.cause, Cause::Bandit { .. }) => {
            Some((sent.policy.epoch, sent.policy.arms.canary.weight_ppm))
        }
        _ => None,
    };
    story.effects.iter().filter_map(moved).collect()
}

#[test]
fn a_better_version_gets_more_and_the_stages_end_as_ever() {
    let mut story = alone(0.005);
    story.until(1_200, |state| state.stage == 1);
    let first: Vec<u32> = moves(&story).iter().map(|(_, ppm)| *ppm).collect();
    assert_eq!(first, [40_000, 50_000], "twice as much at most, and no more than the next stage gives");
    assert_eq!(story.state.weights.canary_ppm, 50_000);
    let stage = &story.state.stages[0];
    assert!(stage.baked_ms >= 600_000 && stage.baked_ms < 603_000, "{}", stage.baked_ms);
    story.until(300, |state| state.weights.canary_ppm == 150_000);
    story.second();
    let view = story.state.view().bandit.expect("shares move");
    assert!(view.versions[0].best > Some(0.99) && view.versions[1].best < Some(0.01), "{view:?}");
    assert_eq!((view.floor_ppm, view.most_ppm, view.holds), (10_000, 150_000, None));
    assert_eq!(view.by, manifest::Metric::ErrorRate);
    let line =
        story.state.history.iter().rev().find(|record| record.what.starts_with("Shares: ")).expect("a line");
    assert_eq!(line.what, "Shares: v2 15%; best with >99% (v1 <1%)");
    story.until(7_200, |state| matches!(state.phase, Phase::Paused(Pause::Approval)));
    story.take(&Event::Approve(human()));
    assert_eq!(story.state.weights.canary_ppm, 200_000, "the next stage's weight takes over");
    assert_eq!(story.state.view().bandit, None, "above the ceiling weights stand");
    story.ends(3_600);
    assert_eq!(*story.phase(), Phase::Succeeded);
}

#[test]
fn a_worse_version_falls_at_once_and_keeps_the_floor() {
    let mut story = alone(0.05);
    story.until(300, |state| state.weights.canary_ppm == 10_000);
    assert_eq!(moves(&story).len(), 1);
    assert_eq!(story.until(3_600, |state| state.stage == 1), 541, "its proof goes on at the floor");
}

#[test]
fn of_several_the_better_ones_get_more_beside_each_other() {
    let mut story = three([0.05, 0.005, 0.02]);
    story.until(900, |state| state.stage == 1);
    story.until(600, |state| shares(state)[1] == 130_000);
    assert_eq!(
        shares(&story.state),
        [10_000, 130_000, 10_000],
        "15 % in all: what the floor lends is taken from b"
    );
    let told = story.state.message();
    assert!(told.contains("v2 (canary) at 1%, v3 (b) at 13%, v4 (c) at 1%"), "{told}");
    for effect in &story.effects {
        if let Effect::Publish(sent) = effect {
            let arms = &sent.policy.arms;
            let all = arms.canary.weight_ppm + arms.others.iter().map(|other| other.weight_ppm).sum::<u32>();
            assert!(all <= 150_000, "{arms:?}");
        }
    }
}

#[test]
fn what_a_dropped_version_had_goes_to_stable() {
    let mut story = three([0.02, 0.005, 0.02]);
    story.until(1_500, |state| shares(state)[1] == 130_000);
    story.take(&Event::Drop { arm: arm("b"), human: human() });
    assert_eq!(shares(&story.state), [10_000, 0, 10_000], "to nobody else");
    assert_eq!(story.effects.last().map(|effect| matches!(effect, Effect::Notify(_))), Some(true));
    let moved = moves(&story).len();
    (0..59).for_each(|_| story.second());
    assert_eq!(moves(&story).len(), moved, "not before shares are considered again");
    story.until(120, |state| shares(state) != [10_000, 0, 10_000]);
    assert_eq!(shares(&story.state)[1], 0);
}

#[test]
fn little_is_changed_seldom_and_nothing_for_nothing() {
    // Alike: chances wander, and shares with them.
    let mut story = alone(0.02);
    let mut last: Option<(u64, u32)> = None;
    for _ in 0..3_000 {
        let told = story.effects.len();
        story.second();
        for effect in &story.effects[told..] {
            let Effect::Publish(sent) = effect else { continue };
            let ppm = sent.policy.arms.canary.weight_ppm;
            if let (Cause::Bandit { .. }, Some((ms, before))) = (&sent.cause, last) {
                assert!(story.ms - ms >= 60_000, "{} ms after the last", story.ms - ms);
                assert!(ppm.abs_diff(before) * 10 >= before, "{before} to {ppm}");
            }
            last = Some((story.ms, ppm));
        }
    }
    let lines =
        story.state.history.windows(2).filter(|two| two.iter().all(|r| r.what.starts_with("Shares: ")));
    assert_eq!(lines.count(), 0, "the last of several lines in a row is kept");
}

/// A better version whose first stage has just begun, in which something is then not as it should be: its share must not
/// rise while that lasts, and does when it is over.
#[track_caller]
fn held(lines: &str, trouble: impl Fn(&mut Story), over: impl Fn(&mut Story), says: &str) {
    let mut story =
        Story::of(&format!("{STAGES}{lines}")).per_second(1_000).canary(|model| model.errors = 0.005);
    story.stable.errors = 0.02;
    let mut story = story.start();
    if story.state.plan.ready.is_some() {
        story.take(&endpoints(2));
    }
    story.until(10, |state| state.weights.canary_ppm == 20_000);
    trouble(&mut story);
    for _ in 0..240 {
        story.second();
        if story.state.plan.ready.is_some() {
            story.take(&endpoints(2));
        }
        assert!(story.state.weights.canary_ppm <= 20_000, "{says}: {}", story.state.message());
    }
    let holds = story.state.view().bandit.and_then(|bandit| bandit.holds).unwrap_or_default();
    assert!(holds.contains(says), "{says:?} is missing in {holds:?}");
    over(&mut story);
    for _ in 0..300 {
        story.second();
        if story.state.plan.ready.is_some() {
            story.take(&endpoints(40));
        }
    }
    assert!(story.state.weights.canary_ppm > 20_000, "{says} is over: {}", story.state.message());
}

fn endpoints(canary: u32) -> Event {
    Event::Endpoints(Endpoints { canary: Some(canary), stable: Some(100), error: None })
}

#[test]
fn shares_do_not_rise_while_anything_holds_the_weight() {
    let nothing = |_: &mut Story| {};
    held(
        "",
        |story| story.take(&Event::Pause(human())),
        |story| story.take(&Event::Resume(human())),
        "stopped by anna",
    );
    held(
        "noData: {action: hold}",
        |story| story.counted = false,
        |story| story.counted = true,
        "no trustworthy counts",
    );
    held(
        "acknowledge: {timeout: 1h}",
        |story| {
            story.follow = false;
            // As if a weight were under way.
            let publication = story.state.publication.as_mut().expect("one");
            publication.quorum_age_ms = None;
        },
        |story| {
            story.follow = true;
            story.state.publication.as_mut().expect("one").acks.connected = 0;
        },
        "too few proxies",
    );
    held("ready: {ofStable: 100%}", nothing, nothing, "has 2 of the 4 ready endpoints");
    let hand = |story: &mut Story| story.take(&Event::SetWeight { human: human(), weight_ppm: 20_000 });
    held("", hand, |story| story.take(&Event::Resume(human())), "stopped by anna");
    held(
        "windows: {timeZone: UTC, open: [{from: '00:00', to: '00:01'}, {from: '00:05', to: '23:00'}]}",
        nothing,
        nothing,
        "outside its windows",
    );
}

#[test]
fn a_suspect_gets_no_more() {
    // Fewer errors, and slower by an amount that is between good and bad.
    let gates = "gates:
- {name: latency, metric: latency_p99, against: stable, margin: 25%, harm: 2x, onMarginal: hold}
bandit: {floor: 1%, ceiling: 15%, every: 1m}
stages: [{weight: 2%, bake: 10m, deadline: 2h}, {weight: 20%, bake: 10s}, {weight: 100%, bake: 10s}]
";
    let mut story = Story::of(gates).per_second(1_000).canary(|model| {
        model.errors = 0.005;
        model.slower = 1.6;
    });
    story.stable.errors = 0.02;
    let mut story = story.start();
    story.until(1_200, |state| {
        state
            .stages
            .last()
            .is_some_and(|stage| stage.gates.iter().any(|gate| gate.answer == crate::Answer::Marginal))
    });
    let weight = story.state.weights.canary_ppm;
    (0..600).for_each(|_| story.second());
    assert!(story.state.weights.canary_ppm <= weight, "{} after {weight}", story.state.weights.canary_ppm);
}

#[test]
fn harm_and_people_end_it_at_once() {
    let mut story = three([0.02, 0.005, 0.02]);
    story.until(1_500, |state| shares(state)[1] == 130_000);
    story.others.insert(arm("b"), errors(0.4));
    story.until(120, |state| state.arms.out.iter().any(|out| out.arm == arm("b")));
    assert_eq!(shares(&story.state)[1], 0);
    story.take(&Event::Abort(human()));
    assert_eq!(story.state.weights.on_trial_ppm(), 0);
    assert!(matches!(story.effects.last(), Some(Effect::Notify(_))));
    assert!(story.effects.iter().any(|effect| matches!(effect, Effect::Revoke { .. })));
    let published = story.weights.len();
    (0..300).for_each(|_| story.second());
    assert_eq!(story.weights.len(), published, "nothing moves afterwards");
}

#[test]
fn a_weight_by_hand_stands_and_one_above_the_ceiling_stays() {
    let mut story = three([0.02, 0.005, 0.02]);
    story.until(1_500, |state| shares(state)[1] == 130_000);
    let by_hand = |human, weight_ppm| Event::SetWeight { human, weight_ppm };
    assert!(
        story.state.allows(&by_hand(human(), 40_000)).is_err(),
        "40 % of b's share is four times that of others"
    );
    story.take(&by_hand(urged(), 50_000));
    assert_eq!(shares(&story.state), [50_000; 3]);
    assert_eq!(story.state.overrides.len(), 1);
    (0..300).for_each(|_| story.second());
    assert_eq!(shares(&story.state), [50_000; 3], "until it is resumed");
    story.take(&Event::Resume(human()));
    story.until(120, |state| shares(state) != [50_000; 3]);
    let mut story = alone(0.005);
    story.until(10, |state| state.weights.canary_ppm > 0);
    story.take(&by_hand(urged(), 160_000));
    story.take(&Event::Resume(human()));
    (0..300).for_each(|_| story.second());
    assert_eq!(story.state.weights.canary_ppm, 160_000);
}

#[test]
fn scores_can_be_followed_too() {
    let lines = "confidence: {fromHeader: c}
stages: [{weight: 5%, bake: 1h}, {weight: 20%, bake: 10s}, {weight: 100%, bake: 10s}]
gates: [{name: confidence, metric: confidence_mean, against: stable, margin: 5%, harm: 3%}]
bandit: {by: confidence_mean, ceiling: 20%, every: 1m}
";
    for (confidence, shares) in [(0.852, 180_000..=200_000), (0.848, 10_000..=12_000)] {
        let mut story =
            Story::of(lines).per_second(1_000).canary(|model| model.confidence = confidence).start();
        story.until(3_000, |state| shares.contains(&state.weights.canary_ppm));
    }
}

#[test]
fn whoever_scales_is_told_how_far_shares_may_go() {
    let mut story = three([0.02, 0.005, 0.02]);
    let demand = |story: &Story| story.state.demand(Some(&Rates { stable: 1_000.0, ..Rates::default() }));
    let pending = demand(&story);
    assert_eq!((pending.canary.largest_share_ppm, pending.canary.peak_per_second), (50_000, Some(50.0)));
    story.until(900, |state| state.stage == 1);
    let demand = demand(&story);
    assert_eq!(demand.canary.largest_share_ppm, 200_000, "the next stage; evidence goes to 130,000");
    assert_eq!(demand.stable.largest_share_ppm, 970_000);
    let mut story = alone(0.02);
    story.until(10, |state| state.weights.canary_ppm > 0);
    let demand = story.state.demand(None);
    assert_eq!((demand.canary.largest_share_ppm, demand.stable.largest_share_ppm), (150_000, 990_000));
}

/// Is a canary exactly as good as stable rolled back within an hour? 100 requests a second, looks every 10 s; for two of
/// every twenty minutes both fail eight times as often, where plain sums over changing shares would deceive.
fn cries_wolf(plan: &manifest::Plan, seed: u64) -> bool {
    let mut draws = split::Draws::seeded(seed);
    let mut chance = move || ((draws.draw() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let mut binomial = move |n: u64, p: f64| {
        let (mut at, mut happened) = (0.0, 0);
        loop {
            at += (chance().ln() / (-p).ln_1p()).floor() + 1.0;
            if at > n as f64 {
                return happened;
            }
            happened += 1;
        }
    };
    let mut state = State::new(plan.clone(), 1, 0, Now::at_ms(0));
    state = step(state, &Event::Start(human()), Now::at_ms(0)).0;
    for look in 0..360_u64 {
        let (from_ms, to_ms) = (look * 10_000, (look + 1) * 10_000);
        if let Some(sent) = state.publication.as_ref().filter(|sent| sent.quorum_age_ms.is_none()) {
            let publication = sent.sent.id;
            let acks = Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() };
            state = step(state, &Event::Acks(acks), Now::at_ms(from_ms)).0;
        }
        let errors = if look / 6 % 20 < 2 { 0.08 } else { 0.01 };
        let to_canary = binomial(1_000, f64::from(state.weights.canary_ppm.max(1)) / 1e6);
        let mut counts = |n: u64| {
            let errors = binomial(n, errors);
            Counts { assigned: n, finished: n, outcomes: n, errors, ..Counts::default() }
        };
        let (canary, stable) = (counts(to_canary), counts(1_000 - to_canary));
        let interval = Interval { epoch: state.epoch, from_ms, to_ms, canary, stable, ..Interval::default() };
        state = step(state, &Event::Interval(Box::new(interval)), Now::at_ms(to_ms)).0;
        if state.is_over() {
            break;
        }
    }
    state.phase == Phase::RolledBack
}

/// Gates are e-processes on the counts of the same moments: shares that are chosen from the past leave their level as it
/// is.
#[test]
fn shares_that_move_cry_wolf_no_more_often() {
    const RUNS: u64 = 80;
    let plan = "stages: [{weight: 5%, bake: 2h}, {weight: 30%, bake: 1h}, {weight: 100%, bake: 1m}]
gates: [{name: errors, metric: error_rate, against: stable, margin: 2x}]
guardrails: [{name: limit, metric: error_rate, max: 20%}]
baseline: false
";
    let alarms = |lines: &str| {
        let plan = Story::of(lines).state.plan.clone();
        (0..RUNS).filter(|seed| cries_wolf(&plan, seed + 1)).count()
    };
    let (fixed, moved) = (alarms(plan), alarms(&format!("{plan}bandit: {{ceiling: 25%, every: 1m}}\n")));
    println!("rolled back of {RUNS}: {fixed} with weights that stand, {moved} with shares that move");
    // Alpha is 0.05: 4 are borne, and nine or fewer come about in 99 of 100 series at that level.
    assert!(moved <= 9 && fixed <= 9, "{moved} of {RUNS}; {fixed} with weights that stand");
    assert!(moved <= fixed + 5, "{moved} of {RUNS}; {fixed} with weights that stand");
}
