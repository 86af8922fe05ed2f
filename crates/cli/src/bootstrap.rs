//! `serin bootstrap`: an Envoy configuration that works with this controller.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use envoy::bootstrap::{PolicySource, Role, Upstream};
use envoy::{Bootstrap, Resource};

use crate::args;

pub fn print(options: &args::Bootstrap) -> Result<ExitCode> {
    let wasm = std::path::absolute(&options.wasm)?;
    let source = match &options.ecds_file {
        Some(directory) => PolicySource::File(std::path::absolute(directory)?),
        None => PolicySource::Grpc(options.ecds.clone()),
    };
    let mut bootstrap = Bootstrap::new(
        options.listen.clone(),
        options.admin.clone(),
        options.stable.clone(),
        options.canary.clone(),
        source,
        Resource::local(wasm),
    );
    bootstrap.node_id.clone_from(&options.node_id);
    for (name, endpoint) in &options.arm {
        // Several endpoints of one arm are one cluster.
        match bootstrap.others.iter_mut().find(|(known, _)| known == name) {
            Some((_, endpoints)) => endpoints.push(endpoint.clone()),
            None => bootstrap.others.push((name.clone(), vec![endpoint.clone()])),
        }
    }
    bootstrap.region.clone_from(&options.region);
    bootstrap.credentials = options.shows.credentials()?;
    // Over TLS there is one port for both.
    let lease = if bootstrap.credentials.tls.is_some() { &options.ecds } else { &options.controller };
    bootstrap.lease = Some(lease.clone());
    if let Some(token) = &bootstrap.credentials.token
        && let Some(watch) = &token.watch
    {
        std::fs::write(watch, token.secret().to_string())
            .with_context(|| format!("--token-watch: {} cannot be written", watch.display()))?;
    }
    bootstrap.route_timeout = Duration::from_millis(options.route_timeout_ms);
    bootstrap.upstream = if options.grpc { Upstream::AsClient } else { Upstream::Http1 };
    bootstrap.role = if options.follow { Role::Follow } else { Role::Decide };
    print!("{}", bootstrap.to_yaml()?);
    Ok(ExitCode::SUCCESS)
}
