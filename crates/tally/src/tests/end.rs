use super::flag::*;
use super::*;

/// Flags and details of the pinned Envoy, with the class of each; see the head of the file.
const TABLE: &str = include_str!("ends.tsv");

#[track_caller]
fn check(code: i64, flags: i64, details: &str, grpc_status: Option<i64>, class: Class) {
    let end = End { code: Some(code), flags, details, answered: code != 0, grpc_status };
    assert_eq!(end.class(), class, "{end:?}");
}

#[test]
fn whole_answers_are_told_apart_by_status() {
    for (code, class) in [
        (200, Class::Ok),
        (302, Class::Ok),
        (101, Class::Upgrade),
        (404, Class::ClientError),
        (429, Class::TooMany),
        (500, Class::ServerError),
        (503, Class::ServerError),
        (504, Class::Timeout),
    ] {
        check(code, 0, "via_upstream", None, class);
        check(code, DELAY_INJECTED, "via_upstream", None, class);
    }
    assert!(!End::needs_details(Some(200), 0, true));
    assert!(!End::needs_details(Some(200), DELAY_INJECTED, true));
    for (code, flags, answered) in [
        (None, 0, false),
        (Some(200), 0, false),
        (Some(302), 0, true),
        (Some(404), 0, true),
        (Some(200), DOWNSTREAM_REMOTE_RESET, true),
    ] {
        assert!(End::needs_details(code, flags, answered), "{code:?} {flags} {answered}");
    }
}

#[test]
fn an_answer_that_is_cut_is_charged_to_whoever_cut_it() {
    let cut = "upstream_reset_after_response_started{protocol_error}";
    check(200, UPSTREAM_PROTOCOL_ERROR, cut, None, Class::Reset);
    check(200, UPSTREAM_CONNECTION_TERMINATION, "via_upstream", None, Class::Reset);
    check(200, UPSTREAM_REQUEST_TIMEOUT, "response_timeout", None, Class::Timeout);
    check(200, STREAM_IDLE_TIMEOUT, "stream_idle_timeout", None, Class::Timeout);
    check(200, STREAM_IDLE_TIMEOUT, "via_upstream", None, Class::Timeout);
    check(408, STREAM_IDLE_TIMEOUT, "stream_idle_timeout", None, Class::Local);
    check(200, DURATION_TIMEOUT, "max_duration_timeout", None, Class::Timeout);
    check(101, STREAM_IDLE_TIMEOUT, "stream_idle_timeout", None, Class::Upgrade);
    check(101, DOWNSTREAM_CONNECTION_TERMINATION, "downstream_remote_disconnect", None, Class::Upgrade);
    check(200, DOWNSTREAM_CONNECTION_TERMINATION, "downstream_remote_disconnect", None, Class::Gone);
    check(200, DOWNSTREAM_REMOTE_RESET, "http2.remote_reset", None, Class::Gone);
    check(200, DOWNSTREAM_REMOTE_RESET, "http2.remote_reset", Some(1), Class::Gone);
    check(0, 0, "", None, Class::Gone);
    check(0, 0, "downstream_remote_disconnect", None, Class::Gone);
}

#[test]
fn what_no_model_was_asked_is_nobodys() {
    for (code, details) in [
        (302, "direct_response"),
        (200, "cors_response"),
        (429, "local_rate_limited"),
        (503, "fault_filter_abort"),
        (403, "rbac_access_denied_matched_policy[none]"),
        (500, "response_payload_too_large"),
        (503, "a filter's own words"),
    ] {
        check(code, 0, details, None, Class::Local);
    }
    check(503, 1 << 7, "upstream_reset_before_response_started{overflow}", None, Class::Overflow);
    // The limit on retries, after the model's own answer.
    check(503, 1 << 7, "via_upstream", None, Class::ServerError);
    let end = End { code: Some(301), ..End::default() };
    assert_eq!(end.class(), Class::Local, "no model answered, and no details are given");
}

#[test]
fn grpc_is_judged_by_its_own_status() {
    for (status, class) in [
        (0, Class::Ok),
        (1, Class::Gone),
        (2, Class::GrpcError),
        (4, Class::Timeout),
        (5, Class::ClientError),
        (8, Class::TooMany),
        (13, Class::GrpcError),
        (14, Class::GrpcError),
        (99, Class::GrpcError),
    ] {
        check(200, 0, "via_upstream", Some(status), class);
    }
    check(503, 0, "via_upstream", Some(14), Class::ServerError);
}

#[test]
fn every_detail_of_the_pinned_envoy_has_its_class() {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let (mut seen, mut wrong) = (0, Vec::new());
    for row in rows {
        let fields: Vec<&str> = row.split('\t').collect();
        let [code, details, class, _] = fields[..] else { panic!("four columns: {row}") };
        let code = code.parse().expect("a status");
        let end = End { code: Some(code), details, answered: code != 0, ..End::default() };
        if end.class().as_str() != class {
            wrong.push(format!("{row}: {}", end.class().as_str()));
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 150, "only {seen} rows");
}
