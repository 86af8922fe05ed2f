//! Everything that travels is read as it is written, and a run is written as it always was.

mod full;
mod judged;

use std::fmt::Debug;

use manifest::{Percent, Span, When};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use split::Arm;

use crate::*;

/// The JSON of a run with every field, as it was written when this was recorded. Other tools read it: a field that is
/// renamed or left out is a breach, a new one is added here.
const RUN: &str = include_str!("tests/run.json");

/// Nothing in it may be what a field is when nothing was said, or a field that is not read would not be missed.
fn says_something(place: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            assert!(!fields.is_empty(), "{place} is empty");
            fields.iter().for_each(|(field, value)| says_something(&format!("{place}.{field}"), value));
        }
        Value::Array(items) => {
            assert!(!items.is_empty(), "{place} is empty");
            items.iter().for_each(|item| says_something(place, item));
        }
        other => {
            assert!(![json!(null), json!(false), json!(0), json!("")].contains(other), "{place}: {other}")
        }
    }
}

/// Written, read and written again it is the same, also where it is part of something read loosely (`flatten`).
#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(full: &T) -> Value {
    let text = serde_json::to_string(full).expect("it is written");
    assert_eq!(&serde_json::from_str::<T>(&text).expect("it is read"), full, "{text}");
    let value = serde_json::to_value(full).expect("it is written");
    assert_eq!(&serde_json::from_value::<T>(value.clone()).expect("it is read"), full, "{text}");
    value
}

/// The same of what is answered: every field says something, none has to be there, and others may be.
#[track_caller]
fn check_answer<T: Serialize + DeserializeOwned + PartialEq + Debug + Default>(full: &T) -> Value {
    let value = check(full);
    says_something(std::any::type_name::<T>(), &value);
    let later = json!({"of a later release": [1]});
    assert_eq!(serde_json::from_value::<T>(later).expect("it is read"), T::default());
    value
}

#[test]
fn a_run_is_written_as_it_was_and_read_as_it_is_written() {
    let run = full::run("ranker", vec![full::run("ranker.eu", Vec::new())]);
    let written = serde_json::to_string_pretty(&run).expect("text") + "\n";
    assert_eq!(written, RUN);
    let mut value = check(&run);
    // Of two levels the lower one has no members.
    let members = value.as_object_mut().and_then(|run| run.remove("members")).expect("members");
    says_something("run", &value);
    says_something("member", &members);
    assert_eq!(serde_json::from_str::<RunView>("{\"later\": 1}").expect("a run"), RunView::default());
}

#[test]
fn everything_that_is_answered_is_read_as_it_is_written() {
    let view = full::view("ranker");
    check_answer(&PastView { run: view.clone(), members: vec![full::view("ranker.eu")] });
    check_answer(&Applied {
        name: "ranker".to_owned(),
        run: 2,
        unchanged: true,
        queued: true,
        rescheduled: true,
        replaces: Some(1),
        dry_run: true,
        changes: vec![Change {
            field: "spec.canary.version".to_owned(),
            before: Some("v2".to_owned()),
            after: Some("v3".to_owned()),
        }],
        warnings: vec!["no gate".to_owned()],
    });
    check_answer(&RollbackReply {
        name: "ranker".to_owned(),
        run: 2,
        begun: true,
        message: "goes back".to_owned(),
    });
    check_answer(&Done::DONE);
    check_answer(&Begun { number: 3 });
    check_answer(&Problem { error: "not now".to_owned(), code: MOVED_ON.to_owned() });
    check_answer(&Judgement {
        stage: 2,
        weight_ppm: 50_000,
        ..full::run("ranker", Vec::new()).judgement(None)
    });
    check_answer(&TriggerApplied {
        name: "registry".to_owned(),
        rollout: "ranker".to_owned(),
        unchanged: true,
        dry_run: true,
        warnings: vec!["no poll".to_owned()],
    });
    check_answer(&Fired { triggered: true, version: Some("7".to_owned()), message: "run 3".to_owned() });
    let line = JournalLine {
        seq: 7,
        name: "ranker".to_owned(),
        run: 2,
        unix_ms: 8,
        kind: JournalKind::Act.into(),
        who: Some("ben".to_owned()),
        what: "abort".to_owned(),
        why: Some("seen enough".to_owned()),
        detail: Some(json!({"weight_ppm": 1})),
        chain: "ab".to_owned(),
    };
    let exported = ExportedRun {
        name: "ranker".to_owned(),
        run: 2,
        spec: Some("kind: Rollout".to_owned()),
        applied_unix_ms: Some(3),
        last_unix_ms: Some(4),
        view: Some(view),
        stages: Some(json!([{"stage": 1}])),
        unreadable: Some("of a later form".to_owned()),
        state: Some(json!({"run": 2})),
        history: Some(Journal { journal: vec![line], journal_broken_at: Some(5) }),
        measurements: Some(json!([{"counts": 1}])),
    };
    says_something("exported", &check(&exported));
}

