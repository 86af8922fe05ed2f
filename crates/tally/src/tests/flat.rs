use split::{Arm, Cause};

use super::*;
use crate::{Class, GroupEvent, Progress, Slot, What, epoch_gauge, policy_refused};

/// What Envoy makes of a name on its page for Prometheus when it knows no tags (Envoy 1.40).
fn shown(name: &str) -> String {
    flat(name)
}

fn names(scope: &[(&str, &str)]) -> FlatNames {
    FlatNames::new(&scope.iter().map(|(r, v)| ((*r).to_owned(), (*v).to_owned())).collect())
}

#[test]
fn every_counter_is_read_back_of_what_became_of_its_name() {
    let known = names(&[("ranker", "v1.2"), ("ranker", "v2-rc.1"), ("search.eu", "v1.2")]);
    for what in [
        What::Assigned(Cause::NoKey, None),
        What::Assigned(Cause::Weight, Some(Slot::Of(3))),
        What::Finished(Cause::Weight, Class::ServerError, Some(Slot::Late)),
        What::Aged { slot: Slot::Of(0), age_ms: 2000, progress: Progress::LeftSoon },
        What::Latency(309),
        What::Confidence(0),
        What::Retried,
        What::ConfidenceInvalid,
        What::Group(99, GroupEvent::Error),
    ] {
        for (rollout, version) in [("ranker", "v1.2"), ("ranker", "v2-rc.1"), ("search.eu", "v1.2")] {
            for arm in ["stable", "canary", "baseline", "b-2"] {
                let arm = Arm::parse(arm).expect("an arm");
                let series = Series { rollout: rollout.into(), version: version.into(), arm, what };
                let shown = shown(&series.to_string());
                assert_eq!(known.read(&shown), Some(FlatName::Counter(series)), "{shown}");
            }
        }
    }
    assert_eq!(
        known.read("serin_assigned_total_rollout___ranker___version___v1_2___arm___stable___cause___weight___slot___2___"),
        Some(FlatName::Counter(Series {
            rollout: "ranker".into(),
            version: "v1.2".into(),
            arm: Arm::Stable,
            what: What::Assigned(Cause::Weight, Some(Slot::Of(2))),
        }))
    );
}

#[test]
fn other_numbers_are_read_back_too() {
    let known = names(&[("search.eu", "v1")]);
    for name in [&epoch_gauge("search.eu"), &policy_refused("stale"), "serin_policy_generation"] {
        assert_eq!(known.read(&shown(name)), Some(FlatName::Other((*name).to_owned())), "{name}");
    }
    for name in ["envoy_server_uptime", "serin_epoch_rollout___other___", "serin_epoch_rollout___a"] {
        assert_eq!(known.read(name), None, "{name}");
    }
}

#[test]
fn what_two_versions_became_is_nobodys() {
    let known = names(&[("r", "v1.2"), ("r", "v1-2"), ("a.b", "v"), ("a-b", "w")]);
    let of = |rollout: &str, version: &str| {
        let (rollout, version) = (rollout.to_owned(), version.to_owned());
        shown(&Series { rollout, version, arm: Arm::Canary, what: What::Retried }.to_string())
    };
    assert_eq!(known.read(&of("r", "v1.2")), Some(FlatName::Ambiguous("v1-2".to_owned(), "v1.2".to_owned())));
    assert!(matches!(known.read(&of("a.b", "v")), Some(FlatName::Counter(_))));
    assert_eq!(
        known.read(&shown(&epoch_gauge("a.b"))),
        Some(FlatName::Ambiguous("a-b".to_owned(), "a.b".to_owned()))
    );
    assert_eq!(known.read(&of("r", "v9")), None);
}
