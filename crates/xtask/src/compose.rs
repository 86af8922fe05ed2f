//! `cargo xtask compose`: envoy/docker-compose.yaml on a real engine, from `up --build --wait` to `down`.
//!
//! The reader's own engine is used where one answers: everything is then as a user has it, images are pulled and the release
//! profile is built. Else, as root on Debian, an engine of our own is started in namespaces that end with it. That one cannot
//! pull anything: its base images are made here ([`images`]), and in the one of Rust `cargo` puts the binaries of this
//! workspace in place instead of building them.

mod images;
mod private;
mod story;
mod traffic;
mod way;

use std::path::PathBuf;

use anyhow::{Result, bail};

use self::way::{Found, Way};
use crate::apt::Apt;
use crate::cache::Cache;
use crate::consent::Consent;
use crate::process::{Call, on_path, say, var};
use crate::wasm::{self, Filter, Options};
use crate::workspace::Workspace;

pub use self::private::inside;

const QUESTION: &str = "No container engine answers. Start one as root for the time of this test (Debian's Docker, and a minimal \
     Debian for its images, unpacked into the cache: 500 MB; nothing is installed)?";

/// An engine that answers, and the tool that speaks to it.
pub struct Engine {
    docker: PathBuf,
    /// The words before those of Compose.
    compose: Vec<PathBuf>,
    /// Where it listens; `None`: where the reader's does.
    host: Option<String>,
}

/// Whether it was run.
pub enum Ran {
    /// And all of it held.
    Yes,
    /// There is no engine here, for this reason.
    No(String),
}

impl Engine {
    /// A call of `docker`.
    fn docker(&self) -> Call {
        self.reached(Call::new(&self.docker))
    }

    /// A call of Docker Compose.
    fn compose(&self) -> Call {
        let mut words = self.compose.iter();
        let program = words.next().map_or_else(|| PathBuf::from("docker-compose"), PathBuf::clone);
        self.reached(Call::new(program).args(words))
    }

    fn reached(&self, call: Call) -> Call {
        match &self.host {
            Some(host) => call.env("DOCKER_HOST", host),
            None => call,
        }
    }
}

/// Runs it where an engine is or can be started.
pub fn run(workspace: &Workspace, cache: &Cache, consent: Consent) -> Result<Ran> {
    let found = look();
    match way::way(&found) {
        Way::Theirs => {
            let docker = on_path("docker").unwrap_or_else(|| PathBuf::from("docker"));
            say("the engine that answers here: images are pulled and built as a user would have them");
            let Some(compose) = compose_here() else { bail!("Docker Compose was here a moment ago") };
            let engine = Engine { docker, compose, host: None };
            if let Some(name) = images::unavailable(&engine, workspace)? {
                return Ok(Ran::No(format!("the engine here has no image {name} and cannot pull it")));
            }
            story::tell(&engine, workspace)?;
            Ok(Ran::Yes)
        }
        Way::Ours if !consent.given(QUESTION) => Ok(Ran::No("you would rather not".into())),
        Way::Ours => private::run(workspace, cache, consent),
        Way::None(why) => Ok(Ran::No(why)),
    }
}

/// Builds what it needs and runs it, or says why it cannot.
pub fn command(consent: Consent) -> Result<()> {
    let (workspace, cache) = (Workspace::find()?, Cache::open()?);
    wasm::build(&workspace, &cache, [Filter::Plain], Options { install: true, optimize: false, consent })?;
    workspace.build_binaries()?;
    match run(&workspace, &cache, consent)? {
        Ran::Yes => {
            say("docker-compose: it comes up, serves, takes a rollout and survives a restart of each part");
            Ok(())
        }
        Ran::No(why) => bail!("docker-compose was not run: {why}"),
    }
}

fn look() -> Found {
    let answers = on_path("docker").is_some_and(|docker| {
        Call::new(docker)
            .args(["info", "--format", "{{.ServerVersion}}"])
            .text()
            .is_ok_and(|said| !said.is_empty())
    });
    Found {
        unwanted: var("SERIN_ENGINE").is_some_and(|value| value == "none"),
        answers,
        compose: answers && compose_here().is_some(),
        apt: Apt::find(),
        missing: ["unshare", "ip", "python3"].into_iter().filter(|name| on_path(name).is_none()).collect(),
    }
}

/// Docker Compose 2 or newer as the reader has it: `docker compose`, or a program of its own.
fn compose_here() -> Option<Vec<PathBuf>> {
    let candidates: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    candidates.into_iter().map(|words| words.iter().map(PathBuf::from).collect::<Vec<_>>()).find(|words| {
        let mut parts = words.iter();
        let Some(program) = parts.next() else { return false };
        let said = Call::new(program).args(parts).args(["version", "--short"]).text();
        said.is_ok_and(|said| way::is_current(&said))
    })
}
