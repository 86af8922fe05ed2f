//! Against a real Envoy: what this crate promises of its configuration, its server and its reading.
//!
//! `SERIN_ENVOY` names the binary; without it and without `envoy` on the path these tests say so and pass, except
//! where `CI` is set.

use std::time::Duration;

use crate::mesh::{self, Controller, Mesh, eventually, found};
use envoy::{
    EcdsFile, PolicySource,
    ecds::{Node, What},
    stats::{Admin, Counters, Mark},
};
use tally::Loss;

const CANARY: &str = "c1";
const REFUSED: &str = "r1";

#[tokio::test]
async fn serves_stable_with_no_controller_and_ignores_a_forged_header() {
    let Some(envoy) = found() else { return };
    let nobody = mesh::unused_address();
    let mesh = Mesh::start(&envoy, PolicySource::Grpc(nobody.into())).await;
    assert_eq!(mesh.get(&[]).await, "stable");
    assert_eq!(mesh.get(&[("x-serin-arm", "canary")]).await, "stable");
}

#[tokio::test]
async fn a_push_is_acknowledged_a_bad_one_refused_and_traffic_left_alone() {
    let Some(envoy) = found() else { return };
    for delta in [false, true] {
        let mut controller = Controller::start(1).await;
        let mesh = Mesh::start(&envoy, controller.source(delta)).await;
        let mut events = controller.ecds.events();

        controller.ecds.publish(1, "stable".to_owned());
        let node = controller.node("envoy-test", |node| node.holds(1)).await;
        assert_eq!(node.streams, 1);
        assert_eq!(mesh.get(&[]).await, "stable");

        controller.ecds.publish(2, CANARY.to_owned());
        let node = controller.node("envoy-test", |node| node.holds(2)).await;
        assert!(node.acknowledged.unwrap().latency_ms.is_some(), "the stream was open when it was published");
        mesh.until(&[], "canary").await;

        controller.ecds.publish(3, REFUSED.to_owned());
        let node = controller.node("envoy-test", |node| node.refused.is_some()).await;
        let refused = node.refused.clone().unwrap();
        assert_eq!((refused.generation, node.holds(3), node.holds(2)), (3, false, true));
        assert!(refused.reason.contains("serin"), "Envoy names the plugin: {}", refused.reason);
        assert_eq!(mesh.get(&[]).await, "canary", "what was in force stays in force");
        let snapshot = mesh.admin().read().await.unwrap();
        assert!(snapshot.refusals().contains_key("told_to"), "{:?}", snapshot.others);
        assert_eq!(snapshot.accepted_generation(1), Some(2));
        assert_eq!(controller.ecds.nodes().borrow().quorum(3).behind, ["envoy-test"]);

        controller.ecds.publish(4, "stable".to_owned());
        controller.node("envoy-test", |node| node.holds(4)).await;
        mesh.until(&[], "stable").await;

        let mut seen = Vec::new();
        while let Ok(event) = events.try_recv() {
            seen.push(match event.what {
                What::Brought { .. } => continue,
                What::Connected => "connected".to_owned(),
                What::Acknowledged { generation, .. } => format!("ack {generation}"),
                What::Refused { generation, .. } => format!("nack {generation}"),
                What::Disconnected => "gone".to_owned(),
            });
        }
        let answers: Vec<_> = seen.iter().filter(|what| what.contains("ck ")).map(String::as_str).collect();
        assert_eq!(answers, ["ack 1", "ack 2", "nack 3", "ack 4"], "delta: {delta}");

        controller.stop().await;
        drop(mesh);
    }
}

#[tokio::test]
async fn a_node_that_goes_stays_marked_and_one_that_comes_back_is_believed_only_by_its_own_store() {
    let Some(envoy) = found() else { return };
    let mut controller = Controller::start(1).await;
    let mesh = Mesh::start(&envoy, controller.source(false)).await;
    controller.ecds.publish(5, CANARY.to_owned());
    controller.node("envoy-test", |node| node.holds(5)).await;

    let address = controller.stop().await;
    let node = controller.node("envoy-test", |node| !node.is_connected()).await;
    assert!(node.holds(5) && node.disconnected_unix_ms.is_some());
    mesh.until(&[], "canary").await;

    // The same store: a number is no document, so the policy is sent over, and that counts.
    let mut same = Controller::start_at(address, 1).await;
    same.ecds.publish(5, CANARY.to_owned());
    let node = same.node("envoy-test", |node| node.acknowledged.is_some()).await;
    assert_eq!((node.brought, node.holds(5), node.holds(6)), (Some((1, 5)), true, false));
    let address = same.stop().await;

    // A new store: generation 5 of the old one says nothing, so the policy is sent.
    let mut other = Controller::start_at(address, 2).await;
    other.ecds.publish(5, "stable".to_owned());
    other.node("envoy-test", |node| node.holds(5)).await;
    mesh.until(&[], "stable").await;
    other.stop().await;
}

