//! A change from one version to another: one pass over what is left to do.

use std::collections::{BTreeMap, BTreeSet};

use manifest::{WorkloadChange, WorkloadWhat};
use serde_json::{Value, json};

use super::objects::{Condition, Deployment, PodList, Service};
use super::{Kind, Undone, Workloads, ready};

type Labels = BTreeMap<String, String>;

/// `made`: it was seen made by an earlier pass, or is from now on. What is otherwise then was put back by somebody, and stays.
pub async fn pass(
    workloads: &Workloads,
    change: &WorkloadChange,
    from: &[String],
    to: &str,
    made: &mut bool,
) -> Result<(), Undone> {
    let namespace = change.namespace.as_str();
    let all_filled =
        |text: &str| -> Vec<String> { from.iter().map(|from| WorkloadChange::filled(text, from)).collect() };
    match &change.what {
        WorkloadWhat::Image { deployment, container, image, service } => {
            let place = Place { namespace, name: deployment, container: container.as_deref() };
            let after = WorkloadChange::filled(image, to);
            set_image(workloads, &place, &all_filled(image), &after, made).await?;
            rolled_out(workloads, &place, &after).await?;
            match service {
                Some(service) => has_endpoints(workloads, namespace, service).await,
                None => Ok(()),
            }
        }
        WorkloadWhat::Selector { service, labels } => {
            let filled = |version: &str| -> Labels {
                let of = |value: &String| WorkloadChange::filled(value, version);
                labels.iter().map(|(key, value)| (key.clone(), of(value))).collect()
            };
            let before: Vec<Labels> = from.iter().map(|from| filled(from)).collect();
            let selector = select(workloads, (namespace, service), &before, &filled(to), made).await?;
            switched(workloads, (namespace, service), &selector).await
        }
        WorkloadWhat::Scale { deployment, container, image, replicas } => {
            let place = Place { namespace, name: deployment, container: container.as_deref() };
            scale(workloads, &place, &all_filled(image), *replicas).await
        }
    }
}

/// A container of a Deployment.
struct Place<'a> {
    namespace: &'a str,
    name: &'a str,
    container: Option<&'a str>,
}

impl Place<'_> {
    fn words(&self) -> String {
        format!("Deployment {}/{}", self.namespace, self.name)
    }

    async fn read(&self, workloads: &Workloads) -> Result<Deployment, Undone> {
        workloads.get(Kind::Deployment, self.namespace, self.name).await
    }

    /// Where the container stands, and its image.
    fn image<'d>(&self, deployment: &'d Deployment) -> Result<(usize, &'d str), Undone> {
        let all = &deployment.spec.template.spec.containers;
        let names = || all.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = match (self.container, all.as_slice()) {
            (None, [only]) => Ok((0, only)),
            (None, _) => {
                Err(format!("{} has several containers: {}; name one as `container`", self.words(), names()))
            }
            (Some(name), _) => all.iter().enumerate().find(|(_, it)| it.name == name).ok_or_else(|| {
                format!("{} has no container {name:?}; name one of {} as `container`", self.words(), names())
            }),
        };
        found.map(|(at, container)| (at, container.image.as_str())).map_err(Undone::ForGood)
    }
}

async fn set_image(
    workloads: &Workloads,
    place: &Place<'_>,
    before: &[String],
    after: &str,
    made: &mut bool,
) -> Result<(), Undone> {
    let deployment = place.read(workloads).await?;
    let (at, present) = place.image(&deployment)?;
    if present == after {
        *made = true;
        return Ok(());
    }
    if *made {
        return Err(put_back(&place.words(), present, after));
    }
    if !before.iter().any(|before| before == present) {
        return Err(Undone::ForGood(format!(
            "{}: spec.template.spec.containers[{at}].image is {present}, which is neither {} nor {after}: somebody else changes \
             it; put one of the two there, or correct `image`",
            place.words(),
            before.join(" nor ")
        )));
    }
    let operations = json!([
        // 409 where somebody changed it since it was read.
        {"op": "replace", "path": "/metadata/resourceVersion", "value": deployment.metadata.resource_version},
        {"op": "replace", "path": format!("/spec/template/spec/containers/{at}/image"), "value": after},
    ]);
    workloads.patch(Kind::Deployment, (place.namespace, place.name), operations).await?;
    *made = true;
    tracing::info!("{} was given the image {after}", place.words());
    Ok(())
}

fn put_back(what: &str, present: &str, after: &str) -> Undone {
    Undone::ForGood(format!(
        "{what}: {after} was put there, and somebody put {present} back; find out who, then ask for the hand-back again: serin \
         promote, or serin abort"
    ))
}

