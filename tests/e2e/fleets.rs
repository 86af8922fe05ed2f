//! Several models behind one Envoy, and several regions under one controller.

use std::net::SocketAddr;

use api::PhaseName::RolledBack;
use api::RunView;
use serde_json::{Value, json};

use demo::load::{Load, LoadPlan};
use demo::model::Behaviour;
use tests::{EnvoyOptions, Models, Seen, Serin, alone};

/// Stages that good evidence of a few hundred requests ends.
const STAGES: &str = "
  stages:
    - {weight: 30%, bake: 1s, deadline: 5m}
    - {weight: 60%, bake: 1s, deadline: 5m}
    - {weight: 100%, bake: 1h, deadline: 3h}
  baseline: false
  gates: [{name: errors, metric: error_rate, against: stable, margin: 3x, passBelow: 10%, minSamples: 20}]
  guardrails: [{name: errors-limit, metric: error_rate, max: 30%}]
";

fn spec(name: &str, lines: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n{lines}{STAGES}"
    )
}

fn member<'v>(view: &'v Seen, name: &str) -> &'v RunView {
    view.members.iter().find(|member| member.run.name == name).expect("the member")
}

fn weight(view: &Seen, name: &str) -> u32 {
    member(view, name).run.weight_ppm
}

fn bad() -> Behaviour {
    Behaviour { error_share: 0.6, ..Behaviour::plain("v2") }
}

/// A second model's servers under a path of its own, in Envoy's own configuration.
fn with_ranking(config: &mut Value, stable: SocketAddr, canary: SocketAddr) {
    let cluster = |name: &str, server: SocketAddr| {
        let address = json!({"socket_address": {"address": server.ip(), "port_value": server.port()}});
        json!({
            "name": name, "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
        })
    };
    let clusters = config["static_resources"]["clusters"].as_array_mut().expect("clusters");
    clusters.push(cluster("ranking-stable", stable));
    clusters.push(cluster("ranking-canary", canary));
    let routes = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";
    let routes = config.pointer_mut(routes).and_then(Value::as_array_mut).expect("routes");
    let header = json!({"name": "x-serin-arm", "string_match": {"exact": "canary"}});
    routes.insert(
        0,
        json!({"match": {"prefix": "/rank", "headers": [header]}, "route": {"cluster": "ranking-canary"}}),
    );
    routes.insert(1, json!({"match": {"prefix": "/rank"}, "route": {"cluster": "ranking-stable"}}));
}

/// Two models in one rollout: neither leaves a stage before the other, and the one that turns bad at the second stage
/// takes the good one back.
#[tokio::test(flavor = "multi_thread")]
async fn two_models_go_up_together_and_come_back_together() {
    let _machine = alone().await;
    let (retrieval, ranking) = (Models::plain().await, Models::plain().await);
    let (stable, canary) = (ranking.stable.addr(), ranking.canary.addr());
    let edit = Box::new(move |config: &mut Value| with_ranking(config, stable, canary));
    let options = EnvoyOptions { edit, ..EnvoyOptions::default() };
    let serin = Serin::start(&retrieval, options).await;
    let to = |path: &str| {
        let plan = LoadPlan { rate: 150.0, path: path.to_owned(), ..LoadPlan::to(serin.envoy().addr) };
        Load::start(plan).expect("a load")
    };
    let one = to("/retrieve");
    let models = "  models:\n    - {name: retrieval, match: {pathPrefix: /retrieve}}\n    - {name: ranking, match: {pathPrefix: /rank}}";
    let text = serin.apply(&spec("shop", models)).await;
    assert!(text.contains("serin get shop -w"), "{text}");

    // Nobody asks the ranking: retrieval has proven its first stage long since, and waits.
    let view = serin
        .until("shop", "retrieval to be ready", |view| {
            member(view, "shop.retrieval").run.message.contains("waits for the others")
        })
        .await;
    assert_eq!((weight(&view, "shop.retrieval"), weight(&view, "shop.ranking")), (300_000, 300_000));
    let (code, text) = serin.command(&["get", "shop"]).await;
    assert!(code == 0 && text.contains("MODEL") && text.contains("shop.ranking"), "{text}");

    let two = to("/rank");
    let view =
        serin.until("shop", "the second stage", |view| weight(view, "shop.retrieval") == 600_000).await;
    assert_eq!(weight(&view, "shop.ranking"), 600_000, "{view}");
    ranking.canary.set(bad()).expect("a behaviour");
    let view = serin.until("shop", "the rollback", |view| view.is(RolledBack)).await;
    for name in ["shop.retrieval", "shop.ranking"] {
        assert!(weight(&view, name) == 0 && member(&view, name).run.phase == RolledBack, "{view}");
    }
    let [one_pushed, other_pushed] =
        ["shop.retrieval", "shop.ranking"].map(|name| member(&view, name).generation);
    assert_eq!(one_pushed, other_pushed, "one publication took both back");
    let message = &view.run.message;
    assert!(message.contains("shop.ranking") && message.contains("errors"), "{message}");
    println!("two models: {message}");
    one.stop().await;
    two.stop().await;
}

