//! The controller as a process, and what it costs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tally::metric::LOOK_SECONDS;
use tempfile::TempDir;
use tests::{free_port, path, within};

/// A hundred rollouts begin in a few seconds; busy machines take longer.
const PATIENCE: Duration = Duration::from_secs(180);

pub struct Controller {
    child: Child,
    dir: TempDir,
    http: SocketAddr,
    pub ecds: SocketAddr,
    client: reqwest::Client,
}

/// What it has used since it began.
pub struct Usage {
    pub cpu_s: f64,
    pub memory_mb: f64,
    pub written_kb: f64,
}

/// Where cargo puts programs, this one too.
fn folder() -> PathBuf {
    let here = std::env::current_exe().expect("a path");
    here.parent().expect("a folder").to_owned()
}

impl Controller {
    pub async fn start(admins: &[String], period_ms: u64) -> Self {
        let serin = folder().join("serin");
        assert!(
            serin.is_file(),
            "no {}: run this by `cargo xtask bench load`, which builds it",
            serin.display()
        );
        // Beside the build, not in a folder of memory: what a disk costs is part of the figure.
        let dir = tempfile::tempdir_in(folder()).expect("a folder");
        let (http, ecds) = (free_port(), free_port());
        let child = Command::new(serin)
            .args(["run", "--wasm", "/filter.wasm", "--http", &http.to_string(), "--ecds", &ecds.to_string()])
            .args(["--envoy-admin", &admins.join(","), "--period-ms", &period_ms.to_string()])
            .arg("--store")
            .arg(dir.path().join("serin.db"))
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .spawn()
            .expect("serin starts");
        let controller = Self { child, dir, http, ecds, client: reqwest::Client::new() };
        within(PATIENCE, "the controller", async || controller.get(path::HEALTHZ).await).await;
        controller
    }

    async fn get(&self, path: &str) -> Result<String, reqwest::Error> {
        let answer = self.client.get(format!("http://{}{path}", self.http)).send().await?;
        answer.error_for_status()?.text().await
    }

    async fn post(&self, path: &str, body: String) {
        let request = self.client.post(format!("http://{}{path}", self.http)).body(body);
        let answer = request.header("content-type", "application/json").send().await.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success(), "{path}: {status}: {text}");
    }

    pub async fn apply(&self, spec: &str) {
        self.post(path::ROLLOUTS, spec.to_owned()).await;
    }

    pub async fn abort(&self, name: &str) {
        self.post(&path::of_rollout(name, "abort"), "{}".to_owned()).await;
    }

    pub async fn view(&self, name: &str) -> Value {
        let text = self.get(&path::rollout(name)).await.expect("a view");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Waits until all rollouts are in a phase, with their weights acknowledged.
    pub async fn until_all(&self, phase: &str) {
        within(PATIENCE, "all rollouts", async || {
            let text = self.get(path::ROLLOUTS).await.expect("the rollouts");
            let all: Vec<Value> = serde_json::from_str(&text).expect("JSON");
            let there = |view: &&Value| view["phase"] == phase && view["stages"][0]["gates"][0].is_object();
            let n = all.iter().filter(there).count();
            if n == all.len() { Ok(()) } else { Err(format!("{n} of {}", all.len())) }
        })
        .await;
    }

    pub async fn metrics(&self) -> String {
        self.get(path::METRICS).await.expect("metrics")
    }

    /// Looks made so far.
    pub async fn looks(&self) -> f64 {
        line(&self.metrics().await, &format!("{LOOK_SECONDS}_count"))
    }

    pub fn usage(&self) -> Usage {
        let of = |file: &str| {
            std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("a process of Linux")
        };
        let stat = of("stat");
        let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
        let field = |text: &str, name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
        };
        Usage {
            // Clock ticks are hundredths of a second on Linux.
            cpu_s: (ticks(11) + ticks(12)) / 100.0,
            memory_mb: field(&of("status"), "VmRSS:") / 1024.0,
            written_kb: field(&of("io"), "write_bytes:") / 1024.0,
        }
    }

    pub fn store_mb(&self) -> f64 {
        let files = std::fs::read_dir(self.dir.path()).expect("the folder").flatten();
        files.filter_map(|file| Some(file.metadata().ok()?.len() as f64)).sum::<f64>() / 1e6
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A quantile of a summary, in seconds.
pub fn quantile(metrics: &str, metric: &str, quantile: &str) -> f64 {
    line(metrics, &format!("{metric}{{quantile=\"{quantile}\"}}"))
}

fn line(metrics: &str, name: &str) -> f64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in:\n{metrics}"))
}
