//! What a user does with the compose file, in order: every sentence of it is checked.

use std::fmt::Debug;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Engine;
use super::traffic::{self, Traffic};
use crate::process::{Call, say};
use crate::workspace::Workspace;

/// Beside whatever the reader runs of the same file.
const PROJECT: &str = "serin-xtask";
/// Whose name acts bear.
const OPERATOR: &str = "operator-of-the-test";
const PARTS: [&str; 5] = ["controller", "envoy", "model-v1", "model-v2", "prometheus"];
/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// Seconds until a part that was told to stop is killed: a busy machine is no reason.
const PATIENCE: &str = "120";

/// A stage that stays, on a machine of any speed: what changes a share is the restart alone.
const ROLLOUT: &str = "\
apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  stable: {version: v1}
  canary: {version: v2}
  stages:
  - {weight: 30%, bake: 1h, deadline: 3h}
  - {weight: 100%, bake: 1h}
  gates:
  - {name: errors, metric: error_rate, against: stable, margin: 20x, harm: 19x}
  noData: {action: hold}
  acknowledge: {onTimeout: hold}
";

struct Story<'e> {
    engine: &'e Engine,
    file: PathBuf,
    /// Envoy, its admin interface, the controller, Prometheus.
    ports: [u16; 4],
}

/// Runs it, and takes down what it put up, whatever came of it.
pub fn tell(engine: &Engine, workspace: &Workspace) -> Result<()> {
    let story =
        Story { engine, file: workspace.root.join("envoy/docker-compose.yaml"), ports: free_ports()? };
    // What an interrupted run left.
    story.compose(&["down", "--volumes", "--timeout", "1"]).text()?;
    let told = story.chapters();
    if told.is_err() {
        let said = story.compose(&["logs", "--no-color", "--tail", "40"]).text();
        say(format!("the last of each log:\n{}", said.unwrap_or_default()));
    }
    let down = story.compose(&["down", "--volumes", "--rmi", "local", "--timeout", "5"]).text();
    told?;
    down?;
    story.nothing_is_left()
}

