//! The world a cluster lives in: processes, ports, time.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::shape::{Answers, Part};
use crate::process::Call;

/// Lines of a log that are shown when its part fails.
const SHOWN: usize = 8;

/// A process that was started. A number alone would be somebody else's after a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// When it was started, as this system writes it: compared, never read.
    pub started: String,
}

/// What starting, watching and ending a cluster asks of the machine.
pub trait Machine {
    /// Ports that nobody listens on now, each another one.
    fn ports<const N: usize>(&mut self) -> Result<[u16; N]>;
    fn start(&mut self, part: &Part) -> Result<Process>;
    /// Is that very process there, and no zombie?
    fn lives(&mut self, process: &Process) -> bool;
    /// Does the part do what it is for? Otherwise what it said instead.
    fn answers(&mut self, part: &Part) -> Result<(), String>;
    /// Asks it to end, or (`hard`) ends it; that it is gone already is no error.
    fn signal(&mut self, process: &Process, hard: bool) -> Result<()>;
    /// Lets some time pass between two looks; how long.
    fn pause(&mut self) -> Duration;
    /// Where its log is, and how it ends.
    fn log(&mut self, part: &Part) -> String;
}

/// This one.
pub struct ThisMachine<'a> {
    pub kubectl: &'a Path,
}

impl Machine for ThisMachine<'_> {
    fn ports<const N: usize>(&mut self) -> Result<[u16; N]> {
        // All are held before the first is let go.
        let mut held = Vec::new();
        let mut ports = [0; N];
        for port in &mut ports {
            let listener = TcpListener::bind("127.0.0.1:0").context("no port is free on 127.0.0.1")?;
            *port = listener.local_addr().context("a port without a number")?.port();
            held.push(listener);
        }
        Ok(ports)
    }

    fn start(&mut self, part: &Part) -> Result<Process> {
        let log = File::options().create(true).append(true).open(log_of(part));
        let log = log.with_context(|| format!("cannot write a log into {}", part.folder.display()))?;
        let errors = log.try_clone().context("cannot write a log")?;
        let child = Command::new(&part.program)
            .args(&part.arguments)
            .envs(&part.environment)
            // The reader's own cluster is none of its business.
            .env_remove("KUBECONFIG")
            .current_dir(&part.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // It goes on when this command has ended, and Ctrl-C is not for it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} could not be started ({})", part.name, part.program.display()))?;
        let pid = child.id();
        let started = started(pid).with_context(|| format!("{} ended at once", part.name))?;
        Ok(Process { pid, started })
    }

    fn lives(&mut self, process: &Process) -> bool {
        started(process.pid).is_some_and(|started| started == process.started)
    }

    fn answers(&mut self, part: &Part) -> Result<(), String> {
        match &part.answers {
            Answers::Http { address, path } => http(address, path),
            Answers::Kubectl { kubeconfig } => Call::new(self.kubectl)
                .env("KUBECONFIG", kubeconfig)
                .args(["get", "--raw", "/readyz", "--request-timeout=5s"])
                .text()
                .map(drop)
                .map_err(|error| error.to_string()),
        }
    }

    fn signal(&mut self, process: &Process, hard: bool) -> Result<()> {
        if !self.lives(process) {
            return Ok(());
        }
        let number = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let pid = number.with_context(|| format!("{} is no process", process.pid))?;
        match kill_process(pid, if hard { Signal::KILL } else { Signal::TERM }) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("process {} cannot be ended", process.pid)),
        }
    }

    fn pause(&mut self) -> Duration {
        let time = Duration::from_millis(100);
        std::thread::sleep(time);
        time
    }

    fn log(&mut self, part: &Part) -> String {
        let path = log_of(part);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default().join("\n  ");
        format!("  log:     {}, which ends with\n  {last}", path.display())
    }
}

fn log_of(part: &Part) -> PathBuf {
    part.folder.join(format!("{}.log", part.name))
}

/// When the process was started; `None` when there is none or a zombie.
fn started(pid: u32) -> Option<String> {
    if let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        return Some(format!("{}/{}", boot.trim(), ticks_in(&stat)?));
    }
    let said = Call::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).text().ok()?;
    time_in(&said)
}

/// The time of the start in `/proc/PID/stat`, in ticks since the machine started.
fn ticks_in(stat: &str) -> Option<&str> {
    // The program's name stands in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    fields.nth(18).filter(|_| !is_over(state))
}

/// The time of the start in what `ps -o stat=,lstart=` says.
fn time_in(said: &str) -> Option<String> {
    let (state, time) = said.trim().split_once(char::is_whitespace)?;
    Some(time.trim().to_owned()).filter(|time| !is_over(state) && !time.is_empty())
}

fn is_over(state: &str) -> bool {
    state.starts_with(['Z', 'X', 'x'])
}

/// One GET; what came instead of 200.
fn http(address: &str, path: &str) -> Result<(), String> {
    let ask = || -> std::io::Result<String> {
        let wait = Duration::from_secs(5);
        let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, wait)?;
        stream.set_read_timeout(Some(wait))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut head = vec![0; 64];
        let read = stream.read(&mut head)?;
        Ok(String::from_utf8_lossy(head.get(..read).unwrap_or_default()).into_owned())
    };
    let head = ask().map_err(|error| format!("http://{address}{path}: {error}"))?;
    match is_ok(&head) {
        true => Ok(()),
        false => Err(format!("http://{address}{path}: {}", head.lines().next().unwrap_or("nothing"))),
    }
}

fn is_ok(head: &str) -> bool {
    let mut words = head.split(' ');
    words.next().is_some_and(|version| version.starts_with("HTTP/1.")) && words.next() == Some("200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stat: &str, expected: Option<&str>) {
        assert_eq!(ticks_in(stat), expected);
    }

    #[test]
    fn the_start_of_a_process_is_read() {
        let rest = "1 7 7 0 -1 4194560 1 0 0 0 3 1 0 0 20 0 9 0 66047 1 2 3";
        check(&format!("7 (etcd) S {rest}"), Some("66047"));
        check(&format!("7 (a b) S) R {rest}"), Some("66047"));
        check(&format!("7 (etcd) Z {rest}"), None);
        check("7 (etcd) S 1 7", None);
        check("", None);
        assert_eq!(time_in("Ss   Mon Nov 30 17:42:47 2026\n").as_deref(), Some("Mon Nov 30 17:42:47 2026"));
        assert_eq!(time_in("Z+   Mon Nov 30 17:42:47 2026"), None);
        assert_eq!(time_in(""), None);
    }

    #[test]
    fn this_very_process_lives_and_another_of_its_number_does_not() {
        let mut machine = ThisMachine { kubectl: Path::new("kubectl") };
        let pid = std::process::id();
        let started = started(pid).expect("it runs");
        assert!(machine.lives(&Process { pid, started: started.clone() }));
        assert!(!machine.lives(&Process { pid, started: format!("{started}0") }));
        // Nor is another one ended.
        machine.signal(&Process { pid, started: String::new() }, true).expect("nothing is done");
    }

    #[test]
    fn an_answer_is_told_from_another() {
        assert!(is_ok("HTTP/1.1 200 OK\r\n"));
        assert!(!is_ok("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(!is_ok("SSH-2.0-OpenSSH 200 "));
        assert!(!is_ok(""));
    }

    #[test]
    fn ports_are_free_and_differ() {
        let mut machine = ThisMachine { kubectl: Path::new("kubectl") };
        let ports: [u16; 5] = machine.ports().expect("ports");
        let mut each = ports.to_vec();
        each.sort_unstable();
        each.dedup();
        assert_eq!(each.len(), 5);
    }
}
