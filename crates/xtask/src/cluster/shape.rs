//! What is started, with which arguments, and what tells that it answers. Without effects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A process to be, as it is written into the record: a part that ended is started again from this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// Its working folder; its log lies beside, as `NAME.log`.
    pub folder: PathBuf,
    /// Host and port by purpose.
    pub addresses: BTreeMap<String, String>,
    pub answers: Answers,
}

/// What tells that a part has started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answers {
    /// 200 to a GET of that path.
    Http { address: String, path: String },
    /// The API server says that it is ready, to kubectl with that kubeconfig.
    Kubectl { kubeconfig: PathBuf },
}

/// Whom the API server takes for its administrator. It listens on loopback alone.
const TOKEN: &str = "serin-cluster";

pub const TOKENS: &str = "serin-cluster,admin,admin,system:masters\n";

/// Istio's own providers of telemetry are filters that a plain Envoy does not have.
pub const MESH: &str = "defaultProviders: {}\n";

/// The namespace of istiod.
pub const ROOT: &str = "istio-system";

const ISSUER: &str = "https://kubernetes.default.svc";

/// How many ports each of them wants.
pub const ETCD_PORTS: usize = 2;
pub const API_PORTS: usize = 1;
pub const ISTIOD_PORTS: usize = 5;
pub const AGENT_PORTS: usize = 4;

/// The folder in which an agent keeps its workload's certificate as files: `cert-chain.pem`, `key.pem`, `root-cert.pem`.
pub const CERTIFICATE: &str = "certificate";

pub(super) fn on(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}

pub(super) fn named<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: serin\n  cluster:\n    server: https://{server}\n    \
         insecure-skip-tls-verify: true\nusers:\n- name: admin\n  user:\n    token: {TOKEN}\ncontexts:\n- name: serin\n  \
         context: {{cluster: serin, user: admin}}\ncurrent-context: serin\n"
    )
}

pub fn etcd(program: &Path, folder: &Path, [clients, peers]: [u16; ETCD_PORTS]) -> Part {
    let (clients, peers) = (on(clients), on(peers));
    let (url, peer) = (format!("http://{clients}"), format!("http://{peers}"));
    Part {
        name: "etcd".to_owned(),
        program: program.to_owned(),
        arguments: vec![
            format!("--data-dir={}", text(&folder.join("etcd"))),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // What is kept here need not outlive the machine.
            "--unsafe-no-fsync".to_owned(),
        ],
        environment: BTreeMap::new(),
        folder: folder.to_owned(),
        answers: Answers::Http { address: clients.clone(), path: "/health".to_owned() },
        addresses: named([("clients", clients)]),
    }
}

pub fn api_server(
    program: &Path,
    folder: &Path,
    etcd: &str,
    kubeconfig: &Path,
    [port]: [u16; API_PORTS],
) -> Part {
    let certificates = folder.join("certificates");
    // The server makes this key when it first starts; it signs tokens of service accounts as well.
    let key = text(&certificates.join("apiserver.key"));
    Part {
        name: "kube-apiserver".to_owned(),
        program: program.to_owned(),
        arguments: vec![
            format!("--etcd-servers=http://{etcd}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--cert-dir={}", text(&certificates)),
            format!("--token-auth-file={}", text(&folder.join("tokens.csv"))),
            "--authorization-mode=RBAC".to_owned(),
            format!("--service-account-key-file={key}"),
            format!("--service-account-signing-key-file={key}"),
            format!("--service-account-issuer={ISSUER}"),
            format!("--api-audiences={ISSUER},istio-ca"),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // Nobody makes service accounts here unless asked.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
        ],
        environment: BTreeMap::new(),
        folder: folder.to_owned(),
        addresses: named([("https", on(port))]),
        answers: Answers::Kubectl { kubeconfig: kubeconfig.to_owned() },
    }
}

