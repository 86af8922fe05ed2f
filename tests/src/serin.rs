use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use api::{ExportedRun, path};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::{EnvoyOptions, EnvoyProcess, Models, Relay, Seen, tools, until};
use envoy::bootstrap::PolicySource;

/// How the controller comes to the counters of its Envoys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// By their admin ports.
    Admin,
    /// By their pages for Prometheus.
    Pages,
    /// By these options of `serin run`.
    Options(Vec<String>),
}

/// A controller with its Envoy. Both end with this value.
pub struct Serin {
    child: Option<Child>,
    dir: TempDir,
    http: SocketAddr,
    ecds: SocketAddr,
    /// Further options of `serin run`.
    arguments: Vec<String>,
    /// Told to the controller when it starts next.
    pub evidence: Evidence,
    pub envoy: Option<EnvoyProcess>,
    /// Further Envoys under the same controller.
    pub more: Vec<EnvoyProcess>,
}

/// The ways between the controller and an Envoy that a story can close.
pub struct Ways {
    /// By which the controller reads it.
    pub admin: Relay,
    /// By which policies come to it.
    pub policies: Relay,
}

impl Serin {
    /// Starts both, and waits until the proxy has found the controller.
    pub async fn start(models: &Models, options: EnvoyOptions) -> Self {
        Self::start_at(models.stable.addr(), models.canary.addr(), options).await
    }

    /// The same with further options of `serin run`.
    pub async fn start_with(models: &Models, options: EnvoyOptions, arguments: &[String]) -> Self {
        let (stable, canary) = (models.stable.addr(), models.canary.addr());
        Self::start_all(stable, canary, options, arguments.to_vec()).await
    }

    /// The same with servers of the story's own.
    pub async fn start_at(stable: SocketAddr, canary: SocketAddr, options: EnvoyOptions) -> Self {
        Self::start_all(stable, canary, options, Vec::new()).await
    }

    async fn start_all(
        stable: SocketAddr,
        canary: SocketAddr,
        options: EnvoyOptions,
        arguments: Vec<String>,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (http, ecds) = (free_port(), free_port());
        // Over TLS there is one port for both.
        let lease = if options.credentials.tls.is_some() { ecds } else { http };
        let options =
            EnvoyOptions { policy: Some(PolicySource::Grpc(ecds.into())), lease: Some(lease), ..options };
        let envoy = EnvoyProcess::start(stable, canary, options).await;
        let (evidence, envoy, more) = (Evidence::Admin, Some(envoy), Vec::new());
        let mut serin = Self { child: None, dir, http, ecds, arguments, evidence, envoy, more };
        serin.run().await;
        serin
    }

    /// Starts a controller at those addresses, of HTTP and of policies, beside an Envoy that is there.
    pub async fn beside(envoy: EnvoyProcess, addresses: [SocketAddr; 2]) -> Self {
        Self::beside_with(envoy, addresses, Evidence::Admin, Vec::new()).await
    }

    /// The same with another way to the counters, and further options of `serin run`.
    pub async fn beside_with(
        envoy: EnvoyProcess,
        [http, ecds]: [SocketAddr; 2],
        evidence: Evidence,
        arguments: Vec<String>,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let envoy = Some(envoy);
        let mut serin = Self { child: None, dir, http, ecds, arguments, evidence, envoy, more: Vec::new() };
        serin.run().await;
        serin
    }

    /// Starts a controller at those addresses, whose proxies are others' to start; `evidence` names them.
    pub async fn alone([http, ecds]: [SocketAddr; 2], evidence: Evidence, arguments: Vec<String>) -> Self {
        assert!(matches!(evidence, Evidence::Options(_)), "it has no Envoy of its own: {evidence:?}");
        let dir = tempfile::tempdir().expect("a folder");
        let mut serin =
            Self { child: None, dir, http, ecds, arguments, evidence, envoy: None, more: Vec::new() };
        serin.run().await;
        serin
    }

    /// Starts one more Envoy, of models of its own, and the controller again, which then reads both.
    pub async fn add(&mut self, models: &Models, options: EnvoyOptions) {
        self.add_at(self.ecds, models, options).await;
        self.kill();
        self.run().await;
    }

    /// The same, and the story can close the ways between the two.
    pub async fn add_behind(&mut self, models: &Models, options: EnvoyOptions) -> Ways {
        let policies = Relay::to(self.ecds).await;
        let envoy = self.add_at(policies.addr, models, options).await;
        let admin = Relay::to(envoy.admin).await;
        envoy.read_at = admin.addr;
        self.kill();
        self.run().await;
        Ways { admin, policies }
    }

    async fn add_at(
        &mut self,
        ecds: SocketAddr,
        models: &Models,
        options: EnvoyOptions,
    ) -> &mut EnvoyProcess {
        let policy = Some(PolicySource::Grpc(ecds.into()));
        let options = EnvoyOptions { policy, lease: Some(self.http), ..options };
        self.more.push(EnvoyProcess::with_models(models, options).await);
        self.more.last_mut().expect("the new one")
    }

