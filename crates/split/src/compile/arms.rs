//! The arms: names, versions, weights, and that their shares of the key space do not meet.

use super::{PolicyError, error, id, weight};
use crate::arms::{Arms, Other, Served};
use crate::policy::{self, MOST_OTHERS};
use crate::{Arm, MILLION, Weight};

/// A share of the key space, in parts per million: where it begins, and how far it goes upwards, round the end.
#[derive(Clone, Copy)]
struct Share {
    start: u32,
    width: u32,
}

impl Share {
    const fn holds(self, at: u32) -> bool {
        (at + MILLION - self.start) % MILLION < self.width
    }

    const fn meets(self, other: Self) -> bool {
        self.width > 0 && other.width > 0 && (self.holds(other.start) || other.holds(self.start))
    }
}

pub(super) fn arms(at: &str, arms: &policy::Arms) -> Result<Arms, PolicyError> {
    let canary = weight(&format!("{at}.canary.weight_ppm"), arms.canary.weight_ppm)?;
    let baseline = arms.baseline.as_ref().map_or(Ok(Weight::NONE), |baseline| {
        weight(&format!("{at}.baseline.weight_ppm"), baseline.weight_ppm)
    })?;
    if canary.ppm() + baseline.ppm() > MILLION {
        return Err(error(
            "weight",
            format!("{at}.baseline.weight_ppm"),
            format!("{} and the canary's {} are more than the whole", baseline.ppm(), canary.ppm()),
            "let the two add up to at most 1000000",
        ));
    }
    if arms.others.len() > MOST_OTHERS {
        return Err(error(
            "arms",
            format!("{at}.others"),
            format!("{} are too many", arms.others.len()),
            "name at most 6 arms beside the canary",
        ));
    }
    let mut taken = vec![
        ("canary".to_owned(), Share { start: 0, width: canary.ppm() }),
        ("baseline".to_owned(), Share { start: (MILLION - baseline.ppm()) % MILLION, width: baseline.ppm() }),
    ];
    let mut others: Vec<Other> = Vec::with_capacity(arms.others.len());
    for (i, written) in arms.others.iter().enumerate() {
        let at = format!("{at}.others[{i}]");
        if others.iter().any(|earlier| earlier.name == written.name) {
            return Err(error(
                "duplicate",
                format!("{at}.name"),
                format!("{:?} is there twice", written.name.as_str()),
                "give every arm a name of its own",
            ));
        }
        let other = other(&at, written)?;
        let share = Share { start: other.start.ppm(), width: other.weight.ppm() };
        if let Some((met, _)) = taken.iter().find(|(_, known)| known.meets(share)) {
            return Err(error(
                "weight",
                format!("{at}.weight_ppm"),
                format!("{} from {} on runs into the share of {met}", share.width, share.start),
                "lower one of the two weights, or let the arm start elsewhere; all weights together are at most \
                 1000000",
            ));
        }
        taken.push((other.name.to_string(), share));
        others.push(other);
    }
    let served = |field: &str, version: &str, confidence: &Option<String>| {
        let version = id(&format!("{at}.{field}.version"), version)?;
        Ok(Served { version, confidence: confidence.clone() })
    };
    Ok(Arms {
        stable: served("stable", &arms.stable.version, &arms.stable.confidence)?,
        canary: served("canary", &arms.canary.version, &arms.canary.confidence)?,
        canary_weight: canary,
        baseline_weight: baseline,
        others,
    })
}

fn other(at: &str, written: &policy::Other) -> Result<Other, PolicyError> {
    let start =
        Weight::from_ppm(written.start_ppm).filter(|start| start.ppm() < MILLION).ok_or_else(|| {
            error(
                "weight",
                format!("{at}.start_ppm"),
                format!("{} is no place in the key space", written.start_ppm),
                "give parts per million from the bottom, 0 to 999999",
            )
        })?;
    Ok(Other {
        name: written.name,
        served: Served {
            version: id(&format!("{at}.version"), &written.version)?,
            confidence: written.confidence.clone(),
        },
        start,
        weight: weight(&format!("{at}.weight_ppm"), written.weight_ppm)?,
    })
}

/// An arm that requests are sent to by name must be there.
pub(super) fn named(at: &str, arm: Arm, arms: &policy::Arms) -> Result<Arm, PolicyError> {
    match arm {
        Arm::Other(name) if arms.others.iter().all(|other| other.name != name) => Err(error(
            "arms",
            at,
            format!("{:?} is none of the rollout's arms", name.as_str()),
            "name stable, canary, baseline, or one of arms.others",
        )),
        _ => Ok(arm),
    }
}

/// A cohort's weight is a share of a version on trial.
pub(super) fn challenger(at: &str, arm: Arm, arms: &policy::Arms) -> Result<Arm, PolicyError> {
    if arm.is_challenger() {
        named(at, arm, arms)
    } else {
        Err(error(
            "arms",
            at,
            format!("{arm} is no version on trial"),
            "name canary, or one of arms.others; the rest of the cohort goes to stable",
        ))
    }
}