#[test]
fn what_became_of_a_version_is_read_as_it_is_written() {
    let trigger = |when: OpenEnum<When, Value>, outcome: OpenEnum<VersionOutcome, Value>| TriggerView {
        name: "registry".to_owned(),
        rollout: "ranker".to_owned(),
        model: Some("ranker-model".to_owned()),
        when: Some(when),
        webhook: true,
        poll: Some(PollView {
            url: "http://mlflow".to_owned(),
            every_ms: 60_000,
            last_success_unix_ms: Some(1),
            failures: 2,
            failures_total: 3,
            error: Some("no answer".to_owned()),
        }),
        pending: Some(PendingView {
            version: "9".to_owned(),
            by: "a webhook".to_owned(),
            unix_ms: 4,
            again: true,
        }),
        versions: vec![TriggeredView { version: "8".to_owned(), by: "anna".to_owned(), unix_ms: 5, outcome }],
    };
    let tag = When::Tag { key: "ready".to_owned(), value: Some("true".to_owned()) };
    for (when, outcome, written) in [
        (
            tag,
            VersionOutcome::Begun { run: 3 },
            json!([{"tag": {"key": "ready", "value": "true"}}, {"begun": {"run": 3}}]),
        ),
        (
            When::Alias("live".to_owned()),
            VersionOutcome::Queued { after_run: 2 },
            json!([{"alias": "live"}, {"queued": {"after_run": 2}}]),
        ),
        (When::Stage("prod".to_owned()), VersionOutcome::Stable, json!([{"stage": "prod"}, "stable"])),
        (
            When::Created,
            VersionOutcome::Refused { why: "not now".to_owned() },
            json!(["created", {"refused": {"why": "not now"}}]),
        ),
        (
            When::Created,
            VersionOutcome::PassedOver { by_version: "9".to_owned() },
            json!(["created", {"passed_over": {"by_version": "9"}}]),
        ),
    ] {
        let value = check_answer(&trigger(when.into(), outcome.into()));
        assert_eq!(json!([value["when"], value["versions"][0]["outcome"]]), written);
    }
    check_answer(&trigger(OpenEnum::Other(json!({"later": 1})), OpenEnum::Other(json!({"later": 2}))));
}

#[test]
fn everything_that_is_asked_for_is_read_as_it_is_written_and_no_more_is() {
    #[track_caller]
    fn check_request<T: Serialize + DeserializeOwned + PartialEq + Debug>(full: &T) {
        let mut value = check(full);
        says_something(std::any::type_name::<T>(), &value);
        value.as_object_mut().expect("an object").insert("later".to_owned(), json!(1));
        serde_json::from_value::<T>(value).expect_err("what is unknown is refused");
    }
    let reason = || "incident 12".to_owned();
    let weight = Percent::from_ppm(1_000);
    check_request(&ActRequest { reason: reason(), weight: Some(weight), arm: Some(Arm::Canary) });
    check_request(&RollbackRequest { reason: reason(), to: Some("v1".to_owned()), unverified: true });
    check_request(&DeleteQuery { reason: reason() });
    check_request(&Figure { metric: "accuracy".to_owned(), version: "v2".to_owned(), value: 0.5, n: 3 });
    check_request(&DrillRequest { weight, limit: Span::from_ms(10_000), reason: reason() });
    check_request(&ParityRequest {
        share: Some(weight),
        deployed: true,
        duration: Some(Span::from_ms(60_000)),
        until_evidence: true,
        reason: reason(),
    });
    check_request(&FireRequest { version: "7".to_owned(), again: true, reason: reason() });
    check_request(&ExportQuery {
        name: Some("ranker".to_owned()),
        run: Some(2),
        since_ms: Some(3),
        until_ms: Some(4),
        format: Format::Csv,
        what: Some(Table::Gates),
    });
    check(&ApplyQuery { again: true, dry_run: true });
    check(&TriggerQuery { dry_run: true });
    // What need not be said is not, so that an older controller is asked for nothing it does not know.
    assert_eq!(serde_json::to_value(ActRequest::default()).expect("json"), json!({"reason": ""}));
}

