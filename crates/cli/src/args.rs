//! What a user may type.

mod act;
pub mod doctor;
mod export;
mod import;
mod prometheus;
mod proxies;
mod run;
mod trigger;
mod wait;

use std::path::PathBuf;

pub use self::doctor::Doctor;
pub use act::{Act, ActOnArm, ActPrecondition};
use clap::{Parser, Subcommand};
pub use export::Export;
pub use import::{Form, Import};
pub use prometheus::Prometheus;
pub use proxies::{ControllerCredentials, Proxies};
pub use run::Run;
pub use trigger::{Trigger, TriggerAct};
pub use wait::{End, Wait};

/// Rolls out new versions of a model through an Envoy or Istio mesh.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done (with `get -w`: promoted), 1 rolled back or refused, 2 could not decide, 3 could not run, 64 usage error.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller
    Run(Box<Run>),
    /// Apply rollouts and triggers from a file or a folder
    Apply(Apply),
    /// Show all rollouts, or one
    Get(Get),
    /// Wait until a rollout has ended, for pipelines
    Wait(Wait),
    /// Start a rolled-back rollout again, with the specification that the controller has stored
    Retry(Retry),
    /// Roll back now: send all traffic back to stable
    Abort(ActOnArm),
    /// Roll back: to stable while a run lasts; after a promotion, to an earlier version
    Rollback(Rollback),
    /// Advance by exactly one stage, past whatever the rollout is waiting for
    Promote(ActOnArm),
    /// Approve the next stage
    Approve(Act),
    /// Pause a rollout at its present weight; after its end: pause the watch for drift
    Pause(Act),
    /// Resume a paused rollout, or the watch for drift
    Resume(Act),
    /// Set the canary's weight and pause there, until `serin resume`
    SetWeight(SetWeight),
    /// Delete a finished rollout: proxies stop matching its requests; its history is kept
    Delete(Act),
    /// Test the rollback path on the live configuration, and report how long each step takes
    Drill(Drill),
    /// Show, fire or delete triggers, which start rollouts when a model registry has a new version
    Trigger(Trigger),
    /// A/A check: compare stable with itself, to test the gates and the traffic split
    #[command(name = "aa")]
    Parity(Parity),
    /// List the runs of a rollout, or show the history of one: who did what, and why
    History(History),
    /// Export runs, stages, gates, measurements and history as JSON or CSV
    Export(Export),
    /// Push a value to a gate or guardrail whose source is `push`
    Push(Push),
    /// Check files of rollouts and triggers, without a controller
    Lint(Lint),
    /// Explain what a rollout would do, when, and what would stop it
    Explain(Explain),
    /// Convert manifests of Argo Rollouts, Flagger, KServe, the Gateway API and Istio to rollouts, and list what is lost
    Import(Import),
    /// Compare two files of samples once
    Judge(crate::judgement::Options),
    /// Compare two files of predictions, joined with labels: accuracy, calibration, latency, errors, drift
    Compare(crate::judgement::CompareOptions),
    /// Estimate how long a rollout takes, and whether there is enough traffic
    Plan(crate::planning::Options),
    /// Simulate a rollout many times, with made-up or recorded traffic
    Simulate(crate::simulation::Options),
    /// Print an Envoy configuration for use with the controller
    Bootstrap(Bootstrap),
    /// Check an installation in a mesh, and print each fault with the command that mends it
    Doctor(Box<Doctor>),
}

/// Where the controller is.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// The controller's address. Default: http://127.0.0.1:7070; as kubectl serin, --kubernetes serin-system/serin
    #[arg(long, env = "SERIN_SERVER", global = true)]
    pub server: Option<String>,
    /// Find the controller in Kubernetes, through the API server that KUBECONFIG names: the service's namespace, and its name if that is
    /// not serin
    #[arg(
        long,
        env = "SERIN_KUBERNETES",
        value_name = "NAMESPACE[/SERVICE]",
        global = true,
        conflicts_with = "server"
    )]
    pub kubernetes: Option<istio::ServiceName>,
}

