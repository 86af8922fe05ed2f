//! `serin run`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Prometheus, Proxies};

#[derive(Debug, clap::Args)]
pub struct Run {
    /// Address of the HTTP server: API, leases, metrics
    #[arg(long, default_value = "127.0.0.1:7070", env = "SERIN_HTTP")]
    pub http: SocketAddr,
    /// Address of the gRPC server from which Envoys fetch the policy (ECDS)
    #[arg(long, default_value = "127.0.0.1:7071", env = "SERIN_ECDS")]
    pub ecds: SocketAddr,
    /// SQLite file of the controller's state
    #[arg(long, default_value = "serin.db", env = "SERIN_STORE")]
    pub store: PathBuf,
    /// How long a run is kept after the next one has begun
    #[arg(long, default_value = "200d", env = "SERIN_KEEP")]
    pub keep: manifest::Span,
    /// Path of the filter's wasm file, as Envoy sees it
    #[arg(long, env = "SERIN_WASM")]
    pub wasm: PathBuf,
    /// Admin address of each Envoy whose counters are read, such as http://127.0.0.1:9901. With a region in front
    /// (eu-west=http://...) the region is known even while the Envoy does not answer
    #[arg(long, env = "SERIN_ENVOY_ADMIN", value_delimiter = ',')]
    pub envoy_admin: Vec<String>,
    /// The same where the admin address cannot be reached: a page with the Envoy's metrics for Prometheus, such as
    /// http://10.0.0.7:15020/stats/prometheus of an Istio sidecar, or dns://NAME:15020/stats/prometheus for every address of
    /// a name, such as that of a headless service, or pods://NAMESPACE/LABEL=VALUE:15020/stats/prometheus for every running pod
    /// with these labels (CONTEXT@ of the kubeconfig may stand before the namespace); its region may stand before it
    #[arg(long, env = "SERIN_PROXY_METRICS", value_delimiter = ',', value_name = "URL")]
    pub proxy_metrics: Vec<String>,
    #[command(flatten)]
    pub prometheus: Prometheus,
    /// Also write the policy into this directory, for Envoys that watch a file; the policy of a region goes into the
    /// subdirectory with its name, if there is one
    #[arg(long)]
    pub ecds_file: Option<PathBuf>,
    #[command(flatten)]
    pub plugins: IstioPlugins,
    #[command(flatten)]
    pub replicas: Replicas,
    /// Record each rollout's counts in this directory, for `serin simulate --record` (about 40 MB per day and rollout)
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// Interval between two readings of the counters, in milliseconds
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub period_ms: u64,
    /// Interval at which each Envoy renews its lease, in milliseconds
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
    pub lease_interval_ms: u32,
    /// Folder of secrets that rollouts may use: {secret: prometheus/token} is the file prometheus/token in it
    #[arg(long, env = "SERIN_SECRET_DIR", value_name = "DIR")]
    pub secret_dir: Option<PathBuf>,
    /// Environment variables with this prefix are secrets too: with SECRET_, {secret: prometheus-token} is
    /// SECRET_PROMETHEUS_TOKEN
    #[arg(long, env = "SERIN_SECRET_ENV", value_name = "PREFIX", value_parser = prefix)]
    pub secret_env: Option<String>,
    /// Host that sources of rollouts may query, such as prometheus or *.example.com, or a network such as 10.0.0.0/8.
    /// Default: any host
    #[arg(long, env = "SERIN_SOURCE_HOST", value_name = "HOST", value_delimiter = ',')]
    pub source_host: Vec<sources::Host>,
    /// Host name under which the controller answers, besides localhost and its address, such as serin.models.svc or
    /// *.example.com. Requests with another host name are refused, against DNS rebinding
    #[arg(long, env = "SERIN_ALLOWED_HOST", value_name = "HOST", value_delimiter = ',')]
    pub allowed_host: Vec<sources::Host>,
    #[command(flatten)]
    pub hooks: HookLimits,
    #[command(flatten)]
    pub proxies: Proxies,
}

