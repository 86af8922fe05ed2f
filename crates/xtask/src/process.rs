//! Running other programs: what is run is shown when it fails, together with what to do about it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

/// A command to run, and what the reader can do when it fails.
pub struct Call {
    command: Command,
    remedy: String,
}

/// A command that could not be started or did not succeed.
#[derive(Debug)]
pub struct Failed {
    line: String,
    why: String,
    remedy: String,
    /// The exit code of the command; `None` when it was not started or was ended by a signal.
    pub code: Option<i32>,
}

/// Where a command's standard output goes.
#[derive(Clone, Copy)]
enum Output {
    /// To ours: it is what the reader asked for.
    Shown,
    /// To standard error: ours may be read by a script (`$(cargo xtask envoy)`).
    Aside,
}

/// A line for the person at the terminal. Standard output is kept for results.
pub fn say(line: impl fmt::Display) {
    eprintln!("{line}");
}

impl Call {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program), remedy: String::new() }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn envs(mut self, vars: impl IntoIterator<Item = (&'static str, PathBuf)>) -> Self {
        self.command.envs(vars);
        self
    }

    pub fn without_env(mut self, names: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for name in names {
            self.command.env_remove(name);
        }
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What to do when the command fails: one sentence or one command line.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The command line as one could type it, with the variables set for it.
    pub fn line(&self) -> String {
        let set = self.command.get_envs().filter_map(|(name, value)| {
            value.map(|value| format!("{}={}", name.to_string_lossy(), quoted(value)))
        });
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args()).map(quoted);
        set.chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Runs it with its output shown as ours.
    pub fn run(self) -> Result<()> {
        self.wait(Output::Shown)
    }

    /// Runs it with its output on standard error.
    pub fn run_aside(self) -> Result<()> {
        self.wait(Output::Aside)
    }

    /// Runs it and returns its standard output, trimmed.
    pub fn text(mut self) -> Result<String> {
        let output = self.command.stdin(Stdio::null()).output().map_err(|error| self.not_started(&error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = format!("{}\n{}", output.status, said.trim());
            return Err(self.failed(why.trim().to_owned(), output.status.code()).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// What it writes to its standard output, however it ends; nothing when it cannot be started.
    pub fn said(mut self) -> String {
        let output = self.command.stdin(Stdio::null()).stderr(Stdio::null()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// Runs it with `input` as its standard input, and its output on standard error.
    pub fn fed(mut self, input: &str) -> Result<()> {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(std::io::stderr())
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that reads nothing says by its exit code why.
            let _written = stdin.write_all(input.as_bytes());
        }
        let status = child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(self.failed(status.to_string(), status.code()).into())
    }

    /// Runs it with its output shown as ours; its exit code, whatever that is.
    pub fn code(mut self) -> Result<i32> {
        let status = self.command.status().map_err(|error| self.not_started(&error))?;
        status.code().ok_or_else(|| self.failed(status.to_string(), None).into())
    }

    /// Becomes that command, so that signals and the exit code are its own; returns only the failure to do so.
    pub fn exec(mut self) -> anyhow::Error {
        let error = self.command.exec();
        self.not_started(&error).into()
    }

    fn wait(mut self, output: Output) -> Result<()> {
        if let Output::Aside = output {
            self.command.stdout(std::io::stderr());
        }
        let status = self.command.status().map_err(|error| self.not_started(&error))?;
        if status.success() {
            return Ok(());
        }
        Err(self.failed(status.to_string(), status.code()).into())
    }

    fn not_started(&self, error: &std::io::Error) -> Failed {
        self.failed(format!("could not be started: {error}"), None)
    }

    fn failed(&self, why: String, code: Option<i32>) -> Failed {
        Failed { line: self.line(), why, remedy: self.remedy.clone(), code }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a command failed ({})\n  command: {}", self.why, self.line)?;
        if !self.remedy.is_empty() {
            write!(f, "\n  remedy:  {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failed {}

/// The program of that name in the directories of `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|dir| dir.join(name)).find(|path| is_program(path))
}

/// Whether the path is a file that may be executed.
pub fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The value of an environment variable; unset and empty are the same.
pub fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(call: Call, expected: &str) {
        assert_eq!(call.line(), expected);
    }

    #[test]
    fn a_command_line_can_be_typed_again() {
        check(Call::new("cargo").args(["fmt", "--all"]), "cargo fmt --all");
        check(
            Call::new("cargo").env("RUSTC", "/usr/bin/rustc").arg("build"),
            "RUSTC=/usr/bin/rustc cargo build",
        );
        check(Call::new("sh").args(["-c", "it's"]), r"sh -c 'it'\''s'");
        check(Call::new("sh").arg(""), "sh ''");
        check(Call::new("cargo").without_env(["RUSTFLAGS"]), "cargo");
    }

    #[test]
    fn a_failure_names_command_code_and_remedy() {
        let error = Call::new("cargo").arg("no-such-command-here").remedy("type another").text().unwrap_err();
        let failed = error.downcast::<Failed>().unwrap();
        assert_eq!(failed.code, Some(101));
        let text = failed.to_string();
        assert!(text.contains("command: cargo no-such-command-here"), "{text}");
        assert!(text.ends_with("remedy:  type another"), "{text}");
    }

    #[test]
    fn a_missing_program_is_a_failure_without_code() {
        let error = Call::new("no-such-program-here").text().unwrap_err();
        assert_eq!(error.downcast::<Failed>().unwrap().code, None);
    }
}