/// Envoy acknowledges bytes equal to those it has just refused; what we send is never equal.
#[tokio::test]
async fn what_was_refused_is_refused_again() {
    let Some(envoy) = found() else { return };
    let mut controller = Controller::start(1).await;
    let mesh = Mesh::start(&envoy, controller.source(false)).await;
    controller.ecds.publish(1, CANARY.to_owned());
    controller.node("envoy-test", |node| node.holds(1)).await;
    for generation in [2, 3] {
        controller.ecds.publish(generation, REFUSED.to_owned());
        let refused =
            |node: &Node| node.refused.as_ref().is_some_and(|refused| refused.generation == generation);
        assert!(!controller.node("envoy-test", refused).await.holds(2));
    }
    let address = controller.stop().await;

    let mut again = Controller::start_at(address, 1).await;
    again.ecds.publish(3, REFUSED.to_owned());
    let node = again.node("envoy-test", |node| node.refused.is_some()).await;
    assert!(node.brought == Some((1, 1)) && !node.holds(3), "{node:?}");
    assert_eq!(mesh.get(&[]).await, "canary");
    again.stop().await;
}

#[tokio::test]
async fn a_file_put_in_place_takes_effect() {
    let Some(envoy) = found() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = EcdsFile::new(directory.path(), mesh::resource(), 1);
    file.prepare().await.unwrap();
    let mesh = Mesh::start(&envoy, PolicySource::File(directory.path().to_owned())).await;
    assert_eq!(mesh.get(&[]).await, "stable");
    file.write(2, CANARY).await.unwrap();
    mesh.until(&[], "canary").await;
    file.write(3, REFUSED).await.unwrap();
    eventually("the refusal is counted", async || {
        mesh.admin().read().await.ok()?.refusals().contains_key("told_to").then_some(())
    })
    .await;
    assert_eq!(mesh.admin().read().await.unwrap().accepted_generation(1), Some(2));
    assert_eq!(mesh.get(&[]).await, "canary");
}

#[tokio::test]
async fn counts_come_back_and_a_restart_is_marked() {
    let Some(envoy) = found() else { return };
    let nobody = mesh::unused_address();
    let mut mesh = Mesh::start(&envoy, PolicySource::Grpc(nobody.into())).await;
    let admin = mesh.admin();
    let mut counters = Counters::new(Duration::from_secs(60), envoy::monotonic_ns());
    counters.expect(admin.source());
    let total = |interval: &envoy::stats::Interval| interval.counts.values().sum::<u64>();

    mesh.get(&[]).await;
    counters.observe(admin.read().await.unwrap());
    let first = counters.close(envoy::monotonic_ns());
    assert_eq!((total(&first), first.marks().next().unwrap().1), (0, &Mark::Lost(Loss::First)));
    assert_eq!(first.spans[0].node, "envoy-test");

    for _ in 0..7 {
        mesh.get(&[]).await;
    }
    counters.observe(admin.read().await.unwrap());
    let second = counters.close(envoy::monotonic_ns());
    assert!(second.is_whole(), "{second:?}");
    assert_eq!(total(&second), 7);
    let (series, _) = second.counts.keys().next().unwrap();
    assert_eq!((series.rollout.as_str(), series.version.as_str()), ("ranker", "v1.2"));

    mesh.restart().await;
    for _ in 0..9 {
        mesh.get(&[]).await;
    }
    counters.observe(admin.read().await.unwrap());
    let third = counters.close(envoy::monotonic_ns());
    assert_eq!((total(&third), third.marks().next().unwrap().1), (9, &Mark::Lost(Loss::Restarted)));

    mesh.stop().await;
    let error = admin.read().await.unwrap_err();
    assert_eq!(error.label(), "silent");
    assert!(error.to_string().contains(admin.source()), "{error}");
}

#[tokio::test]
async fn labels_reach_prometheus_whole() {
    let Some(envoy) = found() else { return };
    let mesh = Mesh::start(&envoy, PolicySource::Grpc(mesh::unused_address().into())).await;
    mesh.get(&[]).await;
    let text = mesh.admin_text("/stats/prometheus").await;
    let line = text.lines().find(|line| line.starts_with("serin_assigned_total{")).expect("our counter");
    for label in ["rollout=\"ranker\"", "version=\"v1.2\"", "arm=\"stable\"", "cause=\"weight\""] {
        assert!(line.contains(label), "{line}");
    }
}

#[tokio::test]
async fn something_that_is_no_envoy_is_named() {
    let address = mesh::model("not an envoy").await;
    let error = Admin::new(&format!("http://{address}")).unwrap().read().await.unwrap_err();
    assert_eq!(error.label(), "foreign");
}
