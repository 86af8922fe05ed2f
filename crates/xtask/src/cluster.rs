//! `cargo xtask cluster`: a real API server with a real istiod on this machine, without containers or kubelets.

mod folder;
mod keeper;
mod kubectl;
mod lifecycle;
mod machine;
mod parts;
mod peer;
mod recipe;
mod shape;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};

use self::folder::Folder;
use self::lifecycle::{Done, Lifecycle, Record, Running, State};
use self::machine::{Machine as _, ThisMachine};
use self::parts::Parts;
use self::recipe::{AGENT, API_SERVER, BOOTSTRAP, DEFINITIONS, ETCD, ISTIO, ISTIOD, KUBERNETES};
use self::shape::{AgentOf, Part, Workload};
use crate::cache::{Cache, remove};
use crate::consent::Consent;
use crate::envoy;
use crate::process::{Call, say};
use crate::workspace::Workspace;

pub use self::keeper::Keeper;
pub use self::kubectl::helm;
pub use self::parts::{all_built, peer_built};
pub use self::peer::Peer;

/// What to do with a cluster.
#[derive(Subcommand)]
pub enum Command {
    /// Build what is missing and start etcd, the API server and istiod; what runs already stays.
    Up {
        #[command(flatten)]
        place: Place,
        /// Also run istio-agent with Envoy for a workload: NAMESPACE/POD[@ACCOUNT][:LABEL=VALUE,...]
        #[arg(long = "agent", value_name = "WORKLOAD", value_parser = Workload::parse)]
        agents: Vec<Workload>,
        /// What the Envoys of these workloads are started with beside Istio's own, as Istio's `custom_bootstrap.json`.
        #[arg(long, value_name = "FILE", requires = "agents")]
        bootstrap_override: Option<PathBuf>,
        /// Also run the controller of another tool, built when it was not before.
        #[arg(long = "with", value_name = "TOOL")]
        peers: Vec<Peer>,
        /// Stay until standard input is closed, then end all of it.
        #[arg(long)]
        hold: bool,
    },
    /// Say of each part whether it lives and answers; exit code 1 when one does not.
    Status {
        #[command(flatten)]
        place: Place,
    },
    /// End exactly what `up` started, and remove its folder.
    Down {
        #[command(flatten)]
        place: Place,
    },
    /// Build the parts into the cache and start nothing.
    Build {
        /// Also the controller of another tool.
        #[arg(long = "with", value_name = "TOOL")]
        peers: Vec<Peer>,
    },
}

/// Which cluster.
#[derive(Args)]
pub struct Place {
    /// Its folder; without one there is one cluster for each checkout.
    #[arg(long = "dir", value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Place {
    fn folder(self) -> Result<Folder> {
        match self.folder {
            Some(folder) => Folder::at(&folder),
            None => Folder::at(&Workspace::find()?.outputs().join("cluster")),
        }
    }
}

/// The tags of our counters, in the patch that users apply.
const TAGS: &str = include_str!("../../../istio/stats-tags.yaml");

/// Where istio-agent keeps the modules that it fetches, on any machine: it has no setting for that.
const MODULES: &str = "/var/lib/istio/data";

pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Up { place, agents, bootstrap_override, peers, hold } => {
            up(&place.folder()?, (&agents, bootstrap_override.as_deref()), &peers, hold)
        }
        Command::Status { place } => status(&place.folder()?),
        Command::Down { place } => down(&place.folder()?),
        Command::Build { peers } => build(&Cache::open()?, &peers),
    }
}

/// Builds what is missing.
pub fn build(cache: &Cache, peers: &[Peer]) -> Result<()> {
    kubectl::ready(cache)?;
    Parts::ready(cache, &KUBERNETES)?;
    Parts::ready(cache, &ISTIO)?;
    peers.iter().try_for_each(|peer| Parts::ready(cache, &peer.family()).map(drop))
}

/// Is there a folder where agents can keep modules, or can it be made?
pub fn agents_can_store_modules() -> bool {
    fs::create_dir_all(MODULES).is_ok() && rustix::fs::access(MODULES, rustix::fs::Access::WRITE_OK).is_ok()
}