impl Story<'_> {
    fn chapters(&self) -> Result<()> {
        say("up --build --wait: the images are made, every part becomes healthy");
        self.compose(&["up", "--build", "--wait"]).run_aside()?;
        self.all_are_healthy()?;
        self.none_may_more_than_it_needs()?;
        say("it serves the stable version");
        self.until("stable to be served", || served(self.ports[0], "v1"))?;
        say(
            "a rollout is applied by `exec`: the filter splits, the controller counts, the operator is named",
        );
        self.apply()?;
        let traffic = Traffic::to(self.ports[0]);
        self.both_are_served(&traffic)?;
        self.canary_is_counted(0)?;
        say("Prometheus scrapes Envoy and the controller");
        self.until("both targets to be up", || self.scraped())?;
        for part in PARTS {
            self.restart(part, &traffic)?;
        }
        say("an abort takes everybody back to stable");
        self.serin(&["abort", "ranker"])?;
        self.until("stable alone to be served", || self.nobody_sees_the_canary())?;
        drop(traffic);
        say("it stops: every part ends by itself, and the logs are plain text");
        self.logs_are_plain()?;
        self.stop()
    }

    fn compose(&self, words: &[&str]) -> Call {
        let [envoy, admin, serin, prometheus] = self.ports.map(|port| port.to_string());
        self.engine
            .compose()
            .arg("--file")
            .arg(&self.file)
            .args(words)
            .env("COMPOSE_PROJECT_NAME", PROJECT)
            .env("USER", OPERATOR)
            .env("ENVOY_PORT", envoy)
            .env("ENVOY_ADMIN_PORT", admin)
            .env("SERIN_PORT", serin)
            .env("PROMETHEUS_PORT", prometheus)
    }

    fn serin(&self, words: &[&str]) -> Result<String> {
        self.compose(&[&["exec", "-T", "controller", "serin"], words].concat()).text()
    }

    /// What the engine knows of the container of each part.
    fn containers(&self) -> Result<Vec<(String, Value)>> {
        let ids = self.compose(&["ps", "--all", "--quiet"]).text()?;
        let said = self.engine.docker().arg("inspect").args(ids.lines()).text()?;
        let containers: Vec<Value> =
            serde_json::from_str(&said).context("`docker inspect` prints no JSON")?;
        let named = containers.into_iter().map(|container| {
            let name = at(&container, "/Config/Labels/com.docker.compose.service");
            (name.as_str().unwrap_or_default().to_owned(), container)
        });
        Ok(named.collect())
    }

    fn all_are_healthy(&self) -> Result<()> {
        let mut healthy = Vec::new();
        for (name, container) in self.containers()? {
            if at(&container, "/State/Health/Status") == "healthy" {
                healthy.push(name);
            }
        }
        healthy.sort();
        ensure!(healthy == PARTS, "healthy are {healthy:?} alone");
        Ok(())
    }

    /// As the engine has it, not as the file says it.
    fn none_may_more_than_it_needs(&self) -> Result<()> {
        for (name, container) in self.containers()? {
            let user = at(&container, "/Config/User");
            ensure!(user != "" && user != "0" && user != "root", "{name} runs as {user}");
            for (field, expected) in [
                ("/HostConfig/ReadonlyRootfs", Value::Bool(true)),
                ("/HostConfig/CapDrop", serde_json::json!(["ALL"])),
                ("/HostConfig/SecurityOpt", serde_json::json!(["no-new-privileges:true"])),
                ("/HostConfig/LogConfig/Config/max-file", "3".into()),
            ] {
                let value = at(&container, field);
                ensure!(value == expected, "{name}: {field} is {value}");
            }
        }
        Ok(())
    }

    fn apply(&self) -> Result<()> {
        // As documented: the manifest by standard input.
        self.compose(&["exec", "-T", "controller", "serin", "apply", "-f", "-"]).fed(ROLLOUT)?;
        let run = self.run()?;
        let began = at(&run, "/history/0/what");
        ensure!(
            began.as_str().is_some_and(|what| what.contains(OPERATOR)),
            "who began it is not named: {began}"
        );
        Ok(())
    }

    /// The rollout, as the controller has it.
    fn run(&self) -> Result<Value> {
        traffic::get(self.ports[2], "/v1/rollouts/ranker")?.json()
    }

    /// From now on, whatever was served before.
    fn both_are_served(&self, traffic: &Traffic) -> Result<()> {
        let before = traffic.served();
        self.until("both versions to be served", || {
            let served = traffic.served();
            let more = |version: &str| served.get(version).copied() > before.get(version).copied();
            if more("v1") && more("v2") { Ok(()) } else { Err(served) }
        })
    }

    /// The controller counts more requests than so many; returns how many.
    fn canary_is_counted(&self, more_than: u64) -> Result<u64> {
        self.until("the canary's requests to be counted", || {
            let run = self.run().map_err(|error| error.to_string())?;
            let phase = at(&run, "/phase");
            let requests = at(&run, "/exposed/requests").as_u64().unwrap_or_default();
            if phase == "Progressing" && requests > more_than {
                Ok(requests)
            } else {
                Err(format!("{phase}, {requests} requests: {}", at(&run, "/message")))
            }
        })
    }

    fn scraped(&self) -> Result<(), String> {
        let asked = traffic::get(self.ports[3], "/api/v1/query?query=up").and_then(|answer| answer.json());
        let said = asked.map_err(|error| error.to_string())?;
        let results = at(&said, "/data/result");
        let up =
            results.as_array().into_iter().flatten().filter(|result| at(result, "/value/1") == "1").count();
        if up == 2 { Ok(()) } else { Err(said.to_string()) }
    }

    /// A part is restarted, the others go on: the run is the same afterwards, and both versions are served and counted.
    fn restart(&self, part: &str, traffic: &Traffic) -> Result<()> {
        say(format!("{part} is restarted"));
        // A canary that refuses connections is harm, and would rightly be taken back.
        traffic.rest(part == "model-v2");
        let counted = self.canary_is_counted(0)?;
        self.compose(&["restart", "--timeout", PATIENCE, part]).text()?;
        self.until("every part to be healthy", || self.all_are_healthy().map_err(|error| error.to_string()))?;
        if part.starts_with("model") {
            self.until("Envoy to find the model again", || self.connects(part))?;
        }
        traffic.rest(false);
        self.both_are_served(traffic)?;
        self.canary_is_counted(counted)?;
        let run = at(&self.run()?, "/run");
        ensure!(run == 1, "after the restart of {part} it is run {run}");
        self.until("both targets to be up", || self.scraped())
    }

    /// Asks the model by its name from another container: an address may have changed.
    fn connects(&self, part: &str) -> Result<(), String> {
        let words = format!("exec 3<>/dev/tcp/{part}/8080");
        let asked = self.compose(&["exec", "-T", "controller", "bash", "-c", &words]).text();
        asked.map(drop).map_err(|error| error.to_string())
    }

    fn nobody_sees_the_canary(&self) -> Result<(), String> {
        let answers = (0..20).map(|_| traffic::get(self.ports[0], "/predict"));
        let versions: Vec<_> = answers.map(|answer| answer.ok().and_then(|answer| answer.version)).collect();
        if versions.iter().all(|version| version.as_deref() == Some("v1")) {
            Ok(())
        } else {
            Err(format!("{versions:?}"))
        }
    }

    fn logs_are_plain(&self) -> Result<()> {
        for part in ["controller", "model-v1"] {
            let said = self.compose(&["logs", "--no-color", "--no-log-prefix", part]).text()?;
            ensure!(!said.is_empty() && !said.contains('\u{1b}'), "{part} writes colours to a log: {said}");
        }
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        self.compose(&["stop", "--timeout", PATIENCE]).text()?;
        for (name, container) in self.containers()? {
            let (status, code) = (at(&container, "/State/Status"), at(&container, "/State/ExitCode"));
            ensure!(status == "exited" && code == 0, "{name} is {status} with code {code}");
        }
        Ok(())
    }

    fn nothing_is_left(&self) -> Result<()> {
        let filter = format!("label=com.docker.compose.project={PROJECT}");
        for words in [["ps", "--all"], ["volume", "ls"], ["network", "ls"]] {
            let left = self.engine.docker().args(words).args(["--quiet", "--filter", &filter]).text()?;
            ensure!(left.is_empty(), "`docker {}` has {left} left", words.join(" "));
        }
        Ok(())
    }

    /// Looks until it is so.
    fn until<T, S: Debug>(&self, what: &str, mut look: impl FnMut() -> Result<T, S>) -> Result<T> {
        let begun = Instant::now();
        loop {
            let seen = match look() {
                Ok(found) => return Ok(found),
                Err(seen) => seen,
            };
            if begun.elapsed() > DEADLINE {
                bail!("waited {} s for {what}; last seen: {seen:?}", DEADLINE.as_secs());
            }
            // Only the pause between two looks.
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn served(port: u16, version: &str) -> Result<(), String> {
    let answer = traffic::get(port, "/predict").map_err(|error| error.to_string())?;
    if answer.status == 200 && answer.version.as_deref() == Some(version) {
        Ok(())
    } else {
        Err(format!("{} by {:?}", answer.status, answer.version))
    }
}

fn at(value: &Value, pointer: &str) -> Value {
    value.pointer(pointer).cloned().unwrap_or_default()
}

/// Ports that nobody listens at now.
fn free_ports() -> Result<[u16; 4]> {
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    }
    let ports: Result<Vec<u16>, std::io::Error> =
        held.iter().map(|listener| listener.local_addr().map(|addr| addr.port())).collect();
    <[u16; 4]>::try_from(ports?).ok().context("four listeners have four ports")
}
