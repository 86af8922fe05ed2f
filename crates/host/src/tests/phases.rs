//! What is there in which phase: header maps, and the properties of envoy-facts part 9.

use super::{process, process_with, said};
use crate::{Answer, Headers, ProcessOptions, Properties, Request, Upstream};

/// Reads header `a` of the map with the given number in three phases, and writes it back in each.
fn reading(map: u32) -> String {
    let step = format!(
        "(call $note (call $header (i32.const {map}) (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 4)))
         (call $note (call $replace (i32.const {map}) (i32.const 1024) (i32.const 1) (i32.const 1024) (i32.const 1)))"
    );
    format!(
        r#"(data (i32.const 1024) "a")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {step} (i32.const 0))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) {step} (i32.const 0))
        (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) {step} (i32.const 0))
        (func (export "proxy_on_log") (param i32) {step})"#
    )
}

#[track_caller]
fn check_map(map: u32, upstream: impl Into<Upstream>, expected: &[&str]) {
    let mut process = process(&reading(map));
    process.request(0, Request::get("x", "/").header("a", "1"), upstream).unwrap();
    let pairs: Vec<String> = said(&process).chunks(2).map(<[String]>::concat).collect();
    assert_eq!(pairs, expected);
}

#[test]
fn header_maps_are_open_in_their_own_phase_and_readable_in_the_log() {
    let answer = || Answer { body: vec![b"body".to_vec()], ..Answer::status(200).header("a", "1") };
    // Read, then write, in: request headers, response headers, response body twice, log. 2 is BadArgument.
    check_map(0, answer(), &["00", "22", "22", "22", "02"]);
    check_map(2, answer(), &["22", "00", "22", "22", "02"]);
    check_map(1, answer(), &["22", "22", "22", "22", "12"]);
    check_map(9, answer(), &["22", "22", "22", "22", "22"]);
}

#[test]
fn after_a_disconnect_the_log_sees_an_empty_response() {
    check_map(2, Upstream::Disconnect, &["22", "12"]);
}

#[test]
fn a_missing_header_is_not_found_and_an_empty_one_is_empty() {
    let callbacks = r#"(data (i32.const 1024) "ab")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (call $note (call $header (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 4)))
          (call $note (i32.load (i32.const 0)))
          (call $note (i32.load (i32.const 4)))
          (call $note (call $header (i32.const 0) (i32.const 1025) (i32.const 1) (i32.const 0) (i32.const 4)))
          (i32.const 0))"#;
    let mut process = process(callbacks);
    process.request(0, Request::bare().header("a", ""), Upstream::status(200)).unwrap();
    assert_eq!(said(&process), ["0", "0", "0", "1"]);
}

/// Reads the property named in the VM configuration, in four phases and from a tick.
const PROPERTY: &str = r#"
    (func $read
      (drop (call $buffer (i32.const 6) (i32.const 0) (i32.const 1000) (i32.const 0) (i32.const 4)))
      (call $note (call $property
        (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 0) (i32.const 4))))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (drop (call $tick (i32.const 1000))) (i32.const 1))
    (func (export "proxy_on_tick") (param i32) (call $read))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $read) (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $read) (i32.const 0))
    (func (export "proxy_on_log") (param i32) (call $read) (call $say))"#;

/// The statuses in request headers, response headers and log, the value in the log, and the status on a root context.
#[track_caller]
fn check_property(
    path: &[&str],
    request: Request,
    upstream: Upstream,
    expected: &str,
    value: &[u8],
    root: &str,
) {
    let options = ProcessOptions {
        vm_configuration: path.join("\0").into_bytes(),
        workers: 1,
        properties: Properties::new().text(&["xds", "node", "id"], "node-1"),
        ..ProcessOptions::default()
    };
    let mut process = process_with(PROPERTY, options, "v1");
    process.request(0, request, upstream).unwrap();
    let said_by_request = said(&process);
    let (statuses, last) = said_by_request.split_at(said_by_request.len() - 1);
    assert_eq!(statuses.concat(), expected, "{path:?}");
    if expected.ends_with('0') {
        assert_eq!(last, [String::from_utf8_lossy(value)], "{path:?}");
    }
    process.advance(std::time::Duration::from_secs(1)).unwrap();
    // The main thread's VM and the worker's.
    assert_eq!(said(&process).concat(), root.repeat(2), "{path:?} on a root context");
}