fn up(
    folder: &Folder,
    (agents, bootstrap_override): (&[Workload], Option<&Path>),
    peers: &[Peer],
    hold: bool,
) -> Result<()> {
    let cache = Cache::open()?;
    let kubectl = kubectl::ready(&cache)?;
    let (kubernetes, istio) = (Parts::ready(&cache, &KUBERNETES)?, Parts::ready(&cache, &ISTIO)?);
    let peers = peers.iter().map(|peer| Ok((*peer, Parts::ready(&cache, &peer.family())?)));
    let peers = peers.collect::<Result<Vec<_>>>()?;
    let envoy = if agents.is_empty() { None } else { Some(envoy::ready(&cache, Consent::here(false))?) };
    {
        let _lock = folder.lock()?;
        folder.make()?;
        let kubeconfig = folder.path("kubeconfig");
        let record = folder.record()?.unwrap_or_default();
        let mut keep = |record: &Record| folder.keep(record);
        let machine = ThisMachine { kubectl: &kubectl };
        let record = Record { kubeconfig, kubectl: kubectl.clone(), ..record };
        let mut life = Lifecycle { machine, record, keep: &mut keep };
        (life.keep)(&life.record)?;
        let before = life.names();
        let started = control_plane(&mut life, folder, &kubernetes, &istio).and_then(|()| {
            let envoy = envoy.as_deref().unwrap_or(Path::new(""));
            let bootstrap_override = bootstrap_override.map(std::path::absolute).transpose()?;
            let more = (envoy, bootstrap_override.as_deref());
            agents.iter().try_for_each(|workload| agent(&mut life, folder, &istio, more, workload))?;
            peers.iter().try_for_each(|(peer, parts)| peer.run(&mut life, folder, parts))
        });
        if let Err(error) = started {
            let new: Vec<String> = life.names().into_iter().filter(|name| !before.contains(name)).collect();
            say(format!("it did not start; ending what this command started: {}", new.join(", ")));
            life.end(&new)?;
            return Err(error);
        }
        println!("export KUBECONFIG={}", life.record.kubeconfig.display());
    }
    if hold {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        down(folder)?;
        // Nobody else waits for a cluster of one command.
        return fs::remove_file(folder.lock_file()).context("cannot remove the lock");
    }
    say(format!("it runs until `cargo xtask cluster down`; logs and data: {}", folder.whole().display()));
    Ok(())
}

/// etcd, the API server with Istio's definitions, istiod.
fn control_plane(
    life: &mut Lifecycle<'_, ThisMachine<'_>>,
    folder: &Folder,
    kubernetes: &Parts,
    istio: &Parts,
) -> Result<()> {
    folder.write("tokens.csv", shape::TOKENS)?;
    folder.write("mesh.yaml", shape::MESH)?;
    let kubeconfig = life.record.kubeconfig.clone();
    let done = life.ensure("etcd", |ports| Ok(shape::etcd(&kubernetes.path(ETCD), folder.whole(), ports)))?;
    tell(life, "etcd", done);
    let etcd = address(life, "etcd", "clients")?;
    let program = kubernetes.path(API_SERVER);
    let done = life.ensure("kube-apiserver", |ports| {
        let part = shape::api_server(&program, folder.whole(), &etcd, &kubeconfig, ports);
        let server = part.addresses.get("https").context("an address")?;
        folder.write("kubeconfig", &shape::kubeconfig(server))?;
        Ok(part)
    })?;
    tell(life, "kube-apiserver", done);
    if done == Done::Started {
        let namespace = namespace(shape::ROOT);
        let namespace = folder.write("objects/istio-system.yaml", &namespace)?;
        for objects in [istio.path(DEFINITIONS), namespace] {
            ask(life, &["apply", "--server-side", "--filename"]).arg(objects).text()?;
        }
        ask(life, &["wait", "--for=condition=Established", "--all", "crd", "--timeout=60s"]).text()?;
    }
    let program = istio.path(ISTIOD);
    let done =
        life.ensure("istiod", |ports| Ok(shape::istiod(&program, folder.whole(), &kubeconfig, ports)))?;
    tell(life, "istiod", done);
    Ok(())
}

