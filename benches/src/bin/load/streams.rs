//! Proxies that fetch their policy over ECDS and acknowledge it.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use envoy_types::pb::envoy::service::extension::v3::extension_config_discovery_service_client::ExtensionConfigDiscoveryServiceClient as Client;
use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;

const TYPE: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";

/// Streams that share a connection.
const PER_CONNECTION: usize = 50;

pub struct Fleet {
    /// What each proxy holds.
    held: Vec<watch::Receiver<u64>>,
}

impl Fleet {
    pub async fn connect(ecds: SocketAddr, nodes: usize) -> Self {
        let mut held = Vec::new();
        let mut channel = None;
        for node in 0..nodes {
            if node % PER_CONNECTION == 0 {
                let to = Channel::from_shared(format!("http://{ecds}")).expect("an address");
                channel = Some(to.connect().await.expect("the ECDS server"));
            }
            let (holds, holding) = watch::channel(0);
            tokio::spawn(follow(channel.clone().expect("a channel"), format!("node-{node:04}"), holds));
            held.push(holding);
        }
        Self { held }
    }

    /// Waits until every proxy has this generation, or a later one.
    pub async fn has(&self, generation: u64) {
        let all = async {
            for held in &self.held {
                held.clone().wait_for(|held| *held >= generation).await.expect("a stream that lives");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all)
            .await
            .expect("every proxy takes it within a minute");
    }
}

async fn follow(channel: Channel, id: String, holds: watch::Sender<u64>) {
    let (requests, outbound) = mpsc::channel(4);
    let first = DiscoveryRequest {
        node: Some(Node { id, cluster: "bench".to_owned(), ..Node::default() }),
        type_url: TYPE.to_owned(),
        resource_names: vec![envoy::NAME.to_owned()],
        ..DiscoveryRequest::default()
    };
    requests.send(first.clone()).await.expect("room");
    let outbound =
        futures::stream::unfold(
            outbound,
            |mut outbound| async move { Some((outbound.recv().await?, outbound)) },
        );
    let answers = Client::new(channel).stream_extension_configs(outbound).await;
    let mut answers = answers.expect("a stream").into_inner();
    while let Ok(Some(answer)) = answers.message().await {
        let generation = answer.version_info.split_once('-').and_then(|(_, number)| number.parse().ok());
        holds.send_replace(generation.expect("a version"));
        let taken = DiscoveryRequest {
            node: None,
            version_info: answer.version_info,
            response_nonce: answer.nonce,
            ..first.clone()
        };
        if requests.send(taken).await.is_err() {
            return;
        }
    }
}
