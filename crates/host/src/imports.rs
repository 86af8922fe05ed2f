//! The host functions: what a filter can ask of Envoy.
//!
//! Each function enters through [`Call::run`], which counts it, guards `_initialize` (where Envoy allows logging
//! alone) and turns the outcome into the ABI's status number.

mod headers;
mod http;
mod metrics;
mod system;

use std::cell::RefMut;

use wasmtime::{Caller, Linker};

use crate::abi::{Callback, Status};
use crate::stream::Stream;
use crate::vm::{Unimplemented, VmState};
use crate::world::World;

/// The functions of the ABI that this host has.
pub(crate) const NAMES: [&str; 27] = [
    "proxy_add_header_map_value",
    "proxy_call_foreign_function",
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_done",
    "proxy_get_buffer_bytes",
    "proxy_get_buffer_status",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_size",
    "proxy_get_header_map_value",
    "proxy_get_log_level",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_record_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_effective_context",
    "proxy_set_header_map_pairs",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

/// Defines every host function.
pub(crate) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    headers::define(linker)?;
    http::define(linker)?;
    metrics::define(linker)?;
    system::define(linker)
}

/// Why a host function gave nothing: a status for the filter, or an end to it.
pub(crate) enum Refusal {
    Status(Status),
    Trap(wasmtime::Error),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Refusal {
        Refusal::Status(status)
    }
}

impl From<wasmtime::Error> for Refusal {
    fn from(error: wasmtime::Error) -> Refusal {
        Refusal::Trap(error)
    }
}

/// A call from the filter, under way.
pub(crate) struct Call<'a> {
    caller: Caller<'a, VmState>,
}

/// The outcome of a host function.
pub(crate) type Outcome = wasmtime::Result<u32>;

impl Call<'_> {
    /// Runs a host function's body and returns its status to the filter.
    pub(crate) fn run(
        caller: Caller<'_, VmState>,
        name: &'static str,
        body: impl FnOnce(&mut Call<'_>) -> Result<(), Refusal>,
    ) -> Outcome {
        let mut call = Call { caller };
        call.count(name)?;
        match body(&mut call) {
            Ok(()) => Ok(Status::Ok as u32),
            Err(Refusal::Status(status)) => Ok(status as u32),
            Err(Refusal::Trap(error)) => Err(error),
        }
    }

    fn count(&mut self, name: &'static str) -> wasmtime::Result<()> {
        let (callback, context) = self.state().running;
        if callback == Callback::Initialize && name != "proxy_log" {
            return Err(wasmtime::Error::msg(format!(
                "{name} called in _initialize, where Envoy allows proxy_log alone"
            )));
        }
        self.world().host_calls.add(callback, name);
        if let Some(stream) = self.state_mut().streams.get_mut(&context) {
            stream.exchange.host_calls.add(callback, name);
        }
        Ok(())
    }

    pub(crate) fn state(&self) -> &VmState {
        self.caller.data()
    }

    pub(crate) fn state_mut(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    pub(crate) fn world(&self) -> RefMut<'_, World> {
        self.state().world.borrow_mut()
    }

    /// The stream the call is about; `None` for a root context.
    pub(crate) fn stream(&self) -> Option<&Stream> {
        self.state().streams.get(&self.state().context())
    }

    pub(crate) fn stream_mut(&mut self) -> Option<&mut Stream> {
        let context = self.state().context();
        self.state_mut().streams.get_mut(&context)
    }

    /// An argument in the filter's memory.
    pub(crate) fn read(&self, pointer: u32, size: u32) -> Result<Vec<u8>, Status> {
        let range = usize::try_from(pointer).ok().zip(usize::try_from(size).ok());
        let (start, size) = range.ok_or(Status::InvalidMemoryAccess)?;
        let memory = self.state().memory.ok_or(Status::InvalidMemoryAccess)?;
        let end = start.checked_add(size).ok_or(Status::InvalidMemoryAccess)?;
        memory.data(&self.caller).get(start..end).map(<[u8]>::to_vec).ok_or(Status::InvalidMemoryAccess)
    }

    /// An argument that is text; bytes that are not UTF-8 are replaced, for names only.
    pub(crate) fn read_text(&self, pointer: u32, size: u32) -> Result<String, Status> {
        Ok(String::from_utf8_lossy(&self.read(pointer, size)?).into_owned())
    }

    pub(crate) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Status> {
        let start = usize::try_from(pointer).map_err(|_| Status::InvalidMemoryAccess)?;
        let memory = self.state().memory.ok_or(Status::InvalidMemoryAccess)?;
        memory.write(&mut self.caller, start, bytes).map_err(|_| Status::InvalidMemoryAccess)
    }

    pub(crate) fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Status> {
        self.write(pointer, &value.to_le_bytes())
    }

    pub(crate) fn write_u64(&mut self, pointer: u32, value: u64) -> Result<(), Status> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// Hands bytes over: memory from the filter's own `malloc`, pointer and size into the two out-arguments.
    /// Nothing is allocated for an empty value; its pointer is null.
    pub(crate) fn give(&mut self, bytes: &[u8], pointer_out: u32, size_out: u32) -> Result<(), Refusal> {
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        let mut pointer = 0;
        if size > 0 {
            let malloc = self.state().malloc.clone().ok_or(Status::InvalidMemoryAccess)?;
            pointer = malloc.call(&mut self.caller, size)?;
            if pointer == 0 {
                return Err(Status::InvalidMemoryAccess.into());
            }
            self.write(pointer, bytes)?;
        }
        self.write_u32(pointer_out, pointer)?;
        self.write_u32(size_out, size)?;
        Ok(())
    }
}

/// Ends the test by name: the host leaves this out.
pub(crate) fn unimplemented(name: String) -> Refusal {
    Refusal::Trap(wasmtime::Error::new(Unimplemented(name)))
}