#[test]
fn properties_are_there_when_envoy_has_them() {
    let request = || Request::get("models.local:10000", "/infer?user=7").header("x-request-id", "id-1");
    let answered = || Upstream::status(200);
    let latency = 1_000_000i64.to_le_bytes();
    let (ok, code) = (0i64.to_le_bytes(), 200i64.to_le_bytes());
    for (path, phases, value, root) in [
        (&["plugin_name"][..], "000", &b"serin"[..], "0"),
        (&["plugin_root_id"], "000", b"serin", "0"),
        (&["plugin_vm_id"], "000", b"serin", "0"),
        (&["xds", "node", "id"], "000", b"node-1", "0"),
        (&["xds", "node", "cluster"], "111", b"", "1"),
        (&["node", "id"], "111", b"", "1"),
        (&["listener_direction"], "111", b"", "1"),
        (&["request", "path"], "010", b"/infer?user=7", "1"),
        (&["request", "url_path"], "010", b"/infer", "1"),
        (&["request", "host"], "010", b"models.local:10000", "1"),
        (&["request", "id"], "010", b"id-1", "1"),
        (&["request", "headers", "x-request-id"], "010", b"id-1", "1"),
        (&["request", "headers", "absent"], "111", b"", "1"),
        (&["request", "protocol"], "000", b"HTTP/1.1", "1"),
        (&["request", "duration"], "110", &latency, "1"),
        (&["response", "code"], "100", &code, "1"),
        (&["response", "code_details"], "100", b"via_upstream", "1"),
        (&["response", "flags"], "000", &ok, "1"),
        (&["response", "backend_latency"], "110", &latency, "1"),
        (&["response", "grpc_status"], "100", &2i64.to_le_bytes(), "1"),
        (&["source", "address"], "000", b"127.0.0.1:50000", "1"),
        (&["destination", "port"], "000", &10000i64.to_le_bytes(), "1"),
        (&["connection", "mtls"], "000", b"\0", "1"),
        (&["filter_state"], "333", b"", "1"),
        (&["xds"], "333", b"", "3"),
        (&["request"], "333", b"", "1"),
        (&["filter_state", "wasm.arm"], "111", b"", "1"),
        (&["no", "such"], "111", b"", "1"),
    ] {
        check_property(path, request(), answered(), phases, value, root);
    }
}

#[test]
fn given_properties_take_part_in_the_same_phases() {
    let properties = Properties::new()
        .number(&["xds", "listener_direction"], 1)
        .text(&["upstream", "address"], "127.0.0.1:9001")
        .flag(&["connection", "mtls"], true);
    let request = || Request { properties: properties.clone(), ..Request::get("x", "/") };
    check_property(
        &["xds", "listener_direction"],
        request(),
        Upstream::status(200),
        "000",
        &1i64.to_le_bytes(),
        "1",
    );
    check_property(&["upstream", "address"], request(), Upstream::status(200), "100", b"127.0.0.1:9001", "1");
    check_property(&["connection", "mtls"], request(), Upstream::status(200), "000", &[1], "1");
}

#[test]
fn the_log_tells_how_a_request_ended() {
    let value = |n: i64| n.to_le_bytes();
    let request = || Request::get("x", "/");
    let rows: [(&[&str], Upstream, &str, &[u8]); 8] = [
        (&["response", "code"], Upstream::Disconnect, "11", b""),
        (&["response", "flags"], Upstream::Disconnect, "00", &value(0x4000)),
        (&["response", "code_details"], Upstream::Disconnect, "10", b"downstream_remote_disconnect"),
        (&["response", "backend_latency"], Upstream::Disconnect, "11", b""),
        (&["response", "code"], Upstream::timeout(), "100", &value(504)),
        (&["response", "flags"], Upstream::timeout(), "000", &value(0x4)),
        (&["response", "backend_latency"], Upstream::timeout(), "111", b""),
        (&["response", "flags"], Upstream::reset(), "000", &value(0x40)),
    ];
    for (path, upstream, phases, expected) in rows {
        check_property(path, request(), upstream, phases, expected, "1");
    }
}

#[test]
fn grpc_status_comes_from_trailers_first() {
    let answer = |headers: &[(&str, &str)], trailers: Option<&[(&str, &str)]>| {
        let to_map = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Headers>();
        Upstream::Answer(Answer {
            headers: to_map(headers),
            trailers: trailers.map(to_map),
            ..Answer::status(200)
        })
    };
    let in_headers = answer(&[(":status", "200"), ("grpc-status", "5")], None);
    check_property(
        &["response", "grpc_status"],
        Request::get("x", "/"),
        in_headers,
        "100",
        &5i64.to_le_bytes(),
        "1",
    );
    let in_trailers = answer(&[(":status", "200"), ("grpc-status", "5")], Some(&[("grpc-status", "14")]));
    check_property(
        &["response", "grpc_status"],
        Request::get("x", "/"),
        in_trailers,
        "100",
        &14i64.to_le_bytes(),
        "1",
    );
}
