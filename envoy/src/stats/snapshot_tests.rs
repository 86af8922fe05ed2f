use split::{Arm, Cause};
use tally::What;

use super::*;

fn assigned(rollout: &str, arm: Arm) -> Series {
    Series {
        rollout: rollout.to_owned(),
        version: "v1.2".to_owned(),
        arm,
        what: What::Assigned(Cause::Weight, Some(tally::Slot::Of(1))),
    }
}

fn read(text: &str) -> Snapshot {
    let mut snapshot = Snapshot::default();
    text.lines().for_each(|line| snapshot.line(line));
    snapshot
}

#[test]
fn what_envoy_says_is_sorted_into_its_places() {
    let counter = assigned("ranker", Arm::Canary);
    let snapshot = read(&format!(
        "extension_config_discovery.http_filter.serin.version_text: \"1763700000000-7\"\n\
         wasm.serin.vm_reload_success: 4\n\
         wasm.serin.vm_reload_failure: 1\n\
         wasm.serin.vm_reload_backoff: 1020\n\
         wasmcustom.{counter}: 25\n\
         wasmcustom.serin_policy_generation: 7\n\
         wasmcustom.{gauge}: 1763700000123\n\
         wasmcustom.{refused}: 3\n\
         wasmcustom.other_total: 9\n\
         wasmcustom.serin_latency_ms.rollout=.=ranker;.;: P0(nan,1) P50(nan,2.5)\n\
         nonsense\n",
        gauge = tally::gauge("last_canary_assigned_ms", &[("rollout", "ranker")]),
        refused = tally::policy_refused("stale"),
    ));
    assert_eq!(snapshot.counters, BTreeMap::from([(counter, 25)]));
    assert_eq!(snapshot.accepted.as_deref(), Some("1763700000000-7"));
    assert_eq!(snapshot.accepted_generation(1_763_700_000_000), Some(7));
    assert_eq!(snapshot.accepted_generation(1_763_700_000_001), None);
    assert_eq!(snapshot.reloads, Reloads { succeeded: 4, failed: 1, refused_requests: 1020 });
    assert_eq!(snapshot.refusals(), BTreeMap::from([("stale", 3)]));
    assert_eq!(snapshot.gauge("policy_generation", &[]), Some(7));
    assert_eq!(snapshot.gauge("last_canary_assigned_ms", &[("rollout", "ranker")]), Some(1_763_700_000_123));
    assert_eq!(snapshot.gauge("last_canary_assigned_ms", &[("rollout", "other")]), None);
    assert_eq!(snapshot.others.len(), 3, "{:?}", snapshot.others);
}

#[test]
fn what_the_version_in_force_says_of_epochs_goes_before_a_gauge_that_may_be_a_sum() {
    let text = format!("wasmcustom.{}: 14\nserver.hot_restart_epoch: 1", tally::epoch_gauge("ranker"));
    let mut snapshot = read(&text);
    assert!(snapshot.inherits);
    assert_eq!(snapshot.reading().epochs, BTreeMap::from([("ranker".to_owned(), 14)]));
    snapshot.epochs = Some(Arc::new(BTreeMap::from([("ranker".to_owned(), 7)])));
    assert_eq!(snapshot.reading().epochs, BTreeMap::from([("ranker".to_owned(), 7)]));
}

#[test]
fn only_what_is_live_is_asked_for() {
    let scope = [("ranker", "v1.2"), ("ranker", "v2"), ("other", "v1")];
    let scope = scope.map(|(rollout, version)| (rollout.to_owned(), version.to_owned())).into();
    let pattern = filter(Some(&scope));
    for part in [r"rollout=\.=(other", r"version=\.=(v1\.2|v2)", "policy", "epoch", "last_canary"] {
        assert!(pattern.contains(part), "{part} in {pattern}");
    }
    assert!(filter(Some(&BTreeSet::new())).contains("serin_(none|"));
    let many = (0..2_000).map(|n| (format!("rollout-{n}"), "v1".to_owned())).collect();
    assert_eq!(filter(Some(&many)), filter(None));
}

#[test]
fn a_pass_through_default_is_no_accepted_version() {
    let snapshot = read("extension_config_discovery.http_filter.serin.version_text: \"\"");
    assert_eq!(snapshot.accepted, None);
}

#[test]
fn a_snapshot_survives_being_kept() {
    let mut snapshot = read(&format!("wasmcustom.{}: 3", assigned("ranker", Arm::Stable)));
    snapshot.source = "http://127.0.0.1:9901".to_owned();
    let kept = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&kept).unwrap(), snapshot);
    let bad = kept.replace("serin_assigned_total", "serin_asigned_total");
    let error = serde_json::from_str::<Snapshot>(&bad).unwrap_err().to_string();
    assert!(error.contains("serin_asigned_total"), "{error}");
}
