//! Metrics and shared data: the two stores that outlive a VM.

use wasmtime::{Caller, Linker};

use super::Call;
use crate::abi::{MetricKind, Status};
use crate::module::ENV;
use crate::vm::VmState;

pub(crate) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        ENV,
        "proxy_define_metric",
        |c: Caller<'_, VmState>, kind: u32, name: u32, name_size: u32, id_out: u32| {
            Call::run(c, "proxy_define_metric", |call| {
                let (kind, name) = (MetricKind::try_from(kind)?, call.read_text(name, name_size)?);
                let id = call.world().metrics.define(kind, name);
                call.state_mut().metrics.insert(id);
                Ok(call.write_u32(id_out, id)?)
            })
        },
    )?;
    linker.func_wrap(ENV, "proxy_increment_metric", |c: Caller<'_, VmState>, id: u32, offset: i64| {
        Call::run(c, "proxy_increment_metric", |call| {
            call.check_metric(id, Status::BadArgument)?;
            Ok(call.world().metrics.increment(id, offset)?)
        })
    })?;
    linker.func_wrap(ENV, "proxy_record_metric", |c: Caller<'_, VmState>, id: u32, value: u64| {
        Call::run(c, "proxy_record_metric", |call| {
            call.check_metric(id, Status::NotFound)?;
            Ok(call.world().metrics.record(id, value)?)
        })
    })?;
    linker.func_wrap(ENV, "proxy_get_metric", |c: Caller<'_, VmState>, id: u32, out: u32| {
        Call::run(c, "proxy_get_metric", |call| {
            call.check_metric(id, Status::BadArgument)?;
            let value = call.world().metrics.read(id)?;
            Ok(call.write_u64(out, value)?)
        })
    })?;
    linker.func_wrap(
        ENV,
        "proxy_get_shared_data",
        |c: Caller<'_, VmState>, key: u32, key_size: u32, data: u32, size: u32, cas_out: u32| {
            Call::run(c, "proxy_get_shared_data", |call| {
                let key = call.read(key, key_size)?;
                let (value, cas) = call.world().shared.get(&key)?;
                call.give(&value, data, size)?;
                Ok(call.write_u32(cas_out, cas)?)
            })
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_set_shared_data",
        |c: Caller<'_, VmState>, key: u32, key_size: u32, value: u32, value_size: u32, cas: u32| {
            Call::run(c, "proxy_set_shared_data", |call| {
                let (key, value) = (call.read(key, key_size)?, call.read(value, value_size)?);
                Ok(call.world().shared.set(&key, value, cas)?)
            })
        },
    )?;
    Ok(())
}

impl Call<'_> {
    /// Whether this VM defined the metric. An id whose bits name no kind gets an answer of its own.
    fn check_metric(&self, id: u32, without_kind: Status) -> Result<(), Status> {
        let known = self.state().metrics.contains(&id);
        let kind = MetricKind::try_from(id & 3);
        if known { Ok(()) } else { Err(kind.map_or(without_kind, |_| Status::NotFound)) }
    }
}
