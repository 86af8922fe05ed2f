//! Numbers and names of proxy-wasm 0.2.1.

use std::fmt;

/// What a host function answers. The discriminants are the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    SerializationFailure = 3,
    InvalidMemoryAccess = 6,
    CasMismatch = 8,
}

/// Which header map a call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
    ResponseTrailers,
    GrpcInitialMetadata,
    GrpcTrailingMetadata,
    CallHeaders,
    CallTrailers,
}

impl TryFrom<u32> for Map {
    type Error = Status;

    fn try_from(number: u32) -> Result<Map, Status> {
        Ok(match number {
            0 => Map::RequestHeaders,
            1 => Map::RequestTrailers,
            2 => Map::ResponseHeaders,
            3 => Map::ResponseTrailers,
            4 => Map::GrpcInitialMetadata,
            5 => Map::GrpcTrailingMetadata,
            6 => Map::CallHeaders,
            7 => Map::CallTrailers,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// The kinds of metric a filter can define. The discriminants are the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum MetricKind {
    /// Only grows.
    Counter = 0,
    /// Goes up and down.
    Gauge = 1,
    /// Collects values.
    Histogram = 2,
}

impl TryFrom<u32> for MetricKind {
    type Error = Status;

    fn try_from(number: u32) -> Result<MetricKind, Status> {
        match number {
            0 => Ok(MetricKind::Counter),
            1 => Ok(MetricKind::Gauge),
            2 => Ok(MetricKind::Histogram),
            _ => Err(Status::BadArgument),
        }
    }
}

/// An entry point of the filter, called by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each variant is the ABI function of its name")]
pub enum Callback {
    Initialize,
    ContextCreate,
    VmStart,
    Configure,
    Tick,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    HttpCallResponse,
    Log,
    Done,
    Delete,
}

impl Callback {
    /// The exported function's name.
    pub fn export(self) -> &'static str {
        match self {
            Callback::Initialize => "_initialize",
            Callback::ContextCreate => "proxy_on_context_create",
            Callback::VmStart => "proxy_on_vm_start",
            Callback::Configure => "proxy_on_configure",
            Callback::Tick => "proxy_on_tick",
            Callback::RequestHeaders => "proxy_on_request_headers",
            Callback::RequestBody => "proxy_on_request_body",
            Callback::RequestTrailers => "proxy_on_request_trailers",
            Callback::ResponseHeaders => "proxy_on_response_headers",
            Callback::ResponseBody => "proxy_on_response_body",
            Callback::ResponseTrailers => "proxy_on_response_trailers",
            Callback::HttpCallResponse => "proxy_on_http_call_response",
            Callback::Log => "proxy_on_log",
            Callback::Done => "proxy_on_done",
            Callback::Delete => "proxy_on_delete",
        }
    }
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.export())
    }
}

/// Functions of the ABI that this host leaves out. A module may import them; a call stops the test by name.
pub(crate) const UNIMPLEMENTED: [&str; 12] = [
    "proxy_close_stream",
    "proxy_dequeue_shared_queue",
    "proxy_enqueue_shared_queue",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_register_shared_queue",
    "proxy_resolve_shared_queue",
    "proxy_set_buffer_bytes",
];

/// Foreign functions Envoy has and this host leaves out. A name in neither list is `NotFound`, as in Envoy.
pub(crate) const UNIMPLEMENTED_FOREIGN: [&str; 10] = [
    "compress",
    "declare_property",
    "expr_create",
    "expr_delete",
    "expr_evaluate",
    "get_envoy_filter_state",
    "set_envoy_filter_state",
    "sign",
    "uncompress",
    "verify_signature",
];
