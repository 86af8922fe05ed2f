//! What other tools are told: by their own contracts.

use api::{RunView, StageView, VerdictView};
use rollout::{Answer as Said, PhaseName, View};
use serde_json::Value;

use super::*;

fn run(phase: PhaseName, answer: Said) -> RunView {
    let gate = VerdictView {
        name: "errors".to_owned(),
        answer: answer.into(),
        hard: true,
        why: "as was counted".to_owned(),
        ..VerdictView::default()
    };
    let run = View {
        name: "ranker".to_owned(),
        run: 3,
        canary: "v2".to_owned(),
        stable: "v1".to_owned(),
        phase: phase.into(),
        stage: 1,
        weight_ppm: 50_000,
        stages: vec![StageView { gates: vec![gate], ..StageView::default() }],
        ..View::default()
    };
    RunView { run, ..RunView::default() }
}

fn of(run: RunView) -> Served {
    let views: Views = Arc::new([("ranker".to_owned(), Arc::new(run))].into());
    with(Api { views: watch::channel(views).1, ..served("127.0.0.1:7070", &[]).api })
}

async fn json(served: &Served, text: &str) -> (u16, Value) {
    let (code, body, _) = status(&served.router, request(text)).await;
    (code, serde_json::from_slice(&body).expect("JSON"))
}

/// Argo Rollouts' web metric takes 200 to 299, and everything else for an error of which four in a row end an analysis.
#[tokio::test]
async fn not_yet_is_an_answer() {
    for (answer, version, verdict) in [
        (Said::Pass, "", "pass"),
        (Said::Pass, "?version=v2", "pass"),
        (Said::Pass, "?version=v3", "pending"),
        (Said::Insufficient, "", "pending"),
        (Said::Error, "", "inconclusive"),
        (Said::Fail, "", "fail"),
    ] {
        let served = of(run(PhaseName::Progressing, answer));
        let (code, said) =
            json(&served, &format!("GET /v1/rollouts/ranker/verdict{version}\nhost: localhost")).await;
        assert_eq!((code, said["verdict"].as_str()), (200, Some(verdict)), "{answer:?} {version}: {said}");
        assert_eq!((&said["version"], &said["gates"][0]["name"]), (&"v2".into(), &"errors".into()));
    }
    let served = of(run(PhaseName::Progressing, Said::Pass));
    for (path, code, part) in
        [("ranker2/verdict", 404, "no rollout"), ("ranker/verdict?versoin=v3", 422, "versoin")]
    {
        let (status, said) = json(&served, &format!("GET /v1/rollouts/{path}\nhost: localhost")).await;
        assert_eq!(status, code, "{said}");
        assert!(said["error"].as_str().is_some_and(|error| error.contains(part)), "{said}");
    }
}

const PAYLOAD: &str = "{\"name\": \"ranker\", \"namespace\": \"models\", \"phase\": \"Progressing\", \"checksum\": \"5f\", \"metadata\": {}}";

/// `yes`: which hooks are answered with 200; all others with 403.
async fn hooks(served: &Served, yes: &[&str]) {
    let all = [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "rollback",
        "event",
    ];
    for hook in all {
        let path = format!("/v1/rollouts/ranker/hooks/{hook}");
        let text = format!("POST {path}\nhost: localhost\ncontent-type: application/json\n\n{PAYLOAD}");
        let (code, body, _) = status(&served.router, request(&text)).await;
        let expected = if yes.contains(&hook) { 200 } else { 403 };
        assert_eq!(code, expected, "{hook}: {}", String::from_utf8_lossy(&body));
        assert!(!body.is_empty(), "Flagger shows it");
    }
}

#[tokio::test]
async fn flagger_is_told_yes_only_when_it_is_certain() {
    const BEGINS: [&str; 3] = ["confirm-rollout", "pre-rollout", "rollout"];
    const ALL: [&str; 5] =
        ["confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion"];
    let moving = |answer| of(run(PhaseName::Progressing, answer));
    hooks(&moving(Said::Pass), &ALL).await;
    hooks(&moving(Said::Insufficient), &BEGINS).await;
    hooks(&moving(Said::Error), &[]).await;
    hooks(&moving(Said::Fail), &["rollback"]).await;
    hooks(&of(run(PhaseName::Paused, Said::Pass)), &[]).await;
    hooks(&of(run(PhaseName::RolledBack, Said::Pass)), &["rollback"]).await;
    // An earlier run lends its end to nobody.
    hooks(&of(run(PhaseName::Succeeded, Said::Pass)), &["pre-rollout", "rollout"]).await;
    hooks(&of(RunView::default()), &[]).await;
    hooks(&served("127.0.0.1:7070", &[]), &[]).await;
}

/// What was good before the engine stopped says nothing of now.
#[tokio::test]
async fn a_stuck_engine_says_neither_yes_nor_no() {
    let good = of(run(PhaseName::Progressing, Said::Pass));
    let bad = of(run(PhaseName::RolledBack, Said::Fail));
    let now = clock::now();
    clock::fake::set(rollout::Now { monotonic_ns: now.monotonic_ns + 60_000_000_000, ..now });
    hooks(&good, &[]).await;
    hooks(&bad, &[]).await;
    let (code, said) = json(&good, "GET /v1/rollouts/ranker/verdict\nhost: localhost").await;
    assert_eq!(code, 500, "{said}");
    let (code, said) = json(&good, "GET /api/v1/query?query=vector(1)\nhost: localhost").await;
    assert_eq!((code, &said["status"]), (503, &"error".into()));
}

