//! Sample models, a controller's server and one real Envoy between them.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use envoy::{Bootstrap, Ecds, Endpoint, PolicySource, Resource, ecds::Node, stats::Admin};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
};

const DEADLINE: Duration = Duration::from_secs(60);

/// The Envoy to test with, or none on a machine that has none.
pub fn found() -> Option<PathBuf> {
    let named = env::var_os("SERIN_ENVOY").map(PathBuf::from);
    let on_path =
        || env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join("envoy")).find(|path| path.is_file());
    let envoy = named.or_else(on_path);
    if envoy.is_none() {
        let advice =
            "no Envoy: run `cargo xtask test`, which fetches one, or set SERIN_ENVOY to an Envoy binary";
        assert!(env::var_os("CI").is_none(), "{advice}");
        eprintln!("skipped: {advice}");
    }
    envoy
}

/// Polls until something is there; the deadline is for a machine that hangs, not a measure.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "still not so after {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// An address where nobody listens.
pub fn unused_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The test filter, assembled once.
pub fn resource() -> Resource {
    static FILTER: OnceLock<tempfile::NamedTempFile> = OnceLock::new();
    let file = FILTER.get_or_init(|| {
        let file = tempfile::Builder::new().suffix(".wasm").tempfile().unwrap();
        fs::write(file.path(), wat::parse_str(include_str!("filter.wat")).unwrap()).unwrap();
        file
    });
    Resource::local(file.path())
}

/// A model server that answers every request with its name.
pub async fn model(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                let mut chunk = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut chunk).await {
                    read.extend_from_slice(&chunk[..count]);
                    while let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                        read.drain(..end + 4);
                        let answer =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

/// An ECDS server on a port of its own.
pub struct Controller {
    pub ecds: Ecds,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Controller {
    pub async fn start(incarnation: u64) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), incarnation).await
    }

    pub async fn start_at(address: SocketAddr, incarnation: u64) -> Self {
        let listener = eventually("the port is free", async || TcpListener::bind(address).await.ok()).await;
        let address = listener.local_addr().unwrap();
        let ecds = Ecds::new(resource(), incarnation);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = ecds.clone();
        let serving = tokio::spawn(async move {
            server.serve(listener, async { drop(stopped.await) }).await.unwrap();
        });
        Self { ecds, address, stop: Some(stop), serving: Some(serving) }
    }

    pub fn source(&self, delta: bool) -> PolicySource {
        if delta {
            PolicySource::DeltaGrpc(self.address.into())
        } else {
            PolicySource::Grpc(self.address.into())
        }
    }

    /// Waits until a node is as asked, and returns it.
    pub async fn node(&self, id: &str, is: impl Fn(&Node) -> bool) -> Node {
        let mut nodes = self.ecds.nodes();
        let wait = nodes.wait_for(|nodes| nodes.0.get(id).is_some_and(&is));
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(nodes) => nodes.unwrap().0[id].clone(),
            Err(_) => panic!("still not so: {:?}", self.ecds.nodes().borrow()),
        }
    }

    pub async fn stop(&mut self) -> SocketAddr {
        drop(self.stop.take());
        self.serving.take().unwrap().await.unwrap();
        self.address
    }
}

/// One Envoy between a client and two models.
pub struct Mesh {
    envoy: PathBuf,
    directory: tempfile::TempDir,
    bootstrap: Bootstrap,
    child: Child,
    client: reqwest::Client,
    admin: SocketAddr,
    listen: SocketAddr,
}

impl Mesh {
    pub async fn start(envoy: &Path, policy: PolicySource) -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let stable = Endpoint::from(model("stable").await);
        let canary = Endpoint::from(model("canary").await);
        let mut bootstrap = Bootstrap::new(any.into(), any.into(), stable, canary, policy, resource());
        bootstrap.node_id = "envoy-test".to_owned();
        let directory = tempfile::tempdir().unwrap();
        let child = spawn(envoy, directory.path(), &bootstrap);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut mesh =
            Self { envoy: envoy.to_owned(), directory, bootstrap, child, client, admin: any, listen: any };
        mesh.ready().await;
        mesh
    }

    /// Ends the process and starts another with the same addresses.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.bootstrap.admin = self.admin.into();
        self.bootstrap.listen = self.listen.into();
        self.child = spawn(&self.envoy, self.directory.path(), &self.bootstrap);
        self.ready().await;
    }

    pub async fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        fs::remove_file(self.directory.path().join("admin")).unwrap();
    }

    pub fn admin(&self) -> Admin {
        Admin::new(&format!("http://{}", self.admin)).unwrap()
    }

    pub async fn admin_text(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.admin);
        self.client.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// The name of the model that answers.
    pub async fn get(&self, headers: &[(&str, &str)]) -> String {
        let mut request = self.client.get(format!("http://{}/predict", self.listen));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap()
    }

    pub async fn until(&self, headers: &[(&str, &str)], model: &str) {
        eventually(model, async || (self.get(headers).await == model).then_some(())).await;
    }

    async fn ready(&mut self) {
        let path = self.directory.path().join("admin");
        let log = self.directory.path().join("log");
        self.admin = eventually("Envoy names its admin address", async || {
            if self.child.try_wait().unwrap().is_some() {
                panic!("Envoy ended:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            fs::read_to_string(&path).ok()?.trim().parse().ok()
        })
        .await;
        let client = self.client.clone();
        let url = format!("http://{}/listeners", self.admin);
        self.listen = eventually("Envoy listens", async || {
            let text = client.get(&url).send().await.ok()?.text().await.ok()?;
            text.trim().strip_prefix("models::")?.parse().ok()
        })
        .await;
        let url = format!("http://{}/ready", self.admin);
        eventually("Envoy is ready", async || {
            client.get(&url).send().await.ok()?.status().is_success().then_some(())
        })
        .await;
    }
}

fn spawn(envoy: &Path, directory: &Path, bootstrap: &Bootstrap) -> Child {
    let config = directory.join("envoy.yaml");
    fs::write(&config, bootstrap.to_yaml().unwrap()).unwrap();
    Command::new(envoy)
        .args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "info", "-c"])
        .arg(config)
        .arg("--admin-address-path")
        .arg(directory.join("admin"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(directory.join("log")).unwrap())
        .spawn()
        .unwrap()
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
