//! What is told of a run, as Events and as a status.

use api::{Answer, ObjectView, PhaseName, Refusal, RunView, StageView, VerdictView};

use super::super::news::news;
use super::super::report::{Taken, status, to_write};

fn view(run: u64, phase: PhaseName, stage: usize, weight_ppm: u32) -> RunView {
    let mut view = RunView::default();
    view.run.run = run;
    view.run.phase = phase.into();
    (view.run.stage, view.run.stage_count) = (stage, 5);
    view.run.weight_ppm = weight_ppm;
    (view.run.stable, view.run.canary) = ("v1".to_owned(), "v2".to_owned());
    view.object = Some(ObjectView::default());
    view.run.stages = (0..stage).map(|_| StageView::default()).collect();
    view
}

#[track_caller]
fn check(before: Option<&RunView>, after: &RunView, expected: &[&str]) {
    let found: Vec<String> =
        news(before, after).iter().map(|news| format!("{}: {}", news.reason, news.text)).collect();
    assert_eq!(found, expected);
}

#[test]
fn news_say_what_was_done_with_numbers() {
    let pending = view(1, PhaseName::Pending, 0, 0);
    check(None, &pending, &["RolloutStarted: Started run 1: v1 to v2 in 5 stages"]);
    let first = view(1, PhaseName::Progressing, 1, 10_000);
    check(Some(&pending), &first, &["WeightRaised: Raised weight of v2 from 0% to 1% (stage 1 of 5)"]);
    check(Some(&first), &first, &[]);
    let mut failed = first.clone();
    failed.run.guardrails = vec![VerdictView {
        name: "errors".to_owned(),
        answer: Answer::Fail.into(),
        hard: true,
        why: "9% are above 5%".to_owned(),
        n_canary: 1_200,
        n_control: 0,
        ..VerdictView::default()
    }];
    let told = "GateFailed: Failed guardrail errors: 9% are above 5% (requests: canary 1200, stable 0)";
    check(Some(&first), &failed, &[told]);
    check(Some(&failed), &failed, &[]);
    let mut back = view(1, PhaseName::RolledBack, 1, 0);
    back.run.exposed.requests = 1_234;
    back.run.rollback =
        Some(api::RollbackView { reason: "guardrail errors".to_owned(), ..Default::default() });
    check(
        Some(&first),
        &back,
        &["RolledBack: Rolled back v2 to v1 from 1% after 1234 requests: guardrail errors"],
    );
    let mut promoted = view(1, PhaseName::Succeeded, 5, 0);
    promoted.run.exposed.requests = 9;
    check(
        Some(&view(1, PhaseName::HandBack, 5, 1_000_000)),
        &promoted,
        &["Promoted: Promoted v2 after 5 stages and 9 requests"],
    );
    let mut back = promoted.clone();
    back.run.run = 2;
    (back.run.stable, back.run.canary) = ("v1".to_owned(), "v1".to_owned());
    back.run.from = "v2".to_owned();
    back.run.returning = Some(api::ReturningView { from: "v2".to_owned(), vouched: None });
    let mut going = back.clone();
    going.run.phase = PhaseName::HandBack.into();
    let told = "WentBack: Went back from v2 to v1, after 9 requests to v1: stable serves it";
    check(Some(&going), &back, &[told]);
    // Another run of the name is told from its beginning.
    let next = view(2, PhaseName::Pending, 0, 0);
    check(Some(&promoted), &next, &["RolloutStarted: Started run 2: v1 to v2 in 5 stages"]);
}

#[test]
fn a_promotion_is_of_what_is_applied_now() {
    let done = view(1, PhaseName::Succeeded, 5, 0);
    let is = |taken: &Taken, kind: &str| {
        let status = status(Some(3), taken, Some(&done));
        let found =
            status.conditions.iter().find(|condition| condition.kind == kind).expect("it is told").clone();
        assert_eq!(found.observed_generation, Some(3));
        (found.status, found.reason)
    };
    let text = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    assert_eq!(is(&Taken::Applied, "Promoted"), text("True", "Succeeded"));
    let refused = Taken::Refused(Refusal::Invalid("spec.x: wrong; write y".to_owned()));
    assert_eq!(is(&refused, "Promoted"), text("False", "OfAnotherSpecification"));
    assert_eq!(is(&refused, "Accepted"), text("False", "Invalid"));
    assert_eq!(is(&refused, "NeedsAttention"), text("True", "Invalid"));
}

/// A run that goes back keeps the specification that it goes back from.
#[test]
fn going_back_is_no_promotion() {
    for (phase, promoted, rolled_back) in [
        (PhaseName::Progressing, "False Progressing", "False Progressing"),
        (PhaseName::Succeeded, "False WentBack", "True WentBack"),
        (PhaseName::RolledBack, "False WayBackAborted", "False WayBackAborted"),
    ] {
        let mut view = view(2, phase, 1, 0);
        view.run.returning = Some(api::ReturningView { from: "v2".to_owned(), vouched: None });
        view.run.message = "went back from v2 to v1: stable serves it".to_owned();
        let status = status(Some(3), &Taken::Applied, Some(&view));
        let is = |kind: &str| {
            let mut all = status.conditions.iter();
            all.find(|condition| condition.kind == kind).expect("it is told").clone()
        };
        let words = |kind: &str| format!("{} {}", is(kind).status, is(kind).reason);
        assert_eq!((words("Promoted").as_str(), words("RolledBack").as_str()), (promoted, rolled_back));
        assert_eq!(is("RolledBack").message == view.run.message, phase == PhaseName::Succeeded);
    }
}

#[test]
fn a_phase_without_a_run_says_why_there_is_none() {
    let why = || "why".to_owned();
    for (taken, phase) in [
        (Taken::Applied, "Pending"),
        (Taken::Queued, "Pending"),
        (Taken::Refused(Refusal::Invalid(why())), "Invalid"),
        (Taken::Refused(Refusal::Conflict(why())), "Refused"),
        (Taken::Refused(Refusal::Denied(why())), "Refused"),
        (Taken::Refused(Refusal::Failed(why())), "Pending"),
    ] {
        assert_eq!(status(Some(1), &taken, None).phase.as_deref(), Some(phase), "{taken:?}");
    }
}

#[test]
fn times_of_conditions_stay_while_they_do() {
    let at = |view: &RunView| status(Some(1), &Taken::Applied, Some(view));
    let first = to_write(at(&view(1, PhaseName::Progressing, 1, 10_000)), &Default::default(), "1")
        .expect("a change");
    assert!(!first.slow);
    assert_eq!(to_write(at(&view(1, PhaseName::Progressing, 1, 10_000)), &first.status, "2"), None);
    let mut later = view(1, PhaseName::Progressing, 1, 10_000);
    later.run.message = "bakes for 9m more".to_owned();
    assert!(to_write(at(&later), &first.status, "2").expect("a change").slow, "a sentence waits");
    let done = to_write(at(&view(1, PhaseName::Succeeded, 5, 0)), &first.status, "2").expect("a change");
    let time = |kind: &str| {
        let mut all = done.status.conditions.iter();
        all.find(|condition| condition.kind == kind).map(|found| found.last_transition_time.clone())
    };
    assert_eq!((time("Accepted").as_deref(), time("Promoted").as_deref()), (Some("1"), Some("2")));
}