/// istio-agent with its Envoy: as a pod's sidecar, with what a kubelet would have put into the pod.
fn agent(
    life: &mut Lifecycle<'_, ThisMachine<'_>>,
    folder: &Folder,
    istio: &Parts,
    (envoy, bootstrap_override): (&Path, Option<&Path>),
    workload: &Workload,
) -> Result<()> {
    ensure!(
        agents_can_store_modules(),
        "istio-agent keeps modules in {MODULES} and cannot write there\n  remedy:  sudo install -d -o $USER {MODULES}"
    );
    let name = workload.name();
    let inside = folder.path(&name);
    let own = |file: &str| format!("{name}/{file}");
    let objects = format!(
        "{}---\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {}\n  namespace: {}\n",
        namespace(&workload.namespace),
        workload.account,
        workload.namespace
    );
    let objects = folder.write(&own("objects.yaml"), &objects)?;
    ask(life, &["apply", "--server-side", "--filename"]).arg(objects).text()?;
    let of = ["--namespace", &workload.namespace];
    let token = ask(life, &["create", "token", &workload.account, "--audience=istio-ca", "--duration=24h"])
        .args(of)
        .text()?;
    folder.write(&own("var/run/secrets/tokens/istio-token"), &token)?;
    let root = root_certificate(life, &workload.namespace)?;
    folder.write(&own("var/run/secrets/istio/root-cert.pem"), &root)?;
    let istiod = address(life, "istiod", "secureXds")?;
    let tags = tags_in(TAGS);
    let (program, bootstrap) = (istio.path(AGENT), istio.path(BOOTSTRAP));
    fs::create_dir_all(inside.join(shape::CERTIFICATE)).context("cannot make a folder for certificates")?;
    let of = AgentOf {
        program: &program,
        envoy,
        bootstrap: &bootstrap,
        istiod: &istiod,
        tags: &tags,
        bootstrap_override,
    };
    let done = life.ensure(&name, |ports| Ok(shape::agent(&of, &inside, workload, ports)))?;
    tell(life, &name, done);
    Ok(())
}

/// istiod writes it into every namespace, soon after it has started.
fn root_certificate(life: &mut Lifecycle<'_, ThisMachine<'_>>, namespace: &str) -> Result<String> {
    const LOOKS: usize = 600;
    for _ in 0..LOOKS {
        let asked = ask(life, &["get", "configmap", "istio-ca-root-cert", "--namespace", namespace])
            .arg(r"--output=jsonpath={.data.root-cert\.pem}")
            .text();
        if let Some(text) = asked.ok().filter(|text| !text.is_empty()) {
            return Ok(text);
        }
        life.machine.pause();
    }
    bail!("istiod wrote no root certificate into the namespace {namespace}: see istiod.log")
}

fn status(folder: &Folder) -> Result<()> {
    let Some(record) = folder.record()? else {
        bail!("no cluster in {}\n  remedy:  cargo xtask cluster up", folder.whole().display())
    };
    let mut keep = |_: &Record| Ok(());
    let kubectl = record.kubectl.clone();
    let mut life =
        Lifecycle { machine: ThisMachine { kubectl: &kubectl }, record: record.clone(), keep: &mut keep };
    let states: Vec<(&Running, State)> = record.parts.iter().map(|part| (part, life.state(part))).collect();
    states.iter().for_each(|(running, state)| println!("{}", line(running, state)));
    println!("export KUBECONFIG={}", record.kubeconfig.display());
    let well = states.iter().all(|(_, state)| *state == State::Answers) && !states.is_empty();
    ensure!(well, "not all of it answers; `cargo xtask cluster up` starts again what ended");
    Ok(())
}

fn down(folder: &Folder) -> Result<()> {
    let _lock = folder.lock()?;
    let Some(record) = folder.record()? else {
        say(format!("no cluster in {}", folder.whole().display()));
        return Ok(());
    };
    let mut keep = |record: &Record| folder.keep(record);
    let kubectl = record.kubectl.clone();
    let mut life = Lifecycle { machine: ThisMachine { kubectl: &kubectl }, record, keep: &mut keep };
    let names = life.names();
    life.end(&names)?;
    say(format!("ended: {}", names.join(", ")));
    remove(folder.whole())
}

