//! The controller, what is said in figures, and what was not seen.

use std::collections::BTreeSet;

use serde_json::json;

use super::{add, check, deployment, lines, object, pod, remove, sampled, set, sound};
use crate::{Api, KINDS, Page, Part, Prometheus, Severity, Snapshot, examine};

#[test]
fn the_controller_and_its_rights() {
    const D: &str = "Deployment";
    check(remove(D, "serin"), "controller", "no Deployment and no StatefulSet");
    check(set(D, "serin", "/status", json!({})), "controller", "none of its pods is ready");
    check(
        set(D, "serin", "/spec/template/spec/automountServiceAccountToken", false.into()),
        "controller",
        "no token",
    );
    check(
        set(
            D,
            "serin",
            "/spec/template/spec/containers/0/args",
            json!(["--ecds=x", "--istio-plugin=models/serin"]),
        ),
        "controller",
        "no counters",
    );
    check(
        set(D, "serin", "/spec/template/spec/containers/0/args", json!(["--ecds=x", "--prometheus=x"])),
        "controller",
        "no controller writes it",
    );
    let other = deployment(
        "other",
        "serin",
        "r/serin:0.1.0",
        &["--ecds=x", "--istio-plugin=eu=models/serin", "--prometheus=x"],
    );
    check(add(D, other), "controller", "2 controllers write it");
    check(
        |snapshot| snapshot.rights[0].1 = Ok(false),
        "rights",
        "may not patch trafficextensions.extensions.istio.io/serin in models",
    );
    check(|snapshot| snapshot.rights[1].1 = Ok(true), "rights", "may list secrets");
    check(
        |snapshot| {
            let (right, may) = &mut snapshot.rights[0];
            (right.group, right.resource, *may) = ("serin.dev", "rollouts/status", Ok(false));
            right.namespace.clear();
            right.name.clear();
        },
        "rights",
        "may not patch rollouts/status.serin.dev in all namespaces",
    );
    check(
        set(D, "serin", "/spec/template/spec/containers/0/image", "r/serin/controller:0.3.0".into()),
        "versions",
        "it runs 0.3",
    );
    check(
        set(D, "serin", "/spec/template/spec/containers/0/image", "r/serin/controller:0.3.0".into()),
        "versions",
        "the filter is 0.1",
    );
    check(
        set(D, "istiod", "/spec/template/spec/containers/0/image", "r/pilot:1.24.0".into()),
        "versions",
        "it is 1.24",
    );
    let old = |snapshot: &mut Snapshot| {
        snapshot.api = Ok(Api { served: BTreeSet::from(["extensions.istio.io/WasmPlugin".to_owned()]) })
    };
    check(old, "versions", "TrafficExtension is not served");
}

/// Several controllers are a StatefulSet.
#[test]
fn replicas_are_a_controller() {
    let mut snapshot = sound();
    let alone = object(&mut snapshot, "Deployment", "serin").clone();
    remove("Deployment", "serin")(&mut snapshot);
    add("StatefulSet", alone)(&mut snapshot);
    assert_eq!(lines(&examine(&snapshot)), [""; 0]);
    set("StatefulSet", "serin", "/status", json!({}))(&mut snapshot);
    assert_eq!(
        lines(&examine(&snapshot)),
        ["controller: StatefulSet serin-system/serin: none of its pods is ready"]
    );
}

#[test]
fn the_figures() {
    let page = |text: &'static str| {
        move |snapshot: &mut Snapshot| snapshot.proxies[0].page = Ok(Page(text.to_owned()))
    };
    check(page("envoy_server_uptime 5\n"), "proxies", "runs no policy");
    check(
        page("serin_policy_generation 6\nserin_policy_incarnation 1\n"),
        "proxies",
        "runs generation 6, and the plugin holds 7",
    );
    check(
        page("serin_policy_generation 7\nserin_policy_refused_total{reason=\"invalid\"} 3\n"),
        "proxies",
        "refused 3 policies (invalid)",
    );
    check(
        page("serin_policy_generation 7\nserin_finished_total_rollout___ranker___ 3\n"),
        "proxies",
        "no labels",
    );
    let own = |text: &'static str| {
        move |snapshot: &mut Snapshot| {
            snapshot.controller = Ok(Page(format!("# TYPE serin_rollout_phase gauge\n{text}")));
        }
    };
    check(
        own("serin_plugin_failing{plugin=\"models/serin\"} 1\n"),
        "controller's figures",
        "cannot write it",
    );
    check(own("serin_counts_delay_seconds 44\n"), "controller's figures", "44 s old");
    check(
        own("serin_rollout_attention{rollout=\"ranker\",kind=\"quorum\"} 1\n"),
        "controller's figures",
        "quorum",
    );
    let told = |change: fn(&mut Prometheus)| {
        move |snapshot: &mut Snapshot| change(snapshot.prometheus.as_mut().unwrap())
    };
    check(told(|said| said.sidecars.clear()), "prometheus", "no sample");
    check(told(|said| said.sidecars[0].age_ms = 45_000), "prometheus", "45 s old");
    check(told(|said| said.failing = 2), "prometheus", "cannot scrape 2");
    check(told(|said| said.flat = true), "prometheus", "no labels");
    check(|snapshot| snapshot.clocks[0].ahead_ms = -9_000, "clocks", "9 s behind");
}

