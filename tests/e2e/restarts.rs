//! Envoy's hot restart: two processes live, and the right one is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use envoy::stats::{Admin, Counters, Interval, Mark};
use split::Cause;
use tally::{Loss, What};

use tests::{EnvoyOptions, EnvoyProcess, Models, Plane, a_core, get, policy, until};

async fn ask(envoy: &EnvoyProcess, times: usize) {
    for user in 0..times {
        let user = format!("user-{user}");
        get(envoy.addr, "/", &[("x-user-id", &user)]).await.expect("an answer");
    }
}

/// One look; as the controller knows it, the epoch follows from the version that Envoy names.
async fn look(admin: &Admin, counters: &mut Counters) -> Interval {
    if let Ok(mut snapshot) = admin.read().await {
        let epoch = snapshot.accepted_generation(1).unwrap_or(0);
        snapshot.epochs = Some(Arc::new(BTreeMap::from([("ranker".to_owned(), epoch)])));
        counters.observe(snapshot);
    }
    counters.close(envoy::monotonic_ns())
}

fn assigned(interval: &Interval, epoch: u64) -> u64 {
    let by_weight = |what| matches!(what, What::Assigned(Cause::Weight, _));
    let of = interval.counts.iter().filter(|((series, of), _)| by_weight(series.what) && *of == Some(epoch));
    of.map(|(_, n)| n).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_hot_restart_the_new_process_is_read_and_the_gap_is_marked() {
    let _core = a_core().await;
    let models = Models::plain().await;
    let mut plane = Plane::start().await;
    let mut envoy = plane.envoy(&models, EnvoyOptions { hot: true, ..EnvoyOptions::default() }).await;
    let epoch = plane.put(|generation| policy(generation, serde_json::json!({}))).await;
    let admin = Admin::new(&format!("http://{}", envoy.admin)).expect("an admin address");
    let mut counters = Counters::new(Duration::from_secs(60), envoy::monotonic_ns());
    let _ = look(&admin, &mut counters).await;
    ask(&envoy, 30).await;
    assert_eq!(assigned(&look(&admin, &mut counters).await, epoch), 30);

    envoy.hot_restart();
    // One look that finds the new process says so; no look in between passes the old one's silence for a whole truth.
    until("the new process", async || {
        let interval = look(&admin, &mut counters).await;
        let restarted = interval.marks().any(|(_, mark)| *mark == Mark::Lost(Loss::Restarted));
        if restarted { Ok(()) } else { Err(interval.spans) }
    })
    .await;
    // The policy comes to the new process by itself, and its gauges are sums as long as the old one lives.
    plane.in_force(epoch).await;
    until("its policy", async || {
        let answer = get(envoy.addr, "/", &[("x-user-id", "a")]).await.map_err(|error| error.to_string())?;
        answer.version().map(|_| ()).ok_or_else(|| "no version".to_owned())
    })
    .await;
    let _ = look(&admin, &mut counters).await;
    ask(&envoy, 40).await;
    let interval = look(&admin, &mut counters).await;
    assert!(interval.is_whole(), "{:?}", interval.spans);
    assert_eq!(assigned(&interval, epoch), 40, "{interval:?}");
}
