use super::*;

/// A conversation as text, one step a word or two; see [`check`].
///
/// Said by the node: `want`, `drop`, `hold I-G` (a first message that names a version), `ack N`, `nack N` (N: nonce).
/// Done by us: `send G`, when it is due, and `idle G`, when nothing is.
#[track_caller]
fn check(conversation: &str, want: &[&str]) {
    let mut session = Session::new();
    let mut heard = Vec::new();
    for step in conversation.split(", ") {
        let (verb, object) = step.split_once(' ').unwrap_or((step, ""));
        let said = match verb {
            "send" => {
                let generation = object.parse().unwrap();
                assert!(session.due(generation), "{step} in {conversation}: not due");
                session.offer(generation);
                continue;
            }
            "idle" => {
                assert!(!session.due(object.parse().unwrap()), "{step} in {conversation}: due");
                continue;
            }
            "want" => Said { wants: Some(true), ..Said::default() },
            "drop" => Said { wants: Some(false), nonce: object, ..Said::default() },
            "hold" => Said { wants: Some(true), version: object, ..Said::default() },
            "ack" => Said { wants: Some(true), nonce: object, ..Said::default() },
            "nack" => Said { wants: Some(true), nonce: object, error: Some("why"), ..Said::default() },
            other => panic!("no step '{other}'"),
        };
        match session.hear(said) {
            Heard::Nothing => {}
            Heard::Brought(version) => heard.push(format!("brought {version}")),
            Heard::Acknowledged { generation } => heard.push(format!("has {generation}")),
            Heard::Refused { generation, reason } => heard.push(format!("refused {generation}: {reason}")),
        }
    }
    assert_eq!(heard, want, "{conversation}");
}

#[test]
fn conversations() {
    // The ordinary course.
    check("idle 1, want, send 1, idle 1, ack 1, idle 1, send 2, ack 2", &["has 1", "has 2"]);
    // A refusal is not answered by sending the same again; the next one is sent.
    check("want, send 1, nack 1, idle 1, send 2, ack 2", &["refused 1: why", "has 2"]);
    // Two under way: the answer to the first still says what was held.
    check("want, send 1, send 2, ack 1, ack 2", &["has 1", "has 2"]);
    check("want, send 1, send 2, nack 1, ack 2", &["refused 1: why", "has 2"]);
    // Answered once is answered; an answer settles what came before it; a nonce of another stream says nothing.
    check("want, send 1, ack 1, ack 1", &["has 1"]);
    check("want, send 1, send 2, ack 2, ack 1", &["has 2"]);
    check("want, send 1, ack 77", &[]);
    // Coming back: a number is no document, so what is in force is sent over whatever it is.
    check("hold 1-7, send 7, idle 7, ack 1", &["brought 1-7", "has 7"]);
    check("hold 1-7, send 8, ack 1", &["brought 1-7", "has 8"]);
    check("hold 2-7, send 7, ack 1", &["brought 2-7", "has 7"]);
    check("hold nonsense, send 7", &[]);
    // A node ahead of its store is told what the store says; the filter will refuse it, and that is then on record.
    check("hold 1-9, send 8, nack 1", &["brought 1-9", "refused 8: why"]);
    // A version named once the stream is under way is no fresh claim.
    check("want, send 1, hold 1-9, ack 1", &["has 1"]);
    // Letting go and asking anew.
    check("want, send 1, ack 1, drop 1, idle 2, want, send 1, ack 2", &["has 1", "has 1"]);
}

#[test]
fn a_node_that_never_answers_costs_a_bounded_amount() {
    let mut session = Session::new();
    session.hear(Said { wants: Some(true), ..Said::default() });
    for generation in 0..10_000 {
        session.offer(generation);
    }
    assert_eq!(session.open.len(), OPEN);
    let last = Said { nonce: "10000", ..Said::default() };
    assert_eq!(session.hear(last), Heard::Acknowledged { generation: 9999 });
}
