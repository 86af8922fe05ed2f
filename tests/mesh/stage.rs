//! Where a story plays: a namespace of its own with two model servers behind the shipped routes.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use demo::istio::{Pod, Service};
use demo::load::{Ledger, Load, LoadPlan};
use tests::{Answer, Cluster, EnvoyProcess, Models, free_port, sidecar, tools};

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// The cluster, where a story has asked for it.
pub fn started() -> Option<&'static Cluster> {
    CLUSTER.get()
}

/// One for all stories. The keeper of it ends it when this process ends.
pub async fn cluster() -> &'static Cluster {
    let start = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mesh-{}", std::process::id()));
        Cluster::start(&folder)
    };
    CLUSTER.get_or_init(async || tokio::task::spawn_blocking(start).await.expect("a cluster")).await
}

/// A file of `istio/`.
pub fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../istio").join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The only document of a text.
pub fn document(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

/// The service of the controller, as istio/controller.yaml has it.
pub const CONTROLLER: &str = "serin.serin-system.svc.cluster.local";

pub struct Stage {
    pub service: Service,
    pub models: Models,
    /// Those of the callers' pods.
    labels: &'static [(&'static str, &'static str)],
}

impl Stage {
    /// Sets it: the service, its subsets and routes.
    pub async fn set(namespace: &'static str, labels: &'static [(&'static str, &'static str)]) -> Self {
        let (models, port) = (Models::plain().await, free_port().port());
        let (stable, canary) = (models.stable.addr(), models.canary.addr());
        let service = Service { namespace: namespace.to_owned(), port, stable, canary };
        let stage = Self { service, models, labels };
        // A story that failed may have left istiod killed.
        cluster().await.up(&[]).await;
        for manifest in stage.service.manifests() {
            cluster().await.apply(&manifest).await;
        }
        stage
    }

    /// The controller as a service of the mesh that the callers' sidecars reach: its port there, and where it listens.
    pub fn controller(&self, port: u16, http: SocketAddr) -> [String; 2] {
        let namespace = &self.service.namespace;
        let service = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
            "metadata": {"name": "serin", "namespace": namespace},
            "spec": {
                "hosts": [CONTROLLER], "resolution": "STATIC",
                "ports": [{"number": port, "name": "http", "protocol": "HTTP"}],
                "endpoints": [{"address": http.ip().to_string(), "ports": {"http": http.port()}}],
            },
        });
        // That of the controller is wanted for its cluster alone: nobody calls there.
        let listener = |number: u16| {
            json!({
                "port": {"number": number, "protocol": "HTTP", "name": format!("http-{number}")},
                "bind": "127.0.0.1", "captureMode": "NONE", "hosts": ["./*"],
            })
        };
        let sidecar = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
            "metadata": {"name": "default", "namespace": namespace},
            "spec": {"egress": [listener(self.service.port), listener(port)]},
        });
        [service.to_string(), sidecar.to_string()]
    }

    /// A file of `istio/` for this namespace.
    pub fn text(&self, file: &str) -> String {
        self.service.manifest(&text(file))
    }

    /// The shipped plugin of that file, changed by `change` (its policy) and with a module from `url`.
    pub fn plugin(&self, file: &str, url: &str, sha256: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut plugin = document(&self.text(file));
        let spec = match plugin["spec"].get("wasm") {
            Some(_) => &mut plugin["spec"]["wasm"],
            None => &mut plugin["spec"],
        };
        spec["url"] = url.into();
        spec["sha256"] = sha256.into();
        change(&mut spec["pluginConfig"]);
        plugin.to_string()
    }

    /// The pod of a caller.
    pub fn pod(&self, clusters: &[(&str, SocketAddr)]) -> Pod {
        let labels =
            self.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let clusters = clusters.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
        Pod { name: "storefront-1".to_owned(), labels, clusters }
    }

    /// A plain Envoy as the caller's sidecar, started with these clusters.
    pub async fn sidecar(&self, clusters: &[(&str, SocketAddr)]) -> EnvoyProcess {
        sidecar(cluster().await, &self.service, &self.pod(clusters)).await
    }

    fn listener(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.service.port).into()
    }

    /// One request through the sidecar.
    pub async fn ask(&self, headers: &[(&str, &str)]) -> Result<Answer, String> {
        let host = self.service.host();
        let headers = [&[("host", host.as_str())], headers].concat();
        tests::get(self.listener(), "/", &headers).await.map_err(|error| error.to_string())
    }

    /// Waits until requests are answered by that model, tagged with that version; since when they are.
    pub async fn answered_by(&self, model: &str, version: Option<&str>) -> Instant {
        let fits = |answer: &Answer| answer.model() == Some(model) && answer.version() == version;
        self.all_answer("the version asked for", &[("x-user-id", "u")], fits).await
    }

    /// Waits until every worker of the proxy answers so. Each takes up what is new in its own time, so one answer tells of one of
    /// them; many in a row, each by a connection of its own, tell of all. Since when.
    async fn all_answer(
        &self,
        what: &str,
        headers: &[(&str, &str)],
        fits: impl Fn(&Answer) -> bool,
    ) -> Instant {
        const IN_A_ROW: usize = 20;
        tests::until(what, async || {
            let mut first = None;
            for _ in 0..IN_A_ROW {
                let answer = self.ask(headers).await?;
                if answer.status != 200 || !fits(&answer) {
                    return Err(format!("{answer:?}"));
                }
                first.get_or_insert_with(Instant::now);
            }
            first.ok_or_else(String::new)
        })
        .await
    }

    /// A client that names an arm itself is served by stable, whatever it names.
    pub async fn a_forged_header_is_worth_nothing(&self) {
        for forged in ["canary", "shadow", "CANARY"] {
            let answer = self.ask(&[("x-serin-arm", forged), ("x-user-id", "u")]).await.expect("an answer");
            assert_eq!((answer.status, answer.model()), (200, Some("v1")), "{forged}: {answer:?}");
        }
    }

    /// Waits until a client's own header is taken off: what was written last comes to a proxy a moment after it has started.
    pub async fn takes_off_what_is_forged(&self) {
        let forged = [("x-serin-arm", "canary"), ("x-user-id", "u")];
        self.all_answer("the early removal", &forged, |answer| answer.model() == Some("v1")).await;
    }

    pub fn load(&self) -> Load {
        let (authority, target) = (self.service.host(), self.listener());
        Load::start(LoadPlan { authority, rate: 100.0, ..LoadPlan::to(target) }).expect("a load")
    }

    /// Ends the load: no request of it failed and none was tagged wrongly. How many there were.
    pub async fn nothing_was_lost(&self, load: Load) -> u64 {
        let records = load.stop().await;
        let (stable, canary) = (self.models.stable.log().arrivals(), self.models.canary.log().arrivals());
        let totals = Ledger::new(&records, &stable, &canary).totals();
        assert!(totals.total > 0);
        assert_eq!((totals.failed_by_us, totals.mis_tagged), (0, 0), "{totals:?}");
        totals.total
    }
}

/// The filter as a file that a plain Envoy reads.
pub fn module() -> String {
    format!("file://{}", tools::wasm().display())
}

/// The whole of a policy's weight to the canary, under a generation; nobody vouches for it, so it has no lease.
pub fn weight(ppm: u32, generation: u64) -> impl Fn(&mut Value) {
    move |policy| {
        policy["generation"] = generation.into();
        policy["rollouts"][0]["arms"]["canary"]["weight_ppm"] = ppm.into();
        policy.as_object_mut().expect("a policy").remove("lease");
    }
}
