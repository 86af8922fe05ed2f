//! The host, as values: every call returns what the host said, and nothing panics. The SDK's own wrappers panic on
//! any status they did not expect, which kills the VM with all its requests.

#![allow(unsafe_code)] // the boundary to the host is foreign functions; nowhere else in the filter

use std::ptr::null_mut;

/// A status other than OK, as the ABI numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub u32);

/// The host has no such thing: a missing header, property or key.
pub const NOT_FOUND: Refused = Refused(1);

/// A header map.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Map {
    Request = 0,
    Response = 2,
    ResponseTrailers = 3,
    CallResponse = 6,
}

/// A buffer.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Buffer {
    ResponseBody = 1,
    CallResponseBody = 4,
    VmConfiguration = 6,
    PluginConfiguration = 7,
}

/// A kind of metric.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Metric {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// How much a log line matters.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Level {
    Info = 2,
    Warn = 3,
}

#[cfg_attr(target_arch = "wasm32", link(wasm_import_module = "env"))]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, len: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_len: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        cas: u32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

#[cfg_attr(target_arch = "wasm32", link(wasm_import_module = "wasi_snapshot_preview1"))]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// `CLOCK_MONOTONIC`, as WASI numbers it.
const MONOTONIC: u32 = 1;

fn answer(status: u32) -> Result<(), Refused> {
    if status == 0 { Ok(()) } else { Err(Refused(status)) }
}

/// Bytes that the host wrote into memory it asked this module for (`proxy_on_memory_allocate`).
fn taken(data: *mut u8, len: usize) -> Vec<u8> {
    if data.is_null() || len == 0 {
        // A zero-length allocation owns nothing, so there is nothing to take over.
        Vec::new()
    } else {
        // SAFETY: the SDK's allocator made it as a boxed slice of exactly `len` bytes and gave it away.
        unsafe { Vec::from_raw_parts(data, len, len) }
    }
}

/// Calls a function of the host that hands bytes back.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Refused> {
    let (mut data, mut len) = (null_mut(), 0);
    answer(call(&raw mut data, &raw mut len))?;
    Ok(taken(data, len))
}

pub fn log(level: Level, text: &str) {
    // SAFETY: pointer and length are of one live string. A log line that the host refuses is lost, by intent.
    let _ = unsafe { proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// Nanoseconds by a clock that nobody sets, the same for all VMs of the process: durations are measured by it. The ABI's own
/// clock is the wall clock, and a lease by that one never ends when somebody sets it back.
pub fn steady() -> Result<u64, Refused> {
    let mut time = 0;
    // SAFETY: the host writes one u64.
    answer(unsafe { clock_time_get(MONOTONIC, 0, &raw mut time) })?;
    Ok(time)
}

/// Nanoseconds since 1970: to name a moment, never to measure.
pub fn now() -> Result<u64, Refused> {
    let mut time = 0;
    // SAFETY: the host writes one u64.
    answer(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

pub fn tick_every(milliseconds: u32) -> Result<(), Refused> {
    // SAFETY: plain values.
    answer(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

pub fn buffer(buffer: Buffer) -> Result<Vec<u8>, Refused> {
    part(buffer, 0, usize::MAX)
}

/// At most `max` bytes of a buffer, from `start` on.
pub fn part(buffer: Buffer, start: usize, max: usize) -> Result<Vec<u8>, Refused> {
    // SAFETY: the host writes one pointer and one length.
    bytes(|data, len| unsafe { proxy_get_buffer_bytes(buffer as u32, start, max, data, len) })
}

/// A header's value, of any bytes; empty when the host has it empty.
pub fn header(map: Map, name: &str) -> Result<Vec<u8>, Refused> {
    // SAFETY: the name lives through the call; the host writes one pointer and one length.
    bytes(|data, len| unsafe { proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, len) })
}

/// Sets a header, whatever was there.
pub fn set_header(map: Map, name: &str, value: &[u8]) -> Result<(), Refused> {
    // SAFETY: name and value live through the call.
    answer(unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Removes a header, if it is there.
pub fn remove_header(map: Map, name: &str) -> Result<(), Refused> {
    // SAFETY: the name lives through the call.
    answer(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// A property; the path's parts are separated by NUL.
pub fn property(path: &str) -> Result<Vec<u8>, Refused> {
    // SAFETY: the path lives through the call; the host writes one pointer and one length.
    bytes(|data, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) })
}

/// A property that is a whole number; `None` when the host has none.
pub fn number(path: &str) -> Option<i64> {
    let bytes = property(path).ok()?;
    Some(i64::from_le_bytes(bytes.try_into().ok()?))
}

/// A value that all VMs of the process share, and the cas to replace it by.
pub fn shared(key: &str) -> Result<(Vec<u8>, u32), Refused> {
    let mut cas = 0;
    // SAFETY: the key lives through the call; the host writes a pointer, a length and a cas.
    let value = bytes(|data, len| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, len, &raw mut cas)
    })?;
    Ok((value, cas))
}

/// Replaces a shared value if it still carries the cas; 0 replaces it whatever it is.
pub fn set_shared(key: &str, value: &[u8], cas: u32) -> Result<(), Refused> {
    // SAFETY: key and value live through the call.
    answer(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) })
}

pub fn define(kind: Metric, name: &str) -> Result<u32, Refused> {
    let mut id = 0;
    // SAFETY: the name lives through the call; the host writes one u32.
    answer(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

pub fn increment(id: u32, by: u64) {
    // SAFETY: plain values. The host refuses only ids it never gave.
    let _ = unsafe { proxy_increment_metric(id, i64::try_from(by).unwrap_or(i64::MAX)) };
}

pub fn record(id: u32, value: u64) {
    // SAFETY: plain values.
    let _ = unsafe { proxy_record_metric(id, value) };
}