/// Is every pod of the image, and available?
async fn rolled_out(workloads: &Workloads, place: &Place<'_>, image: &str) -> Result<(), Undone> {
    let deployment = place.read(workloads).await?;
    let (namespace, name) = (place.namespace, place.name);
    let wanted = deployment.spec.replicas.unwrap_or(1);
    if wanted == 0 {
        return Err(Undone::ForGood(format!(
            "{} has 0 replicas, so nothing would serve {image}: kubectl -n {namespace} scale deployment {name} --replicas=...",
            place.words()
        )));
    }
    if deployment.spec.paused {
        return Err(Undone::ForGood(format!(
            "{} is paused, so {image} is not rolled out: kubectl -n {namespace} rollout resume deployment {name}",
            place.words()
        )));
    }
    let status = &deployment.status;
    let seen = status.observed_generation >= deployment.metadata.generation;
    let (updated, available) = (status.updated_replicas, status.available_replicas);
    if seen && updated >= wanted && status.replicas == updated && available >= wanted {
        return Ok(());
    }
    let stuck = |one: &&Condition| {
        one.r#type == "Progressing" && one.status == "False" && one.reason == "ProgressDeadlineExceeded"
    };
    if let Some(stuck) = status.conditions.iter().find(stuck).filter(|_| seen) {
        return Err(Undone::ForGood(format!("{} does not get on: {}", place.words(), stuck.message)));
    }
    Err(Undone::NotYet(if seen {
        format!(
            "{}: of {wanted} pods {updated} have {image} and {available} are available, and {} are there",
            place.words(),
            status.replicas
        )
    } else {
        format!("{}: its controller has not seen the change yet", place.words())
    }))
}

async fn has_endpoints(workloads: &Workloads, namespace: &str, service: &str) -> Result<(), Undone> {
    if ready::slices(workloads, namespace, service).await?.ready().is_empty() {
        return Err(Undone::NotYet(format!("Service {namespace}/{service} has no ready endpoint")));
    }
    Ok(())
}

/// Has the Service select other pods; what it selects then.
async fn select(
    workloads: &Workloads,
    (namespace, service): (&str, &str),
    before: &[Labels],
    after: &Labels,
    made: &mut bool,
) -> Result<Labels, Undone> {
    let object: Service = workloads.get(Kind::Service, namespace, service).await?;
    let present = &object.spec.selector;
    let has = |labels: &Labels| labels.iter().all(|(key, value)| present.get(key) == Some(value));
    if has(after) {
        *made = true;
        return Ok(present.clone());
    }
    if *made {
        return Err(put_back(&format!("Service {namespace}/{service}"), &shown(present), &shown(after)));
    }
    if !before.iter().any(has) {
        let before: Vec<String> = before.iter().map(shown).collect();
        return Err(Undone::ForGood(format!(
            "Service {namespace}/{service}: spec.selector is {}, which has neither {} nor {}: somebody else changes it; put one \
             of the two there, or correct `selector`",
            shown(present),
            before.join(" nor "),
            shown(after)
        )));
    }
    let mut selector = present.clone();
    selector.extend(after.clone());
    // Nobody is sent to where nobody is.
    if ready_pods(workloads, namespace, &selector).await?.is_empty() {
        return Err(Undone::NotYet(format!(
            "no pod with {} is ready, so Service {namespace}/{service} is left as it is",
            shown(&selector)
        )));
    }
    let mut operations = vec![
        json!({"op": "replace", "path": "/metadata/resourceVersion", "value": object.metadata.resource_version}),
    ];
    for (key, value) in after {
        let path = format!("/spec/selector/{}", key.replace('~', "~0").replace('/', "~1"));
        operations.push(json!({"op": "replace", "path": path, "value": value}));
    }
    workloads.patch(Kind::Service, (namespace, service), Value::Array(operations)).await?;
    *made = true;
    tracing::info!("Service {namespace}/{service} selects {}", shown(&selector));
    Ok(selector)
}

/// Are the Service's ready endpoints the ready pods that it selects, and no others?
async fn switched(
    workloads: &Workloads,
    (namespace, service): (&str, &str),
    selector: &Labels,
) -> Result<(), Undone> {
    let pods = ready_pods(workloads, namespace, selector).await?;
    let slices = ready::slices(workloads, namespace, service).await?;
    let there = slices.ready();
    if !pods.is_empty() && there.iter().copied().eq(pods.iter().map(String::as_str)) {
        return Ok(());
    }
    Err(Undone::NotYet(format!(
        "Service {namespace}/{service} has {} ready endpoints, and {} pods with {} are ready",
        there.len(),
        pods.len(),
        shown(selector)
    )))
}

async fn ready_pods(
    workloads: &Workloads,
    namespace: &str,
    labels: &Labels,
) -> Result<BTreeSet<String>, Undone> {
    let pods: PodList = workloads.list(Kind::Pod, namespace, &shown(labels)).await?;
    let ready = pods.items.into_iter().filter(crate::pods::Told::is_ready);
    Ok(ready.map(|pod| pod.metadata.name).collect())
}

fn shown(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Scales a Deployment, if it runs a version that is over; what runs another is somebody else's by now.
async fn scale(
    workloads: &Workloads,
    place: &Place<'_>,
    over: &[String],
    replicas: u32,
) -> Result<(), Undone> {
    let deployment = place.read(workloads).await?;
    let (_, present) = place.image(&deployment)?;
    if !over.iter().any(|over| over == present) {
        let over = over.join(", ");
        tracing::info!("{} is left as it is: it runs {present}, and {over} is over", place.words());
        return Ok(());
    }
    if deployment.spec.replicas == Some(replicas) {
        return Ok(());
    }
    let operations = json!([
        {"op": "replace", "path": "/metadata/resourceVersion", "value": deployment.metadata.resource_version},
        {"op": "add", "path": "/spec/replicas", "value": replicas},
    ]);
    workloads.patch(Kind::Deployment, (place.namespace, place.name), operations).await?;
    tracing::info!("{} was scaled to {replicas}: {present} is over", place.words());
    Ok(())
}