/// Two regions: the second gets nothing while the first is on its way, and when it turns bad, both go back.
#[tokio::test(flavor = "multi_thread")]
async fn regions_go_in_waves_and_a_bad_one_takes_all_back() {
    let _machine = alone().await;
    let (eu, us) = (Models::plain().await, Models::plain().await);
    let option = |node, region| EnvoyOptions { node, region: Some(region), ..EnvoyOptions::default() };
    let mut serin = Serin::start(&eu, option("eu-1", "eu")).await;
    serin.add(&us, option("us-1", "us")).await;
    let load = |at| Load::start(LoadPlan { rate: 150.0, ..LoadPlan::to(at) }).expect("a load");
    let (one, two) = (load(serin.envoy().addr), load(serin.more[0].addr));

    // A region nobody serves is a typing mistake more often than a plan.
    let named = |second: &str| format!("  regions: {{waves: [[eu], [{second}]], after: 2}}");
    tests::until("both proxies", async || {
        let elsewhere = format!("{}\n  match: {{pathPrefix: /elsewhere}}", named("mars"));
        let file = serin.file("mistake.yaml", &spec("mistake", &elsewhere));
        let (code, text) = serin.command(&["apply", "--again", "-f", &file]).await;
        let _ = serin.command(&["abort", "mistake"]).await;
        let seen = code == 0 && text.contains("no proxy of mars") && text.contains("regions seen: eu, us");
        if seen { Ok(()) } else { Err(text) }
    })
    .await;

    serin.apply(&spec("reco", &named("us"))).await;
    let view = serin
        .until("reco", "the first wave at its second stage", |view| weight(view, "reco.eu") == 600_000)
        .await;
    assert_eq!(weight(&view, "reco.us"), 0, "{view}");
    assert_eq!(us.canary.log().len(), 0, "the second wave has not begun");
    let (_, text) = serin.command(&["get", "reco"]).await;
    assert!(text.contains("REGION") && text.contains("wave 1 of 2"), "{text}");

    let view = serin.until("reco", "the second wave", |view| weight(view, "reco.us") > 0).await;
    assert!(weight(&view, "reco.eu") >= 600_000, "{view}");
    us.canary.set(bad()).expect("a behaviour");
    let view = serin.until("reco", "the rollback", |view| view.is(RolledBack)).await;
    assert_eq!((weight(&view, "reco.eu"), weight(&view, "reco.us")), (0, 0));
    let message = &view.run.message;
    assert!(message.contains("reco.us"), "{message}");
    println!("two regions: {message}");
    // Each answered for itself: the first region's own evidence was spotless.
    let errors = |name: &str| member(&view, name).run.exposed.errors;
    assert!(errors("reco.eu") == 0 && errors("reco.us") > 0, "{view}");
    one.stop().await;
    two.stop().await;
}
