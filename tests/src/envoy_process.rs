use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use envoy::bootstrap::{Credentials, PolicySource, Role, Upstream};
use envoy::stats::{Admin, Snapshot};
use envoy::{Bootstrap, Endpoint, Resource};
use tempfile::TempDir;

use super::{Models, tools, until};

/// How an Envoy differs from the usual one.
pub struct EnvoyOptions {
    pub node: &'static str,
    pub wasm: PathBuf,
    pub policy: Option<PolicySource>,
    pub lease: Option<SocketAddr>,
    pub credentials: Credentials,
    pub role: Role,
    pub upstream: Upstream,
    /// Further arms, by name.
    pub others: Vec<(&'static str, SocketAddr)>,
    pub route_timeout: std::time::Duration,
    pub region: Option<&'static str>,
    /// Can it be hot-restarted?
    pub hot: bool,
    /// Changes the finished configuration.
    pub edit: Box<dyn FnOnce(&mut serde_json::Value) + Send>,
}

impl Default for EnvoyOptions {
    fn default() -> Self {
        Self {
            node: "envoy-1",
            wasm: tools::wasm(),
            policy: None,
            lease: None,
            credentials: Credentials::default(),
            role: Role::Decide,
            upstream: Upstream::Http1,
            others: Vec::new(),
            route_timeout: std::time::Duration::from_secs(15),
            region: None,
            hot: false,
            edit: Box::new(|_| {}),
        }
    }
}

/// A real Envoy, two workers. It ends with this value.
pub struct EnvoyProcess {
    child: Child,
    /// The process it took over from, until that ends.
    parent: Option<Child>,
    hot: bool,
    dir: TempDir,
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    /// Where the controller reads it: there, or by a way that leads there.
    pub read_at: SocketAddr,
}

impl EnvoyProcess {
    pub async fn start(stable: SocketAddr, canary: SocketAddr, options: EnvoyOptions) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let any = || Endpoint::new("127.0.0.1", 0).expect("an endpoint");
        // Nobody listens on port 1: an ECDS server that is not there.
        let nowhere = || PolicySource::Grpc(Endpoint::new("127.0.0.1", 1).expect("an endpoint"));
        let mut bootstrap = Bootstrap::new(
            any(),
            any(),
            stable.into(),
            canary.into(),
            options.policy.unwrap_or_else(nowhere),
            Resource::local(&options.wasm),
        );
        bootstrap.node_id = options.node.to_owned();
        bootstrap.lease =
            Some(options.lease.map_or_else(|| Endpoint::new("127.0.0.1", 1).expect("it"), Endpoint::from));
        bootstrap.credentials = options.credentials;
        let others = options.others.into_iter();
        bootstrap.others = others.map(|(name, at)| (name.to_owned(), vec![at.into()])).collect();
        bootstrap.role = options.role;
        bootstrap.upstream = options.upstream;
        bootstrap.route_timeout = options.route_timeout;
        bootstrap.region = options.region.map(str::to_owned);
        let mut config = bootstrap.to_json().expect("a bootstrap");
        (options.edit)(&mut config);
        let file = dir.path().join("envoy.json");
        std::fs::write(&file, config.to_string()).expect("the bootstrap");
        Self::spawn(dir, options.hot, None).await
    }