    /// Starts the controller, and waits until it answers; the store is where it was.
    pub async fn run(&mut self) {
        self.spawn();
        until("the controller to answer", async || {
            reqwest::get(self.url(path::HEALTHZ)).await.map(|_| ()).map_err(|error| error.to_string())
        })
        .await;
    }

    /// Starts the controller and waits for nothing.
    pub fn spawn(&mut self) {
        let admins = self.envoy.iter().chain(&self.more);
        let read_at = |path: &str| {
            let all: Vec<String> =
                admins.clone().map(|envoy| format!("http://{}{path}", envoy.read_at)).collect();
            all.join(",")
        };
        let evidence = match &self.evidence {
            Evidence::Admin => vec!["--envoy-admin".to_owned(), read_at("")],
            Evidence::Pages => vec!["--proxy-metrics".to_owned(), read_at("/stats/prometheus")],
            Evidence::Options(options) => options.clone(),
        };
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .expect("a log");
        let child = Command::new(tools::serin())
            .arg("run")
            .args(["--http", &self.http.to_string(), "--ecds", &self.ecds.to_string()])
            .arg("--store")
            .arg(self.dir.path().join("serin.db"))
            .arg("--wasm")
            .arg(tools::wasm())
            .args(evidence)
            .args(["--period-ms", "250"])
            .arg("--secret-dir")
            .arg(self.secrets())
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("serin starts");
        self.child = Some(child);
    }

    /// Starts the controller again, which comes to the counters in this way from now on.
    pub async fn read_by(&mut self, evidence: Evidence) {
        self.evidence = evidence;
        self.kill();
        self.run().await;
    }

    /// What it holds of memory, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("its status");
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// What it has used of processors, in milliseconds; `CLK_TCK` is 100 wherever Linux runs.
    pub fn cpu_ms(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("its times");
        let fields = text.rsplit(") ").next().expect("its fields").split_whitespace();
        let ticks = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
        ticks.sum::<u64>() * 10
    }

    fn id(&self) -> u32 {
        self.child.as_ref().expect("a process").id()
    }

    /// Ends the controller as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the controller to stop, as an orchestrator would; it may take its time.
    pub fn ask_to_stop(&self) {
        let id = self.child.as_ref().expect("a process").id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(asked.success(), "{asked}");
    }

    /// Waits until it has stopped.
    pub async fn stopped(&mut self) {
        let mut child = self.child.take().expect("a process");
        until("the controller to stop", async || match child.try_wait().expect("a child") {
            Some(_) => Ok(()),
            None => Err("it runs"),
        })
        .await;
    }

    /// The store's file.
    pub fn store(&self) -> std::path::PathBuf {
        self.dir.path().join("serin.db")
    }

    pub fn envoy(&self) -> &EnvoyProcess {
        self.envoy.as_ref().expect("an Envoy")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// Runs the command; returns its exit code and what it printed.
    pub async fn command(&self, arguments: &[&str]) -> (i32, String) {
        let output = tokio::process::Command::new(tools::serin())
            .args(arguments)
            .env("SERIN_SERVER", self.url(""))
            .output()
            .await
            .expect("serin runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// Applies a specification and expects it to begin.
    pub async fn apply(&self, spec: &str) -> String {
        let file = self.file("rollout.yaml", spec);
        let (code, text) = self.command(&["apply", "--again", "-f", &file]).await;
        assert_eq!(code, 0, "{text}");
        text
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let file = self.dir.path().join(name);
        std::fs::write(&file, text).expect("a file");
        Path::new(&file).display().to_string()
    }

    /// A folder whose files are secrets that rollouts may name.
    pub fn secrets(&self) -> std::path::PathBuf {
        let folder = self.dir.path().join("secrets");
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// What the controller answers at a path, as a client reads it.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = reqwest::get(self.url(path)).await.expect("an answer");
        answer.json().await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub async fn view(&self, name: &str) -> Seen {
        Seen(self.read(&path::rollout(name)).await)
    }

    /// Waits until a rollout is as wanted.
    pub async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        until(what, async || {
            let view = self.view(name).await;
            if wanted(&view) { Ok(view) } else { Err(view.to_string()) }
        })
        .await
    }

    /// The metrics page.
    pub async fn metrics(&self) -> String {
        reqwest::get(self.url(path::METRICS)).await.expect("an answer").text().await.expect("text")
    }

    /// A run as `serin export` gives it, or the part of it that the further arguments ask for.
    pub async fn exported(&self, name: &str, more: &[&str]) -> ExportedRun {
        let file = self.file("export.json", "");
        let (code, text) = self.command(&[&["export", name, "--file", &file], more].concat()).await;
        assert_eq!(code, 0, "{text}");
        let text = std::fs::read_to_string(file).expect("a file");
        let runs: Vec<ExportedRun> = serde_json::from_str(&text).expect("runs");
        runs.into_iter().next().expect("a run")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Serin {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the controller's log ---\n{}", self.log());
        }
    }
}

/// A port that was free a moment ago. The controller keeps it over restarts, so it cannot choose one itself.
pub fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}