/// `expected`: `data.result`, or the kind of the error.
async fn asks(text: &str, expected: Result<Value, (u16, &str)>) {
    let served = of(run(PhaseName::Progressing, Said::Pass));
    let (code, mut said) = json(&served, text).await;
    match expected {
        Ok(expected) => {
            assert_eq!((code, &said["status"]), (200, &"success".into()), "{text}: {said}");
            let result = said["data"]["result"].take();
            // The time is that of the question.
            let values: Vec<_> = match &result {
                Value::Array(series) if series.iter().all(Value::is_object) => series
                    .iter()
                    .map(|series| (series["metric"].clone(), series["value"][1].clone()))
                    .collect(),
                scalar => vec![(Value::Null, scalar[1].clone())],
            };
            assert_eq!(serde_json::json!(values), expected, "{text}: {said}");
        }
        Err((status, kind)) => {
            assert_eq!((code, said["errorType"].as_str()), (status, Some(kind)), "{text}: {said}");
            assert!(said["error"].is_string());
        }
    }
}

#[tokio::test]
async fn who_can_ask_a_prometheus_can_ask_this() {
    use serde_json::json;
    let get = |query: &str| format!("GET /api/v1/query?{query}\nhost: localhost");
    // Flagger asks this to see whether a provider is there.
    asks(&get("query=vector(1)"), Ok(json!([[{}, "1"]]))).await;
    asks(&get("query=2.5"), Ok(json!([[null, "2.5"]]))).await;
    let weight = json!([[
        {"__name__": "serin_rollout_canary_weight_ratio", "rollout": "ranker", "stable": "v1", "canary": "v2"},
        "0.05"
    ]]);
    asks(&get("query=serin_rollout_canary_weight_ratio%7Brollout%3D%22ranker%22%7D"), Ok(weight.clone()))
        .await;
    let form = "POST /api/v1/query\nhost: localhost\ncontent-type: application/x-www-form-urlencoded\n\nquery=serin_rollout_canary_weight_ratio";
    asks(form, Ok(weight)).await;
    let verdict =
        "query=serin_rollout_verdict%7Brollout%3D%22ranker%22%2Cversion%3D%22v2%22%2Cverdict%3D%22pass%22%7D";
    let labels =
        json!({"__name__": "serin_rollout_verdict", "rollout": "ranker", "version": "v2", "verdict": "pass"});
    asks(&get(verdict), Ok(json!([[labels, "1"]]))).await;
    asks(&get("query=serin_rollout_verdict%7Bversion%3D%22v3%22%7D"), Ok(json!([]))).await;
    let now = clock::unix_ms() / 1_000;
    asks(&get(&format!("query=vector(1)&time={now}")), Ok(json!([[{}, "1"]]))).await;
    let moment = api::moment(now * 1_000);
    asks(&get(&format!("query=vector(1)&time={moment}")), Ok(json!([[{}, "1"]]))).await;
    asks(&get("query=vector(1)&time=1700000000"), Err((422, "execution"))).await;
    asks(&get("query=vector(1)&time=soon"), Err((422, "execution"))).await;
    asks(&get("query=rate(serin_rollout_verdict%5B5m%5D)"), Err((400, "bad_data"))).await;
    asks(&get("time=1"), Err((400, "bad_data"))).await;
}

/// KEDA's metrics-api scaler takes exactly 200, and at `valueLocation` a number; anything else is an error, which leaves the
/// replicas alone.
#[tokio::test]
async fn keda_finds_a_number_where_it_is_told_to_look() {
    let text = include_str!("../../../../../docs/other-tools.md");
    let (_, scaler) = text.split_once("- type: metrics-api").expect("a scaler is shown");
    let setting = |name: &str| {
        let (_, rest) = scaler.split_once(&format!("{name}: ")).expect("a setting");
        rest.lines().next().expect("a line").to_owned()
    };
    let (url, location) = (setting("url"), setting("valueLocation"));
    let path = url.strip_prefix("http://serin.serin-system:7070").expect("our address").to_owned();
    let of_load = |peak_per_second| {
        let canary = rollout::Load { peak_per_second, ..rollout::Load::default() };
        let demand = rollout::Demand { canary, ..rollout::Demand::default() };
        of(RunView { demand: Some(demand), ..run(PhaseName::Progressing, Said::Pass) })
    };
    for (known, expected) in
        [(Some(203.1), serde_json::json!(203.1)), (Some(0.0), serde_json::json!(0.0)), (None, Value::Null)]
    {
        let (code, said) = json(&of_load(known), &format!("GET {path}\nhost: localhost")).await;
        let found = said.pointer(&format!("/{}", location.replace('.', "/"))).cloned();
        assert_eq!((code, found), (200, Some(expected)), "{said}");
    }
}
