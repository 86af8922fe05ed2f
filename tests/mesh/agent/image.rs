//! The module as an image in a registry, by its digest: the way that istio/trafficextension.yaml shows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use tests::alone;

use super::{FILE, LABELS, module, served, sha256};
use crate::stage::{Stage, cluster, weight};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
const LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";

/// A registry of one image, as far as a client that pulls it asks.
struct Registry {
    addr: SocketAddr,
    /// The image's, without `sha256:`.
    digest: String,
}

/// What it serves: kind and content, by digest or tag.
type Content = Arc<BTreeMap<String, (&'static str, Vec<u8>)>>;

impl Registry {
    async fn start() -> Self {
        let layer = module();
        let config = b"{}".to_vec();
        let described = |kind: &str, content: &[u8]| json!({"mediaType": kind, "size": content.len(), "digest": format!("sha256:{}", sha256(content))});
        // The specification of such images has two layers.
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, &config),
            "layers": [described(CONFIG, &config), described(LAYER, &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = sha256(&manifest);
        let mut content = BTreeMap::from([("0.1.0".to_owned(), (MANIFEST, manifest.clone()))]);
        for (kind, bytes) in [(MANIFEST, manifest), (CONFIG, config), (LAYER, layer)] {
            content.insert(format!("sha256:{}", sha256(&bytes)), (kind, bytes));
        }
        let router = Router::new()
            .route("/v2/", get(async || "{}"))
            .route("/v2/serin/filter/{kind}/{reference}", get(answer))
            .with_state(Content::new(content));
        Self { addr: served(router).await, digest }
    }

    fn url(&self, reference: &str) -> String {
        format!("oci://{}/serin/filter{reference}", self.addr)
    }
}

async fn answer(State(content): State<Content>, Path((_, reference)): Path<(String, String)>) -> Response {
    match content.get(&reference) {
        Some((kind, bytes)) => ([(CONTENT_TYPE, *kind)], bytes.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a control plane: SERIN_MESH=1 cargo xtask test"]
async fn a_module_comes_from_a_registry_by_its_digest_and_another_does_not() {
    let _machine = alone().await;
    let (cluster, stage) = (cluster().await, Stage::set("image", LABELS).await);
    let registry = Registry::start().await;
    let all = weight(1_000_000, 1);
    cluster.apply(&stage.text("envoyfilter-early-removal.yaml")).await;
    let apply = async |url: &str, sha256: &str| cluster.apply(&stage.plugin(FILE, url, sha256, &all)).await;

    // A tag whose image is another than was meant: the filter does not come, whatever the tag says now.
    apply(&registry.url(":0.1.0"), &"0".repeat(64)).await;
    cluster.up(&["--agent", "image/storefront-1:app=storefront,serin.dev/decide=true"]).await;
    stage.answered_by("v1", None).await;
    stage.takes_off_what_is_forged().await;
    stage.a_forged_header_is_worth_nothing().await;

    apply(&registry.url(":0.1.0"), &registry.digest).await;
    stage.answered_by("v2", Some("v2")).await;

    // Named by its digest alone, and there is none such.
    let unknown = sha256(b"nobody has this");
    apply(&registry.url(&format!("@sha256:{unknown}")), "").await;
    stage.answered_by("v1", None).await;
    stage.a_forged_header_is_worth_nothing().await;

    apply(&registry.url(&format!("@sha256:{}", registry.digest)), "").await;
    stage.answered_by("v2", Some("v2")).await;
}
