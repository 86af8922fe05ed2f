//! Two controllers at one Lease of a real API server, and a real Envoy that reaches whichever is ready.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use demo::load::{Load, LoadPlan};
use envoy::bootstrap::PolicySource;
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    EnvoyOptions, EnvoyProcess, Models, Relay, alone, free_port, stages_by_hand, tools, until, within,
};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::cluster;

/// A Lease that is not renewed is waited for so long, and a little; a busy machine is given more.
const FAILOVER: Duration = Duration::from_secs(60);

/// One of the controllers.
struct Replica {
    child: Option<Child>,
    dir: TempDir,
    http: SocketAddr,
    ecds: SocketAddr,
    arguments: Vec<String>,
    ready: Arc<AtomicBool>,
}

impl Replica {
    /// Nothing runs yet.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (http, ecds, arguments) = (free_port(), free_port(), Vec::new());
        let replica = Self { child: None, dir, http, ecds, arguments, ready: Arc::default() };
        let (ready, url) = (replica.ready.clone(), replica.url("/readyz"));
        // As a kubelet asks.
        tokio::spawn(async move {
            let client =
                reqwest::Client::builder().timeout(Duration::from_secs(1)).build().expect("a client");
            loop {
                let answer = client.get(&url).send().await;
                ready.store(answer.is_ok_and(|answer| answer.status().is_success()), Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        });
        replica
    }

    fn start(&mut self, lease: &str, kubeconfig: &str, envoy: &str) {
        let arguments = ["--kubernetes-lease", lease, "--kubeconfig", kubeconfig, "--envoy-admin", envoy];
        self.arguments = arguments.map(str::to_owned).to_vec();
        self.spawn();
    }

    fn spawn(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log"));
        let child = Command::new(tools::serin())
            .arg("run")
            .args(["--http", &self.http.to_string(), "--ecds", &self.ecds.to_string(), "--period-ms", "250"])
            .arg("--store")
            .arg(self.dir.path().join("serin.db"))
            .arg("--wasm")
            .arg(tools::wasm())
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn();
        self.child = Some(child.expect("serin starts"));
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("a process").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    async fn metric(&self, name: &str) -> Result<f64, String> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().expect("a client");
        let page = client.get(self.url("/metrics")).send().await.map_err(|error| error.to_string())?;
        let page = page.text().await.map_err(|error| error.to_string())?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        line.ok_or_else(|| format!("no {name}"))
    }

    async fn leads(&self, leads: bool) {
        within(FAILOVER, "the lead", async || {
            let now = self.metric("serin_leads").await?;
            if (now > 0.0) == leads { Ok(()) } else { Err(format!("serin_leads {now}\n{}", self.log())) }
        })
        .await;
    }

    /// What it says of the rollout, whoever leads.
    async fn seen(&self) -> Result<Value, String> {
        let answer =
            reqwest::get(self.url("/v1/rollouts/ranker")).await.map_err(|error| error.to_string())?;
        let said: Value = answer.json().await.map_err(|error| error.to_string())?;
        if said["weight_ppm"].is_u64() { Ok(said) } else { Err(said.to_string()) }
    }

    async fn command(&self, arguments: &[&str]) {
        let output = tokio::process::Command::new(tools::serin())
            .args(arguments)
            .env("SERIN_SERVER", self.url(""))
            .output()
            .await
            .expect("serin runs");
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// As a service of Kubernetes: a connection goes to a replica that is ready.
async fn service(replicas: Vec<(SocketAddr, Arc<AtomicBool>)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let ready = replicas.iter().filter(|(_, ready)| ready.load(Ordering::SeqCst));
            let to: Vec<SocketAddr> = ready.map(|(address, _)| *address).collect();
            tokio::spawn(async move {
                for address in to {
                    if let Ok(mut to) = TcpStream::connect(address).await {
                        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                        return;
                    }
                }
            });
        }
    });
    address
}

struct World {
    models: Models,
    envoy: EnvoyProcess,
    a: Replica,
    b: Replica,
    /// The way from the first one to the API server.
    way: Relay,
    lease: &'static str,
}