pub fn istiod(program: &Path, folder: &Path, kubeconfig: &Path, ports: [u16; ISTIOD_PORTS]) -> Part {
    let [http, grpc, secure, monitoring, ctrlz] = ports;
    Part {
        name: "istiod".to_owned(),
        program: program.to_owned(),
        arguments: vec![
            "discovery".to_owned(),
            format!("--kubeconfig={}", text(kubeconfig)),
            format!("--meshConfig={}", text(&folder.join("mesh.yaml"))),
            format!("--httpAddr={}", on(http)),
            format!("--grpcAddr={}", on(grpc)),
            format!("--secureGRPCAddr={}", on(secure)),
            "--httpsAddr=".to_owned(),
            format!("--monitoringAddr={}", on(monitoring)),
            "--ctrlz_address=127.0.0.1".to_owned(),
            format!("--ctrlz_port={ctrlz}"),
        ],
        environment: named([
            ("POD_NAMESPACE", ROOT.to_owned()),
            ("POD_NAME", "istiod-0".to_owned()),
            ("REVISION", "default".to_owned()),
            ("CLUSTER_ID", "Kubernetes".to_owned()),
            // Filters that only Istio's own Envoy has.
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false".to_owned()),
            ("PILOT_ENABLE_ALPN_FILTER", "false".to_owned()),
            ("PILOT_ENABLE_TELEMETRY_LABEL", "false".to_owned()),
        ]),
        folder: folder.to_owned(),
        addresses: named([
            ("http", on(http)),
            ("xds", on(grpc)),
            ("secureXds", on(secure)),
            ("monitoring", on(monitoring)),
        ]),
        answers: Answers::Http { address: on(http), path: "/ready".to_owned() },
    }
}

/// A workload whose sidecar istio-agent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub namespace: String,
    pub pod: String,
    /// The service account, which its certificate names.
    pub account: String,
    /// By which plugins select it.
    pub labels: BTreeMap<String, String>,
}

impl Workload {
    /// Reads `NAMESPACE/POD`, `NAMESPACE/POD@ACCOUNT`, and either with `:LABEL=VALUE,LABEL=VALUE` behind it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, labels) = text.split_once(':').unwrap_or((text, ""));
        let (name, account) = name.split_once('@').unwrap_or((name, "default"));
        let plain = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        let parts = name
            .split_once('/')
            .filter(|(namespace, pod)| [namespace, pod, account].iter().all(|part| plain(part)));
        let (namespace, pod) = parts.ok_or_else(|| {
            format!("{text}: write NAMESPACE/POD or NAMESPACE/POD@ACCOUNT, as models/storefront-1")
        })?;
        let label = |pair: &str| {
            let (name, value) = pair.split_once('=').filter(|(name, _)| !name.is_empty())?;
            Some((name.to_owned(), value.to_owned()))
        };
        let pairs = labels.split(',').filter(|pair| !pair.is_empty());
        let labels: Option<_> = pairs.map(label).collect();
        let labels = labels.ok_or_else(|| format!("{text}: write labels as NAME=VALUE,NAME=VALUE"))?;
        let [namespace, pod, account] = [namespace, pod, account].map(str::to_owned);
        Ok(Self { namespace, pod, account, labels })
    }

    pub fn name(&self) -> String {
        format!("agent-{}-{}", self.namespace, self.pod)
    }
}

/// The programs and files of an agent.
pub struct AgentOf<'a> {
    pub program: &'a Path,
    pub envoy: &'a Path,
    pub bootstrap: &'a Path,
    /// istiod's address for workloads with certificates.
    pub istiod: &'a str,
    /// The tags of our counters, which become labels.
    pub tags: &'a [&'a str],
    /// What Envoy is started with beside Istio's own (`custom_bootstrap.json`).
    pub bootstrap_override: Option<&'a Path>,
}

