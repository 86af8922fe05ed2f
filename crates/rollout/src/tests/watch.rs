//! After the promotion: what is kept, what is told, and what is not.

use super::story::{GOOD, Model, Story, human};
use crate::{
    Bins, Counts, Effect, Event, GateStanding, Group, Interval, Moments, Notice, Phase, Severity, State,
    WatchStanding, WatchView, step,
};

const LINES: &str = "confidence: {fromHeader: x-sure}
stages: [{weight: 20%, bake: 30s, deadline: 50m}, {weight: 100%, bake: 60s}]
gates:
- {name: errors, metric: error_rate, against: stable, margin: 1.5x}
- {name: latency, metric: latency_p99, against: stable, margin: 25%}
- {name: sure, metric: confidence_mean, against: stable, margin: 2%}
- {name: clicks, source: {push: {}}, max: 1, level: advisory}
handBack: {endpoints: [http://stable], step: 1s}
";

/// A version that was promoted.
fn promoted(watch: &str) -> Story {
    let mut story = Story::of(&format!("{LINES}{watch}")).start();
    story.ends(3_600);
    assert_eq!(*story.phase(), Phase::Succeeded, "{}", story.state.message());
    story
}

fn view(story: &Story) -> WatchView {
    story.state.view().watch.expect("a watch")
}

fn notices(story: &Story) -> Vec<&Notice> {
    let told = story.effects.iter().filter_map(|effect| match effect {
        Effect::Notify(notice) if notice.text.contains("drift") => Some(notice),
        _ => None,
    });
    told.collect()
}

#[test]
fn what_it_was_is_kept() {
    let story = promoted("");
    let baseline = story.state.baseline.clone().expect("a baseline");
    // 60 s and a few at 200 requests a second are enough, so the stage at 20 % is not in it.
    assert_eq!((baseline.version.as_str(), baseline.stages), ("v2", 1));
    let counts = &baseline.counts;
    assert!((12_000..14_000).contains(&counts.outcomes), "{}", counts.outcomes);
    assert_eq!(counts.confidence.n, counts.outcomes);
    assert!(counts.latency.total().abs_diff(counts.outcomes) < 100, "{}", counts.latency.total());
    assert!((100..150).contains(&counts.errors));
    assert!(baseline.from_unix_ms < baseline.to_unix_ms);
    // Nobody asked for more.
    assert_eq!((story.state.watched(), story.state.has_post_run_work()), (None, false));
    assert!(
        story.state.stages.iter().all(|stage| stage.shown == Counts::default()),
        "summed up, not twice there"
    );
    assert_eq!(story.state.message(), "v2 is promoted: stable serves it");
}

#[test]
fn a_baseline_goes_back_until_there_is_enough() {
    let mut story = Story::of(LINES).per_second(40).start();
    story.ends(7_200);
    let baseline = story.state.baseline.clone().expect("a baseline");
    assert_eq!(baseline.stages, 2);
    assert!(baseline.counts.outcomes > 3_000, "{}", baseline.counts.outcomes);
}

/// What a promoted version shows from some moment on, and the gate that is told of.
#[track_caller]
fn check(change: impl FnOnce(&mut Model), gate: Option<&str>) {
    let mut story = promoted("watch: {}");
    let told = story.effects.len();
    for _ in 0..300 {
        story.second();
    }
    assert_eq!(story.effects.len(), told, "health is nothing to tell of");
    change(&mut story.stable);
    for _ in 0..300 {
        story.second();
    }
    let drifting: Vec<String> = view(&story)
        .gates
        .iter()
        .filter(|gate| gate.standing == GateStanding::Drift)
        .map(|gate| gate.name.clone())
        .collect();
    let told: Vec<&str> = notices(&story).iter().map(|notice| notice.key.as_str()).collect();
    let key = gate.map(|gate| format!("ranker/1/drift/{gate}"));
    assert_eq!(drifting, gate.into_iter().collect::<Vec<_>>(), "{:#?}", view(&story));
    assert_eq!(told, key.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(notices(&story).iter().all(|notice| notice.severity == Severity::Warning));
}

#[test]
fn drift_is_told_by_the_gate_that_shows_it() {
    check(|_| {}, None);
    check(|model| model.errors = 0.012, None);
    check(|model| model.errors = 0.04, Some("errors"));
    check(|model| model.slower = 1.1, None);
    check(|model| model.slower = 2.0, Some("latency"));
    check(|model| model.confidence = 0.845, None);
    check(|model| model.confidence = 0.75, Some("sure"));
    // Better is no drift.
    check(|model| (model.errors, model.slower, model.confidence) = (0.0, 0.5, 0.95), None);
}

#[test]
fn an_episode_is_told_once_and_so_is_its_end() {
    let mut story = promoted("watch: {for: always}");
    let published = story.weights.len();
    for episode in 1..=2 {
        story.stable.errors = 0.05;
        story.until(600, |state| state.watched().is_some_and(|watch| watch.drifting().next().is_some()));
        // However long it lasts.
        for _ in 0..1_800 {
            story.second();
        }
        assert_eq!(notices(&story).len(), 2 * episode - 1, "{:#?}", notices(&story));
        assert!(story.state.message().ends_with("DRIFT of errors"), "{}", story.state.message());
        story.stable.errors = 0.01;
        let found =
            story.until(600, |state| state.watched().is_some_and(|watch| watch.drifting().next().is_none()));
        assert!(found < 300, "half an hour of drift must not be outweighed first: {found} s");
        for _ in 0..600 {
            story.second();
        }
        assert_eq!(notices(&story).len(), 2 * episode, "{:#?}", notices(&story));
        assert!(story.state.message().ends_with("all within their limits"), "{}", story.state.message());
    }
    let lines: Vec<_> =
        story.state.history.iter().filter(|line| line.what.starts_with("Drift of v2")).collect();
    assert_eq!(lines.len(), 4);
    assert!(
        lines[0].what.starts_with("Drift of v2: gate errors: error_rate is proven above 2.17%: "),
        "{}",
        lines[0].what
    );
    assert!(lines[0].what.contains("it was 1% of 1"), "{}", lines[0].what);
    assert!(
        lines[1].what.starts_with("Drift of v2 is over: gate errors: error_rate is 1"),
        "{}",
        lines[1].what
    );
    assert_eq!(story.weights.len(), published, "a watch publishes nothing");
}

#[test]
fn limits_are_the_margin_from_what_the_baseline_leaves_possible() {
    let watch = "watch: {gates: [{name: errors, margin: 3x}, {name: latency}, {name: sure, margin: 10%}]}";
    let (narrow, wide) = (view(&promoted("watch: {}")), view(&promoted(watch)));
    let limits = |view: &WatchView| view.gates.iter().map(|gate| gate.limit).collect::<Vec<_>>();
    let (narrow, wide) = (limits(&narrow), limits(&wide));
    // 1 % of 13,000 requests: half as much again is 1.5 %, and the baseline may have been worse than it showed.
    assert!((0.018..0.024).contains(&narrow[0]), "{narrow:?}");
    assert!((wide[0] / narrow[0] - 2.0).abs() < 1e-9, "{wide:?}");
    assert!((200.0..260.0).contains(&narrow[1]), "p99 is 160 ms: {narrow:?}");
    assert_eq!(wide[1].to_bits(), narrow[1].to_bits());
    assert!((0.82..0.833).contains(&narrow[2]) && (0.75..0.765).contains(&wide[2]), "{narrow:?} {wide:?}");
    // The less was seen, the further away the limit.
    let mut little = Story::of(&format!("{LINES}watch: {{}}")).per_second(40).start();
    little.ends(7_200);
    assert!(view(&little).gates[0].limit > narrow[0], "{:#?}", view(&little));
}

#[test]
fn what_is_not_watched_is_named() {
    let seen = view(&promoted("watch: {gates: [{name: errors}]}"));
    let out: Vec<_> = seen.left_out.iter().map(|gate| (gate.name.as_str(), gate.why.as_str())).collect();
    let not_named = "it is not named";
    assert_eq!(
        out,
        [("latency", not_named), ("sure", not_named), ("clicks", "its figures are not counted")],
        "{seen:#?}"
    );
    // Too little to say where p99 was; a limit of its own needs no baseline.
    let lines = "stages: [{weight: 100%, bake: 5s}]
gates:
- {name: latency, metric: latency_p99, against: stable, margin: 25%}
- {name: slow, metric: latency_p99, max: 500ms}
handBack: {endpoints: [http://stable], step: 1s}
watch: {}";
    let mut story = Story::of(lines).per_second(20).start();
    story.ends(60);
    let seen = view(&story);
    assert!(seen.left_out[0].why.contains("prove nothing of latency_p99"), "{seen:#?}");
    assert_eq!(
        seen.gates.iter().map(|gate| (gate.name.as_str(), gate.limit)).collect::<Vec<_>>(),
        [("slow", 500.0)]
    );
}

#[test]
fn it_ends_when_its_time_is_over() {
    let mut story = promoted("watch: {for: 10m}");
    let seconds = story.until(700, |state| !state.has_post_run_work());
    assert!((595..=601).contains(&seconds), "{seconds}");
    assert_eq!((view(&story).standing, view(&story).watched_ms / 1_000), (WatchStanding::Over.into(), 600));
    let last = story.state.history.last().expect("a line");
    assert_eq!(last.what, "The watch over v2 ends after 10m, within its limits");
    story.stable.errors = 0.5;
    for _ in 0..60 {
        story.second();
    }
    assert!(notices(&story).is_empty());
    assert_eq!(
        story.state.message(),
        "v2 is promoted: stable serves it; it was watched; that ended after 10m"
    );
}

#[test]
fn the_next_run_ends_it() {
    let mut story = promoted("watch: {for: always}");
    story.take(&Event::NextRun { run: 2 });
    assert!(!story.state.has_post_run_work());
    assert!(story.state.history.last().is_some_and(|line| line.what.contains("ends as run 2 begins")));
    let lines = story.state.history.len();
    story.take(&Event::NextRun { run: 3 });
    assert_eq!(story.state.history.len(), lines, "once");
}

#[test]
fn a_person_can_have_it_quiet() {
    let mut story = promoted("watch: {}");
    let (pause, resume) = (Event::Pause(human()), Event::Resume(human()));
    assert_eq!(story.state.allows(&resume), Err("the watch is not paused".to_owned()));
    assert_eq!(story.state.allows(&pause), Ok(()));
    story.take(&pause);
    assert_eq!(story.state.allows(&pause), Err("the watch is paused".to_owned()));
    story.stable.errors = 0.2;
    for _ in 0..600 {
        story.second();
    }
    assert!(notices(&story).is_empty());
    assert_eq!(
        (view(&story).standing, story.state.has_post_run_work()),
        (WatchStanding::Paused.into(), true)
    );
    story.take(&resume);
    story.until(60, |state| state.watched().is_some_and(|watch| watch.drifting().next().is_some()));
    // Paused and gone on with, what is still there is told anew.
    story.take(&pause);
    story.take(&resume);
    story.until(60, |state| state.watched().is_some_and(|watch| watch.drifting().next().is_some()));
    assert_eq!(notices(&story).len(), 2);
    let over = promoted("");
    assert!(over.state.allows(&pause).is_err() && over.state.allows(&resume).is_err());
}

#[test]
fn whoever_is_watched_in_vain_is_told_of() {
    let mut story = promoted("watch: {}");
    story.counted = false;
    let silent = |state: &State| state.told.iter().any(|key| key == "watch-blind");
    assert!((295..=305).contains(&story.until(400, silent)));
    story.counted = true;
    story.second();
    assert!(!silent(&story.state));
}

/// An interval of stable's with an error rate, `parts` of it to an A/A check's twin.
fn interval(story: &Story, errors: u64, twin: bool) -> Interval {
    let of = |n: u64, errors: u64| Counts {
        assigned: n,
        finished: n,
        outcomes: n,
        errors,
        latency: Bins([(tally::latency_bin(50_000_000), n)].into()),
        confidence: Moments { n, sum: 0.85 * n as f64, sum_squares: 0.73 * n as f64 },
        ..Counts::default()
    };
    let (stable, baseline) =
        if twin { (of(5_000, 0), of(5_000, errors)) } else { (of(10_000, errors), of(0, 0)) };
    Interval {
        epoch: story.state.epoch,
        from_ms: story.ms,
        to_ms: story.ms + 10_000,
        stable,
        baseline,
        ..Interval::default()
    }
}

#[test]
fn exercises_do_not_disturb_it_and_gaps_are_left_out() {
    let drifts = |change: &dyn Fn(&mut Interval), twin: bool| {
        let mut story = promoted("watch: {}");
        for _ in 0..30 {
            let mut interval = interval(&story, 500, twin);
            change(&mut interval);
            story.ms += 10_000;
            story.take(&Event::Interval(Box::new(interval)));
        }
        !notices(&story).is_empty()
    };
    assert!(drifts(&|_| {}, false));
    assert!(drifts(&|_| {}, true), "the twin is served by stable as well");
    assert!(!drifts(&|interval| interval.gap = Some("a silent proxy".to_owned()), false));
    // A drill's canary, and counts of an earlier run, are not stable's.
    assert!(!drifts(&|interval| interval.canary = std::mem::take(&mut interval.stable), false));
    assert!(!drifts(&|interval| interval.epoch -= 1, false));
}

#[test]
fn a_restart_changes_nothing() {
    let mut story = promoted("watch: {for: always}");
    story.stable.errors = 0.03;
    for _ in 0..5 {
        story.second();
    }
    let text = serde_json::to_string(&*story.state).expect("it is stored");
    let stored: State = serde_json::from_str(&text).expect("it is read");
    assert_eq!(stored, *story.state);
    let look = Event::Interval(Box::new(interval(&story, 900, false)));
    let now = crate::Now::at_ms(story.ms + 10_000);
    assert_eq!(step(stored, &look, now), step(State::clone(&story.state), &look, now));
    // Forgotten altogether, as in a store of an earlier form, is not watched.
    let mut old: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for field in ["baseline", "watching"] {
        old.as_object_mut().expect("an object").remove(field);
    }
    for stage in old["stages"].as_array_mut().expect("stages") {
        stage.as_object_mut().expect("a stage").remove("shown");
    }
    let old: State = serde_json::from_value(old).expect("an earlier form");
    assert!(!old.has_post_run_work());
}

#[test]
fn sticky_users_are_reckoned_with() {
    let sticky = "assignment: {mode: sticky, keys: [{header: x-user}]}\nbaseline: false\nwatch: {}";
    let mut story = Story::of(&format!("{}{sticky}", LINES.replace("50m", "9h")));
    story.grouped = true;
    let mut story = story.start();
    story.until(10, |state| state.phase == Phase::Progressing);
    // One group in ten has five times the requests: users who send many.
    let group =
        |group: u16| Group { group, finished: if group.is_multiple_of(10) { 1_000 } else { 200 }, errors: 0 };
    let stable = Counts { groups: Some((0..100).map(group).collect()), ..Counts::default() };
    let epoch = story.state.epoch;
    let look = Interval { epoch, from_ms: story.ms, to_ms: story.ms, stable, ..Interval::default() };
    story.take(&Event::Interval(Box::new(look)));
    story.ends(36_000);
    let limit = |story: &Story| {
        let seen = view(story);
        let sure = seen.gates.iter().find(|gate| gate.name == "sure");
        sure.unwrap_or_else(|| panic!("{seen:#?}")).limit
    };
    assert!(limit(&story) < limit(&promoted("watch: {}")), "a weaker baseline leaves more room");
    story.stable.confidence = 0.5;
    story.until(600, |state| state.watched().is_some_and(|watch| watch.drifting().next().is_some()));
}

#[test]
fn the_version_that_was_chosen_is_the_one_that_is_watched() {
    let lines = "arms: [{name: b, version: v3}]
stages: [{weight: 20%, bake: 30s, deadline: 50m}, {weight: 100%, bake: 60s}]
gates: [{name: errors, metric: error_rate, against: stable, margin: 3x}]
handBack: {endpoints: [http://stable], step: 1s}
watch: {}";
    let mut story = Story::of(lines).start();
    let b = story.state.plan.challengers[1].arm;
    story.others.insert(b, Model { errors: 0.001, ..GOOD });
    story.until(3_600, |state| matches!(state.phase, Phase::Paused(_)));
    story.take(&Event::Choose { arm: b, human: human() });
    story.ends(3_600);
    let baseline = story.state.baseline.clone().expect("a baseline");
    assert_eq!(baseline.version, "v3");
    assert!(
        baseline.counts.errors * 500 < baseline.counts.outcomes,
        "v2's errors are not v3's: {:?}",
        baseline.counts
    );
}
