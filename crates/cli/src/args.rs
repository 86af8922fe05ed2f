//! What a user may type.

mod act;
mod export;
mod import;
mod proxies;
mod trigger;
mod wait;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use act::{Act, ActOnArm, Meant};
use clap::{Parser, Subcommand};
pub use export::Export;
pub use import::{Form, Import};
pub use proxies::{Proxies, Shows};
pub use trigger::{Trigger, TriggerAct};
pub use wait::{End, Wait};

/// Rolls new model versions out through an Envoy or Istio mesh.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done (with `get -w`: promoted), 1 rolled back or refused, 2 could not decide, 3 could not run, 64 the command cannot be read.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller
    Run(Run),
    /// Begin the rollouts that a file or a folder describes
    Apply(Apply),
    /// Show rollouts, or one of them
    Get(Get),
    /// Wait until a rollout is over, for pipelines
    Wait(Wait),
    /// Run a rollout again that was rolled back, with the specification that the controller has stored
    Retry(Retry),
    /// Send everything back to stable, now
    Abort(ActOnArm),
    /// Go back: to stable while a run lasts, and after it to a version that was there before, at once
    Rollback(Rollback),
    /// Move past what a rollout is waiting for: exactly one stage
    Promote(ActOnArm),
    /// Say yes to the next stage
    Approve(Act),
    /// Stop a rollout where it is; of one that is over: stop watching what was promoted
    Pause(Act),
    /// Let a paused rollout go on, or the watch
    Resume(Act),
    /// Give the canary a weight by hand; the rollout stands still there until it is resumed
    SetWeight(SetWeight),
    /// Delete a rollout that is over: the proxies no longer match its requests, its history is kept
    Delete(Act),
    /// Practise a rollback on the live configuration, and say how long each step takes
    Drill(Drill),
    /// Triggers, which begin rollouts by themselves: list them, name one a version, delete one
    Trigger(Trigger),
    /// A/A check: is a version judged equal to itself, and does each arm get its share of the traffic?
    Aa(Aa),
    /// Show the runs of a rollout, or what happened in one: who did what, and why
    History(History),
    /// Write what the store holds, as JSON or CSV: runs, stages, gates, measurements, history
    Export(Export),
    /// Push a measured value to a gate whose source is `push`
    Push(Push),
    /// Check a rollout's file without a controller
    Lint(Lint),
    /// Say in plain words what a rollout would do, when, and what would stop it
    Explain(Explain),
    /// Make rollouts of the manifests of Argo Rollouts, Flagger, KServe, the Gateway API and Istio, and say what is lost
    Import(Import),
    /// Compare two files of samples once, as a gate would
    Judge(crate::judgement::Options),
    /// How long a rollout takes, and whether there is traffic enough
    Plan(crate::planning::Options),
    /// Simulate a rollout many times, with made-up or recorded traffic
    Simulate(crate::simulation::Options),
    /// Print an Envoy configuration that works with this controller
    Bootstrap(Bootstrap),
}

