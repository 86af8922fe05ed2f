//! Header and trailer maps.

use wasmtime::{Caller, Linker};

use super::{Call, Refusal};
use crate::abi::{Map, Status};
use crate::headers::Headers;
use crate::module::ENV;
use crate::vm::VmState;

pub(crate) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        ENV,
        "proxy_get_header_map_pairs",
        |c: Caller<'_, VmState>, map: u32, data: u32, size: u32| {
            Call::run(c, "proxy_get_header_map_pairs", |call| {
                // A map that is not open is an empty map here, unlike in every other function: Envoy's own quirk.
                let pairs = match call.map(Map::try_from(map)?) {
                    Ok(headers) if !headers.is_empty() => headers.encode(),
                    _ => Vec::new(),
                };
                call.give(&pairs, data, size)
            })
        },
    )?;
    linker.func_wrap(ENV, "proxy_get_header_map_size", |c: Caller<'_, VmState>, map: u32, out: u32| {
        Call::run(c, "proxy_get_header_map_size", |call| {
            let size = call.map(Map::try_from(map)?)?.byte_size();
            Ok(call.write_u32(out, u32::try_from(size).unwrap_or(u32::MAX))?)
        })
    })?;
    linker.func_wrap(
        ENV,
        "proxy_get_header_map_value",
        |c: Caller<'_, VmState>, map: u32, key: u32, key_size: u32, data: u32, size: u32| {
            Call::run(c, "proxy_get_header_map_value", |call| {
                let key = call.read_text(key, key_size)?;
                let headers = call.map(Map::try_from(map)?)?;
                let value = headers.get(&key).ok_or(Status::NotFound)?.to_vec();
                call.give(&value, data, size)
            })
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_add_header_map_value",
        |c: Caller<'_, VmState>, map: u32, key: u32, key_size: u32, value: u32, value_size: u32| {
            Call::run(c, "proxy_add_header_map_value", |call| {
                let (key, value) = (call.read_text(key, key_size)?, call.read(value, value_size)?);
                call.change(map, |headers| headers.add(&key, value))
            })
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_replace_header_map_value",
        |c: Caller<'_, VmState>, map: u32, key: u32, key_size: u32, value: u32, value_size: u32| {
            Call::run(c, "proxy_replace_header_map_value", |call| {
                let (key, value) = (call.read_text(key, key_size)?, call.read(value, value_size)?);
                call.change(map, |headers| headers.set(&key, value))
            })
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_remove_header_map_value",
        |c: Caller<'_, VmState>, map: u32, key: u32, key_size: u32| {
            Call::run(c, "proxy_remove_header_map_value", |call| {
                let key = call.read_text(key, key_size)?;
                call.change(map, |headers| headers.remove(&key))
            })
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_set_header_map_pairs",
        |c: Caller<'_, VmState>, map: u32, data: u32, size: u32| {
            Call::run(c, "proxy_set_header_map_pairs", |call| {
                let pairs = Headers::decode(&call.read(data, size)?);
                call.change(map, |headers| *headers = pairs)
            })
        },
    )?;
    Ok(())
}

impl Call<'_> {
    fn map(&self, map: Map) -> Result<&Headers, Status> {
        match map {
            Map::CallHeaders => self.state().response.as_ref().map(|response| &response.headers),
            Map::CallTrailers => {
                self.state().response.as_ref().and_then(|response| response.trailers.as_ref())
            }
            _ => return self.stream().ok_or(Status::BadArgument)?.map(map),
        }
        .ok_or(Status::BadArgument)
    }

    fn change(&mut self, map: u32, change: impl FnOnce(&mut Headers)) -> Result<(), Refusal> {
        let map = Map::try_from(map)?;
        let stream = self.stream_mut().ok_or(Status::BadArgument)?;
        change(stream.map_mut(map)?);
        Ok(())
    }
}