#[test]
fn verbs_and_refusals_come_back_as_they_went() {
    for verb in Verb::ALL {
        assert_eq!(verb.to_string().parse(), Ok(verb));
    }
    let error = "explode".parse::<Verb>().expect_err("no verb");
    let all = "abort, rollback, promote, approve, pause, resume, retry, set-weight";
    assert_eq!(error, format!("nobody can \"explode\" a rollout; one can {all}"));
    for (make, status) in [
        (Refusal::Invalid as fn(String) -> Refusal, 422),
        (Refusal::Unknown, 404),
        (Refusal::Conflict, 409),
        (Refusal::MovedOn, 409),
        (Refusal::Denied, 401),
        (Refusal::Failed, 500),
    ] {
        let refusal = make("why".to_owned());
        assert_eq!((refusal.status(), Refusal::of(status, refusal.problem())), (status, refusal.clone()));
    }
    for (status, expected) in [(400, 422), (429, 422), (503, 500)] {
        assert_eq!(Refusal::of(status, Problem::default()).status(), expected, "{status}");
    }
}

/// The spelling of every word, as it was when this was recorded.
#[test]
fn words_are_spelled_as_they_were() {
    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug, const N: usize>(
        all: [T; N],
        expected: &str,
    ) {
        let words = all.map(OpenEnum::<T>::from);
        let said = words.each_ref().map(ToString::to_string);
        assert_eq!(said.join(" "), expected);
        let read = said.map(|word| serde_json::from_value::<OpenEnum<T>>(json!(word)).expect("a word"));
        assert_eq!(read, words);
    }
    check(PhaseName::ALL, "Pending Progressing Paused Promoting HandBack Succeeded RolledBack");
    check(
        [
            Answer::Pass,
            Answer::Fail,
            Answer::Marginal,
            Answer::Insufficient,
            Answer::Error,
            Answer::NotApplicable,
        ],
        "pass fail marginal insufficient error not_applicable",
    );
    check(
        [
            ChallengerOutcome::In,
            ChallengerOutcome::Chosen,
            ChallengerOutcome::Dropped,
            ChallengerOutcome::Left,
        ],
        "in chosen dropped left",
    );
    check([WatchStanding::Watching, WatchStanding::Paused, WatchStanding::Over], "watching paused over");
    check(
        [GateStanding::Within, GateStanding::Drift, GateStanding::Unknown, GateStanding::Off],
        "within drift unknown off",
    );
    check([ParityVerdict::Alike, ParityVerdict::Different, ParityVerdict::Open], "alike different open");
    check([PostRunHook::Keep, PostRunHook::Succeeded, PostRunHook::RolledBack], "keep succeeded rolled_back");
    check(ExerciseKind::ALL, "drill parity");
    check(
        [Outcome::Passed, Outcome::Failed, Outcome::Undecided, Outcome::Cancelled],
        "passed failed undecided cancelled",
    );
    check(
        [
            ParityFinding::Parity,
            ParityFinding::Difference,
            ParityFinding::SampleRatio,
            ParityFinding::NotEnough,
            ParityFinding::Cancelled,
        ],
        "parity difference sample_ratio not_enough cancelled",
    );
    check(
        [
            DrillPhase::Probing,
            DrillPhase::Revoking,
            DrillPhase::Exposing,
            DrillPhase::TakingBack,
            DrillPhase::Ended,
        ],
        "probing revoking exposing taking_back ended",
    );
    check(
        [ParityPhase::Probing, ParityPhase::Watching, ParityPhase::TakingBack, ParityPhase::Ended],
        "probing watching taking_back ended",
    );
    check([LeaseSkipped::OthersExposed, LeaseSkipped::Ended], "others_exposed ended");
    check(
        [
            Metric::ErrorRate,
            Metric::LatencyP99,
            Metric::ConfidenceMean,
            Metric::Overdue,
            Metric::GoneRate,
            Metric::RetryRate,
        ],
        "error_rate latency_p99 confidence_mean overdue gone_rate retry_rate",
    );
}

/// JSON knows no infinity: it is written as `null`, which must not make all of a run unreadable.
#[test]
fn a_number_that_json_does_not_know_is_no_error() {
    let view: VerdictView =
        serde_json::from_value(json!({"harm": null, "verdict": "likely"})).expect("a verdict");
    assert!(view.harm.is_nan());
    assert_eq!(view.answer.to_string(), "likely");
}