#[derive(Debug, clap::Args)]
pub struct Run {
    /// Where the API, the lease and the metrics are served
    #[arg(long, default_value = "127.0.0.1:7070", env = "SERIN_HTTP")]
    pub http: SocketAddr,
    /// Where Envoys fetch the policy (ECDS over gRPC)
    #[arg(long, default_value = "127.0.0.1:7071", env = "SERIN_ECDS")]
    pub ecds: SocketAddr,
    /// The state, a SQLite file
    #[arg(long, default_value = "serin.db", env = "SERIN_STORE")]
    pub store: PathBuf,
    /// How long runs are kept after another has followed them
    #[arg(long, default_value = "200d", env = "SERIN_KEEP")]
    pub keep: manifest::Span,
    /// The filter, at the path where Envoy finds it
    #[arg(long, env = "SERIN_WASM")]
    pub wasm: PathBuf,
    /// The admin address of each Envoy whose counters are evidence, such as http://127.0.0.1:9901; its region may stand
    /// before it (eu-west=http://...), so that it is known while the Envoy is silent
    #[arg(long, env = "SERIN_ENVOY_ADMIN", value_delimiter = ',')]
    pub envoy_admin: Vec<String>,
    /// Also write the policy into this directory, for Envoys that watch a file; that of a region into the subdirectory
    /// of its name, where there is one
    #[arg(long)]
    pub ecds_file: Option<PathBuf>,
    /// Keep each rollout's counts in this directory, for `serin simulate --record` (about 40 MB a day and rollout)
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// How often counters are read, in milliseconds
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub period_ms: u64,
    /// How often each Envoy asks whether its policy still stands, in milliseconds
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
    pub lease_interval_ms: u32,
    /// A folder whose files are secrets that rollouts may name: {secret: prometheus/token} is that file in it
    #[arg(long, env = "SERIN_SECRET_DIR", value_name = "DIR")]
    pub secret_dir: Option<PathBuf>,
    /// Variables that begin so are secrets too: with SECRET_, {secret: prometheus-token} is SECRET_PROMETHEUS_TOKEN
    #[arg(long, env = "SERIN_SECRET_ENV", value_name = "PREFIX", value_parser = prefix)]
    pub secret_env: Option<String>,
    /// A host that sources of rollouts may be asked at, such as prometheus or *.example.com, or a network such as 10.0.0.0/8;
    /// none named: any
    #[arg(long, env = "SERIN_SOURCE_HOST", value_name = "HOST", value_delimiter = ',')]
    pub source_host: Vec<sources::Host>,
    /// A program that hooks of rollouts may run, as they write it, such as /usr/local/bin/deploy; none named: none; *: any
    #[arg(long, env = "SERIN_HOOK_COMMAND", value_name = "PROGRAM", value_delimiter = ',')]
    pub hook_command: Vec<String>,
    /// A name that requests may call the controller by, besides localhost and its address, such as serin.models.svc or
    /// *.example.com: what is asked for by another name comes from a page that was led here
    #[arg(long, env = "SERIN_ALLOWED_HOST", value_name = "HOST", value_delimiter = ',')]
    pub allowed_host: Vec<sources::Host>,
    /// A variable of serin's own that these programs are given, such as KUBECONFIG; beside it they have PATH, HOME, LANG,
    /// LC_ALL, TZ, TMPDIR, and SERIN_* with what they are called for
    #[arg(long, env = "SERIN_HOOK_ENV", value_name = "NAME", value_delimiter = ',')]
    pub hook_env: Vec<String>,
    /// A host at which hooks of rollouts may be called and endpoints asked for their version, or a network such as
    /// 10.0.0.0/8; none named: any
    #[arg(long, env = "SERIN_HOOK_HOST", value_name = "HOST", value_delimiter = ',')]
    pub hook_host: Vec<sources::Host>,
    #[command(flatten)]
    pub proxies: Proxies,
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    fits.then(|| text.to_owned())
        .ok_or_else(|| "use letters, digits and '_', such as SERIN_SECRET_".to_owned())
}

/// Where the controller is.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// The controller's address
    #[arg(long, default_value = "http://127.0.0.1:7070", env = "SERIN_SERVER", global = true)]
    pub server: String,
}

#[derive(Debug, clap::Args)]
pub struct Apply {
    #[command(flatten)]
    pub server: Server,
    /// A file of rollouts and triggers, each a document of its own; a folder of such files; - reads standard input
    #[arg(short, long, required = true, value_name = "FILE|DIR")]
    pub file: Vec<PathBuf>,
    /// Run a specification again that was rolled back
    #[arg(long)]
    pub again: bool,
    /// Only say what would become of it, and what differs from what was applied last
    #[arg(long)]
    pub dry_run: bool,
    /// Of several, apply those that are in order although others are not
    #[arg(long)]
    pub keep_going: bool,
    #[command(flatten)]
    pub meant: Meant,
}

