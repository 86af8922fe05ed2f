//! What is watched after the promotion.

use super::{Check, gates::distance};
use crate::gate::Gate;
use crate::typed;
use crate::watch::{Lasts, Room, Watch, Watched};

const AT: &str = "spec.watch";
const DAY_MS: u64 = 86_400_000;

pub(super) fn watch(check: &mut Check, written: &typed::Watch, gates: &[Gate]) -> Watch {
    let for_ms = match written.lasts {
        None => Some(DAY_MS),
        Some(Lasts::Always) => None,
        Some(Lasts::For(span)) => Some(span.ms()),
    };
    if for_ms == Some(0) {
        let remedy = "write a time such as 24h, or leave spec.watch out";
        check.refuse(format!("{AT}.for"), "it would be over at once", remedy);
    }
    let watched = if written.gates.is_empty() { all(gates) } else { named(check, written, gates) };
    if watched.is_empty() {
        let remedy = "add a gate on what the proxies count, such as error_rate, or leave spec.watch out";
        check.refuse(AT, "there is nothing to watch: no gate is counted", remedy);
    }
    Watch {
        for_ms,
        alpha: check.chance(&format!("{AT}.alpha"), written.alpha.unwrap_or(0.01)),
        gates: watched,
    }
}

/// Every gate that is counted, with the room it leaves a canary.
fn all(gates: &[Gate]) -> Vec<Watched> {
    let counted = gates.iter().enumerate().filter(|(_, gate)| !gate.metric().is_external());
    counted.map(|(index, gate)| Watched { gate: index, room: Room::of(gate) }).collect()
}

fn named(check: &mut Check, written: &typed::Watch, gates: &[Gate]) -> Vec<Watched> {
    let mut watched: Vec<Watched> = Vec::new();
    for (at, one) in written.gates.iter().enumerate() {
        let field = format!("{AT}.gates[{at}]");
        let Some(index) = gates.iter().position(|gate| gate.name == one.name) else {
            let known: Vec<&str> = gates.iter().map(|gate| gate.name.as_str()).collect();
            let what = format!("there is no gate {:?}", one.name);
            check.refuse(format!("{field}.name"), what, format!("use one of {}", known.join(", ")));
            continue;
        };
        let Some(gate) = gates.get(index) else { continue };
        if gate.metric().is_external() {
            let remedy = "leave it out: readings of a source are numbers without counts, of which nothing can be proven";
            check.refuse(format!("{field}.name"), format!("{:?} is not counted", one.name), remedy);
        }
        if watched.iter().any(|known| known.gate == index) {
            check.refuse(format!("{field}.name"), format!("{:?} stands there twice", one.name), "keep one");
        }
        let room = match one.margin {
            Some(margin) => {
                let (margin, points) = distance(check, &format!("{field}.margin"), margin, gate.metric());
                let none = if gate.metric().larger_is_worse() { 1.0 } else { 0.0 };
                if margin <= none && points <= 0.0 {
                    let remedy = "widen it: no two hours of a service are exactly alike";
                    check.refuse(format!("{field}.margin"), "it leaves no room at all", remedy);
                }
                let ignore_below = gate.against.map_or(0.0, |against| against.ignore_below);
                Some(Room { margin, points, ignore_below })
            }
            None => Room::of(gate),
        };
        watched.push(Watched { gate: index, room });
    }
    watched
}
