//! What the controller's service account must be allowed, by what the controller is started with, and what it never needs.

#![allow(clippy::indexing_slicing, reason = "a JSON value is indexed by name, and what is not there is null")]

use std::collections::BTreeSet;

use doctor::{Arguments, Right};
use istio::{Client, Deed, installation};
use serde_json::Value;

use super::read::{Objects, is_silent, metadata};

/// Asks for each of them; for none, for that reason, where the API server was `silent` before.
pub async fn ask(
    client: &Client,
    namespace: &str,
    objects: &Objects,
    plugins: &[(String, String)],
    mut silent: Option<String>,
) -> Vec<(Right, Result<bool, String>)> {
    let of = |kind: &str| objects.get(kind).and_then(|read| read.as_deref().ok()).unwrap_or_default();
    let own = of("Deployment").iter().chain(of("StatefulSet"));
    let mut own = own.filter(|one| metadata(one, "namespace") == Some(namespace));
    let controller = own.find_map(|one| Some((account(one), Arguments::of(one)?)));
    let (account, mut rights) = match &controller {
        Some((account, arguments)) => (*account, needed(arguments)),
        // The chart's, where its workload cannot be read.
        None => ("serin", Vec::new()),
    };
    for (namespace, name) in plugins {
        let is_wasm = of("WasmPlugin")
            .iter()
            .any(|one| metadata(one, "namespace") == Some(namespace) && metadata(one, "name") == Some(name));
        let resource = if is_wasm { "wasmplugins" } else { "trafficextensions" };
        rights.extend(to(namespace, name, "extensions.istio.io", resource, &["get", "patch"]));
        for (verb, resource) in [("list", "secrets"), ("create", "pods")] {
            let never = to(namespace, "", "", resource, &[verb]);
            rights.extend(never.into_iter().map(|right| Right { needed: false, ..right }));
        }
    }
    let asker = (namespace, account);
    let mut asked: Vec<(Right, Result<bool, String>)> = Vec::new();
    for right in rights {
        let may = match &silent {
            Some(why) => Err(String::clone(why)),
            None => may(client, asker, &right).await,
        };
        silent = silent.or_else(|| may.as_ref().err().filter(|why| is_silent(why)).cloned());
        asked.push((right, may));
    }
    asked
}

async fn may(client: &Client, asker: (&str, &str), right: &Right) -> Result<bool, String> {
    let deed = |name| Deed {
        verb: right.verb,
        group: right.group,
        resource: right.resource,
        namespace: &right.namespace,
        name,
    };
    let may = installation::may(client, asker, deed(&right.name)).await?;
    if may || right.resource != "deployments" || !right.name.is_empty() {
        return Ok(may);
    }
    // The role may name those that take part.
    let namespaces = BTreeSet::from([right.namespace.clone()]);
    for one in installation::objects(client, "Deployment", &namespaces).await?.iter().take(50) {
        if installation::may(client, asker, deed(metadata(one, "name").unwrap_or_default())).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Kubernetes' own where none is named.
fn account(workload: &Value) -> &str {
    let spec = &workload["spec"]["template"]["spec"];
    let named = spec["serviceAccountName"].as_str().or_else(|| spec["serviceAccount"].as_str());
    named.filter(|name| !name.is_empty()).unwrap_or("default")
}

fn to(
    namespace: &str,
    name: &str,
    group: &'static str,
    resource: &'static str,
    verbs: &[&'static str],
) -> Vec<Right> {
    let right = |verb: &&'static str| Right {
        verb,
        group,
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        needed: true,
    };
    verbs.iter().map(right).collect()
}

/// What istio/README.md lists, beside the plugins'.
fn needed(arguments: &Arguments) -> Vec<Right> {
    let mut all = Vec::new();
    let mut needs = |namespace: &str, name: &str, group, resource, verbs: &[&'static str]| {
        all.extend(to(namespace, name, group, resource, verbs));
    };
    for namespace in arguments.values("--kubernetes-rollouts") {
        let namespace = if namespace == "all" { "" } else { namespace };
        needs(namespace, "", "serin.dev", "rollouts", &["list", "watch", "patch"]);
        needs(namespace, "", "serin.dev", "rollouts/status", &["patch"]);
        needs(namespace, "", "events.k8s.io", "events", &["create", "patch"]);
    }
    for (namespace, name) in
        arguments.values("--kubernetes-lease").into_iter().filter_map(|lease| lease.split_once('/'))
    {
        needs(namespace, "", "coordination.k8s.io", "leases", &["create"]);
        needs(namespace, name, "coordination.k8s.io", "leases", &["get", "update"]);
        needs(namespace, "", "", "configmaps", &["create", "delete", "get", "list", "update"]);
    }
    for namespace in arguments.values("--kubernetes-workloads") {
        needs(namespace, "", "apps", "deployments", &["get", "patch"]);
        needs(namespace, "", "discovery.k8s.io", "endpointslices", &["list"]);
        needs(namespace, "", "", "pods", &["list"]);
    }
    let pages = arguments.values("--proxy-metrics").into_iter();
    let namespaces: BTreeSet<&str> = pages
        .filter_map(|page| page.split_once("pods://")?.1.split('/').next())
        // By another cluster's kubeconfig.
        .filter(|namespace| !namespace.contains('@'))
        .collect();
    for namespace in namespaces {
        needs(if namespace == "*" { "" } else { namespace }, "", "", "pods", &["list", "watch"]);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(container: Value) -> Vec<String> {
        let workload = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
        let shown = |right: Right| {
            let name = if right.name.is_empty() { String::new() } else { format!("/{}", right.name) };
            format!("{} {}{name} in {:?}", right.verb, right.resource, right.namespace)
        };
        needed(&Arguments::of(&workload).unwrap()).into_iter().map(shown).collect()
    }

    #[test]
    fn rights_follow_from_what_the_controller_is_started_with() {
        for (arguments, number, one) in [
            (&["--kubernetes-rollouts=models,search"][..], 12, "patch rollouts/status in \"search\""),
            (&["--kubernetes-rollouts", "all"], 6, "watch rollouts in \"\""),
            (&["--kubernetes-lease=serin-system/serin"], 8, "update leases/serin in \"serin-system\""),
            (&["--kubernetes-lease=serin-system/serin"], 8, "delete configmaps in \"serin-system\""),
            (&["--kubernetes-workloads=models"], 4, "patch deployments in \"models\""),
            (&["--proxy-metrics=eu=pods://models/a=b:1/x,http://h/x"], 2, "watch pods in \"models\""),
            (&["--proxy-metrics=pods://*/a=b"], 2, "list pods in \"\""),
        ] {
            let args: Vec<&str> = ["run", "--ecds=x"].iter().chain(arguments).copied().collect();
            let found = of(json!({"args": args}));
            assert!(found.len() == number && found.contains(&one.to_owned()), "{arguments:?}: {found:?}");
        }
        assert_eq!(
            of(json!({"args": ["--ecds=x", "--istio-plugin=a/b", "--proxy-metrics=pods://a@c/d=e"]})),
            [""; 0]
        );
        let env = json!([{"name": "SERIN_KUBERNETES_LEASE", "value": "a/b"}]);
        assert_eq!(of(json!({"args": ["--ecds=x"], "env": env})).len(), 8);
    }

    #[test]
    fn an_account_that_is_not_named_is_the_default_one() {
        let with = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
        assert_eq!(account(&with(json!({}))), "default");
        assert_eq!(account(&with(json!({"serviceAccountName": "serin"}))), "serin");
    }
}
