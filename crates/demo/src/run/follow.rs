//! The run itself: start everything, follow the rollout to its end, count.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use api::{PhaseName, RunView, View};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::time::Instant;

use super::account::Account;
use super::ground::Ground;
use super::machine::Watch;
use super::mesh::Mesh;
use super::progress::Progress;
use super::report::{NextRollout, Outcome, Report};
use super::spec::{self, Assignment, Pace};
use super::story::{State, Story};
use super::traffic::Traffic;
use super::{Options, processes};
use crate::clock;
use crate::load::{Ledger, Load, LoadPlan, Popularity, Users};
use crate::model::{Behaviour, Log};

/// A run that could not be held to its end.
#[derive(Debug)]
pub struct CouldNotRun {
    /// What went wrong.
    pub error: anyhow::Error,
    /// Where the processes' files are kept for a look.
    pub files: Option<PathBuf>,
}

/// How long after the last sign of the canary a rollback counts as complete: no request of the load takes as long.
const SILENCE: Duration = Duration::from_secs(3);

/// Time between two looks at the controller.
const LOOK: Duration = Duration::from_millis(200);

/// Requests the load must have had answered before the rollout begins.
const WARM_UP_REQUESTS: u64 = 200;

/// Requests the next rollout's canary must get before the demo ends.
const NEXT_REQUESTS: usize = 50;

/// How long the parts of a run that are no stage may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Holds one run. Its processes have ended when this returns, whatever it returns, and also when it is dropped.
///
/// # Errors
/// When something could not be started, ended early, or was refused.
pub async fn run(options: &Options, progress: &mut Progress) -> Result<Report, CouldNotRun> {
    let dir = match tempfile::Builder::new().prefix("serin-demo-").tempdir() {
        Ok(dir) => dir,
        Err(e) => return Err(CouldNotRun { error: e.into(), files: None }),
    };
    let result = run_in(options, &dir, progress).await;
    progress.finish();
    match result {
        Ok(report) if options.keep => {
            progress.line(&format!("files of the run: {}", dir.keep().display()));
            Ok(report)
        }
        Ok(report) => Ok(report),
        Err(error) => Err(CouldNotRun { error, files: Some(dir.keep()) }),
    }
}

async fn run_in(options: &Options, dir: &TempDir, progress: &mut Progress) -> anyhow::Result<Report> {
    let envoy = envoy_version(&options.programs.envoy).await?;
    let wasm_sha256 = sha256(&options.programs.wasm)?;
    let Options { seed, scenario, .. } = *options;
    progress.event(&format!("scenario {scenario}: {}", scenario.in_words()));
    progress.event(&format!("starting v1, v2, the controller and Envoy {envoy}"));
    if options.programs.istio.is_some() {
        progress.event("istiod brings routes and filter, the controller the policy");
    }
    let mesh = Mesh::start(
        options.programs.clone(),
        dir.path(),
        Behaviour::healthy("v1", seed),
        scenario.canary_at_first("v2", seed),
    )
    .await?;
    progress.event("measuring what stable serves through Envoy at weight 0, before anything is rolled out");
    let ground = Ground::measure(&mesh, options.kind, options.rate, seed).await?;
    progress.event(&ground.in_words());
    let load = Load::start(LoadPlan {
        rate: ground.rate,
        users: Users { count: options.users, popularity: Popularity::Zipf(0.6) },
        seed,
        authority: mesh.authority.clone(),
        ..LoadPlan::asking(options.kind, mesh.listen)
    })
    .map_err(anyhow::Error::msg)?;
    let (rate, users) = (ground.rate, options.users);
    progress.event(&format!("{rate} requests/s from up to {users} users through {}", mesh.listen));
    let watch = Watch::start(mesh.processes());
    let began_ns = clock::monotonic_ns();
    let mut run = Run {
        options,
        rate,
        dir: dir.path(),
        mesh,
        load,
        progress,
        story: Story::default(),
        traffic: Traffic::default(),
    };
    let followed = run.follow_to_its_end().await;
    let Run { mesh, load, .. } = run;
    let (stable, canary) = (mesh.stable.log().clone(), mesh.canary.log().clone());
    let unsent = load.unsent();
    let records = match &followed {
        Ok(_) => load.stop().await,
        Err(_) => Vec::new(),
    };
    let (strain, watched_ns) = (watch.strain(), began_ns..clock::monotonic_ns());
    mesh.stop().await;
    let followed = followed?;
    let (stable, canary) = (stable.arrivals(), canary.arrivals());
    if options.keep {
        let file = dir.path().join("requests.csv");
        let ledger = Ledger::new(&records, &stable, &canary);
        std::fs::File::create(&file)
            .and_then(|file| ledger.write_csv(&mut std::io::BufWriter::new(file)))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let account = Account {
        options,
        envoy,
        wasm_sha256,
        records: &records,
        stable: &stable,
        canary: &canary,
        unsent,
        ground,
        strain,
        watched_ns,
        followed: &followed,
    };
    Ok(account.report())
}

/// What following a rollout showed.
#[derive(Debug)]
pub struct Followed {
    /// The rollout as it was applied.
    pub spec: String,
    /// When it was applied, on both clocks.
    pub applied_ns: u64,
    /// Likewise, in milliseconds since 1970.
    pub applied_unix_ms: u64,
    /// When it had ended.
    pub ended_ns: u64,
    /// The last view of it.
    pub view: RunView,
    /// How it ended.
    pub outcome: Outcome,
    /// The rollout after it.
    pub next: Option<NextRollout>,
    /// What became of the shares meanwhile.
    pub traffic: Traffic,
}

/// A run under way.
struct Run<'a> {
    options: &'a Options,
    /// Requests per second.
    rate: f64,
    dir: &'a Path,
    mesh: Mesh,
    load: Load,
    progress: &'a mut Progress,
    story: Story,
    traffic: Traffic,
}

