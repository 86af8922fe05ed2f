//! What is done about sources that give nothing.

use super::gates::{rolled_back_by, with};
use super::story::human;
use crate::{Event, Pause, Phase, Reading, RollbackBy};

fn reading_of(gate: &str) -> Reading {
    Reading { gate: gate.to_owned(), ..Reading::default() }
}

#[test]
fn what_is_done_about_readings_in_vain_is_the_gates_to_say() {
    // (the gate's policy, what is read in vain, how often until something is done, what is done)
    let error = || Reading { error: Some("connection refused".to_owned()), ..reading_of("accuracy") };
    let paused = Phase::Paused(Pause::Unread { gate: "accuracy".to_owned() });
    for (policy, vain, times, expected) in [
        ("onError: {action: pause}", error(), 4, &paused),
        ("onError: {limit: 0, action: pause}", error(), 1, &paused),
        ("onError: {limit: 1, action: rollback}", error(), 2, &Phase::RolledBack),
        ("onError: {limit: 0, action: rollback}", reading_of("accuracy"), 9, &Phase::Progressing),
        ("noData: {action: pause}", reading_of("accuracy"), 4, &paused),
        ("noData: {limit: 1, action: rollback}", reading_of("accuracy"), 2, &Phase::RolledBack),
        ("noData: {limit: 1, action: rollback}", error(), 9, &Phase::Progressing),
        (
            "noData: {limit: 1, action: pause}, level: advisory",
            reading_of("accuracy"),
            9,
            &Phase::Progressing,
        ),
        ("noData: {limit: 1}", reading_of("accuracy"), 9, &Phase::Progressing),
    ] {
        let source = "source: {http: {url: 'http://q', jsonPointer: /a}}, min: 0.9";
        let mut story = with(&format!("gates: [{{name: accuracy, {source}, {policy}}}]")).start();
        story.until(5, |state| state.stages.first().is_some_and(|stage| stage.acknowledged.is_some()));
        for _ in 1..times {
            story.take(&Event::Reading(vain.clone()));
            assert_eq!(*story.phase(), Phase::Progressing, "{policy}: too soon");
        }
        story.take(&Event::Reading(vain.clone()));
        assert_eq!(story.phase(), expected, "{policy}");
        if *expected == Phase::RolledBack {
            assert_eq!(rolled_back_by(&story), Some(RollbackBy::NoData), "{policy}");
        }
        if *story.phase() != paused {
            continue;
        }
        assert!(story.state.message().contains("goes on when it can be read"), "{}", story.state.message());
        // It goes on by itself, and begins to bear anew.
        story.take(&Event::Reading(Reading { canary: Some(0.95), ..reading_of("accuracy") }));
        assert_eq!(*story.phase(), Phase::Progressing, "{policy}");
        for _ in 0..times {
            story.take(&Event::Reading(vain.clone()));
        }
        assert_eq!(*story.phase(), paused, "{policy}: again");
        story.take(&Event::Resume(human()));
        story.second();
        assert_eq!(*story.phase(), Phase::Progressing, "{policy}: a person waits on");
    }
}