    /// Starts one with a configuration of the story's own, and waits until it listens at that port of 127.0.0.1.
    pub async fn listening_at(config: serde_json::Value, port: u16) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("envoy.json"), config.to_string()).expect("the bootstrap");
        Self::spawn(dir, false, Some(port)).await
    }

    pub async fn with_models(models: &Models, options: EnvoyOptions) -> Self {
        Self::start(models.stable.addr(), models.canary.addr(), options).await
    }

    async fn spawn(dir: TempDir, hot: bool, port: Option<u16>) -> Self {
        let path = |name: &str| dir.path().join(name);
        let _ = std::fs::remove_file(path("admin"));
        let log = std::fs::File::create(path("log")).expect("a log");
        let mut command = Command::new(tools::envoy());
        command
            .arg("-c")
            .arg(path("envoy.json"))
            .args(["--concurrency", "2", "--admin-address-path"])
            .arg(path("admin"));
        match hot {
            true => command.args(["--use-dynamic-base-id", "--base-id-path"]).arg(path("base")),
            false => command.arg("--disable-hot-restart"),
        };
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("envoy starts");
        let any = "127.0.0.1:0".parse().expect("an address");
        let mut envoy = Self { child, parent: None, hot, dir, addr: any, admin: any, read_at: any };
        envoy.admin = until("Envoy's admin address", async || {
            envoy.alive();
            let text = std::fs::read_to_string(envoy.dir.path().join("admin")).unwrap_or_default();
            text.parse().map_err(|_| text)
        })
        .await;
        envoy.read_at = envoy.admin;
        envoy.addr = until("Envoy's listener", async || {
            envoy.alive();
            let text = envoy.ask("/listeners?format=json").await.map_err(|error| error.to_string())?;
            let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
            let listeners = json["listener_statuses"].as_array().cloned().unwrap_or_default();
            let mut addresses = listeners.iter().filter_map(|listener| {
                let address = &listener["local_address"]["socket_address"];
                let (host, port) = (address["address"].as_str()?, address["port_value"].as_u64()?);
                format!("{host}:{port}").parse::<SocketAddr>().ok()
            });
            addresses.find(|address| port.is_none_or(|port| address.port() == port)).ok_or(text)
        })
        .await;
        until("Envoy to be ready", async || {
            envoy.alive();
            match envoy.ask("/ready").await {
                Ok(text) if text.trim() == "LIVE" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        envoy
    }

    /// Ends the process as a crash would and starts it again, at the same addresses.
    pub async fn restart(mut self) -> Self {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.keep_ports();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().expect("a folder"));
        Self::spawn(dir, self.hot, None).await
    }

    /// Starts a new process beside this one that takes its listeners over; the old one drains for a minute.
    pub fn hot_restart(&mut self) {
        self.keep_ports();
        let path = |name: &str| self.dir.path().join(name);
        let base = std::fs::read_to_string(path("base")).expect("a base id");
        let log = std::fs::File::options().append(true).open(path("log")).expect("a log");
        let child = Command::new(tools::envoy())
            .arg("-c")
            .arg(path("envoy.json"))
            .args(["--concurrency", "2", "--base-id", base.trim(), "--restart-epoch", "1"])
            .args(["--drain-time-s", "30", "--parent-shutdown-time-s", "60"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("envoy starts");
        self.parent = Some(std::mem::replace(&mut self.child, child));
    }

    /// Whatever ports it got are those it has from now on.
    fn keep_ports(&self) {
        let file = self.dir.path().join("envoy.json");
        let mut config: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&file).expect("the bootstrap")).expect("JSON");
        for (pointer, port) in [
            ("/admin/address/socket_address/port_value", self.admin.port()),
            ("/static_resources/listeners/0/address/socket_address/port_value", self.addr.port()),
        ] {
            *config.pointer_mut(pointer).expect("a port") = port.into();
        }
        std::fs::write(&file, config.to_string()).expect("the bootstrap");
    }

    pub async fn ask(&self, path: &str) -> Result<String, reqwest::Error> {
        reqwest::get(format!("http://{}{path}", self.admin)).await?.error_for_status()?.text().await
    }

    /// Everything of ours that it has counted.
    pub async fn counted(&self) -> Snapshot {
        let admin = Admin::new(&format!("http://{}", self.admin)).expect("an admin address");
        until("Envoy's counters", async || admin.read().await.map_err(|error| error.to_string())).await
    }

    /// How often it counted what `fits`, over all series.
    pub async fn count(&self, fits: impl Fn(&tally::Series) -> bool) -> u64 {
        self.counted().await.counters.iter().filter(|(series, _)| fits(series)).map(|(_, n)| n).sum()
    }

    /// Stands still as it is, or goes on: a machine that hangs.
    pub fn stand_still(&self, still: bool) {
        let signal = if still { "-STOP" } else { "-CONT" };
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    fn alive(&self) {
        // A zombie still has a process id; the log says why it ended.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        assert!(!stat.contains(") Z "), "Envoy ended:\n{}", self.log());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for EnvoyProcess {
    fn drop(&mut self) {
        for child in self.parent.iter_mut().chain([&mut self.child]) {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(4_000);
            eprintln!("--- the end of Envoy's log ---\n{}", log.get(from..).unwrap_or(&log));
        }
    }
}