/// What cannot be looked at is never fine: it is said, and the exit code is another.
#[test]
fn what_was_not_seen_is_said() {
    let unseen = |change: &dyn Fn(&mut Snapshot), checks: &[&str]| {
        let mut snapshot = sound();
        change(&mut snapshot);
        let report = examine(&snapshot);
        let found: BTreeSet<&str> = report.unseen.iter().map(|unseen| unseen.check).collect();
        assert_eq!(found, checks.iter().copied().collect(), "{:?}", report.unseen);
        assert_eq!((lines(&report).len(), report.exit_code()), (0, 2));
        assert!(checks.iter().all(|check| !report.fine.contains(check)));
    };
    unseen(&|snapshot| snapshot.controller = Err("refused".to_owned()), &["controller's figures"]);
    unseen(&|snapshot| snapshot.prometheus = Err("refused".to_owned()), &["prometheus"]);
    unseen(&|snapshot| snapshot.clocks.clear(), &["clocks"]);
    unseen(&|snapshot| snapshot.proxies.clear(), &["proxies"]);
    unseen(&|snapshot| snapshot.proxies[0].page = Err("timed out".to_owned()), &["proxies"]);
    unseen(&|snapshot| snapshot.rights[0].1 = Err("forbidden".to_owned()), &["rights"]);
    unseen(&remove("Deployment", "istiod"), &["versions"]);
    for kind in KINDS {
        let mut snapshot = sound();
        snapshot.objects.insert(kind, Err("forbidden".to_owned()));
        let report = examine(&snapshot);
        assert!(
            report.unseen.iter().any(|unseen| unseen.why.contains(&format!("{kind}s cannot be read"))),
            "{kind}"
        );
    }
    // Where nothing at all answers, nothing is fine.
    let mut snapshot = sound();
    snapshot.objects.values_mut().for_each(|read| *read = Err("refused".to_owned()));
    (snapshot.api, snapshot.controller) = (Err("refused".to_owned()), Err("refused".to_owned()));
    snapshot.prometheus = Err("refused".to_owned());
    (snapshot.rights, snapshot.proxies, snapshot.clocks) = (Vec::new(), Vec::new(), Vec::new());
    let report = examine(&snapshot);
    assert_eq!((report.fine.as_slice(), report.exit_code()), (&[][..], 2));
    // Neither is what answers otherwise than it should.
    let answers = |text: &str| Ok(Page(text.to_owned()));
    for text in ["<html>hello</html>", "{\"code\": \"forbidden_host\"}", "", "serin_policy_generation 7\n"] {
        unseen(&|snapshot| snapshot.controller = answers(text), &["controller's figures"]);
    }
    unseen(&|snapshot| snapshot.proxies[0].page = answers("<html>hello</html>"), &["proxies"]);
    let mut snapshot = sound();
    snapshot.controller = answers("serin_leads 0\nserin_leader{leader=\"serin-1\"} 1\n");
    assert!(
        examine(&snapshot).unseen[0]
            .why
            .contains("ask the leader: kubectl -n serin-system port-forward pod/serin-1")
    );
    // Left out on purpose is neither seen nor missed.
    let mut snapshot = sound();
    (snapshot.controller, snapshot.prometheus) = (Err("x".to_owned()), Err("x".to_owned()));
    snapshot.without = BTreeSet::from([Part::Controller, Part::Prometheus]);
    let report = examine(&snapshot);
    assert_eq!((report.exit_code(), report.left_out), (0, vec!["controller's figures", "prometheus"]));
    let parts = [Part::Controller, Part::Prometheus, Part::Proxies, Part::Rights, Part::Versions];
    let report = examine(&Snapshot { without: BTreeSet::from(parts), ..sound() });
    assert_eq!((report.fine.len(), report.left_out.len()), (crate::checks::ALL.len() - 5, 5));
}

