//! Log, clock, timers, properties, contexts, foreign functions.

use std::time::Duration;

use wasmtime::{Caller, Linker};

use super::{Call, unimplemented};
use crate::abi::{Status, UNIMPLEMENTED_FOREIGN};
use crate::module::{CLOCK, ENV, WASI};
use crate::properties;
use crate::vm::{Life, Tick, VmState};
use crate::world::{LogLevel, LogLine};

pub(crate) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    define_log_and_clock(linker)?;
    define_properties(linker)?;
    define_contexts(linker)
}

fn define_log_and_clock(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    linker.func_wrap(ENV, "proxy_log", |c: Caller<'_, VmState>, level: u32, message: u32, size: u32| {
        Call::run(c, "proxy_log", |call| {
            let level = LogLevel::from_number(level).ok_or(Status::BadArgument)?;
            let message = call.read_text(message, size)?;
            let line = LogLine { vm: call.state().name, callback: call.state().running.0, level, message };
            call.world().log.push(line);
            Ok(())
        })
    })?;
    linker.func_wrap(ENV, "proxy_get_log_level", |c: Caller<'_, VmState>, out: u32| {
        Call::run(c, "proxy_get_log_level", |call| {
            let level = call.world().log_level.number();
            Ok(call.write_u32(out, level)?)
        })
    })?;
    linker.func_wrap(ENV, "proxy_get_current_time_nanoseconds", |c: Caller<'_, VmState>, out: u32| {
        Call::run(c, "proxy_get_current_time_nanoseconds", |call| {
            let world = call.world();
            let now = u64::try_from(world.now.as_nanos())
                .unwrap_or(u64::MAX)
                .saturating_add_signed(world.wall_set_ns);
            drop(world);
            Ok(call.write_u64(out, now)?)
        })
    })?;
    linker.func_wrap(WASI, CLOCK, |c: Caller<'_, VmState>, clock: u32, _precision: u64, out: u32| {
        Call::run(c, CLOCK, |call| {
            let world = call.world();
            let now = u64::try_from(world.now.as_nanos()).unwrap_or(u64::MAX);
            let wall = now.saturating_add_signed(world.wall_set_ns);
            drop(world);
            match clock {
                0 => Ok(call.write_u64(out, wall)?),
                1 => Ok(call.write_u64(out, now)?),
                _ => Err(Status::BadArgument.into()),
            }
        })
    })?;
    linker.func_wrap(
        ENV,
        "proxy_set_tick_period_milliseconds",
        |c: Caller<'_, VmState>, period_ms: u32| {
            Call::run(c, "proxy_set_tick_period_milliseconds", |call| {
                let (now, root) = (call.world().now, call.state().root_of_context());
                let period = Duration::from_millis(u64::from(period_ms));
                let tick = (period_ms > 0).then(|| Tick { period, due: now + period });
                if let Some(root) = call.state_mut().roots.get_mut(&root) {
                    root.tick = tick;
                }
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn define_properties(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        ENV,
        "proxy_get_property",
        |c: Caller<'_, VmState>, path: u32, path_size: u32, data: u32, size: u32| {
            Call::run(c, "proxy_get_property", |call| {
                let path = call.read(path, path_size)?;
                let path = properties::split_path(&path).ok_or(Status::NotFound)?;
                let value = properties::read(&call.world().node, call.stream(), &path)?;
                call.give(&value, data, size)
            })
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_set_property",
        |c: Caller<'_, VmState>, path: u32, path_size: u32, value: u32, value_size: u32| {
            Call::run(c, "proxy_set_property", |call| {
                let (path, value) = (call.read_text(path, path_size)?, call.read(value, value_size)?);
                let stream = call.stream_mut().ok_or(Status::NotFound)?;
                stream.exchange.filter_state.insert(path, value);
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn define_contexts(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    linker.func_wrap(ENV, "proxy_set_effective_context", |c: Caller<'_, VmState>, context: u32| {
        Call::run(c, "proxy_set_effective_context", |call| {
            let state = call.state_mut();
            if !state.roots.contains_key(&context) && !state.streams.contains_key(&context) {
                return Err(Status::BadArgument.into());
            }
            state.effective = Some(context);
            Ok(())
        })
    })?;
    linker.func_wrap(ENV, "proxy_done", |c: Caller<'_, VmState>| {
        Call::run(c, "proxy_done", |call| {
            let root = call.state().root_of_context();
            let waiting = call.state_mut().roots.get_mut(&root).filter(|root| root.life == Life::AwaitsDone);
            waiting.ok_or(Status::NotFound)?.life = Life::Done;
            Ok(())
        })
    })?;
    linker.func_wrap(
        ENV,
        "proxy_call_foreign_function",
        |c: Caller<'_, VmState>,
         name: u32,
         name_size: u32,
         _args: u32,
         _args_size: u32,
         data: u32,
         size: u32| {
            Call::run(c, "proxy_call_foreign_function", |call| {
                let name = call.read_text(name, name_size)?;
                if name == "clear_route_cache" {
                    if let Some(stream) = call.stream_mut() {
                        stream.exchange.route_clears += 1;
                    }
                    return call.give(&[], data, size);
                }
                if UNIMPLEMENTED_FOREIGN.contains(&name.as_str()) {
                    return Err(unimplemented(format!("foreign function {name}")));
                }
                Err(Status::NotFound.into())
            })
        },
    )?;
    Ok(())
}
