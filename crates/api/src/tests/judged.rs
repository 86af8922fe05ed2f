//! What another tool is told when it asks whether a version is good.

use super::*;

fn gate(name: &str, answer: Answer, hard: bool) -> VerdictView {
    VerdictView {
        name: name.to_owned(),
        answer: answer.into(),
        hard,
        why: "because".to_owned(),
        ..Default::default()
    }
}

fn run(phase: PhaseName, gates: Vec<VerdictView>) -> RunView {
    let run = View {
        name: "ranker".to_owned(),
        run: 3,
        canary: "v2".to_owned(),
        stable: "v1".to_owned(),
        phase: phase.into(),
        message: "as the message says".to_owned(),
        stage: 1,
        stages: vec![StageView { gates, ..StageView::default() }],
        ..View::default()
    };
    RunView { run, ..RunView::default() }
}

#[track_caller]
fn judged(run: &RunView, expected: Judged, why: &str) {
    let said = run.judgement(None);
    assert_eq!((said.verdict, said.why.as_str()), (OpenEnum::Known(expected), why));
}

#[test]
fn a_version_passes_by_proof_alone() {
    use Answer::{Error, Fail, Insufficient, Marginal, NotApplicable, Pass};
    use PhaseName::{HandBack, Progressing, Promoting};
    for (phase, gates, expected, why) in [
        (
            Progressing,
            vec![(Pass, true), (NotApplicable, true)],
            Judged::Pass,
            "the gates of stage 1 are proven",
        ),
        (Progressing, vec![(Pass, true), (Insufficient, true)], Judged::Pending, "1: because"),
        (Progressing, vec![(Insufficient, true), (Error, true)], Judged::Inconclusive, "1: because"),
        (Progressing, vec![(Pass, true), (Marginal, true)], Judged::Inconclusive, "1: because"),
        (Progressing, vec![(Error, true), (Fail, true)], Judged::Fail, "1: because"),
        (Progressing, vec![(Pass, true), (Fail, false)], Judged::Pass, "the gates of stage 1 are proven"),
        (Progressing, vec![], Judged::Inconclusive, "stage 1 has no gate that could prove anything"),
        (
            Progressing,
            vec![(Pass, false)],
            Judged::Inconclusive,
            "stage 1 has no gate that could prove anything",
        ),
        (Promoting, vec![(NotApplicable, true)], Judged::Pass, "all stages were passed"),
        (HandBack, vec![], Judged::Pass, "all stages were passed"),
        (HandBack, vec![(Fail, true)], Judged::Fail, "0: because"),
        (PhaseName::Paused, vec![(Pass, true)], Judged::Inconclusive, "as the message says"),
        (PhaseName::Pending, vec![], Judged::Pending, "as the message says"),
        (PhaseName::Succeeded, vec![(Insufficient, true)], Judged::Pass, "as the message says"),
        (PhaseName::RolledBack, vec![(Pass, true)], Judged::Fail, "as the message says"),
    ] {
        let gates = gates.into_iter().enumerate();
        let gates = gates.map(|(place, (answer, hard))| gate(&place.to_string(), answer, hard));
        judged(&run(phase, gates.collect()), expected, why);
    }
}

#[test]
fn a_broken_guardrail_fails_and_a_blind_run_does_not_answer() {
    let proven = || run(PhaseName::Progressing, vec![gate("errors", Answer::Pass, true)]);
    let mut blind = proven();
    blind.run.attention = vec![AttentionView { text: "nothing is seen".to_owned(), ..Default::default() }];
    judged(&blind, Judged::Inconclusive, "nothing is seen");
    blind.run.guardrails = vec![gate("overdue", Answer::Fail, true)];
    judged(&blind, Judged::Fail, "overdue: because");
    let mut waits = proven();
    waits.run.guardrails = vec![gate("overdue", Answer::Insufficient, true)];
    judged(&waits, Judged::Pass, "the gates of stage 1 are proven");
    assert_eq!(waits.judgement(None).gates.len(), 2, "guardrails are shown as well");
}

#[test]
fn a_run_says_nothing_of_another_version() {
    let good = run(PhaseName::Succeeded, Vec::new());
    assert_eq!(good.judgement(Some("v2")).verdict, Judged::Pass);
    let of_another = good.judgement(Some("v3"));
    assert_eq!(of_another.verdict, Judged::Pending);
    assert_eq!(of_another.why, "run 3 is of v2, not of v3");
}

#[test]
fn a_fleet_is_as_good_as_the_worst_of_its_members() {
    let member = |name: &str, answer| {
        let mut member = run(PhaseName::Progressing, vec![gate("errors", answer, true)]);
        member.run.name = name.to_owned();
        member
    };
    let mut fleet = run(PhaseName::Progressing, Vec::new());
    judged(&fleet, Judged::Inconclusive, "stage 1 has no gate that could prove anything");
    fleet.members = vec![member("ranker.eu", Answer::Pass), member("ranker.us", Answer::Insufficient)];
    judged(&fleet, Judged::Pending, "ranker.us: errors: because");
    fleet.members.push(member("ranker.ap", Answer::Fail));
    judged(&fleet, Judged::Fail, "ranker.ap: errors: because");
    fleet.run.phase = PhaseName::Succeeded.into();
    judged(&fleet, Judged::Pass, "as the message says");
}
