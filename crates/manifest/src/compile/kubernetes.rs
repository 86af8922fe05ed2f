//! What the controller does in Kubernetes.

use super::{Check, span};
use crate::typed::{KubernetesHandBack, KubernetesKeepWarm, KubernetesReady, KubernetesWorkload};
use crate::workload::{ReadyOf, ReadyWorkloads, WorkloadChange, WorkloadWhat};

const TEN_MINUTES_MS: u64 = 600_000;

/// `None`: it cannot be done, which is said.
pub(super) fn hand_back(check: &mut Check, written: KubernetesHandBack) -> Option<WorkloadChange> {
    let at = "spec.handBack.kubernetes";
    let KubernetesHandBack { namespace, deployment, container, image, service, selector, timeout } = written;
    let namespace = namespace_of(check, at, namespace);
    let timeout_ms = time(check, at, timeout);
    let what = match (deployment, service) {
        (Some(deployment), service) if selector.is_empty() => {
            name(check, &format!("{at}.deployment"), &deployment);
            if let Some(service) = &service {
                name(check, &format!("{at}.service"), service);
            }
            let Some(image) = image else {
                let remedy = "write it with {{version}} in the place of the version, such as registry.example.com/ranker:{{version}}";
                check.refuse(format!("{at}.image"), "the Deployment's new image is not named", remedy);
                return None;
            };
            has_place(check, &format!("{at}.image"), &image);
            WorkloadWhat::Image { deployment, container, image, service }
        }
        (None, Some(service)) if !selector.is_empty() => {
            name(check, &format!("{at}.service"), &service);
            for (field, given) in [("container", container.is_some()), ("image", image.is_some())] {
                if given {
                    let remedy = "leave it out, or name the `deployment` in place of the `selector`";
                    check.refuse(format!("{at}.{field}"), "a Service has none", remedy);
                }
            }
            if !selector.values().any(|value| WorkloadChange::has_place(value)) {
                let remedy = "write {{version}} in one of its values";
                check.refuse(
                    format!("{at}.selector"),
                    "it would select the same pods for every version",
                    remedy,
                );
            }
            WorkloadWhat::Selector { service, labels: selector }
        }
        _ => {
            let remedy = "give `deployment` and `image`, or `service` and `selector`";
            check.refuse(
                at,
                "it is not exactly one of a Deployment's image and a Service's selector",
                remedy,
            );
            return None;
        }
    };
    Some(WorkloadChange { namespace, what, timeout_ms })
}

/// What puts the old version behind the canary route, and what scales it down when its time is over.
pub(super) fn keep_warm(
    check: &mut Check,
    written: KubernetesKeepWarm,
) -> (WorkloadChange, Option<WorkloadChange>) {
    let at = "spec.keepWarm.kubernetes";
    let KubernetesKeepWarm { namespace, deployment, container, image, replicas, timeout } = written;
    let namespace = namespace_of(check, at, namespace);
    let timeout_ms = time(check, at, timeout);
    name(check, &format!("{at}.deployment"), &deployment);
    has_place(check, &format!("{at}.image"), &image);
    let change = |what| WorkloadChange { namespace: namespace.clone(), what, timeout_ms };
    let scale = replicas.map(|replicas| {
        let (deployment, container, image) = (deployment.clone(), container.clone(), image.clone());
        change(WorkloadWhat::Scale { deployment, container, image, replicas })
    });
    (change(WorkloadWhat::Image { deployment, container, image, service: None }), scale)
}

/// `None`: nothing is to be counted, which is said.
pub(super) fn ready(check: &mut Check, written: KubernetesReady, several: bool) -> Option<ReadyWorkloads> {
    let at = "spec.ready.kubernetes";
    let KubernetesReady { namespace, service, canary, stable } = written;
    let namespace = namespace_of(check, at, namespace);
    let of = match (service, canary) {
        (Some(service), None) if stable.is_none() => {
            name(check, &format!("{at}.service"), &service);
            ReadyOf::Arms { service }
        }
        (None, Some(canary)) => {
            for (field, workload) in [("canary", Some(&canary)), ("stable", stable.as_ref())] {
                match workload {
                    Some(KubernetesWorkload::Service(it)) => {
                        name(check, &format!("{at}.{field}.service"), it)
                    }
                    Some(KubernetesWorkload::Deployment(it)) => {
                        name(check, &format!("{at}.{field}.deployment"), it);
                    }
                    None => {}
                }
            }
            if several {
                let remedy = "write `service`: pods are told apart by their label serin.dev/arm then";
                check.refuse(format!("{at}.canary"), "there are further versions on trial", remedy);
            }
            ReadyOf::Each { canary, stable }
        }
        _ => {
            let remedy = "give `service`, or `canary` (and `stable`)";
            check.refuse(at, "it is not exactly one of a Service and the versions' own workloads", remedy);
            return None;
        }
    };
    Some(ReadyWorkloads { namespace, of })
}

/// A rollout of one namespace changes nothing in another.
fn namespace_of(check: &mut Check, at: &str, written: Option<String>) -> String {
    let own = check.namespace.clone();
    match (written, own) {
        (None, own) => own.unwrap_or_else(|| "default".to_owned()),
        (Some(written), own) => {
            name(check, &format!("{at}.namespace"), &written);
            if let Some(own) = own.filter(|own| *own != written) {
                let what = format!("the rollout is of namespace {own:?}");
                check.refuse(format!("{at}.namespace"), what, format!("write {own}, or leave it out"));
            }
            written
        }
    }
}

fn time(check: &mut Check, at: &str, written: Option<crate::Span>) -> u64 {
    let ms = span(written, TEN_MINUTES_MS);
    if ms == 0 {
        let remedy = "write a time such as 10m, or leave the field out";
        check.refuse(format!("{at}.timeout"), "no pod is ready at once", remedy);
    }
    ms
}

fn has_place(check: &mut Check, at: &str, text: &str) {
    if !WorkloadChange::has_place(text) {
        let remedy =
            "write {{version}} where the version stands, such as registry.example.com/ranker:{{version}}";
        check.refuse(at, "every version would have the same image", remedy);
    }
}

/// As objects of Kubernetes are called.
fn name(check: &mut Check, at: &str, name: &str) {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if bytes.len() > 253 || !name.bytes().all(plain) || !ends(bytes.first()) || !ends(bytes.last()) {
        let remedy = "write its name as kubectl shows it, such as ranker-canary";
        check.refuse(at, format!("{name:?} is no name of an object"), remedy);
    }
}