impl Run<'_> {
    fn pace(&self) -> Pace {
        Pace { speed: self.options.speed, rate: self.rate }
    }

    async fn follow_to_its_end(&mut self) -> anyhow::Result<Followed> {
        self.wait("requests answered through Envoy", |run| {
            run.load.with(|records| {
                records.iter().filter(|record| !record.failed()).count() as u64 >= WARM_UP_REQUESTS
            })
        })
        .await?;
        let (applied_ns, applied_unix_ms) = (clock::monotonic_ns(), clock::unix_ms());
        let spec = self.apply("v1", "v2").await?;
        let view = self.follow(1).await?;
        let ended_ns = clock::monotonic_ns();
        let traffic = self.traffic.clone();
        let outcome = match view.run.phase.known() {
            Some(PhaseName::Succeeded) => Outcome::Promoted,
            Some(PhaseName::RolledBack) => Outcome::RolledBack,
            _ => Outcome::Undecided,
        };
        if outcome == Outcome::RolledBack {
            self.progress.event("watching the canary for latecomers");
            self.wait("no request at the canary any more", |run| {
                let last = run.mesh.canary.log().last_arrival_ns().unwrap_or_default();
                let silent_for = clock::monotonic_ns().saturating_sub(last.max(ended_ns));
                silent_for >= SILENCE.as_nanos() as u64
            })
            .await?;
        }
        let next = match outcome {
            Outcome::Promoted => Some(self.next_rollout().await?),
            Outcome::RolledBack | Outcome::Undecided => None,
        };
        Ok(Followed { spec, applied_ns, applied_unix_ms, ended_ns, view, outcome, next, traffic })
    }

    /// Follows a run of the rollout until nothing more will happen by itself.
    async fn follow(&mut self, run: u64) -> anyhow::Result<RunView> {
        let mut later = self.options.scenario.canary_later("v2", self.options.seed);
        let deadline = Instant::now() + spec::longest_run(self.pace());
        loop {
            let view = self.look(run).await?;
            if view.run.stage >= 2
                && let Some(behaviour) = later.take()
            {
                self.mesh.canary.set(behaviour)?;
                self.progress.event(&format!("from now on: {}", self.options.scenario.what_v2_does()));
            }
            let over = matches!(
                view.run.phase.known(),
                Some(PhaseName::Succeeded | PhaseName::RolledBack | PhaseName::Paused)
            );
            if over || Instant::now() > deadline {
                return Ok(view);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads the rollout, and tells what is new.
    async fn look(&mut self, run: u64) -> anyhow::Result<RunView> {
        let view = self.asked().await?;
        if view.run.run < run {
            return Ok(RunView { run: View { run, ..View::default() }, ..RunView::default() });
        }
        self.watch_traffic(Some(view.run.weight_ppm)).await;
        for news in self.story.news(&view.run) {
            self.progress.event(&news);
        }
        let (observed, unit) = self.observed(&view.run);
        self.progress.state(&State::of(&view.run, observed, unit));
        Ok(view)
    }

    /// The controller's view. One that is silent for a while, on a busy machine, is waited for: proxies lose their leases
    /// meanwhile, which is part of what is told.
    async fn asked(&mut self) -> anyhow::Result<RunView> {
        let (url, deadline) = (api::path::rollout(spec::NAME), Instant::now() + PATIENCE);
        loop {
            self.mesh.check_running()?;
            match self.mesh.controller(&url).await {
                Ok(view) => return Ok(view),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(error) => self.progress.event(&format!("the controller does not answer: {error:#}")),
            }
            self.watch_traffic(None).await;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn watch_traffic(&mut self, weight_ppm: Option<u32>) {
        // An Envoy that does not tell in time tells next time: its counters only rise.
        let without_lease = self.mesh.without_lease().await.ok();
        self.traffic.look(clock::monotonic_ns(), weight_ppm, without_lease);
    }

    /// The canary's share since the stage began, of arrivals at the servers; the report leaves the moments of change
    /// out and counts again.
    fn observed(&self, view: &View) -> (Option<(f64, u64)>, &'static str) {
        let Some(stage) = view.current_stage() else { return (None, "") };
        let since = monotonic_of(stage.entered_unix_ms);
        let count = |log: &Log| {
            let mut users = log.users_since(since);
            if self.options.assignment == Assignment::Sticky {
                users.sort_unstable();
                users.dedup();
            }
            users.len() as u64
        };
        let (canary, stable) = (count(self.mesh.canary.log()), count(self.mesh.stable.log()));
        let all = canary + stable;
        ((all > 0).then(|| (canary as f64 / all as f64, all)), self.options.assignment.unit())
    }

    /// Applies a rollout.
    async fn apply(&mut self, stable: &str, canary: &str) -> anyhow::Result<String> {
        let assignment = self.options.assignment;
        let text = spec::rollout(
            self.options.kind,
            assignment,
            stable,
            canary,
            self.mesh.stable.addr(),
            self.pace(),
        );
        let file = self.dir.join(format!("rollout-{canary}.yaml"));
        std::fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
        self.mesh.apply(&file).await?;
        self.progress.event(&format!("rollout of {canary} over {stable} applied"));
        Ok(text)
    }

    /// The rollout after a promotion, up to its first stage.
    async fn next_rollout(&mut self) -> anyhow::Result<NextRollout> {
        let stable = self.mesh.stable.behaviour().version;
        if stable != "v2" {
            bail!("the rollout says that it is promoted, but the stable server still serves {stable}");
        }
        let handed_back_ns = clock::monotonic_ns();
        self.wait("the canary without traffic", |_| clock::monotonic_ns() - handed_back_ns >= 1_000_000_000)
            .await?;
        // What the last push had not reached at the moment of hand-back arrives within the first half second.
        let settled_ns = handed_back_ns + 500_000_000;
        let since = |log: &Log, from: u64| {
            log.with(|arrivals| {
                arrivals.iter().rev().take_while(|arrival| arrival.arrived_ns >= from).count()
            })
        };
        let between = since(self.mesh.canary.log(), settled_ns);
        self.mesh.canary.set(Behaviour::healthy("v3", self.options.seed))?;
        self.apply("v2", "v3").await?;
        self.story = Story::default();
        let deadline = Instant::now() + PATIENCE;
        let applied_ns = clock::monotonic_ns();
        loop {
            let view = self.look(2).await?;
            let canary_requests = since(self.mesh.canary.log(), applied_ns);
            if view.run.stage >= 1 && canary_requests >= NEXT_REQUESTS {
                return Ok(NextRollout {
                    stable: view.run.stable,
                    canary: view.run.canary,
                    weight_ppm: view.run.weight_ppm,
                    canary_requests: canary_requests as u64,
                    canary_requests_between: between as u64,
                });
            }
            if Instant::now() > deadline {
                bail!("the next rollout did not begin within {} s: {}", PATIENCE.as_secs(), view.run.message);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for a condition that the run can look up by itself.
    async fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            self.mesh.check_running()?;
            if Instant::now() > deadline {
                bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// A moment of the wall clock on the monotonic one. Both are read now: a wall clock that was set in between only
/// moves the live display.
fn monotonic_of(unix_ms: u64) -> u64 {
    let ago_ms = clock::unix_ms().saturating_sub(unix_ms);
    clock::monotonic_ns().saturating_sub(ago_ms * 1_000_000)
}

async fn envoy_version(envoy: &Path) -> anyhow::Result<String> {
    let said = processes::output_of(envoy, &["--version".to_owned()]).await?;
    // `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
    let version = said
        .split('/')
        .find(|part| part.starts_with(|c: char| c.is_ascii_digit()) && part.split('.').count() == 3);
    let first = said.lines().next().unwrap_or_default();
    version.map(str::to_owned).with_context(|| format!("{} is no Envoy: it says {first:?}", envoy.display()))
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}