#[test]
fn faults_come_before_warnings() {
    let mut snapshot = sound();
    snapshot.clocks[0].ahead_ms = 9_000;
    remove("Pod", "ranker-1")(&mut snapshot);
    let report = examine(&snapshot);
    let severities: Vec<Severity> = report.findings.iter().map(|one| one.severity).collect();
    assert_eq!(severities, [Severity::Fault, Severity::Warning]);
}

/// Prometheus must see each sidecar that decides, and lately.
#[test]
fn prometheus_sees_every_sidecar() {
    let labels = || json!({"app": "storefront", "serin.dev/decide": "true"});
    let many = |snapshot: &mut Snapshot| {
        (2..=100).for_each(|n| add("Pod", pod(&format!("storefront-{n}"), labels()))(snapshot));
    };
    check(
        many,
        "prometheus",
        "samples of 1 of the 100 sidecars that decide in models (not of storefront-2, ",
    );
    let some = |said: Vec<crate::Sampled>, found: &[&str]| {
        let mut snapshot = sound();
        add("Pod", pod("storefront-2", labels()))(&mut snapshot);
        snapshot.prometheus.as_mut().unwrap().sidecars = said;
        let lines = lines(&examine(&snapshot));
        assert!(
            lines.len() == found.len() && lines.iter().zip(found).all(|(line, part)| line.contains(part)),
            "{lines:#?}"
        );
    };
    some(vec![sampled("storefront-1", 0), sampled("storefront-2", 0)], &[]);
    some(vec![sampled("storefront-1", 0), sampled("storefront-2", 45_000)], &["45 s old"]);
    // Gone since.
    some(vec![sampled("storefront-1", 0), sampled("storefront-2", 0), sampled("storefront-0", 45_000)], &[]);
    some(vec![sampled("storefront-1", 0), sampled("storefront-0", 0)], &["1 of the 2"]);
    // Without labels of Kubernetes.
    some(vec![crate::Sampled::default(), crate::Sampled::default()], &[]);
    some(vec![crate::Sampled::default()], &["1 of the 2"]);
}

#[test]
fn arguments_may_come_otherwise() {
    const CONTAINER: &str = "/spec/template/spec/containers/0";
    let mut snapshot = sound();
    let env = json!([{"name": "SERIN_PROMETHEUS_URL", "value": "http://p"}, {"name": "SERIN_ISTIO_PLUGIN", "value": "models/serin"}]);
    let container = json!({"name": "serin", "image": "r/serin:0.1.0", "args": ["--ecds", "x"], "env": env});
    set("Deployment", "serin", CONTAINER, container)(&mut snapshot);
    assert_eq!(lines(&examine(&snapshot)), [""; 0]);
    let from = json!({"name": "serin", "image": "r/serin:0.1.0", "args": ["--ecds=x"], "envFrom": [{"secretRef": {"name": "s"}}]});
    set("Deployment", "serin", CONTAINER, from)(&mut snapshot);
    let report = examine(&snapshot);
    assert_eq!((lines(&report).len(), report.unseen.len()), (0, 2), "{:?}", report.unseen);
}

/// What it says to type is about what is there.
#[test]
fn remedies_name_what_is_there() {
    let mut snapshot = sound();
    let mut several = object(&mut snapshot, "Deployment", "serin").clone();
    several["metadata"]["labels"] = json!({"app.kubernetes.io/instance": "split"});
    remove("Deployment", "serin")(&mut snapshot);
    add("StatefulSet", several)(&mut snapshot);
    snapshot.controller = Ok(Page(
        "# TYPE serin_rollout_phase gauge\nserin_plugin_failing{plugin=\"models/serin\"} 1\n".to_owned(),
    ));
    snapshot.prometheus.as_mut().unwrap().sidecars.clear();
    remove("VirtualService", "ranker")(&mut snapshot);
    let report = examine(&snapshot);
    let mends: String = report.findings.iter().map(|one| format!("{}\n", one.mend)).collect();
    for part in [
        "kubectl -n serin-system logs statefulset/serin -c serin",
        "helm upgrade split istio/chart --namespace serin-system --reuse-values --set monitoring",
        "{name: ranker, namespace: models}, arms: [canary], and helm upgrade split istio/chart --namespace serin-system",
    ] {
        assert!(mends.contains(part), "{part} is not in {mends}");
    }
    assert!(!mends.contains("services[0]") && !mends.contains("deploy/"), "{mends}");
}
