//! What sidecars, the controller and Prometheus say of themselves.

use std::collections::BTreeMap;

use serde_json::Value;
use tally::metric;

use super::filter::{Plugin, ours};
use super::{helm, say, workload};
use crate::report::Found;
use crate::snapshot::{Snapshot, items, name_of, namespace_of, text};

/// Older counts than this take a canary back, by default.
const OLD_MS: u64 = 30_000;

/// Clocks that differ by less are the same.
const SAME_CLOCK_MS: u64 = 2_000;

pub fn proxies(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    if snapshot.proxies.is_empty() {
        return Err(
            "no sidecar's page was read: name some by --proxy-metrics http://POD-IP:15020/stats/prometheus"
                .to_owned(),
        );
    }
    let policies = ours(snapshot)?.into_iter().filter_map(|plugin| plugin.policy()?.ok());
    let newest = policies.map(|policy| (policy.incarnation, policy.generation)).max();
    for proxy in &snapshot.proxies {
        let page = match &proxy.page {
            Ok(page) if page.is_of_metrics() => page,
            Ok(_) => {
                found.unseen(format!("the page of {} is none of metrics", proxy.name));
                continue;
            }
            Err(why) => {
                found.unseen(format!("the page of {}: {why}", proxy.name));
                continue;
            }
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // whole and not negative
        let gauge = |name: &str| page.value(&tally::gauge(name, &[])).map(|value| value as u64);
        let object = format!("the sidecar of {}", proxy.name);
        match (gauge(metric::filter::POLICY_GENERATION), newest) {
            (None, _) => found.fault(
                object.clone(),
                say(
                    "it runs no policy of Serin",
                    "its requests go to stable, uncounted. The module may not have been fetched, or its digest may be another's; istiod counts such a sidecar as fine",
                    format!("kubectl logs {} -c istio-proxy | grep -i wasm; then see url and sha256 of the plugin, and that the pod's labels were there when it started", pod(&proxy.name)),
                ),
            ),
            (Some(generation), Some(newest)) => {
                let theirs = (gauge(metric::filter::POLICY_INCARNATION).unwrap_or(newest.0), generation);
                if theirs < newest {
                    found.fault(
                        object.clone(),
                        say(
                            format!("it runs generation {generation}, and the plugin holds {}", newest.1),
                            "a rollout's stage begins when a quorum runs its weights",
                            format!("istioctl proxy-status {}; kubectl logs -n istio-system deploy/istiod | grep 'Unable to create Wasm'", pod(&proxy.name)),
                        ),
                    );
                }
            }
            _ => {}
        }
        let refused_total = tally::gauge(metric::filter::POLICY_REFUSED_TOTAL, &[]);
        for refused in page.samples(&refused_total).filter(|refused| refused.value > 0.0) {
            if refused.label("reason") != "stale" {
                found.fault(
                    object.clone(),
                    say(
                        format!("it refused {} policies ({})", refused.value, refused.label("reason")),
                        "the last good one stays in force there; Kubernetes shows nothing of it",
                        format!("kubectl logs {} -c istio-proxy | grep serin; is the filter as new as the controller?", pod(&proxy.name)),
                    ),
                );
            }
        }
        if page.is_flat() {
            found.fault(
                object,
                say(
                    "its counters have no labels",
                    "every counter has one long name of its own; versions may be taken for one another",
                    "kubectl patch deployment CALLER --patch-file istio/stats-tags.yaml (its pods restart)",
                ),
            );
        }
    }
    Ok(())
}

/// How kubectl calls a pod of which we know `NAMESPACE/NAME`.
fn pod(name: &str) -> String {
    match name.split_once('/').filter(|_| !name.contains("://")) {
        Some((namespace, name)) => format!("-n {namespace} {name}"),
        None => "POD".to_owned(),
    }
}

pub fn controller(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    let page = snapshot.controller.as_ref().map_err(Clone::clone)?;
    if page.value(metric::LEADS) == Some(0.0) {
        let leader = page.samples(metric::LEADER).find(|one| one.value > 0.0);
        let leader = leader.map(|one| one.label("leader").to_owned()).filter(|leader| !leader.is_empty());
        return Err(format!(
            "that replica does not decide; ask the leader: {}, and --controller http://127.0.0.1:7070",
            match leader {
                Some(leader) => format!("kubectl -n {} port-forward pod/{leader} 7070", snapshot.namespace),
                None => "kubectl port-forward to another replica (none leads now, as this one knows it)"
                    .to_owned(),
            }
        ));
    }
    // Every controller has it on its page, be it without a rollout.
    if !page.has(metric::ROLLOUT_PHASE) {
        return Err(format!(
            "what answers is no controller: {} is not on its page of metrics",
            metric::ROLLOUT_PHASE
        ));
    }
    for failing in page.samples(metric::PLUGIN_FAILING).filter(|failing| failing.value > 0.0) {
        found.fault(
            format!("plugin {}", failing.label("plugin")),
            say(
                "the controller cannot write it",
                "weights cannot change by it",
                format!(
                    "kubectl -n {} logs {} -c serin | grep 'cannot be written'",
                    snapshot.namespace,
                    workload(snapshot)
                ),
            ),
        );
    }
    if let Some(delay) = page.value(metric::COUNTS_DELAY_SECONDS).filter(|delay| *delay * 1e3 > 30_000.0) {
        found.fault(
            "the controller",
            say(
                format!("the counts it judges by are {delay:.0} s old"),
                "a canary is taken back when they are older than noData.after (30 s by default)",
                "scrape every 10 s or 15 s, or write a longer noData.after",
            ),
        );
    }
    for held in page.samples(metric::ROLLOUT_ATTENTION).filter(|held| held.value > 0.0) {
        found.warning(
            format!("rollout {}", held.label("rollout")),
            say(
                format!("it needs attention: {}", held.label("kind")),
                "something holds or blinds it",
                format!("serin get {}", held.label("rollout")),
            ),
        );
    }
    Ok(())
}

pub fn prometheus(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    let said = snapshot.prometheus.as_ref().map_err(Clone::clone)?;
    let object = || format!("Prometheus {}", said.url);
    if said.sidecars.is_empty() {
        found.fault(
            object(),
            say(
                "it has no sample of the filter's (serin_policy_generation)",
                "with serin run --prometheus no gate has evidence, and noData takes a canary back",
                scrape(snapshot),
            ),
        );
    }
    let deciding = deciding(snapshot)?;
    for (namespace, pods) in &deciding {
        let here: Vec<_> = said.sidecars.iter().filter(|one| one.namespace == *namespace).collect();
        let lacking: Vec<&str> =
            pods.iter().copied().filter(|pod| !here.iter().any(|one| one.pod == *pod)).collect();
        // Where series do not name their pods, they are counted; where they name no namespace, all together.
        let (known, of) = if !here.is_empty() && here.iter().all(|one| !one.pod.is_empty()) {
            (pods.len() - lacking.len(), pods.len())
        } else if said.sidecars.iter().all(|one| one.namespace.is_empty()) {
            (said.sidecars.len(), deciding.values().map(Vec::len).sum())
        } else {
            (here.len(), pods.len())
        };
        if known < of && !said.sidecars.is_empty() {
            found.fault(
                object(),
                say(
                    format!(
                        "it has samples of {known} of the {of} sidecars that decide in {namespace} (not of {}{})",
                        lacking.iter().take(3).copied().collect::<Vec<_>>().join(", "),
                        if lacking.len() > 3 { ", ..." } else { "" }
                    ),
                    "what the others count is missing: gates wait for the quorum, or judge by a part",
                    scrape(snapshot),
                ),
            );
        }
    }
    // A pod that is gone may have samples for minutes.
    let lives = |namespace: &str, pod: &str| {
        pod.is_empty() || deciding.get(namespace).is_none_or(|pods| pods.contains(&pod))
    };
    let ages = said.sidecars.iter().filter(|one| lives(&one.namespace, &one.pod));
    if let Some(age_ms) = ages.map(|one| one.age_ms).max().filter(|age_ms| *age_ms > OLD_MS) {
        found.fault(
            object(),
            say(
                format!("the newest sample of a sidecar is {} s old", age_ms / 1_000),
                "a canary is taken back when counts are older than noData.after (30 s by default)",
                "scrape every 10 s or 15 s, or write a longer noData.after",
            ),
        );
    }
    if said.failing > 0 {
        found.warning(
            object(),
            say(
                format!("it cannot scrape {} targets of the callers' namespaces", said.failing),
                "what those sidecars count is missing: gates wait for the quorum",
                format!("open {}/targets", said.url),
            ),
        );
    }
    if said.flat {
        found.fault(
            object(),
            say(
                "counters of the filter have no labels there",
                "rules and dashboards see nothing, and versions may be taken for one another",
                "kubectl patch deployment CALLER --patch-file istio/stats-tags.yaml (its pods restart)",
            ),
        );
    }
    Ok(())
}

/// How Prometheus comes by the sidecars' counters.
fn scrape(snapshot: &Snapshot) -> String {
    format!("scrape the sidecars: {}", helm(snapshot, "--set monitoring.podMonitor.enabled=true"))
}

/// The running pods that decide and have a sidecar, by namespace.
fn deciding(snapshot: &Snapshot) -> Result<BTreeMap<&str, Vec<&str>>, String> {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let has_sidecar = |pod: &Value| {
        let mut containers = items(pod, "/spec/containers").chain(items(pod, "/spec/initContainers"));
        containers.any(|container| text(container, "/name") == "istio-proxy")
    };
    for plugin in ours(snapshot)?.iter().filter(|plugin| plugin.selector().is_object()) {
        for pod in snapshot.pods(namespace_of(plugin.object), Plugin::selector(plugin))? {
            let pods = all.entry(namespace_of(pod)).or_default();
            if has_sidecar(pod)
                && matches!(text(pod, "/status/phase"), "" | "Running")
                && !pods.contains(&name_of(pod))
            {
                pods.push(name_of(pod));
            }
        }
    }
    Ok(all)
}

pub fn clocks(snapshot: &Snapshot, found: &mut Found) -> Result<(), String> {
    if snapshot.clocks.is_empty() {
        return Err("nobody said what time it is: neither the API server nor Prometheus".to_owned());
    }
    for clock in &snapshot.clocks {
        if clock.ahead_ms.unsigned_abs() >= SAME_CLOCK_MS {
            let word = if clock.ahead_ms > 0 { "ahead" } else { "behind" };
            found.warning(
                clock.of.clone(),
                say(
                    format!("its clock is {} s {word} of this machine's", clock.ahead_ms.unsigned_abs() / 1_000),
                    "windows, freezes and the age of samples are reckoned by clocks; leases and stages are not",
                    "chronyc tracking on both machines",
                ),
            );
        }
    }
    Ok(())
}
