//! Counters by way of Prometheus.

use std::path::PathBuf;

use server::PrometheusTerms;

#[derive(Debug, clap::Args)]
pub struct Prometheus {
    /// A Prometheus that scrapes the proxies, or what speaks its API (Thanos, Mimir): their counters are asked for there
    /// instead, such as http://prometheus.monitoring:9090; a region may stand before it
    #[arg(
        long,
        env = "SERIN_PROMETHEUS_URL",
        value_delimiter = ',',
        value_name = "URL",
        conflicts_with_all = ["envoy_admin", "proxy_metrics"]
    )]
    pub prometheus: Vec<String>,
    /// A file with the bearer token it wants; it is read again at each look
    #[arg(long, env = "SERIN_PROMETHEUS_TOKEN_FILE", value_name = "FILE", requires = "prometheus")]
    pub prometheus_token_file: Option<PathBuf>,
    /// The tenant whose samples are asked for (X-Scope-OrgID), for Mimir and its like
    #[arg(long, env = "SERIN_PROMETHEUS_TENANT", value_name = "ID", requires = "prometheus")]
    pub prometheus_tenant: Option<String>,
    /// Trust its certificate when it is of these authorities (PEM); without it, of those of the system
    #[arg(long, env = "SERIN_PROMETHEUS_CA", value_name = "FILE", requires = "prometheus")]
    pub prometheus_ca: Option<PathBuf>,
    /// Ask for series with these labels alone, such as 'job="sidecars",namespace="models"'
    #[arg(long, env = "SERIN_PROMETHEUS_MATCH", value_name = "MATCHERS", requires = "prometheus")]
    pub prometheus_match: Option<String>,
}

impl Prometheus {
    /// The same for the controller.
    pub fn terms(self) -> PrometheusTerms {
        PrometheusTerms {
            urls: self.prometheus,
            token_file: self.prometheus_token_file,
            tenant: self.prometheus_tenant,
            ca_file: self.prometheus_ca,
            matchers: self.prometheus_match,
        }
    }
}
