//! The command line: as typed, then as meant.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use demo::load::self_test::SelfTest;
use demo::load::{Load, LoadPlan, Popularity, Protocol, Summary, Users};
use demo::model::{Behaviour, Log, ModelKind, ModelServer};
use demo::run::{self, Assignment, CouldNotRun, Istio, Options, Programs, Progress, Rate, Scenario};
use tokio::signal::unix::{SignalKind, signal};

/// Sample model servers, a seeded load, and whole rollouts on a real Envoy.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one rollout from the first request to the report.
    ///
    /// Before the rollout begins, stable alone is measured through Envoy for some seconds, and the load is what it serves.
    ///
    /// Exit codes: 0 promoted, 1 rolled back, 2 undecided, 3 could not run, or the machine is too slow.
    Run(Run),
    /// Serves a sample model until told to stop.
    Model(Model),
    /// Sends the seeded load to any address, and says who answered.
    Load(Send),
    /// Shows that the sums notice one failed and one mis-tagged request.
    SelfTest {
        /// All chance of the test.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// A real Envoy 1.40 or newer.
    #[arg(long, env = "SERIN_ENVOY", value_name = "PATH")]
    envoy: PathBuf,
    /// The filter, as `cargo xtask wasm` builds it.
    #[arg(long, env = "SERIN_WASM", value_name = "PATH")]
    wasm: PathBuf,
    /// The controller.
    #[arg(long, env = "SERIN_BIN", value_name = "PATH")]
    serin: PathBuf,
    /// The record of a cluster (`cluster.json`) whose istiod configures Envoy; without one `serin bootstrap` does.
    #[arg(long, value_name = "FILE")]
    istio: Option<PathBuf>,
    /// What happens to the new version.
    #[arg(long, value_enum, default_value_t = Scenario::Good)]
    scenario: Scenario,
    /// What the models are; without it, what the scenario is about.
    #[arg(long, value_enum)]
    model: Option<ModelKind>,
    /// How requests are spread over versions.
    #[arg(long, value_enum, default_value_t = Assignment::Sticky)]
    assignment: Assignment,
    /// Plain lines only.
    #[arg(long)]
    headless: bool,
    /// Write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// All chance of the run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Divide stage times by this; what counts as evidence stays as it is.
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    speed: f64,
    /// Requests per second, whatever the machine serves; without it 700, or fewer where it serves fewer.
    #[arg(long)]
    rate: Option<f64>,
    /// Number of users who send them.
    #[arg(long, default_value_t = 20_000)]
    users: u32,
    /// Leave configuration, logs and database of the run where they are, with a line for each request (requests.csv), and
    /// say where.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Args)]
struct Model {
    /// The model's version.
    #[arg(long)]
    version: String,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How it behaves: healthy, or as v2 at its worst in a scenario. `POST /admin/behaviour` changes it later.
    #[arg(long, value_enum, default_value_t = Scenario::Good)]
    behaviour: Scenario,
    /// With the request id, the only source of chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of requests answered with 500, 0 to 1.
    #[arg(long)]
    error_share: Option<f64>,
    /// Median time to answer, in milliseconds.
    #[arg(long)]
    latency_median_ms: Option<f64>,
    /// How much longer the slowest tenth takes.
    #[arg(long)]
    tail_multiplier: Option<f64>,
    /// Mean confidence, 0 to 1.
    #[arg(long)]
    confidence_mean: Option<f64>,
    /// Share of requests never answered, 0 to 1.
    #[arg(long)]
    hang_share: Option<f64>,
    /// How far predictions have moved towards 0; 0: not at all.
    #[arg(long)]
    drift: Option<f64>,
    /// Mean number of tokens of a chat's answer.
    #[arg(long)]
    tokens_mean: Option<f64>,
    /// How long a token takes after the first, in milliseconds.
    #[arg(long)]
    token_ms: Option<f64>,
    /// Share of chats that are refused, 0 to 1.
    #[arg(long)]
    refusal_share: Option<f64>,
}

#[derive(Debug, Args)]
struct Send {
    /// Where every connection goes, such as Envoy's listener.
    #[arg(long)]
    target: SocketAddr,
    /// Host name of the requests.
    #[arg(long, default_value = "models.local")]
    authority: String,
    /// Requests per second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Number of users who send them.
    #[arg(long, default_value_t = 20_000)]
    users: u32,
    /// Stop after this many; without it, go on until Ctrl-C.
    #[arg(long)]
    requests: Option<u64>,
    /// What the models are.
    #[arg(long, value_enum, default_value_t)]
    model: ModelKind,
    /// HTTP/2 with prior knowledge.
    #[arg(long)]
    http2: bool,
    /// All chance of the load.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// As the shell itself says it of a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;
const COULD_NOT_RUN: u8 = 3;

/// How long requests under way may take when `demo model` is told to stop: less than the ten seconds that container
/// engines wait before they kill.
const MODEL_GRACE: Duration = Duration::from_secs(5);

/// How often `demo load` says the result of it.
const SUMMARY_EVERY: Duration = Duration::from_secs(2);

impl Cli {
    /// Runs what was asked for.
    pub async fn run(self) -> ExitCode {
        let command = match self.command {
            // Told to stop, a server has done what it was asked for.
            Command::Model(model) => return ExitCode::from(coded(model.run().await)),
            command => command,
        };
        let done = tokio::select! {
            code = command.run() => code,
            name = interrupted() => {
                // The command was dropped, and with it every child.
                eprintln!("stopped by {name}");
                INTERRUPTED
            }
        };
        ExitCode::from(done)
    }
}

impl Command {
    async fn run(self) -> u8 {
        coded(match self {
            Self::Run(run) => run.run().await,
            Self::Model(model) => model.run().await,
            Self::Load(send) => send.run().await,
            Self::SelfTest { seed } => self_test(seed).await,
        })
    }
}

/// The exit code; an error is told.
fn coded(result: anyhow::Result<u8>) -> u8 {
    result.unwrap_or_else(|e| {
        eprintln!("error: {e:#}");
        COULD_NOT_RUN
    })
}

impl Run {
    async fn run(self) -> anyhow::Result<u8> {
        let (headless, report_file) = (self.headless, self.report.clone());
        // Found out now, not after the run.
        if let Some(file) = &report_file {
            std::fs::File::create(file)
                .with_context(|| format!("--report: cannot write {}; name another file", file.display()))?;
        }
        let options = self.options()?;
        let mut progress = Progress::new(headless);
        let report = match run::run(&options, &mut progress).await {
            Ok(report) => report,
            Err(CouldNotRun { error, files }) => {
                let files =
                    files.map_or(String::new(), |files| format!("\nfiles of the run: {}", files.display()));
                bail!("{error:#}{files}");
            }
        };
        progress.line("");
        progress.line(&report.in_words());
        if let Some(file) = report_file {
            std::fs::write(&file, serde_json::to_string_pretty(&report)? + "\n")
                .with_context(|| format!("cannot write {}", file.display()))?;
            progress.line(&format!("Report     {}", file.display()));
        }
        Ok(report.outcome.exit_code())
    }

    fn options(self) -> anyhow::Result<Options> {
        if !(0.1..=100.0).contains(&self.speed) {
            bail!("--speed {}: use a number from 0.1 to 100", self.speed);
        }
        if let Some(rate) = self.rate.filter(|rate| !(50.0..=20_000.0).contains(rate)) {
            bail!("--rate {rate}: use 50 to 20000 requests/s; fewer do not decide anything in minutes");
        }
        if self.users == 0 {
            bail!("--users 0: at least one user must send requests");
        }
        let programs = Programs {
            envoy: found("--envoy", &self.envoy, "`cargo xtask demo` installs one")?,
            wasm: found("--wasm", &self.wasm, "`cargo xtask wasm` builds it")?,
            serin: found("--serin", &self.serin, "`cargo build -p cli` builds it")?,
            istio: self.istio.as_deref().map(Istio::read).transpose()?,
        };
        Ok(Options {
            programs,
            scenario: self.scenario,
            kind: self.model.unwrap_or_else(|| self.scenario.kind()),
            assignment: self.assignment,
            seed: self.seed,
            speed: self.speed,
            rate: self.rate.map_or(Rate::UpTo(run::USUAL), Rate::Exactly),
            users: self.users,
            keep: self.keep,
        })
    }
}

impl Model {
    async fn run(self) -> anyhow::Result<u8> {
        let interrupted = interrupted();
        // A server that runs for days keeps no log: nobody here would read it.
        let server = ModelServer::start_with(self.listen, self.behaviour(), Log::keeping(0)).await?;
        println!("model {} listens on {}", server.behaviour().version, server.addr());
        let told = async {
            let name = interrupted.await;
            eprintln!("stopped by {name}");
        };
        server.serve_until(told, MODEL_GRACE).await;
        Ok(0)
    }

    fn behaviour(self) -> Behaviour {
        let at_worst = self
            .behaviour
            .canary_later(&self.version, self.seed)
            .unwrap_or_else(|| self.behaviour.canary_at_first(&self.version, self.seed));
        Behaviour {
            error_share: self.error_share.unwrap_or(at_worst.error_share),
            latency_median_ms: self.latency_median_ms.unwrap_or(at_worst.latency_median_ms),
            tail_multiplier: self.tail_multiplier.unwrap_or(at_worst.tail_multiplier),
            confidence_mean: self.confidence_mean.unwrap_or(at_worst.confidence_mean),
            hang_share: self.hang_share.unwrap_or(at_worst.hang_share),
            drift: self.drift.unwrap_or(at_worst.drift),
            tokens_mean: self.tokens_mean.unwrap_or(at_worst.tokens_mean),
            token_ms: self.token_ms.unwrap_or(at_worst.token_ms),
            refusal_share: self.refusal_share.unwrap_or(at_worst.refusal_share),
            ..at_worst
        }
    }
}

impl Send {
    async fn run(self) -> anyhow::Result<u8> {
        let plan = LoadPlan {
            authority: self.authority,
            rate: self.rate,
            users: Users { count: self.users, popularity: Popularity::Zipf(0.6) },
            requests: self.requests,
            seed: self.seed,
            protocol: if self.http2 { Protocol::Http2 } else { Protocol::Http1 },
            ..LoadPlan::asking(self.model, self.target)
        };
        let load = Load::start(plan).map_err(anyhow::Error::msg)?;
        let mut summary = Summary::default();
        while !load.is_done() {
            tokio::time::sleep(SUMMARY_EVERY).await;
            println!("{}", summary.of(&load.take_records()));
        }
        Ok(0)
    }
}

async fn self_test(seed: u64) -> anyhow::Result<u8> {
    let test = SelfTest::run(seed).await?;
    test.verdict().map_err(anyhow::Error::msg)?;
    println!(
        "without a fault: failed-by-us 0, mis-tagged 0, failed by the models {}",
        test.clean.failed_by_servers
    );
    println!("one of each:     failed-by-us 1, mis-tagged 1");
    for example in &test.faulty.examples {
        println!("  {example}");
    }
    Ok(0)
}

/// An absolute path to a file that is there: children run in another directory.
fn found(flag: &str, path: &Path, remedy: &str) -> anyhow::Result<PathBuf> {
    std::fs::canonicalize(path).with_context(|| format!("{flag} {}: no such file; {remedy}", path.display()))
}

/// Ends when the process is asked to, with the name of the signal. Whoever asks from now on is heard.
fn interrupted() -> impl Future<Output = &'static str> {
    let wait = |kind, name| {
        let signal = signal(kind);
        async move {
            match signal {
                Ok(mut signal) => signal.recv().await,
                // Without a handler the signal ends the process by itself, and the kernel its children.
                Err(_) => std::future::pending().await,
            };
            name
        }
    };
    let interrupt = wait(SignalKind::interrupt(), "Ctrl-C");
    let terminate = wait(SignalKind::terminate(), "SIGTERM");
    let hangup = wait(SignalKind::hangup(), "SIGHUP");
    async move {
        tokio::select! {
            name = interrupt => name,
            name = terminate => name,
            name = hangup => name,
        }
    }
}

#[cfg(test)]
mod tests;