impl World {
    /// The first leads, the second follows, and half of all requests go to the canary.
    async fn with(lease: &'static str) -> (Self, Load) {
        let models = Models::plain().await;
        let kubeconfig = cluster().await.kubeconfig();
        let text = std::fs::read_to_string(&kubeconfig).expect("a kubeconfig");
        let server = text.split("127.0.0.1:").nth(1).expect("a port");
        let port: String = server.chars().take_while(char::is_ascii_digit).collect();
        let way = Relay::to(([127, 0, 0, 1], port.parse().expect("a port")).into()).await;
        let own = tempfile::tempdir().expect("a folder").keep().join("kubeconfig");
        let text = text.replace(&format!("127.0.0.1:{port}"), &way.addr.to_string());
        std::fs::write(&own, text).expect("written");
        let (mut a, mut b) = (Replica::new(), Replica::new());
        let http = service(vec![(a.http, a.ready.clone()), (b.http, b.ready.clone())]).await;
        let ecds = service(vec![(a.ecds, a.ready.clone()), (b.ecds, b.ready.clone())]).await;
        let options = EnvoyOptions {
            policy: Some(PolicySource::Grpc(ecds.into())),
            lease: Some(http),
            ..EnvoyOptions::default()
        };
        let envoy = EnvoyProcess::with_models(&models, options).await;
        let admin = format!("http://{}", envoy.admin);
        a.start(lease, &own.display().to_string(), &admin);
        a.leads(true).await;
        b.start(lease, &kubeconfig, &admin);
        b.leads(false).await;
        let world = Self { models, envoy, a, b, way, lease };
        // Through the one that follows.
        let file = world.b.dir.path().join("rollout.yaml");
        std::fs::write(&file, stages_by_hand(&["50%", "100%"], "  noData: {after: 10m}\n")).expect("a file");
        until("b to be ready", async || {
            if world.b.ready.load(Ordering::SeqCst) { Ok(()) } else { Err(world.b.log()) }
        })
        .await;
        world.b.command(&["apply", "-f", &file.display().to_string()]).await;
        let load = Load::start(LoadPlan { rate: 100.0, ..LoadPlan::to(world.envoy.addr) }).expect("a load");
        world.canary_is_met("canary traffic").await;
        until("the stage", async || {
            let seen = world.b.seen().await?;
            if seen["phase"] == "Progressing" { Ok(()) } else { Err(seen["phase"].to_string()) }
        })
        .await;
        (world, load)
    }

    async fn canary_is_met(&self, what: &str) {
        let arrived = self.models.canary.log().len();
        until(what, async || {
            let now = self.models.canary.log().len();
            if now >= arrived + 50 { Ok(()) } else { Err(now) }
        })
        .await;
    }

    /// Incarnation and generation that the Envoy runs.
    async fn runs(&self) -> (u64, u64) {
        let counted = self.envoy.counted().await;
        let gauge = |name| counted.gauge(name, &[]).unwrap_or_default();
        (gauge("policy_incarnation"), gauge("policy_generation"))
    }

    /// The run as the first decided it: its weight, and when it was raised.
    async fn decided(&self) -> Value {
        let seen = until("the run", async || self.b.seen().await).await;
        let raised: Vec<Value> = seen["stages"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|stage| stage["entered_unix_ms"].clone())
            .collect();
        serde_json::json!([seen["run"], seen["phase"], seen["stage"], seen["weight_ppm"], raised])
    }

    /// The second leads, the run is as it was, raised once, and the Envoy runs what it published.
    async fn second_takes_over(&self, (before, decided): ((u64, u64), Value), begun: Instant) {
        self.b.leads(true).await;
        println!(
            "{}: the second leads {} ms after the first was lost",
            self.lease,
            begun.elapsed().as_millis()
        );
        assert_eq!(self.decided().await, decided);
        within(FAILOVER, "the Envoy to run the second's policy", async || {
            let now = self.runs().await;
            if now.0 > before.0 && now.1 > before.1 {
                Ok(())
            } else {
                Err(format!("{now:?} after {before:?}"))
            }
        })
        .await;
        println!("{}: and the Envoy runs its policy after {} ms", self.lease, begun.elapsed().as_millis());
    }

