//! A mesh of one Envoy: sample servers, controller, proxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;

use super::http::Http;
use super::processes::{Process, free_ports, output_of};
use super::through_istio::Istio;
use crate::istio::Service;
use crate::model::{Behaviour, ModelServer};

/// The programs a run needs, by absolute path.
#[derive(Debug, Clone)]
pub struct Programs {
    /// A real Envoy.
    pub envoy: PathBuf,
    /// The filter.
    pub wasm: PathBuf,
    /// The controller and its command line.
    pub serin: PathBuf,
    /// A cluster whose istiod configures the proxy.
    pub istio: Option<Istio>,
}

/// Everything that runs, in the order in which it is stopped.
#[derive(Debug)]
pub struct Mesh {
    envoy: Process,
    serin: Process,
    /// Behind the default route.
    pub stable: ModelServer,
    /// Behind the routing header.
    pub canary: ModelServer,
    /// Where clients send requests.
    pub listen: SocketAddr,
    /// The name by which they know the service.
    pub authority: String,
    controller: SocketAddr,
    admin: SocketAddr,
    programs: Programs,
    http: Http,
}

/// Compiling the filter takes Envoy half a second on an idle machine; a busy one gets a minute.
const ENVOY_DEADLINE: Duration = Duration::from_secs(60);

/// The controller only opens a database and three ports.
const SERIN_DEADLINE: Duration = Duration::from_secs(20);

impl Mesh {
    /// Starts everything, with its files in `dir`; ready for requests when this returns.
    ///
    /// # Errors
    /// Names the process that did not start, with its last lines.
    pub async fn start(
        programs: Programs,
        dir: &Path,
        stable: Behaviour,
        canary: Behaviour,
    ) -> anyhow::Result<Self> {
        let http = Http::default();
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stable = ModelServer::start(local(0), stable).await?;
        let canary = ModelServer::start(local(0), canary).await?;
        let [listen, admin, controller, ecds] = free_ports()?.map(local);
        let text = |path: &Path| path.display().to_string();

        let flags = |flags: &[(&str, String)]| -> Vec<String> {
            flags.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]).collect()
        };
        let mut bootstrap = vec!["bootstrap".to_owned()];
        bootstrap.extend(flags(&[
            ("--listen", listen.to_string()),
            ("--admin", admin.to_string()),
            ("--stable", stable.addr().to_string()),
            ("--canary", canary.addr().to_string()),
            ("--ecds", ecds.to_string()),
            ("--controller", controller.to_string()),
            ("--wasm", text(&programs.wasm)),
            ("--node-id", "envoy-1".to_owned()),
            ("--route-timeout-ms", "3000".to_owned()),
        ]));
        let service = Service {
            namespace: format!("demo-{}", std::process::id()),
            port: listen.port(),
            stable: stable.addr(),
            canary: canary.addr(),
        };
        let (yaml, authority) = match &programs.istio {
            None => (output_of(&programs.serin, &bootstrap).await?, "models.local".to_owned()),
            Some(istio) => {
                let config = istio.prepare(dir, &service, &programs.wasm, [admin, controller, ecds]).await?;
                (config.to_string(), service.host())
            }
        };
        let envoy_yaml = dir.join("envoy.yaml");
        std::fs::write(&envoy_yaml, yaml)
            .with_context(|| format!("cannot write {}", envoy_yaml.display()))?;

        let mut run = vec!["run".to_owned()];
        run.extend(flags(&[
            ("--http", controller.to_string()),
            ("--ecds", ecds.to_string()),
            ("--store", text(&dir.join("serin.db"))),
            ("--wasm", text(&programs.wasm)),
            ("--envoy-admin", format!("http://{admin}")),
        ]));
        let mut serin = Process::start("serin", &programs.serin, &run, dir)?;
        let health = format!("http://{controller}/healthz");
        serin.wait_until("ready", SERIN_DEADLINE, || answers(&http, &health)).await?;

        let mut args = vec!["--disable-hot-restart".to_owned()];
        args.extend(flags(&[
            ("--config-path", text(&envoy_yaml)),
            ("--concurrency", "2".to_owned()),
            ("--log-level", "warning".to_owned()),
        ]));
        let mut envoy = Process::start("envoy", &programs.envoy, &args, dir)?;
        let ready = format!("http://{admin}/ready");
        envoy.wait_until("ready", ENVOY_DEADLINE, || answers(&http, &ready)).await?;
        Ok(Self { envoy, serin, stable, canary, listen, authority, controller, admin, programs, http })
    }

    /// `serin apply` of a spec in a file.
    ///
    /// # Errors
    /// With the controller's reasons.
    pub async fn apply(&self, spec: &Path) -> anyhow::Result<()> {
        let server = format!("http://{}", self.controller);
        let args = ["apply", "-f", &spec.display().to_string(), "--server", &server].map(str::to_owned);
        output_of(&self.programs.serin, &args).await.map(drop)
    }

    /// `GET` of a path at the controller.
    ///
    /// # Errors
    /// When it is not answered with 200 and the JSON asked for.
    pub async fn controller<T: serde::de::DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.http.get_json(&format!("http://{}{path}", self.controller)).await
    }

    /// An error when a process has ended.
    ///
    /// # Errors
    /// With its last lines of output.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        self.serin.check_running()?;
        self.envoy.check_running()
    }

    /// Requests that the proxy gave to stable because it had lost its lease, so far.
    ///
    /// # Errors
    /// When Envoy does not tell.
    pub async fn without_lease(&self) -> anyhow::Result<u64> {
        let url = format!("http://{}/stats?filter=assigned_total.*cause=.=fallback", self.admin);
        let (status, body) = self.http.get(&url).await?;
        anyhow::ensure!(status == StatusCode::OK, "GET {url}: {status}: {}", body.trim());
        Ok(body.lines().filter_map(|line| line.rsplit_once(": ")?.1.trim().parse::<u64>().ok()).sum())
    }

    /// The ids of both processes.
    pub fn processes(&self) -> Vec<u32> {
        [&self.envoy, &self.serin].into_iter().filter_map(Process::id).collect()
    }

    /// Ends both processes, each asked first.
    pub async fn stop(self) {
        tokio::join!(self.envoy.stop(), self.serin.stop());
    }
}

async fn answers(http: &Http, url: &str) -> bool {
    matches!(http.get(url).await, Ok((StatusCode::OK, _)))
}
