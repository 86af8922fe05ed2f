use super::*;

const fn held(generation: u64, unix_ms: u64) -> Acknowledged {
    Acknowledged { generation, unix_ms, latency_ms: None }
}

#[track_caller]
fn check(registry: &Registry, id: &str, streams: usize, generation: Option<u64>) {
    let node = &registry.nodes().0[id];
    assert_eq!((node.streams, node.acknowledged.map(|held| held.generation)), (streams, generation));
}

fn at(cluster: &str) -> Place<'_> {
    Place { cluster, ..Place::default() }
}

#[test]
fn a_region_is_asked_for_its_own_nodes_alone() {
    let mut registry = Registry::default();
    for (id, region, stream) in [("a", "eu", 1), ("b", "us", 2), ("c", "", 3)] {
        registry.connected(id, Place { cluster: "", region }, stream, 10);
    }
    let held = Acknowledged { generation: 4, unix_ms: 11, latency_ms: None };
    registry.acknowledged("a", 1, held);
    let nodes = registry.nodes();
    let of = |region| {
        let quorum = nodes.ranks(region).quorum(4);
        (quorum.connected, quorum.holding)
    };
    assert_eq!(
        (of(None), of(Some("eu")), of(Some("us")), of(Some("asia"))),
        ((3, 1), (1, 1), (1, 0), (0, 0))
    );
    assert_eq!(nodes.regions().into_iter().collect::<Vec<_>>(), ["eu", "us"]);
}

#[test]
fn a_node_holds_what_all_its_streams_hold() {
    let mut registry = Registry::default();
    registry.connected("a", at("c"), 1, 10);
    check(&registry, "a", 1, None);
    registry.acknowledged("a", 1, held(5, 11));
    check(&registry, "a", 1, Some(5));
    registry.connected("a", at("c"), 2, 12);
    check(&registry, "a", 2, None);
    registry.acknowledged("a", 2, held(4, 13));
    check(&registry, "a", 2, Some(4));
    registry.acknowledged("a", 2, held(5, 14));
    assert_eq!(registry.nodes().0["a"].acknowledged, Some(held(5, 14)), "when the last of them had it");
    registry.disconnected("a", 2, 15);
    check(&registry, "a", 1, Some(5));
    registry.disconnected("a", 1, 16);
    check(&registry, "a", 0, Some(5));
    assert_eq!(registry.nodes().0["a"].disconnected_unix_ms, Some(16));
    registry.connected("a", at("c"), 3, 17);
    check(&registry, "a", 1, None);
    assert_eq!(registry.nodes().0["a"].disconnected_unix_ms, None);
}

#[test]
fn a_refusal_stays_on_record() {
    let mut registry = Registry::default();
    registry.connected("a", at("c"), 1, 10);
    let refused = Refused { generation: 2, unix_ms: 11, reason: "why".to_owned() };
    let event = registry.refused("a", refused.clone()).unwrap();
    assert_eq!(event.what, What::Refused { generation: 2, reason: "why".to_owned() });
    registry.acknowledged("a", 1, held(3, 12));
    let node = &registry.nodes().0["a"];
    assert_eq!((node.refused.as_ref(), node.holds(3), node.holds(4)), (Some(&refused), true, false));
}

#[test]
fn a_quorum_asks_those_who_are_there() {
    let mut registry = Registry::default();
    for (stream, id) in (1..).zip(["a", "b", "c"]) {
        registry.connected(id, at(""), stream, 10);
    }
    registry.acknowledged("a", 1, held(7, 11));
    registry.acknowledged("b", 2, held(6, 11));
    registry.acknowledged("c", 3, held(7, 11));
    registry.disconnected("c", 3, 12);
    registry.connected("d", at(""), 4, 12);
    let nodes = registry.nodes();
    for (generation, holding, behind) in
        [(5, 2, vec!["d"]), (6, 2, vec!["d"]), (7, 1, vec!["b", "d"]), (8, 0, vec!["a", "b", "d"])]
    {
        let behind = behind.into_iter().map(str::to_owned).collect();
        assert_eq!(nodes.quorum(generation), Quorum { connected: 3, holding, behind }, "{generation}");
    }
}

#[test]
fn those_long_gone_are_dropped_and_those_connected_never() {
    let mut registry = Registry::default();
    registry.connected("here", at(""), 0, 0);
    for stream in 1..=GONE_KEPT as u64 + 5 {
        let id = format!("pod-{stream}");
        registry.connected(&id, at(""), stream, stream);
        registry.disconnected(&id, stream, stream);
    }
    let nodes = registry.nodes();
    assert_eq!(nodes.0.len(), GONE_KEPT + 1);
    assert!(nodes.0.contains_key("here") && !nodes.0.contains_key("pod-5") && nodes.0.contains_key("pod-6"));
    registry.forget("here");
    registry.forget("pod-6");
    let nodes = registry.nodes();
    assert!(nodes.0.contains_key("here") && !nodes.0.contains_key("pod-6"));
}

#[test]
fn strangers_without_end_take_no_place_of_those_who_are_there() {
    let mut registry = Registry::default();
    for stream in 0..MOST {
        let id = format!("node-{stream}");
        assert!(registry.has_room(&id));
        registry.connected(&id, at("c"), stream as u64, 10);
    }
    assert!(!registry.has_room("another") && registry.has_room("node-7"));
    for stream in 0..GONE_KEPT + 1 {
        registry.disconnected(&format!("node-{stream}"), stream as u64, 11 + stream as u64);
    }
    assert!(registry.has_room("another"), "the one longest gone made room");
}

#[test]
fn pods_are_named_by_istios_node_ids() {
    for (node, expected) in [
        ("sidecar~10.0.0.7~storefront-1.models~models.svc.cluster.local", Some("models/storefront-1")),
        ("router~10.0.0.7~gate.v2-7f.istio-system~x", Some("istio-system/gate.v2-7f")),
        ("edge-1", None),
        ("sidecar~10.0.0.7~storefront~x", None),
        ("sidecar~10.0.0.7~.models~x", None),
    ] {
        assert_eq!(pod(node).as_deref(), expected, "{node}");
    }
}
