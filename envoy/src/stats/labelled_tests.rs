use std::collections::BTreeMap;

use super::super::exposition;
use super::*;

fn scope() -> BTreeSet<(String, String)> {
    [("ranker", "v1.2"), ("ranker", "v2-rc.1")].map(|(r, v)| (r.to_owned(), v.to_owned())).into()
}

fn read(page: &str, scope: &BTreeSet<(String, String)>) -> Result<Snapshot, Unlabelled> {
    let clusters = BTreeSet::from(["canary".to_owned()]);
    let labels = Labels::new(Some(scope), &clusters);
    let mut snapshot = Snapshot::default();
    for sample in page.lines().filter_map(exposition::line) {
        let label =
            |name: &str| sample.labels.iter().find(|(known, _)| *known == name).map(|(_, v)| v.as_ref());
        labels.take(&mut snapshot, sample.name, label, sample.value)?;
    }
    labels.finish(&mut snapshot);
    Ok(snapshot)
}

/// As Envoy 1.40 writes it with the tags, and without.
const LABELLED: &str = r#"# TYPE serin_assigned_total counter
serin_assigned_total{rollout="ranker",version="v1.2",arm="stable",cause="weight",slot="2"} 63
serin_assigned_total{rollout="ranker",version="v2-rc.1",arm="canary",cause="weight",slot="2"} 43
serin_assigned_total{rollout="other",version="v9",arm="canary",cause="weight",slot="2"} 5
serin_latency_total{rollout="ranker",version="v2-rc.1",arm="canary",bin="100"} 1
serin_policy_refused_total{reason="stale"} 3
serin_epoch{rollout="ranker"} 2
serin_policy_generation{} 2
serin_policy_incarnation{} 1.796060535815e+12
serin_latency_ms_bucket{rollout="ranker",version="v1.2",arm="stable",le="1"} 36
envoy_server_uptime{} 17
envoy_server_hot_restart_epoch{} 0
envoy_server_initialization_time_ms_sum{} 3449.2753623188405142071904383898
envoy_cluster_upstream_rq_completed{envoy_cluster_name="canary"} 30
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="canary"} 4
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="other"} 9
envoy_cluster_upstream_rq{envoy_response_code="429",envoy_cluster_name="canary"} 1
"#;

const FLAT: &str = "serin_assigned_total_rollout___ranker___version___v1_2___arm___stable___cause___weight___slot___2___{} 63
serin_assigned_total_rollout___ranker___version___v2_rc_1___arm___canary___cause___weight___slot___2___{} 43
serin_assigned_total_rollout___other___version___v9___arm___canary___cause___weight___slot___2___{} 5
serin_latency_total_rollout___ranker___version___v2_rc_1___arm___canary___bin___100___{} 1
serin_policy_refused_total_reason___stale___{} 3
serin_epoch_rollout___ranker___{} 2
serin_policy_generation{} 2
serin_policy_incarnation{} 1796060535815
envoy_server_uptime{} 17
envoy_server_hot_restart_epoch{} 0
envoy_server_initialization_time_ms_sum{} 3449.2753623188405142071904383898
envoy_cluster_upstream_rq_completed{envoy_cluster_name=\"canary\"} 30
envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"5\",envoy_cluster_name=\"canary\"} 4
envoy_cluster_upstream_rq{envoy_response_code=\"429\",envoy_cluster_name=\"canary\"} 1
";

#[test]
fn a_page_says_what_the_admin_port_says() {
    let snapshot = read(LABELLED, &scope()).expect("a page");
    let counters: BTreeMap<String, u64> =
        snapshot.counters.iter().map(|(series, n)| (series.to_string(), *n)).collect();
    let tags = |version: &str, arm: &str| format!("rollout=.=ranker;.;version=.={version};.;arm=.={arm};.;");
    let want = [
        (format!("serin_assigned_total.{}cause=.=weight;.;slot=.=2;.;", tags("v1.2", "stable")), 63),
        (format!("serin_assigned_total.{}cause=.=weight;.;slot=.=2;.;", tags("v2-rc.1", "canary")), 43),
        (format!("serin_latency_total.{}bin=.=100;.;", tags("v2-rc.1", "canary")), 1),
    ];
    assert_eq!(counters, want.into());
    assert_eq!(snapshot.accepted_generation(1_796_060_535_815), Some(2));
    assert_eq!(snapshot.refusals(), BTreeMap::from([("stale", 3)]));
    assert_eq!(snapshot.reading().epochs, BTreeMap::from([("ranker".to_owned(), 2)]));
    assert_eq!(snapshot.others.len(), 4, "{:?}", snapshot.others);
    let age = snapshot.age.clone().expect("an age");
    assert_eq!((age.uptime_s, age.initialised.is_some(), snapshot.inherits), (17, true, false));
    let of = |what| Upstream { cluster: "canary".to_owned(), what };
    let upstreams =
        [(UpstreamWhat::Completed, 30), (UpstreamWhat::TooMany, 1), (UpstreamWhat::ServerError, 4)];
    assert_eq!(snapshot.upstreams, upstreams.map(|(what, n)| (of(what), n)).into());
    assert_eq!(read(FLAT, &scope()).expect("the same without labels"), snapshot);
}

#[test]
fn names_and_labels_of_whoever_passes_them_on_change_nothing() {
    let plain = read(LABELLED, &scope()).expect("a page");
    let before = LABELLED.replace("\nserin_", "\nenvoy_wasmcustom_serin_");
    assert_eq!(read(&before, &scope()).expect("a page"), plain);
    // A pod that has a label of its own called version, and one called event.
    let renamed = LABELLED
        .replace("version=\"", "version=\"pod's\",exported_version=\"")
        .replace("{}", "{version=\"pod's\",event=\"pod's\",instance=\"10.0.0.7:15020\"}");
    let snapshot = read(&renamed, &scope()).expect("a page");
    assert_eq!((&snapshot.counters, &snapshot.age), (&plain.counters, &plain.age));
    assert_eq!(snapshot.accepted, plain.accepted);
}

#[test]
fn what_cannot_be_told_apart_is_an_error_that_says_what_to_do() {
    let scope: BTreeSet<_> = [("r", "v1.2"), ("r", "v1-2")].map(|(r, v)| (r.to_owned(), v.to_owned())).into();
    let page = "serin_retried_total_rollout___r___version___v1_2___arm___canary___{} 1";
    let why = read(page, &scope).expect_err("either of two").to_string();
    assert!(why.contains("v1-2 and v1.2") && why.contains("extraStatTags"), "{why}");
    // With labels there is no doubt.
    read(r#"serin_retried_total{rollout="r",version="v1.2",arm="canary"} 1"#, &scope).expect("labels");
}

#[test]
fn numbers_that_are_none_are_passed_over() {
    let page = "serin_policy_generation{} NaN\nserin_policy_generation{} -1\nserin_policy_generation{} 1.5\n";
    assert_eq!(read(page, &scope()).expect("a page").others, BTreeMap::new());
}