    /// The longest time without a request of the canary since a moment.
    fn longest_gap_ms(&self, since: usize) -> u64 {
        let arrivals = self.models.canary.log().arrivals();
        let since = arrivals.get(since..).unwrap_or_default();
        let gaps = since.windows(2).map(|two| two[1].arrived_ns.saturating_sub(two[0].arrived_ns));
        gaps.max().unwrap_or_default() / 1_000_000
    }

    /// An abort at the second is obeyed; and the first, when it is back, follows.
    async fn goes_on(self, load: Load) {
        self.b.command(&["abort", "ranker", "--reason", "told so"]).await;
        within(FAILOVER, "stable alone", async || {
            let arrived = self.models.canary.log().len();
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.models.canary.log().len();
            if now == arrived { Ok(()) } else { Err(now - arrived) }
        })
        .await;
        self.a.leads(false).await;
        until("the first to say what the second decided", async || {
            let seen = self.a.seen().await?;
            if seen["phase"] == "RolledBack" { Ok(()) } else { Err(seen["phase"].to_string()) }
        })
        .await;
        let records = load.stop().await;
        let failed = records.iter().filter(|record| record.failed()).count();
        println!("{}: {} requests, {failed} failed", self.lease, records.len());
        assert_eq!(failed, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_leader_that_is_killed_is_followed_by_the_other() {
    let _machine = alone().await;
    let (mut world, load) = World::with("default/killed").await;
    let (before, since) = ((world.runs().await, world.decided().await), world.models.canary.log().len());
    let begun = Instant::now();
    world.a.signal("-KILL");
    let _ = world.a.child.take().map(|mut child| child.wait());
    world.second_takes_over(before, begun).await;
    world.canary_is_met("canary traffic after it").await;
    println!("{}: longest time without canary traffic {} ms", world.lease, world.longest_gap_ms(since));
    world.a.spawn();
    world.goes_on(load).await;
}

/// It goes on when another leads: it finds that out, and nothing it says is heard.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_leader_that_was_stopped_finds_itself_deposed() {
    let _machine = alone().await;
    let (world, load) = World::with("default/stopped").await;
    let (before, since) = ((world.runs().await, world.decided().await), world.models.canary.log().len());
    let begun = Instant::now();
    world.a.signal("-STOP");
    world.second_takes_over(before, begun).await;
    println!("{}: longest time without canary traffic {} ms", world.lease, world.longest_gap_ms(since));
    let (now, head) = (world.runs().await, head(world.lease).await);
    world.a.signal("-CONT");
    world.a.leads(false).await;
    assert_eq!(world.runs().await, now, "it published nothing");
    assert_eq!(head["term"], self::head(world.lease).await["term"], "and wrote nothing");
    world.goes_on(load).await;
}

/// It reaches its proxies and no API server.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_leader_without_its_api_server_gives_up() {
    let _machine = alone().await;
    let (world, load) = World::with("default/parted").await;
    let before = (world.runs().await, world.decided().await);
    let begun = Instant::now();
    world.way.close();
    world.b.leads(true).await;
    println!("{}: the second leads after {} ms", world.lease, begun.elapsed().as_millis());
    // Nothing rises by the word of the one that is cut off.
    let refused = tokio::process::Command::new(tools::serin())
        .args(["promote", "ranker", "--reason", "told so"])
        .env("SERIN_SERVER", world.a.url(""))
        .output()
        .await
        .expect("serin runs");
    assert!(!refused.status.success(), "{refused:?}");
    world.second_takes_over(before, begun).await;
    world.way.open();
    world.goes_on(load).await;
}

async fn head(lease: &str) -> Value {
    let (namespace, name) = lease.split_once('/').expect("a name");
    let name = format!("{name}-journal");
    let text = ["-n", namespace, "get", "configmap", &name, "-o", "jsonpath={.data.head}"];
    let text = cluster().await.kubectl(&text, "").await.expect("a head");
    serde_json::from_str(&text).expect("JSON")
}
