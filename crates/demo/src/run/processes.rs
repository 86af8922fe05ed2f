//! The processes of a run: none outlives it, and each one's last words are kept.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// A child with its output in a file. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    output: PathBuf,
}

/// Lines of output shown when a process fails.
const LAST_LINES: usize = 15;

/// How long a process may take to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

/// Time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);

impl Process {
    /// Starts `program` with its output in `NAME.log` of `dir`.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn start(name: &'static str, program: &Path, args: &[String], dir: &Path) -> anyhow::Result<Self> {
        let output = dir.join(format!("{name}.log"));
        let file = File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
        let child = command(program)
            .args(args)
            .current_dir(dir)
            // Its log is a file.
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // Its own group: Ctrl-C reaches only the demo, which then ends its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Self { name, child, output })
    }

    /// Its id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// An error with the last lines of output, when the process has ended.
    ///
    /// # Errors
    /// When it has ended, which no process of a run does by itself.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().with_context(|| format!("cannot ask after {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("{}", self.last_words(status)),
        }
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When the process ends first, or `deadline` passes; both with its last lines of output.
    pub async fn wait_until<F>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut ready: impl FnMut() -> F,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = bool>,
    {
        let until = Instant::now() + deadline;
        while !ready().await {
            self.check_running()?;
            if Instant::now() > until {
                let secs = deadline.as_secs();
                bail!("{} was not {what} within {secs} s\n{}", self.name, last_lines(&self.output));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Asks it to end, and kills it when it does not within three seconds.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        // An error means that it is gone already.
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        if !asked || tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
            let _gone = self.child.kill().await;
        }
    }

    fn last_words(&self, status: ExitStatus) -> String {
        format!("{} ended by itself ({status})\n{}", self.name, last_lines(&self.output))
    }
}

/// `program`, ended by the kernel when the demo is gone, where the system has a command for that: a demo that is
/// killed outright cannot end its children itself.
fn command(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.exists() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Runs `program` to its end and gives its standard output.
///
/// # Errors
/// When it cannot be run, takes longer than a minute, or fails; then with what it said.
pub async fn output_of(program: &Path, args: &[String]) -> anyhow::Result<String> {
    let name = program.display();
    let running = Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), running)
        .await
        .with_context(|| format!("{name} {} took longer than a minute", args.join(" ")))?
        .with_context(|| format!("cannot run {name}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        let (out, err) = (said(&output.stdout), said(&output.stderr));
        bail!("{name} {} failed ({})\n{out}\n{err}", args.join(" "), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn last_lines(path: &Path) -> String {
    let text =
        std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let mut lines: Vec<&str> = text.lines().rev().take(LAST_LINES).collect();
    lines.reverse();
    if lines.is_empty() {
        format!("  (no output in {})", path.display())
    } else {
        format!("  last lines of {}:\n  | {}", path.display(), lines.join("\n  | "))
    }
}

/// Free ports of the loopback. All are held until all are known, so they differ; another program could still take
/// one before its owner does, and the run then says which process could not listen.
///
/// # Errors
/// When there are none.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener =
            std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(dir: &Path, script: &str) -> Process {
        Process::start("sh", Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], dir).unwrap()
    }

    async fn gone(id: u32) -> bool {
        // A zombie still has a directory; its state says so.
        let stat = tokio::fs::read_to_string(format!("/proc/{id}/stat")).await.unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    }

    #[tokio::test]
    async fn last_words_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = sh(dir.path(), "echo no such cluster >&2; exit 4");
        let error = process.wait_until("ready", Duration::from_secs(20), async || false).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains("sh ended by itself (exit status: 4)"), "{error}");
        assert!(error.contains("| no such cluster"), "{error}");
    }

    #[tokio::test]
    async fn nothing_outlives_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let process = sh(dir.path(), "exec sleep 600");
        let dropped = process.child.id().unwrap();
        drop(process);
        let process = sh(dir.path(), "exec sleep 600");
        let stopped = process.child.id().unwrap();
        process.stop().await;
        for id in [dropped, stopped] {
            let until = Instant::now() + Duration::from_secs(10);
            while !gone(id).await {
                assert!(Instant::now() < until, "{id} still runs");
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    #[tokio::test]
    async fn a_failing_command_says_why() {
        let args = ["-c".to_owned(), "echo weight is not a number >&2; exit 2".to_owned()];
        let error = output_of(Path::new("/bin/sh"), &args).await.unwrap_err().to_string();
        assert!(error.contains("weight is not a number") && error.contains("exit status: 2"), "{error}");
        let error = output_of(Path::new("/nowhere/serin"), &[]).await.unwrap_err().to_string();
        assert_eq!(error, "cannot run /nowhere/serin");
    }

    #[test]
    fn ports_differ() {
        let ports = free_ports::<5>().unwrap();
        assert_eq!(std::collections::HashSet::from(ports).len(), 5);
    }
}
