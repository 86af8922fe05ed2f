//! HTTP calls, answers given by the filter itself, bodies.

use std::time::Duration;

use wasmtime::{Caller, Linker};

use super::{Call, Refusal};
use crate::abi::{Map, Status};
use crate::headers::Headers;
use crate::module::ENV;
use crate::stream::LocalReply;
use crate::vm::VmState;
use crate::world::{HttpCall, PendingCall};

pub(crate) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        ENV,
        "proxy_http_call",
        |c: Caller<'_, VmState>,
         cluster: u32,
         cluster_size: u32,
         headers: u32,
         headers_size: u32,
         body: u32,
         body_size: u32,
         trailers: u32,
         trailers_size: u32,
         timeout_ms: u32,
         token_out: u32| {
            Call::run(c, "proxy_http_call", |call| {
                let cluster = call.read_text(cluster, cluster_size)?;
                let headers = Headers::decode(&call.read(headers, headers_size)?);
                let body = call.read(body, body_size)?;
                let trailers = Headers::decode(&call.read(trailers, trailers_size)?);
                call.write_u32(token_out, 0)?;
                let token = call.dispatch(cluster, headers, body, trailers, timeout_ms)?;
                Ok(call.write_u32(token_out, token)?)
            })
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_send_local_response",
        |c: Caller<'_, VmState>,
         status: u32,
         details: u32,
         details_size: u32,
         body: u32,
         body_size: u32,
         headers: u32,
         headers_size: u32,
         _grpc_status: i32| {
            Call::run(c, "proxy_send_local_response", |call| {
                let reply = LocalReply {
                    status,
                    details: call.read_text(details, details_size)?,
                    headers: Headers::decode(&call.read(headers, headers_size)?),
                    body: call.read(body, body_size)?,
                };
                if let Some(stream) = call.stream_mut() {
                    stream.exchange.local_reply = Some(reply);
                }
                Ok(())
            })
        },
    )?;
    linker.func_wrap(ENV, "proxy_continue_stream", |c: Caller<'_, VmState>, direction: u32| {
        Call::run(c, "proxy_continue_stream", |call| {
            // 0: request, 1: response. Connections (2, 3) belong to network filters.
            if direction > 1 {
                return Err(Status::BadArgument.into());
            }
            if let Some(stream) = call.stream_mut() {
                stream.continued = true;
                stream.open.retain(|map| !matches!(map, Map::RequestHeaders | Map::RequestTrailers));
            }
            Ok(())
        })
    })?;
    linker.func_wrap(
        ENV,
        "proxy_get_buffer_bytes",
        |c: Caller<'_, VmState>, buffer: u32, start: u32, length: u32, data: u32, size: u32| {
            Call::run(c, "proxy_get_buffer_bytes", |call| {
                let bytes = call.buffer(buffer)?;
                // A range that overflows is the caller's mistake; one beyond the end is cut.
                let end = start.checked_add(length).ok_or(Status::BadArgument)?;
                let index = |position: u32| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
                let range = bytes.get(index(start)..index(end)).unwrap_or_default().to_vec();
                call.give(&range, data, size)
            })
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_get_buffer_status",
        |c: Caller<'_, VmState>, buffer: u32, length_out: u32, flags_out: u32| {
            Call::run(c, "proxy_get_buffer_status", |call| {
                let length = u32::try_from(call.buffer(buffer)?.len()).unwrap_or(u32::MAX);
                call.write_u32(length_out, length)?;
                Ok(call.write_u32(flags_out, 0)?)
            })
        },
    )?;
    Ok(())
}

impl Call<'_> {
    fn dispatch(
        &mut self,
        cluster: String,
        headers: Headers,
        body: Vec<u8>,
        trailers: Headers,
        timeout_ms: u32,
    ) -> Result<u32, Refusal> {
        // Calls belong to the root context, whichever context makes them: the answer goes there.
        let (vm, vm_generation, root) =
            (self.state().name, self.state().generation, self.state().root_of_context());
        let mut world = self.world();
        let known = world.clusters.contains(&cluster);
        let complete = [":method", ":path", ":authority"].iter().all(|name| headers.get(name).is_some());
        if !known || !complete || i32::try_from(timeout_ms).is_err() {
            return Err(Status::BadArgument.into());
        }
        world.last_call += 1;
        let id = world.last_call;
        let token = u32::try_from(id).map_err(|_| Status::BadArgument)?;
        let timeout = (timeout_ms > 0).then(|| Duration::from_millis(u64::from(timeout_ms)));
        let call = HttpCall { id, vm, cluster, headers, body, trailers, timeout, made_at: world.now };
        world.calls.push(PendingCall { call, vm_generation, root, token });
        Ok(token)
    }

    /// The bytes behind a buffer's number.
    fn buffer(&self, buffer: u32) -> Result<Vec<u8>, Status> {
        match buffer {
            // Bodies: the chunk at hand, which is empty outside a body callback.
            0 | 1 => Ok(self.stream().map(|stream| stream.chunk.clone()).unwrap_or_default()),
            4 => self.state().response.as_ref().map(|response| response.body.clone()).ok_or(Status::NotFound),
            6 => Ok(self.world().vm_configuration.clone()),
            7 => {
                let configuring = self.state().running.0 == crate::Callback::Configure;
                let root = self.state().roots.get(&self.state().context());
                root.filter(|_| configuring).map(|root| root.configuration.clone()).ok_or(Status::NotFound)
            }
            // Network data, gRPC and foreign calls: never filled here, so absent.
            2 | 3 | 5 | 8 => Err(Status::NotFound),
            _ => Err(Status::BadArgument),
        }
    }
}
