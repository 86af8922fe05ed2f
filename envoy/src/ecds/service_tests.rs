//! Over a real connection, with a client that says what it likes.

use std::{future::Future, time::Duration};

use envoy_types::pb::envoy::{
    config::core::v3::{Locality, TypedExtensionConfig},
    extensions::{
        filters::http::wasm::v3::Wasm,
        wasm::v3::{FailurePolicy, plugin_config::Vm},
    },
    service::extension::v3::extension_config_discovery_service_client::ExtensionConfigDiscoveryServiceClient as Client,
};
use prost::Message as _;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, transport::Channel};

use super::*;
use crate::{Resource as Filter, ecds::Documents};

/// For a machine that hangs, not a measure.
const DEADLINE: Duration = Duration::from_secs(30);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("in time")
}

struct Served {
    ecds: Ecds,
    client: Client<Channel>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

async fn served() -> Served {
    let ecds = Ecds::new(Filter::local("/etc/serin/filter.wasm"), 7);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(ecds.clone().serve(listener, async { drop(stopped.await) }));
    let client = Client::connect(format!("http://{address}")).await.unwrap();
    Served { ecds, client, stop, serving }
}

type Sender<T> = mpsc::UnboundedSender<T>;

async fn open(client: &mut Client<Channel>) -> (Sender<DiscoveryRequest>, Streaming<DiscoveryResponse>) {
    let (requests, outbound) = mpsc::unbounded_channel();
    let response =
        soon(client.stream_extension_configs(UnboundedReceiverStream::new(outbound))).await.unwrap();
    (requests, response.into_inner())
}

fn subscription(id: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        node: Some(WireNode { id: id.to_owned(), cluster: "c".to_owned(), ..WireNode::default() }),
        resource_names: vec![NAME.to_owned()],
        type_url: EXTENSION_URL.to_owned(),
        ..DiscoveryRequest::default()
    }
}