fn line(running: &Running, state: &State) -> String {
    let Part { name, addresses, .. } = &running.part;
    let state = match state {
        State::Answers => "answers".to_owned(),
        State::Silent(said) => {
            format!("lives, does not answer ({})", said.lines().next().unwrap_or_default())
        }
        State::Ended => "ended".to_owned(),
    };
    let addresses: Vec<String> = addresses.iter().map(|(purpose, at)| format!("{purpose} {at}")).collect();
    format!("{name}: {state}, process {}, {}", running.process.pid, addresses.join(", "))
}

fn tell(life: &Lifecycle<'_, ThisMachine<'_>>, name: &str, done: Done) {
    let word = match done {
        Done::WasThere => "runs already",
        Done::Started => "started",
        Done::StartedAgain => "had ended, started again",
    };
    let pid = life.record.part(name).map(|running| running.process.pid).unwrap_or_default();
    say(format!("{name}: {word} (process {pid})"));
}

fn address(life: &Lifecycle<'_, ThisMachine<'_>>, part: &str, purpose: &str) -> Result<String> {
    let address = life.record.part(part).and_then(|running| running.part.addresses.get(purpose)).cloned();
    address.with_context(|| format!("{part} has no address {purpose}"))
}

/// kubectl on that cluster.
fn ask(life: &Lifecycle<'_, ThisMachine<'_>>, args: &[&str]) -> Call {
    Call::new(&life.record.kubectl).env("KUBECONFIG", &life.record.kubeconfig).args(args)
}

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n")
}

/// The tags in `extraStatTags: [a, b]`.
fn tags_in(text: &str) -> Vec<&str> {
    let list = text.lines().find_map(|line| line.trim().strip_prefix("extraStatTags: [")?.strip_suffix(']'));
    list.unwrap_or_default().split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::folder::RECORD;
    use super::machine::Process;
    use super::*;

    fn folder(name: &str) -> (PathBuf, Folder) {
        let dir = std::env::temp_dir().join(format!("serin-cluster-test-{}-{name}", std::process::id()));
        (dir.clone(), Folder::at(&dir.join("cluster")).expect("a path"))
    }

    #[test]
    fn the_tags_are_those_of_the_manifest() {
        let tags = tags_in(TAGS);
        assert!(["rollout", "version", "arm"].iter().all(|tag| tags.contains(tag)), "{tags:?}");
        assert_eq!(tags_in("a: b"), [""; 0]);
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let (dir, cluster) = folder("other");
        cluster.write("diary.txt", "mine").expect("a file");
        let error = cluster.make().expect_err("it is no cluster").to_string();
        assert!(error.contains("--dir"), "{error}");
        down(&cluster).expect("nothing to end");
        assert!(cluster.path("diary.txt").is_file());
        remove(&dir).expect("removed");
    }

    #[test]
    fn a_record_outlives_the_command_and_goes_with_the_cluster() {
        let (dir, cluster) = folder("record");
        cluster.make().expect("a folder");
        // Nothing that lives: the process of that number was never started.
        let process = Process { pid: u32::MAX >> 8, started: "never".to_owned() };
        let part = shape::etcd(Path::new("/etcd"), cluster.whole(), [1, 2]);
        let running = Running { part, process };
        assert_eq!(line(&running, &State::Ended).split(", ").next(), Some("etcd: ended"));
        let record = Record { parts: vec![running], ..Record::default() };
        cluster.keep(&record).expect("written");
        assert_eq!(cluster.record().expect("read"), Some(record));
        cluster.make().expect("it is one of ours");
        let error = status(&cluster).expect_err("it ended").to_string();
        assert!(error.contains("cluster up"), "{error}");
        down(&cluster).expect("gone");
        assert!(!cluster.whole().exists());
        assert!(status(&cluster).expect_err("none").to_string().contains("no cluster"));
        remove(&dir).expect("removed");
    }

    #[test]
    fn a_record_that_cannot_be_read_is_not_thrown_away() {
        let (dir, cluster) = folder("torn");
        cluster.write(RECORD, "{").expect("a file");
        let error = format!("{:#}", down(&cluster).expect_err("unreadable"));
        assert!(error.contains("end the processes it names"), "{error}");
        assert!(cluster.path(RECORD).is_file());
        remove(&dir).expect("removed");
    }
}
