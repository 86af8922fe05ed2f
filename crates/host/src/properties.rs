//! Properties (`proxy_get_property`): which there are in which phase, as measured on Envoy 1.40.
//!
//! Numbers travel as eight little-endian bytes, booleans as one, times and durations as nanoseconds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::abi::Status;
use crate::headers::Headers;
use crate::stream::Stream;

/// Named values a filter may read, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<Vec<String>, Vec<u8>>);

impl Properties {
    /// None.
    pub fn new() -> Properties {
        Properties::default()
    }

    /// A value as bytes.
    pub fn bytes(mut self, path: &[&str], value: impl Into<Vec<u8>>) -> Properties {
        self.0.insert(path.iter().map(|part| (*part).to_owned()).collect(), value.into());
        self
    }

    /// Text.
    pub fn text(self, path: &[&str], value: &str) -> Properties {
        self.bytes(path, value)
    }

    /// A signed number.
    pub fn number(self, path: &[&str], value: i64) -> Properties {
        self.bytes(path, value.to_le_bytes())
    }

    /// A truth value.
    pub fn flag(self, path: &[&str], value: bool) -> Properties {
        self.bytes(path, [u8::from(value)])
    }

    fn get(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.0
            .iter()
            .find(|(have, _)| have.iter().map(String::as_str).eq(path.iter().copied()))
            .map(|(_, v)| v.clone())
    }
}

/// What every context of a process can read, root contexts too.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) plugin_name: String,
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) properties: Properties,
}

/// Splits the ABI's path: parts separated by a zero byte.
pub(crate) fn split_path(path: &[u8]) -> Option<Vec<&str>> {
    path.split(|byte| *byte == 0).map(|part| std::str::from_utf8(part).ok()).collect()
}

/// The value at `path` for a stream, or for a root context when `stream` is `None`.
pub(crate) fn read(node: &Node, stream: Option<&Stream>, path: &[&str]) -> Result<Vec<u8>, Status> {
    match path {
        ["plugin_name"] => return Ok(node.plugin_name.clone().into_bytes()),
        ["plugin_root_id"] => return Ok(node.root_id.clone().into_bytes()),
        ["plugin_vm_id"] => return Ok(node.vm_id.clone().into_bytes()),
        // Names from before attributes: nothing answers to them any more.
        ["node" | "cluster_name" | "route_name" | "listener_direction", ..] => return Err(Status::NotFound),
        // Maps cannot be serialized whole. `xds` alone exists outside a stream.
        ["xds"] => return Err(Status::SerializationFailure),
        ["request" | "response" | "connection" | "upstream" | "source" | "destination" | "filter_state"] => {
            return Err(if stream.is_some() { Status::SerializationFailure } else { Status::NotFound });
        }
        _ => {}
    }
    // Only what belongs to the node is known outside a stream.
    let node_wide = path.starts_with(&["xds", "node"]);
    match stream {
        None if !node_wide => Err(Status::NotFound),
        None => node.properties.get(path).ok_or(Status::NotFound),
        Some(stream) if is_available(stream, path) => stream
            .given
            .properties
            .get(path)
            .or_else(|| of_stream(stream, path))
            .or_else(|| node.properties.get(path))
            .ok_or(Status::NotFound),
        Some(_) => Err(Status::NotFound),
    }
}

/// The table of envoy-facts: what the phase hides, whoever provides it.
fn is_available(stream: &Stream, path: &[&str]) -> bool {
    match path {
        ["request", "time" | "protocol", ..] => true,
        ["request", "duration"] | ["response", "backend_latency"] => stream.logging,
        ["request", ..] => stream.request_readable(),
        ["response", "code" | "code_details" | "grpc_status"]
        | ["upstream", "address"]
        | ["xds", "upstream_host_metadata", ..] => stream.logging || stream.response_started(),
        _ => true,
    }
}

fn of_stream(stream: &Stream, path: &[&str]) -> Option<Vec<u8>> {
    let request = &stream.exchange.request;
    let text = |value: &str| Some(value.as_bytes().to_vec());
    match path {
        ["request", "path"] => bytes_of(request, ":path"),
        ["request", "url_path"] => bytes_of(request, ":path").map(|path| until(path, b'?')),
        ["request", "method"] => bytes_of(request, ":method"),
        ["request", "host"] => bytes_of(request, ":authority"),
        ["request", "scheme"] => bytes_of(request, ":scheme"),
        ["request", "id"] => bytes_of(request, "x-request-id"),
        ["request", "useragent"] => bytes_of(request, "user-agent"),
        ["request", "referer"] => bytes_of(request, "referer"),
        ["request", "headers", name] => bytes_of(request, name),
        ["request", "protocol"] => text(&stream.given.protocol),
        ["request", "time"] => Some(nanoseconds(stream.started)),
        ["request", "duration"] => Some(nanoseconds(stream.latency.unwrap_or_default())),
        ["response", "headers", name] => bytes_of(stream.exchange.response.as_ref()?, name),
        ["response", "trailers", name] => bytes_of(stream.response_trailers.as_ref()?, name),
        ["response", "code"] => stream.code.map(|code| number(i64::from(code))),
        ["response", "code_details"] => stream.code_details.clone().map(String::into_bytes),
        ["response", "flags"] => Some(stream.flags.to_le_bytes().to_vec()),
        ["response", "grpc_status"] => grpc_status(stream).map(number),
        ["response", "backend_latency"] if stream.contacted_upstream => stream.latency.map(nanoseconds),
        ["source", "address"] => text(&stream.given.source_address),
        ["source", "port"] => port(&stream.given.source_address),
        ["destination", "address"] => text(&stream.given.destination_address),
        ["destination", "port"] => port(&stream.given.destination_address),
        ["connection", "id"] => Some(number(1)),
        ["connection", "mtls"] => Some(vec![0]),
        ["upstream", "request_attempt_count"] => {
            let begun = u32::from(stream.response_started());
            Some(number(i64::from(stream.tries.max(begun))))
        }
        ["filter_state", key] => stream.exchange.filter_state.get(key.strip_prefix("wasm.")?).cloned(),
        _ => None,
    }
}

fn bytes_of(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    headers.get(name).map(<[u8]>::to_vec)
}

fn until(mut bytes: Vec<u8>, end: u8) -> Vec<u8> {
    let keep = bytes.iter().position(|byte| *byte == end).unwrap_or(bytes.len());
    bytes.truncate(keep);
    bytes
}

fn number(value: i64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn nanoseconds(time: Duration) -> Vec<u8> {
    number(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

fn port(address: &str) -> Option<Vec<u8>> {
    address.rsplit_once(':')?.1.parse().ok().map(number)
}

/// Trailers first, then headers, then the HTTP status translated: a plain 200 gives 2 (Unknown), so this says
/// something of gRPC calls only.
fn grpc_status(stream: &Stream) -> Option<i64> {
    let maps = [stream.response_trailers.as_ref(), stream.exchange.response.as_ref()];
    let stated = maps.into_iter().flatten().find_map(|map| map.text("grpc-status"));
    match stated {
        // Envoy reads an unparsable status as -1.
        Some(text) => Some(text.parse().unwrap_or(-1)),
        None => stream.code.map(|code| match code {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502..=504 => 14,
            _ => 2,
        }),
    }
}
