//! A hook that is a program.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::strays::{self, Strays};
use super::{Call, Calling, DeployHook, Programs};

/// What is kept of what a program says: the end of it.
const KEPT: usize = 4 << 10;
/// What is shown of it.
const SHOWN: usize = 500;
/// Between the signal to end and the one that ends.
const GRACE: Duration = Duration::from_secs(2);
/// How long what a program has started may hold its output after it has ended.
const LATE: Duration = Duration::from_millis(200);

/// A program with arguments; anything but exit code 0 is a failure. A run may have begun under a controller that allowed
/// more, so whether it may be run is asked at each call.
pub struct Program {
    pub programs: Arc<Programs>,
    pub words: Vec<String>,
}

impl DeployHook for Program {
    fn call<'a>(&'a self, call: &'a Call) -> Calling<'a> {
        Box::pin(self.run(call))
    }
}

impl Program {
    async fn run(&self, call: &Call) -> Result<(), String> {
        let Some((program, arguments)) = self.words.split_first() else {
            return Err("the command is empty".to_owned());
        };
        self.programs.allow(program)?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.programs.inherited());
        command.envs(call.variables.iter().map(|(name, value)| (name, value)));
        let strays = Strays::new();
        command.env(strays::VARIABLE, strays.mark());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: what it starts is ended with it, and a signal meant for the controller is not meant for it.
        command.process_group(0).kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|error| format!("{program} could not be started: {error}"))?;
        let mut group = Group::of(&child, strays);
        let (out, err) = (End::of(child.stdout.take()), End::of(child.stderr.take()));
        let Ok(ended) = tokio::time::timeout(call.timeout, child.wait()).await else {
            group.end(&mut child).await;
            let said = err.said().await.or(out.said().await);
            return Err(format!(
                "{program} did not end within {} s, and was ended with all that it had started{}",
                call.timeout.as_secs(),
                said.map(|said| format!(": {said}")).unwrap_or_default()
            ));
        };
        let status: ExitStatus = ended.map_err(|error| format!("{program} was lost: {error}"))?;
        // What it leaves behind on purpose, such as a server, goes on.
        group.forget();
        if status.success() {
            return Ok(());
        }
        let said = err.said().await.or(out.said().await).unwrap_or_else(|| "it said nothing".to_owned());
        Err(format!("{program} ended with {status}: {said}"))
    }
}

/// A program and what it has started, whether it is of its group still or not. Ended when it is dropped: by a stop of the
/// controller that waited long enough.
struct Group(Option<Pid>, Strays);

impl Group {
    fn of(child: &Child, strays: Strays) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw), strays)
    }

    /// Asks all of it to end, and then ends it.
    async fn end(&mut self, child: &mut Child) {
        let Some(group) = self.0 else { return };
        self.1.look(group);
        // A process that has ended by itself meanwhile is no error.
        let _ = kill_process_group(group, Signal::TERM);
        let _ = tokio::time::timeout(GRACE, child.wait()).await;
        self.1.look(group);
        let _ = kill_process_group(group, Signal::KILL);
        self.0 = None;
        self.1.end();
        let _ = child.wait().await;
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            self.1.look(group);
            let _ = kill_process_group(group, Signal::KILL);
            self.1.end();
        }
    }
}

/// The end of what a program says. All of it is read, so that it never waits for a reader.
struct End {
    kept: Arc<Mutex<Vec<u8>>>,
    reading: Option<JoinHandle<()>>,
}

impl End {
    fn of(pipe: Option<impl AsyncRead + Send + Unpin + 'static>) -> Self {
        let kept = Arc::<Mutex<Vec<u8>>>::default();
        let keeps = kept.clone();
        let reading = pipe.map(|mut pipe| {
            tokio::spawn(async move {
                let mut some = vec![0; 4 << 10];
                while let Ok(n @ 1..) = pipe.read(&mut some).await {
                    let mut kept = keeps.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend(some.iter().take(n));
                    let over = kept.len().saturating_sub(KEPT);
                    kept.drain(..over);
                }
            })
        });
        Self { kept, reading }
    }

    /// It in one line; `None`: nothing was said.
    async fn said(mut self) -> Option<String> {
        if let Some(reading) = self.reading.as_mut() {
            let _ = tokio::time::timeout(LATE, reading).await;
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        let words: Vec<String> =
            text.split_whitespace().map(|word| word.replace(char::is_control, "")).collect();
        let line = words.join(" ");
        let skipped = line.chars().count().saturating_sub(SHOWN);
        let end: String = line.chars().skip(skipped).collect();
        (!end.is_empty()).then(|| if skipped > 0 { format!("...{end}") } else { end })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // A process that holds the pipe for longer is not read any more.
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}
