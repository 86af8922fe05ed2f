use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::serin::free_port;
use super::{tools, until};

/// A real Prometheus that reads one address. It ends with this value.
pub struct PrometheusProcess {
    child: Child,
    dir: TempDir,
    addr: SocketAddr,
}

impl PrometheusProcess {
    pub async fn of(envoy_admin: SocketAddr) -> Self {
        Self::reading(&envoy_admin.to_string(), "/stats/prometheus").await
    }

    pub async fn reading(target: &str, path: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let config = format!(
            "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
  - job_name: story
    metrics_path: {path}
    static_configs: [{{targets: ['{target}']}}]
"
        );
        std::fs::write(dir.path().join("prometheus.yaml"), config).expect("its configuration");
        let log = std::fs::File::create(dir.path().join("log")).expect("a log");
        let addr = free_port();
        let child = Command::new(tools::prometheus())
            .arg("--config.file")
            .arg(dir.path().join("prometheus.yaml"))
            .arg("--storage.tsdb.path")
            .arg(dir.path().join("data"))
            .args(["--web.listen-address", &addr.to_string()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus starts");
        let prometheus = Self { child, dir, addr };
        until("Prometheus to be ready", async || {
            let answer = reqwest::get(format!("{}/-/ready", prometheus.url())).await;
            match answer {
                Ok(answer) if answer.status().is_success() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        prometheus
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for PrometheusProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("--- Prometheus' log ---\n{log}");
        }
    }
}