pub fn agent(of: &AgentOf<'_>, folder: &Path, workload: &Workload, ports: [u16; AGENT_PORTS]) -> Part {
    let [admin, status, envoy_status, prometheus] = ports;
    let config = serde_json::json!({
        "discoveryAddress": of.istiod, "controlPlaneAuthPolicy": "MUTUAL_TLS", "binaryPath": of.envoy,
        "configPath": folder.join("envoy"), "proxyAdminPort": admin, "statusPort": status, "concurrency": 2,
        "extraStatTags": of.tags, "terminationDrainDuration": "1s",
    });
    let labels = serde_json::json!(workload.labels).to_string();
    let custom = of.bootstrap_override.map(|path| ("ISTIO_BOOTSTRAP_OVERRIDE", text(path)));
    Part {
        name: workload.name(),
        program: of.program.to_owned(),
        arguments: ["proxy", "sidecar", "--domain"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{}.svc.cluster.local", workload.namespace)])
            .collect(),
        environment: named(
            [
                ("INSTANCE_IP", "127.0.0.2".to_owned()),
                ("POD_NAME", workload.pod.clone()),
                ("POD_NAMESPACE", workload.namespace.clone()),
                ("SERVICE_ACCOUNT", workload.account.clone()),
                // Its certificate as files, for programs that speak TLS themselves.
                ("OUTPUT_CERTS", text(&folder.join(CERTIFICATE))),
                ("ISTIO_META_CLUSTER_ID", "Kubernetes".to_owned()),
                ("ISTIO_META_INTERCEPTION_MODE", "NONE".to_owned()),
                ("ISTIO_METAJSON_LABELS", labels),
                // Of the address of policies and, unless another is said, of certificates: on loopback istiod has no such name.
                ("ISTIOD_SAN", format!("istiod.{ROOT}.svc")),
                ("JWT_POLICY", "third-party-jwt".to_owned()),
                ("PROXY_CONFIG", config.to_string()),
                ("ISTIO_BOOTSTRAP", text(of.bootstrap)),
                // Ports that are the same in every pod, where each has an address of its own.
                ("ENVOY_STATUS_PORT", envoy_status.to_string()),
                ("ENVOY_PROMETHEUS_PORT", prometheus.to_string()),
                ("PROXY_XDS_DEBUG_VIA_AGENT", "false".to_owned()),
                // A module that cannot be fetched is given up after a second, not half a minute.
                ("WASM_HTTP_REQUEST_MAX_RETRIES", "1".to_owned()),
            ]
            .into_iter()
            .chain(custom),
        ),
        folder: folder.to_owned(),
        addresses: named([("admin", on(admin)), ("metrics", on(status))]),
        answers: Answers::Http { address: on(status), path: "/healthz/ready".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workload as its namespace, its pod and its labels.
    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        match (Workload::parse(text), expected) {
            (Ok(workload), Ok(parts)) => {
                let labels = workload.labels.iter().map(|(name, value)| format!("{name}={value}"));
                let account = Some(workload.account).filter(|account| account != "default");
                let found: Vec<String> =
                    [workload.namespace, workload.pod].into_iter().chain(account).chain(labels).collect();
                assert_eq!(found, parts);
            }
            (Err(said), Err(part)) => assert!(said.contains(part), "{said}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn a_workload_is_read() {
        check("models/storefront-1", Ok(&["models", "storefront-1"]));
        check("models/a:app=a,serin.dev/decide=true", Ok(&["models", "a", "app=a", "serin.dev/decide=true"]));
        check("models/a@ranker", Ok(&["models", "a", "ranker"]));
        check("models/a@ranker:app=a", Ok(&["models", "a", "ranker", "app=a"]));
        check("models/a@", Err("NAMESPACE/POD@ACCOUNT"));
        check("models/a:app=", Ok(&["models", "a", "app="]));
        check("models", Err("NAMESPACE/POD"));
        check("models/", Err("NAMESPACE/POD"));
        check("../x/y", Err("NAMESPACE/POD"));
        check("models/a:app", Err("NAME=VALUE"));
        check("models/a:=x", Err("NAME=VALUE"));
    }

    /// Whatever listens, listens on loopback, on the port it was given.
    #[test]
    fn every_part_is_on_loopback() {
        let folder = Path::new("/data");
        let (program, kubeconfig) = (Path::new("/program"), Path::new("/data/kubeconfig"));
        let of = AgentOf {
            program,
            envoy: Path::new("/envoy"),
            bootstrap: Path::new("/bootstrap.json"),
            istiod: "127.0.0.1:9",
            tags: &["arm"],
            bootstrap_override: None,
        };
        let workload = Workload::parse("models/a").expect("a workload");
        let parts = [
            (etcd(program, folder, [1, 2]), &[1, 2][..]),
            (api_server(program, folder, "127.0.0.1:1", kubeconfig, [3]), &[3]),
            (istiod(program, folder, kubeconfig, [4, 5, 6, 7, 8]), &[4, 5, 6, 7, 8]),
            (agent(&of, folder, &workload, [10, 11, 12, 13]), &[10, 11, 12, 13]),
        ];
        for (part, ports) in parts {
            let said = format!("{:?} {:?}", part.arguments, part.environment);
            for port in ports {
                assert!(said.contains(&port.to_string()), "{}: no {port} in {said}", part.name);
            }
            assert!(!said.contains("=0.0.0.0"), "{said}");
            assert!(part.addresses.values().all(|address| address.starts_with("127.0.0.1:")), "{part:?}");
        }
        assert!(TOKENS.starts_with(TOKEN) && super::kubeconfig("127.0.0.1:3").contains(TOKEN));
    }

    #[test]
    fn a_part_is_read_as_it_is_written() {
        let part = etcd(Path::new("/etcd"), Path::new("/data"), [1, 2]);
        let text = serde_json::to_string(&part).expect("JSON");
        assert_eq!(serde_json::from_str::<Part>(&text).expect("a part"), part);
    }
}