/// The objects by which istiod takes the policy to the proxies.
#[derive(Debug, clap::Args)]
pub struct IstioPlugins {
    /// Also write the policy into this TrafficExtension or WasmPlugin, by which istiod takes it to the proxies: NAMESPACE/NAME, or
    /// REGION=NAMESPACE/NAME for the proxies of a region; its API server is named by --kubeconfig, KUBECONFIG, or the pod's service account
    #[arg(long, env = "SERIN_ISTIO_PLUGIN", value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    pub istio_plugin: Vec<istio::Place>,
    /// The service of the mesh at which these proxies renew their leases: this controller's --http
    #[arg(
        long,
        env = "SERIN_ISTIO_LEASE",
        value_name = "HOST:PORT",
        default_value = "serin.serin-system.svc.cluster.local:7070"
    )]
    pub istio_lease: istio::LeaseAddress,
    /// Take rollouts from the Rollouts (rollouts.serin.dev) of these namespaces of Kubernetes, or of all: what is applied there runs here,
    /// and its status shows the run
    #[arg(long, env = "SERIN_KUBERNETES_ROLLOUTS", value_name = "NAMESPACE[,NAMESPACE]|all")]
    pub kubernetes_rollouts: Option<istio::objects::Namespaces>,
    /// Names the API server of Kubernetes, in place of KUBECONFIG and the pod's service account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Several controllers, of which one decides.
#[derive(Debug, clap::Args)]
pub struct Replicas {
    /// There are several controllers: the holder of this Lease decides, and the others serve what it decided and take over
    /// within 15 s (docs/high-availability.md). What is decided is kept in ConfigMaps of that namespace
    #[arg(long, env = "SERIN_KUBERNETES_LEASE", value_name = "NAMESPACE/NAME")]
    pub kubernetes_lease: Option<istio::leader::LeaseName>,
    /// Where the other controllers reach this one, such as http://$(POD_IP):7070. Default: the address of --http
    #[arg(long, env = "SERIN_KUBERNETES_ADDRESS", value_name = "URL", requires = "kubernetes_lease")]
    pub kubernetes_address: Option<String>,
}

/// What hooks of rollouts may do.
#[derive(Debug, clap::Args)]
pub struct HookLimits {
    /// Program that hooks of rollouts may run, spelled as in the hook, such as /usr/local/bin/deploy; * allows any. Default:
    /// none
    #[arg(long, env = "SERIN_HOOK_COMMAND", value_name = "PROGRAM", value_delimiter = ',')]
    pub hook_command: Vec<String>,
    /// Environment variable that is passed on to these programs, such as KUBECONFIG. They always get PATH, HOME, LANG,
    /// LC_ALL, TZ, TMPDIR, and SERIN_* variables that describe the call
    #[arg(long, env = "SERIN_HOOK_ENV", value_name = "NAME", value_delimiter = ',')]
    pub hook_env: Vec<String>,
    /// Namespace of Kubernetes in which rollouts may change Deployments and Services (handBack.kubernetes, keepWarm.kubernetes).
    /// Default: none
    #[arg(long, env = "SERIN_KUBERNETES_WORKLOADS", value_name = "NAMESPACE", value_delimiter = ',')]
    pub kubernetes_workloads: Vec<String>,
    /// Host that hooks of rollouts may call and whose endpoints are asked for their version, or a network such as
    /// 10.0.0.0/8. Default: any host
    #[arg(long, env = "SERIN_HOOK_HOST", value_name = "HOST", value_delimiter = ',')]
    pub hook_host: Vec<sources::Host>,
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    fits.then(|| text.to_owned())
        .ok_or_else(|| "use letters, digits and '_', such as SERIN_SECRET_".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::args::Args;

    /// The chart starts the controller with flags that it knows.
    #[test]
    fn every_flag_of_the_chart_is_known() {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../../istio/chart/templates/_controller.tpl");
        let text = std::fs::read_to_string(template).expect("the template");
        let asked = text.lines().filter_map(|line| line.trim().strip_prefix("- --"));
        let asked: Vec<&str> = asked.filter_map(|flag| flag.split('=').next()).collect();
        assert!(asked.len() > 10, "{asked:?}");
        let args = Args::command();
        let run = args.find_subcommand("run").expect("serin run");
        for flag in asked {
            let known = run.get_arguments().any(|argument| argument.get_long() == Some(flag));
            assert!(known, "the chart says --{flag}, and serin run does not know it");
        }
    }
}