#[tokio::test]
async fn a_response_carries_the_filter_and_the_policy_whole() {
    let mut served = served().await;
    served.ecds.publish(3, r#"{"generation":3}"#.to_owned());
    let (requests, mut responses) = open(&mut served.client).await;
    requests.send(subscription("a")).unwrap();
    let response = soon(responses.message()).await.unwrap().unwrap();
    assert_eq!((response.version_info.as_str(), response.type_url.as_str()), ("7-3", EXTENSION_URL));
    let extension = TypedExtensionConfig::decode(response.resources[0].value.as_slice()).unwrap();
    assert_eq!(extension.name, NAME);
    let plugin = Wasm::decode(extension.typed_config.unwrap().value.as_slice()).unwrap().config.unwrap();
    assert_eq!((plugin.name.as_str(), plugin.root_id.as_str()), (NAME, NAME));
    assert_eq!(plugin.failure_policy(), FailurePolicy::FailReload);
    let Vm::VmConfig(vm) = plugin.vm.unwrap();
    assert_eq!(vm.vm_id, NAME);
    let text = plugin.configuration.unwrap();
    assert_eq!(text.type_url, "type.googleapis.com/google.protobuf.StringValue");
    assert_eq!(String::decode(text.value.as_slice()).unwrap().trim_end(), r#"{"generation":3}"#);
}

#[tokio::test]
async fn of_many_policies_the_latest_arrives_and_none_twice() {
    let mut served = served().await;
    let (requests, mut responses) = open(&mut served.client).await;
    requests.send(subscription("a")).unwrap();
    for generation in 1..=50 {
        assert!(served.ecds.publish(generation, format!("{generation}")));
        assert!(!served.ecds.publish(generation, "again".to_owned()), "twice is once");
    }
    assert!(!served.ecds.publish(49, "older".to_owned()));
    let mut versions = Vec::new();
    while versions.last() != Some(&50) {
        let version: Version =
            soon(responses.message()).await.unwrap().unwrap().version_info.parse().unwrap();
        versions.push(version.generation);
    }
    assert!(versions.is_sorted_by(|earlier, later| earlier < later), "{versions:?}");
}

#[tokio::test]
async fn each_node_is_told_what_its_region_is_told() {
    let mut served = served().await;
    let regions = [("eu".to_owned(), "of eu".to_owned())].into();
    served.ecds.publish(1, Documents { common: "of all".to_owned(), regions });
    for (id, region, told) in [("a", "eu", "of eu"), ("b", "us", "of all"), ("c", "", "of all")] {
        let mut request = subscription(id);
        let locality = Locality { region: region.to_owned(), ..Locality::default() };
        request.node.as_mut().unwrap().locality = (!region.is_empty()).then_some(locality);
        let (requests, mut responses) = open(&mut served.client).await;
        requests.send(request).unwrap();
        let response = soon(responses.message()).await.unwrap().unwrap();
        let extension = TypedExtensionConfig::decode(response.resources[0].value.as_slice()).unwrap();
        let plugin = Wasm::decode(extension.typed_config.unwrap().value.as_slice()).unwrap().config.unwrap();
        let text = String::decode(plugin.configuration.unwrap().value.as_slice()).unwrap();
        assert_eq!(text.trim_end(), told, "{id}");
        assert_eq!(served.ecds.nodes().borrow().0[id].region, region);
        drop((requests, responses));
    }
}

#[track_caller]
fn check_status(status: &Status, code: Code, words: &str) {
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(words), "{status}");
}

#[tokio::test]
async fn what_cannot_be_served_is_told_how_it_could() {
    let mut served = served().await;
    let unnamed = subscription("");
    let foreign =
        DiscoveryRequest { type_url: "type.googleapis.com/envoy.Other".to_owned(), ..subscription("a") };
    for (request, words) in [(unnamed, "--service-node"), (foreign, "envoy.Other")] {
        let (requests, mut responses) = open(&mut served.client).await;
        requests.send(request).unwrap();
        check_status(&soon(responses.message()).await.unwrap_err(), Code::InvalidArgument, words);
    }
    let fetch = served.client.fetch_extension_configs(subscription("a"));
    check_status(&soon(fetch).await.unwrap_err(), Code::Unimplemented, "api_type: GRPC");
    assert!(served.ecds.nodes().borrow().0.is_empty(), "none of them is a node");
}

#[tokio::test]
async fn a_node_bears_a_name_that_can_be_kept() {
    let mut served = served().await;
    let (long, most) = ("a".repeat(LONGEST_NAME + 1), "a".repeat(LONGEST_NAME));
    let elsewhere = |region: &str| {
        let mut request = subscription("a");
        request.node.as_mut().unwrap().locality =
            Some(Locality { region: region.to_owned(), ..Locality::default() });
        request
    };
    for (request, words) in [
        (subscription(&long), "node.id has 513 bytes"),
        (subscription("a\n2026-11-30 INFO promoted"), "node.id"),
        (subscription("\u{1b}[2J"), "node.id"),
        (elsewhere(&long), "node.locality.region"),
        (elsewhere("eu\n"), "node.locality.region"),
    ] {
        let (requests, mut responses) = open(&mut served.client).await;
        requests.send(request).unwrap();
        check_status(&soon(responses.message()).await.unwrap_err(), Code::InvalidArgument, words);
    }
    assert_eq!(served.ecds.refused(), 5);
    assert!(served.ecds.nodes().borrow().0.is_empty());
    let (requests, _responses) = open(&mut served.client).await;
    requests.send(subscription(&most)).unwrap();
    let mut nodes = served.ecds.nodes();
    soon(nodes.wait_for(|nodes| nodes.0.contains_key(&most))).await.unwrap();
}

#[tokio::test]
async fn a_node_that_asks_for_another_name_gets_nothing() {
    let mut served = served().await;
    served.ecds.publish(1, "policy".to_owned());
    let (requests, mut responses) = open(&mut served.client).await;
    requests
        .send(DiscoveryRequest { resource_names: vec!["other".to_owned()], ..subscription("a") })
        .unwrap();
    requests.send(subscription("a")).unwrap();
    let response = soon(responses.message()).await.unwrap().unwrap();
    assert_eq!(response.nonce, "1", "nothing was sent before it asked for ours");
}

#[tokio::test]
async fn stopping_ends_open_streams_and_does_not_wait_for_their_peers() {
    let mut served = served().await;
    let (requests, mut responses) = open(&mut served.client).await;
    requests.send(subscription("a")).unwrap();
    let mut nodes = served.ecds.nodes();
    soon(nodes.wait_for(|nodes| nodes.0.contains_key("a"))).await.unwrap();
    served.stop.send(()).unwrap();
    check_status(&soon(responses.message()).await.unwrap_err(), Code::Unavailable, "stopping");
    // The client, and with it the connection, is still there.
    soon(served.serving).await.unwrap().unwrap();
    soon(nodes.wait_for(|nodes| !nodes.0["a"].is_connected())).await.unwrap();
    drop(served.client);
}
