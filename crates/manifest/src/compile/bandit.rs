//! Shares that follow the evidence.

use split::MILLION;

use super::{Check, span};
use crate::amount::{Percent, Span};
use crate::bandit::Bandit;
use crate::gate::{Gate, Metric};
use crate::plan::{Stage, Unit};
use crate::typed::{self, BanditBy, RolloutSpec};

/// Every change of weights interrupts the counting for some seconds, so more often would cost more than it brings.
const SHORTEST_MS: u64 = 30_000;

pub(super) fn bandit(
    check: &mut Check,
    spec: &RolloutSpec,
    stages: &[Stage],
    gates: &[Gate],
    sticky: bool,
    unit: Unit,
) -> Option<Bandit> {
    let written = spec.bandit?;
    let versions = u32::try_from(spec.arms.len() + 1).unwrap_or(u32::MAX);
    if sticky {
        check.refuse(
            "spec.bandit",
            "assignment is sticky, and shares that fall would send users back and forth between versions",
            "set `assignment: {mode: random}`, or leave spec.bandit out: a weight that stands keeps every user where \
             they are",
        );
    } else if unit == Unit::User {
        check.refuse(
            "spec.bandit",
            "the unit is the user, and how good a version is would be reckoned as if requests had nothing to do with \
             each other",
            "set `assignment: {unit: request}`, or leave spec.bandit out",
        );
    }
    let by = match written.by.unwrap_or(BanditBy::ErrorRate) {
        BanditBy::ErrorRate => Metric::ErrorRate,
        BanditBy::ConfidenceMean => Metric::ConfidenceMean,
        BanditBy::Overdue => Metric::Overdue,
        BanditBy::GoneRate => Metric::GoneRate,
    };
    if by == Metric::ConfidenceMean && spec.confidence.is_none() {
        check.refuse(
            "spec.bandit.by",
            "the models' confidence is not measured",
            "add spec.confidence with the header that carries it",
        );
    }
    let every_ms = span(written.every, 300_000);
    if every_ms < SHORTEST_MS {
        check.refuse(
            "spec.bandit.every",
            format!("{} is too often", Span::from_ms(every_ms)),
            "write 30s or more: evidence of the moments in which weights change is lost",
        );
    }
    windows(check, gates, every_ms);
    let from = from(check, &written, stages);
    let (floor, ceiling) = (written.floor.unwrap_or(Percent::from_ppm(10_000)), written.ceiling);
    if floor.ppm() == 0 {
        let what = "a version without traffic is not measured, and would never come back";
        check.refuse("spec.bandit.floor", what, "write a share above 0, such as 1%");
    }
    if ceiling.ppm() >= MILLION {
        let what = "nothing would be left to compare with";
        check.refuse("spec.bandit.ceiling", what, "write a share below 100%, such as 20%");
    }
    let floors = floor.ppm().saturating_mul(versions);
    if floors >= ceiling.ppm() {
        check.refuse(
            "spec.bandit.ceiling",
            match versions {
                1 => format!("{ceiling} is not above the floor ({floor})"),
                _ => format!("{ceiling} is not above {versions} times the floor ({floor})"),
            },
            "raise the ceiling, or lower the floor",
        );
    } else if !stages.iter().skip(from).any(|stage| moves(stage, versions, ceiling)) {
        check.refuse(
            "spec.bandit.ceiling",
            format!(
                "no stage gives all versions on trial together {ceiling} or less, so no share would ever move"
            ),
            "raise the ceiling, or add a stage below it",
        );
    }
    Some(Bandit { by, floor_ppm: floor.ppm(), ceiling_ppm: ceiling.ppm(), every_ms, from })
}

/// Do shares move in a stage?
fn moves(stage: &Stage, versions: u32, ceiling: Percent) -> bool {
    stage.weight_ppm > 0 && stage.weight_ppm.saturating_mul(versions) <= ceiling.ppm()
}

/// Gates that count readings in windows need windows in which shares stand still.
fn windows(check: &mut Check, gates: &[Gate], every_ms: u64) {
    let reads =
        |gate: &&Gate| !gate.metric().is_external() && (gate.consecutive > 0 || gate.failure_limit.is_some());
    for gate in gates.iter().filter(reads).filter(|gate| gate.every_ms.saturating_mul(2) > every_ms) {
        check.refuse(
            "spec.bandit.every",
            format!(
                "shares that move every {} leave gate {} no time for its windows of {}",
                Span::from_ms(every_ms),
                gate.name,
                Span::from_ms(gate.every_ms)
            ),
            "write at least twice the gate's `every`, or shorten that",
        );
    }
}

fn from(check: &mut Check, written: &typed::Bandit, stages: &[Stage]) -> usize {
    let Some(weight) = written.from else { return 0 };
    let found = stages.iter().position(|stage| stage.weight_ppm == weight.ppm());
    found.unwrap_or_else(|| {
        let known: Vec<_> =
            stages.iter().map(|stage| Percent::from_ppm(stage.weight_ppm).to_string()).collect();
        check.refuse(
            "spec.bandit.from",
            format!("no stage has the weight {weight}"),
            format!("write that of the first stage in which shares move, one of {}", known.join(", ")),
        );
        0
    })
}

/// How much room each version takes in the key space: until one is chosen, what a stage gives it or the evidence may.
pub(super) fn room_ppm(spec: &RolloutSpec, of_stages_ppm: u32) -> u32 {
    let versions = u32::try_from(spec.arms.len() + 1).unwrap_or(u32::MAX);
    let by_evidence = spec.bandit.map_or(0, |bandit| bandit.ceiling.ppm().min(MILLION / versions));
    of_stages_ppm.max(by_evidence)
}

/// Members of a fleet go up in step, and shares that move by evidence keep none.
pub(super) fn no_fleet(check: &mut Check, spec: &RolloutSpec) {
    if spec.bandit.is_some() {
        let fields = if spec.models.is_empty() { "regions" } else { "models" };
        check.refuse(
            "spec.bandit",
            format!("shares that move by evidence keep no step with spec.{fields}"),
            format!("leave out one of the two: spec.{fields} goes up by weights that stand"),
        );
    }
}
