//! Counters by way of Prometheus.

use std::path::PathBuf;

use server::PrometheusTerms;

#[derive(Debug, clap::Args)]
pub struct Prometheus {
    /// Read the counters from this Prometheus instead, or from a server with its API (Thanos, Mimir), such as
    /// http://prometheus.monitoring:9090; it must scrape the proxies. A region may stand in front (eu-west=http://...)
    #[arg(
        long,
        env = "SERIN_PROMETHEUS_URL",
        value_delimiter = ',',
        value_name = "URL",
        conflicts_with_all = ["envoy_admin", "proxy_metrics"]
    )]
    pub prometheus: Vec<String>,
    /// File with the bearer token for it; read again at each look
    #[arg(long, env = "SERIN_PROMETHEUS_TOKEN_FILE", value_name = "FILE", requires = "prometheus")]
    pub prometheus_token_file: Option<PathBuf>,
    /// Tenant whose samples are read (X-Scope-OrgID), for Mimir and similar servers
    #[arg(long, env = "SERIN_PROMETHEUS_TENANT", value_name = "ID", requires = "prometheus")]
    pub prometheus_tenant: Option<String>,
    /// Require its certificate to be of these authorities (PEM). Default: those of the system
    #[arg(long, env = "SERIN_PROMETHEUS_CA", value_name = "FILE", requires = "prometheus")]
    pub prometheus_ca: Option<PathBuf>,
    /// Read only series with these labels, such as 'job="sidecars",namespace="models"'
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