#[derive(Debug, clap::Args)]
pub struct Apply {
    #[command(flatten)]
    pub server: Server,
    /// File with one or more YAML or JSON documents (rollouts, triggers), or a folder of such files; - reads standard input
    #[arg(short, long, required = true, value_name = "FILE|DIR")]
    pub file: Vec<PathBuf>,
    /// Begin even if this version was rolled back before
    #[arg(long)]
    pub again: bool,
    /// Change nothing; show what apply would do, and the differences to the last applied specification
    #[arg(long)]
    pub dry_run: bool,
    /// Apply the valid documents even if others are invalid
    #[arg(long)]
    pub keep_going: bool,
    #[command(flatten)]
    pub meant: ActPrecondition,
}

#[derive(Debug, clap::Args)]
pub struct Get {
    #[command(flatten)]
    pub server: Server,
    /// Name of the rollout; without it, all are listed
    pub name: Option<String>,
    /// Show this run, by its number
    #[arg(long, requires = "name", conflicts_with = "watch")]
    pub run: Option<u64>,
    /// Follow the rollout to its end
    #[arg(short, long, requires = "name")]
    pub watch: bool,
    /// List only rollouts that need a person
    #[arg(long, conflicts_with = "name")]
    pub needs_attention: bool,
    /// Output format
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

#[derive(Debug, clap::Args)]
pub struct Retry {
    #[command(flatten)]
    pub server: Server,
    /// Name of the rollout; its last run must have been rolled back
    pub name: String,
    /// Why it should succeed now; recorded in the history
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub meant: ActPrecondition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
pub struct Rollback {
    #[command(flatten)]
    pub act: Act,
    /// Version to go back to; it must have been behind the stable route before. Default: the previous one
    #[arg(long)]
    pub to: Option<String>,
    /// Do not check that the version is deployed behind the canary route
    #[arg(long)]
    pub unverified: bool,
}

#[derive(Debug, clap::Args)]
pub struct SetWeight {
    #[command(flatten)]
    pub act: Act,
    /// The canary's share, such as 7% or 0.5%; below 100%
    pub weight: manifest::Percent,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 passed, 1 failed or refused, 2 could not decide, 3 could not run.")]
pub struct Drill {
    #[command(flatten)]
    pub server: Server,
    /// Name of the rollout; no run may be under way. The members of a fleet are tested one after the other
    pub name: String,
    /// The canary's share during the drill, at most 5%; with 0% no request goes to the canary
    #[arg(long, default_value = "0%")]
    pub weight: manifest::Percent,
    /// Time within which the rollback must reach every proxy
    #[arg(long, default_value = "30s")]
    pub limit: manifest::Span,
    /// Reason; required to send requests to a version that was rolled back
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Start it and do not wait for its end
    #[arg(long)]
    pub detach: bool,
    /// Output format
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 parity is proven, 1 a difference or a wrong split is found, or refused, 2 too few requests, 3 could not run."
)]
pub struct Parity {
    #[command(flatten)]
    pub server: Server,
    /// Name of the rollout; no run may be under way. The members of a fleet are tested one after the other
    pub name: String,
    /// Share of the second part of the traffic, at most 50%. Default: 50%; with --deployed 5%
    #[arg(long)]
    pub share: Option<manifest::Percent>,
    /// The second part goes to the canary route, where the same version is deployed; otherwise stable serves both
    #[arg(long)]
    pub deployed: bool,
    /// Duration of the check. Default: until the gates decide, at most one hour
    #[arg(long)]
    pub duration: Option<manifest::Span>,
    /// With --duration: end as soon as the gates decide
    #[arg(long)]
    pub until_evidence: bool,
    /// Reason; required with --deployed if the canary was rolled back
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Start it and do not wait for its end
    #[arg(long)]
    pub detach: bool,
    /// Output format
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

#[derive(Debug, clap::Args)]
pub struct History {
    #[command(flatten)]
    pub server: Server,
    /// Name of the rollout
    pub name: String,
    /// Show the history of this run, by its number
    #[arg(long)]
    pub run: Option<u64>,
    /// Output format
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

#[derive(Debug, clap::Args)]
pub struct Push {
    #[command(flatten)]
    pub server: Server,
    /// The rollout's name
    pub name: String,
    /// Name of the gate or guardrail; its source is `push`
    pub metric: String,
    /// Version that the value was measured on
    #[arg(long)]
    pub version: String,
    /// The value
    #[arg(allow_negative_numbers = true, value_parser = finite)]
    pub value: f64,
    /// Number of samples that the value is the mean of; values of one window are averaged with this weight
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
}

fn challenger(text: &str) -> Result<split::Arm, String> {
    let arm = split::Arm::parse(text).filter(|arm| arm.is_challenger());
    arm.ok_or_else(|| "not a new version of the rollout; write canary, or a name under spec.arms".to_owned())
}

fn arm(text: &str) -> Result<(String, envoy::Endpoint), String> {
    let (name, at) = text.split_once('=').ok_or("write it as NAME=HOST:PORT, such as b=10.0.0.3:8080")?;
    Ok((name.to_owned(), at.parse().map_err(|error| format!("{name}: {error}"))?))
}

fn finite(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| "not a number; leave out what was not measured".to_owned())
}

#[derive(Debug, clap::Args)]
pub struct Lint {
    /// File with one or more YAML or JSON documents (rollouts, triggers), or a folder of such files; - reads standard input
    #[arg(short, long, required = true, value_name = "FILE|DIR")]
    pub file: Vec<PathBuf>,
    /// Traffic of all versions together, 100 (a second), 6000/m or 1000/h: also warns of stages too short for their gates
    #[arg(long, value_parser = crate::planning::per_second)]
    pub rate: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub struct Explain {
    /// File of the rollout; - reads standard input
    #[arg(short, long, required_unless_present = "schema")]
    pub file: Option<PathBuf>,
    /// Traffic of all versions together, 100 (a second), 6000/m or 1000/h: also estimates how long the gates take
    #[arg(long, value_parser = crate::planning::per_second)]
    pub rate: Option<f64>,
    /// Print the JSON Schema of a rollout or of a trigger instead
    #[arg(long, value_name = "KIND", num_args = 0..=1, default_missing_value = "rollout", conflicts_with_all = ["file", "rate"])]
    pub schema: Option<Kind>,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Rollout,
    Trigger,
}

#[derive(Debug, clap::Args)]
pub struct Bootstrap {
    /// Address that Envoy listens on
    #[arg(long, default_value = "127.0.0.1:10000")]
    pub listen: envoy::Endpoint,
    /// Envoy's admin address; keep it on loopback
    #[arg(long, default_value = "127.0.0.1:9901")]
    pub admin: envoy::Endpoint,
    /// Address of the stable version
    #[arg(long)]
    pub stable: envoy::Endpoint,
    /// Address of the canary
    #[arg(long)]
    pub canary: envoy::Endpoint,
    /// Address of a further version, as NAME=HOST:PORT; rollouts can use NAME under `arms`
    #[arg(long, value_parser = arm, value_name = "NAME=HOST:PORT")]
    pub arm: Vec<(String, envoy::Endpoint)>,
    /// The controller's ECDS address
    #[arg(long, default_value = "127.0.0.1:7071", conflicts_with = "ecds_file")]
    pub ecds: envoy::Endpoint,
    /// Read the policy from a file in this directory, in place of --ecds
    #[arg(long)]
    pub ecds_file: Option<PathBuf>,
    /// The controller's HTTP address, for the lease
    #[arg(long, default_value = "127.0.0.1:7070")]
    pub controller: envoy::Endpoint,
    #[command(flatten)]
    pub shows: ControllerCredentials,
    /// Path of the filter's wasm file, as Envoy sees it
    #[arg(long, env = "SERIN_WASM")]
    pub wasm: PathBuf,
    /// Node id of this Envoy
    #[arg(long, default_value = "envoy-1")]
    pub node_id: String,
    /// Region of this Envoy, for rollouts in regions
    #[arg(long)]
    pub region: Option<String>,
    /// Route timeout, in milliseconds
    #[arg(long, default_value_t = 15_000)]
    pub route_timeout_ms: u64,
    /// Use the client's HTTP version towards the models; required for gRPC
    #[arg(long)]
    pub grpc: bool,
    /// Follow the routing header of a proxy in front of this one, in place of assigning requests
    #[arg(long)]
    pub follow: bool,
}
