use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{page, tools, until};

/// A real API server with a real istiod, as `cargo xtask cluster up` starts them. They end with this value, and with
/// this process however that ends: their keeper sees its standard input closed.
pub struct Cluster {
    keeper: Child,
    folder: PathBuf,
}

impl Cluster {
    /// Starts one in `folder`/cluster.
    pub fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let folder = folder.join("cluster");
        let mut command = xtask("up", &folder);
        let mut keeper =
            command.arg("--hold").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("xtask starts");
        let said = BufReader::new(keeper.stdout.take().expect("its output")).lines().next();
        if !said.is_some_and(|line| line.is_ok_and(|line| line.starts_with("export KUBECONFIG="))) {
            let _ = keeper.wait();
            panic!("no cluster: see what `xtask cluster up` says above");
        }
        Self { keeper, folder }
    }

    /// What is written down of it.
    fn record(&self) -> Value {
        let text = std::fs::read_to_string(self.folder.join("cluster.json")).expect("a record");
        serde_json::from_str(&text).expect("JSON")
    }

    fn part(&self, name: &str) -> Value {
        let parts = self.record()["parts"].as_array().expect("parts").clone();
        parts.into_iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("no {name} here"))
    }

    /// The file that names the API server.
    pub fn kubeconfig(&self) -> String {
        self.record()["kubeconfig"].as_str().expect("a kubeconfig").to_owned()
    }

    /// Host and port of a part, by purpose.
    pub fn address(&self, part: &str, purpose: &str) -> std::net::SocketAddr {
        let part = self.part(part);
        part["addresses"][purpose].as_str().expect("an address").parse().expect("host and port")
    }

    /// Ends a part as a crash would.
    pub fn kill(&self, part: &str) {
        let pid = self.part(part)["process"]["pid"].to_string();
        let killed = Command::new("kill").args(["-KILL", &pid]).status().expect("kill runs");
        assert!(killed.success(), "{part} was not there to be killed");
    }

    /// Asks a part to end, as a kubelet would, and waits until it has.
    pub async fn stop(&self, part: &str) {
        let pid = self.part(part)["process"]["pid"].to_string();
        let signal = |name: &str| {
            let status = Command::new("kill").args([name, &pid]).stderr(Stdio::null()).status();
            status.expect("kill runs").success()
        };
        assert!(signal("-TERM"), "{part} was not there to be stopped");
        until("its end", async || if signal("-0") { Err(part.to_owned()) } else { Ok(()) }).await;
    }

    /// Starts again what has ended, and whatever `arguments` ask for.
    pub async fn up(&self, arguments: &[&str]) {
        let command = xtask("up", &self.folder);
        let status = tokio::process::Command::from(command)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .await;
        assert!(status.expect("xtask runs").success(), "see what `xtask cluster up` says above");
    }

    /// Runs kubectl with that on its standard input; what it printed.
    pub async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let record = self.record();
        let kubeconfig = record["kubeconfig"].as_str().expect("a path");
        kubectl(record["kubectl"].as_str().expect("a path"), kubeconfig, arguments, input).await
    }

    /// Applies manifests, each whole.
    pub async fn apply(&self, manifests: &str) {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--filename", "-"];
        self.kubectl(&arguments, manifests).await.unwrap_or_else(|said| panic!("{said}\nof\n{manifests}"));
    }

    /// What istiod says at a path of its debug interface.
    pub async fn ask_istiod(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.address("istiod", "http"));
        until("istiod to answer", async || page(&url).await).await
    }

    /// The log of a part.
    pub fn log(&self, part: &str) -> String {
        std::fs::read_to_string(self.folder_of(part).join(format!("{part}.log"))).unwrap_or_default()
    }

    /// The working folder of a part.
    pub fn folder_of(&self, part: &str) -> PathBuf {
        self.part(part)["folder"].as_str().expect("a folder").into()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Runs kubectl with that on its standard input; what it printed, or what it complained of.
pub async fn kubectl(
    program: &str,
    kubeconfig: &str,
    arguments: &[&str],
    input: &str,
) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).env("KUBECONFIG", kubeconfig);
    let input = input.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        // It may have left already, and says why.
        let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
        child.wait_with_output().expect("kubectl ends")
    });
    let output = output.await.expect("not cancelled");
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn xtask(verb: &str, folder: &Path) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(tools::xtask());
    // Ctrl-C ends the tests, and by that the cluster: it must not end the keeper, who ends the rest.
    command.args(["cluster", verb, "--dir"]).arg(folder).process_group(0);
    command
}
