//! `serin doctor`.

use std::path::PathBuf;

use super::Output;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all was looked at and nothing is wrong, 1 something is to mend, 2 nothing was found and not all could be looked at, 3 could not run."
)]
pub struct Doctor {
    /// Names the API server of Kubernetes, in place of KUBECONFIG and the pod's service account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the controller
    #[arg(short, long, default_value = "serin-system")]
    pub namespace: String,
    /// The TrafficExtension or WasmPlugin that installs the filter. Default: those that the controller writes
    #[arg(long, value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    pub plugin: Vec<istio::Place>,
    /// Namespace of Istio's own objects
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    pub istio_namespace: String,
    /// The controller's address, such as http://127.0.0.1:7070 behind kubectl port-forward
    #[arg(long, env = "SERIN_SERVER", value_name = "URL")]
    pub controller: Option<String>,
    /// The Prometheus that scrapes the sidecars
    #[arg(long, env = "SERIN_PROMETHEUS_URL", value_name = "URL")]
    pub prometheus: Option<String>,
    /// Page of a sidecar, such as http://10.0.0.7:15020/stats/prometheus. Default: those of the pods that decide, by way of the
    /// API server
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub proxy_metrics: Vec<String>,
    /// Part that is left out on purpose: it counts neither as seen nor as missing
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub without: Vec<Part>,
    /// Output format
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

/// What may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The controller's own figures
    Controller,
    /// Prometheus
    Prometheus,
    /// The sidecars' pages
    Proxies,
    /// What the controller's service account may do
    Rights,
    /// Versions of Istio and of the programs
    Versions,
}