#[derive(Debug, clap::Args)]
pub struct Get {
    #[command(flatten)]
    pub server: Server,
    /// Its name; without one, all are listed
    pub name: Option<String>,
    /// An earlier run, by its number
    #[arg(long, requires = "name", conflicts_with = "watch")]
    pub run: Option<u64>,
    /// Follow it to its end
    #[arg(short, long, requires = "name")]
    pub watch: bool,
    /// Of all, only those that a person should look at
    #[arg(long, conflicts_with = "name")]
    pub needs_attention: bool,
    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

#[derive(Debug, clap::Args)]
pub struct Retry {
    #[command(flatten)]
    pub server: Server,
    /// The rollout's name; its run must have been rolled back
    pub name: String,
    /// Why it should go better now; it stands in the history
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub meant: Meant,
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
    /// The version, one that was behind the stable route before. Default: the one before the last
    #[arg(long)]
    pub to: Option<String>,
    /// Although nobody can say that the version is behind the canary route
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
    /// The rollout's name; its run must be over. Of a fleet, its members are tried one after the other
    pub name: String,
    /// The canary's share meanwhile, at most 5%; 0% exposes nobody
    #[arg(long, default_value = "0%")]
    pub weight: manifest::Percent,
    /// Every way back must be done within this
    #[arg(long, default_value = "30s")]
    pub limit: manifest::Span,
    /// Why; needed to send requests to a version that was rolled back
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Do not wait for its end
    #[arg(long)]
    pub detach: bool,
    /// The form of the report
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 parity is proven, 1 a difference or a wrong split is found, or refused, 2 not enough to go by, 3 could not run."
)]
pub struct Aa {
    #[command(flatten)]
    pub server: Server,
    /// The rollout's name; its run must be over. Of a fleet, its members are tried one after the other
    pub name: String,
    /// The second part's share of the traffic, at most 50%. Default: 50%; 5% with --deployed
    #[arg(long)]
    pub share: Option<manifest::Percent>,
    /// The same version is deployed as canary as well and takes the second part; else stable serves both
    #[arg(long)]
    pub deployed: bool,
    /// Count for this long; without it, until there is evidence, an hour at most
    #[arg(long)]
    pub duration: Option<manifest::Span>,
    /// With --duration: be done as soon as parity is proven
    #[arg(long)]
    pub until_evidence: bool,
    /// Why; needed with --deployed where the canary was rolled back
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Do not wait for its end
    #[arg(long)]
    pub detach: bool,
    /// The form of the report
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

#[derive(Debug, clap::Args)]
pub struct History {
    #[command(flatten)]
    pub server: Server,
    /// The rollout's name
    pub name: String,
    /// What happened in this run, by its number
    #[arg(long)]
    pub run: Option<u64>,
    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

#[derive(Debug, clap::Args)]
pub struct Push {
    #[command(flatten)]
    pub server: Server,
    /// The rollout's name
    pub name: String,
    /// The gate the figure is for; its source is `push`
    pub metric: String,
    /// The version it was measured on
    #[arg(long)]
    pub version: String,
    /// The figure
    #[arg(allow_negative_numbers = true, value_parser = finite)]
    pub value: f64,
    /// How many samples it is the mean of: figures of one window are averaged by this weight
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
}

fn challenger(text: &str) -> Result<split::Arm, String> {
    let arm = split::Arm::parse(text).filter(|arm| arm.is_challenger());
    arm.ok_or_else(|| "no version on trial is called so; write canary, or a name under spec.arms".to_owned())
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
    /// A file of rollouts and triggers, each a document of its own; a folder of such files; - reads standard input
    #[arg(short, long, required = true, value_name = "FILE|DIR")]
    pub file: Vec<PathBuf>,
    /// Requests over all arms, 100 (a second), 6000/m or 1000/h: also warns of stages too short for their gates
    #[arg(long, value_parser = crate::planning::per_second)]
    pub rate: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The rollout's file; - reads standard input
    #[arg(short, long, required_unless_present = "schema")]
    pub file: Option<PathBuf>,
    /// Requests over all arms, 100 (a second), 6000/m or 1000/h: also says how long the evidence takes
    #[arg(long, value_parser = crate::planning::per_second)]
    pub rate: Option<f64>,
    /// Print the JSON Schema of a rollout's file instead, or of a trigger's
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
    /// Where Envoy listens
    #[arg(long, default_value = "127.0.0.1:10000")]
    pub listen: envoy::Endpoint,
    /// Envoy's admin address; keep it on loopback
    #[arg(long, default_value = "127.0.0.1:9901")]
    pub admin: envoy::Endpoint,
    /// Where the stable version answers
    #[arg(long)]
    pub stable: envoy::Endpoint,
    /// Where the canary version answers
    #[arg(long)]
    pub canary: envoy::Endpoint,
    /// Where a further version answers, as NAME=HOST:PORT: an arm of that name can be used by rollouts
    #[arg(long, value_parser = arm, value_name = "NAME=HOST:PORT")]
    pub arm: Vec<(String, envoy::Endpoint)>,
    /// The controller's ECDS address
    #[arg(long, default_value = "127.0.0.1:7071", conflicts_with = "ecds_file")]
    pub ecds: envoy::Endpoint,
    /// Read the policy from this directory instead
    #[arg(long)]
    pub ecds_file: Option<PathBuf>,
    /// The controller's HTTP address, for the lease
    #[arg(long, default_value = "127.0.0.1:7070")]
    pub controller: envoy::Endpoint,
    #[command(flatten)]
    pub shows: Shows,
    /// The filter, at the path where Envoy finds it
    #[arg(long, env = "SERIN_WASM")]
    pub wasm: PathBuf,
    /// The name this Envoy goes by
    #[arg(long, default_value = "envoy-1")]
    pub node_id: String,
    /// The region it serves, for rollouts that go region by region
    #[arg(long)]
    pub region: Option<String>,
    /// How long a model may take to answer, in milliseconds
    #[arg(long, default_value_t = 15_000)]
    pub route_timeout_ms: u64,
    /// Speak to the models what the client speaks; gRPC needs it
    #[arg(long)]
    pub grpc: bool,
    /// Keep the arm that a deciding proxy before this one chose
    #[arg(long)]
    pub follow: bool,
}
