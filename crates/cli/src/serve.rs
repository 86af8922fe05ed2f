//! `serin run`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use server::{Config, HookTerms, Plugins, ProxyTerms, ReplicaTerms};
use sources::{Hosts, Secrets};
use tracing_subscriber::EnvFilter;

mod log;

use crate::args::Run;

pub async fn run(options: Run) -> Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    log::init(filter);
    let replicas = options.replicas.kubernetes_lease.map(|lease| ReplicaTerms {
        lease,
        address: options.replicas.kubernetes_address,
        kubeconfig: options.plugins.kubeconfig.clone(),
    });
    server::run(Config {
        http: options.http,
        ecds: options.ecds,
        store: options.store,
        keep_ms: options.keep.ms(),
        wasm: options.wasm,
        envoy_admins: options.envoy_admin,
        proxy_metrics: options.proxy_metrics,
        prometheus: options.prometheus.terms(),
        ecds_file: options.ecds_file,
        plugins: Plugins {
            places: options.plugins.istio_plugin,
            lease: options.plugins.istio_lease,
            kubeconfig: options.plugins.kubeconfig,
            rollouts: options.plugins.kubernetes_rollouts,
            workloads: options.hooks.kubernetes_workloads,
        },
        replicas,
        record: options.record,
        period: Duration::from_millis(options.period_ms),
        lease_interval_ms: options.lease_interval_ms,
        secrets: Secrets { dir: options.secret_dir, env_prefix: options.secret_env },
        source_hosts: Hosts::new("--source-host", options.source_host),
        hooks: HookTerms {
            commands: options.hooks.hook_command,
            env: options.hooks.hook_env,
            hosts: Hosts::new("--hook-host", options.hooks.hook_host),
        },
        allowed_hosts: options.allowed_host,
        proxies: ProxyTerms {
            token_file: options.proxies.proxy_token_file.clone(),
            tls: options.proxies.tls(),
        },
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}
