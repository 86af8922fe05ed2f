//! Whether a source can be asked, and gives away nothing.

use super::{Check, check_url};
use crate::amount::Span;
use crate::source::{Access, Prometheus, Range, Source, Tls, Value};

/// A question that takes longer keeps its place from others.
const LONGEST_TIMEOUT_MS: u64 = 60_000;
/// What Prometheus answers at most of one series.
const MOST_VALUES: u64 = 11_000;
/// Headers that HTTP itself writes.
const OF_HTTP: [&str; 7] =
    ["connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade"];
/// Headers that hold nothing but secrets.
const SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

pub(super) fn source(check: &mut Check, at: &str, source: &Source) {
    let at = format!("{at}.source.{}", source.kind());
    for (field, text) in source.texts() {
        let field = format!("{at}.{field}");
        if field.ends_with("url") {
            url(check, &field, text);
        } else if field.ends_with("ointer") && !text.starts_with('/') {
            let remedy = "begin with '/', such as /canary/accuracy";
            check.refuse(&field, format!("{text:?} is not a JSON pointer"), remedy);
        } else if text.trim().is_empty() {
            check.refuse(&field, "it is empty", "write the query");
        }
        let filled = text.replace("{{rollout}}", "").replace("{{stable}}", "").replace("{{canary}}", "");
        if filled.contains("{{") {
            let remedy = "use {{rollout}}, {{stable}} and {{canary}}, and {{model}} or {{region}} where there are several";
            check.refuse(&field, "it holds an unknown placeholder", remedy);
        }
    }
    let (Source::Prometheus(Prometheus { bearer_token_file: file, .. })
    | Source::Http(crate::source::Http { bearer_token_file: file, .. })) = source
    else {
        return;
    };
    if file.is_some() {
        let remedy =
            "write `access: {bearer: {secret: NAME}}`; the controller offers the files of its --secret-dir";
        check.refuse(format!("{at}.bearerTokenFile"), "no file is read any more that is named here", remedy);
    }
    if let Source::Prometheus(Prometheus { range: Some(asked), .. }) = source {
        range(check, &format!("{at}.range"), *asked);
    }
    let https = source.url().is_some_and(|url| url.starts_with("https://"));
    if let Some(access) = source.access() {
        self::access(check, &format!("{at}.access"), access, https);
    }
}

/// A server that is asked, and how.
pub(crate) fn asked(check: &mut Check, at: &str, url: &str, access: &Access) {
    self::url(check, &format!("{at}.url"), url);
    self::access(check, &format!("{at}.access"), access, url.starts_with("https://"));
}

fn url(check: &mut Check, field: &str, url: &str) {
    check_url(check, field, url);
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    if host.split(['/', '?', '#']).next().is_some_and(|host| host.contains('@')) {
        let remedy = "write `access: {basic: {user: ..., password: {secret: NAME}}}`";
        check.refuse(field, "credentials stand in it, for everybody to read", remedy);
    }
}

/// A time that ends now.
pub(super) fn range(check: &mut Check, at: &str, range: Range) {
    let (over, step) = (range.over.ms(), range.step.ms());
    if step == 0 || over < step {
        let remedy = "write a step above 0s and at most `over`, such as {over: 10m, step: 30s}";
        check.refuse(format!("{at}.step"), format!("{} holds no step of {}", range.over, range.step), remedy);
    } else if over / step >= MOST_VALUES {
        let remedy = "lengthen `step`, or shorten `over`";
        let what =
            format!("it asks for {} values, and Prometheus gives {MOST_VALUES} at most", over / step + 1);
        check.refuse(format!("{at}.step"), what, remedy);
    }
}

fn access(check: &mut Check, at: &str, access: &Access, https: bool) {
    for (name, value) in &access.headers {
        header(check, &format!("{at}.headers.{name}"), name, value);
    }
    let named = access.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
    let ways = [access.basic.is_some(), access.bearer.is_some(), named];
    if ways.into_iter().filter(|given| *given).count() > 1 {
        check.refuse(
            at,
            "it authenticates in several ways",
            "keep one of basic, bearer and an authorization header",
        );
    }
    if let Some(basic) = &access.basic
        && (basic.user.contains(':') || basic.user.chars().any(char::is_control))
    {
        let remedy = "leave it out: what stands before the first ':' is the name";
        check.refuse(format!("{at}.basic.user"), "it holds a ':' or a control character", remedy);
    }
    for (field, name) in access.secrets() {
        secret(check, &format!("{at}.{field}"), name);
    }
    if let Some(tls) = &access.tls {
        self::tls(check, &format!("{at}.tls"), tls, https);
    }
    if let Some(timeout) = access.timeout
        && !(1..=LONGEST_TIMEOUT_MS).contains(&timeout.ms())
    {
        let remedy = format!("write a time up to {}, such as 5s", Span::from_ms(LONGEST_TIMEOUT_MS));
        check.refuse(format!("{at}.timeout"), format!("{timeout} is no time to wait for an answer"), remedy);
    }
}

fn header(check: &mut Check, at: &str, name: &str, value: &Value) {
    let name = check.header(at, name);
    if OF_HTTP.contains(&name.as_str()) {
        check.refuse(at, "HTTP itself writes this header", "leave it out");
    }
    let Value::Value(text) = value else { return };
    if SECRET.contains(&name.as_str()) {
        let remedy = "write {secret: NAME}, a name the controller's operator offers";
        check.refuse(at, "a secret stands here, for everybody to read", remedy);
    }
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        check.refuse(at, "it holds signs no HTTP header may hold", "use plain letters, digits and signs");
    }
}

/// Names become names of files and of variables, so nothing in them may lead elsewhere.
pub(crate) fn secret(check: &mut Check, at: &str, name: &str) {
    let letters =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let fits = |part: &str| !part.is_empty() && !part.starts_with('.') && letters(part);
    if name.len() > 200 || !name.split('/').all(fits) {
        let remedy = "write the name under which the controller's operator offers it, such as prometheus-token or \
                      prometheus/token";
        check.refuse(at, format!("{name:?} is not the name of a secret"), remedy);
    }
}

fn tls(check: &mut Check, at: &str, tls: &Tls, https: bool) {
    if !https {
        check.refuse(at, "the url does not begin with https://", "write https://, or leave `tls` out");
    }
    for (field, value) in [("ca", &tls.ca), ("certificate", &tls.certificate)] {
        if let Some(Value::Value(text)) = value
            && !text.contains("-----BEGIN CERTIFICATE-----")
        {
            let remedy = "write `value: |` and the PEM text below it, or {secret: NAME}";
            check.refuse(format!("{at}.{field}"), "it holds no certificate in PEM", remedy);
        }
        if let Some(Value::Value(text)) = value
            && text.contains("PRIVATE KEY-----")
        {
            let remedy = "write {secret: NAME}, and have that key replaced: it has been written down";
            check.refuse(format!("{at}.{field}"), "a private key stands here, for everybody to read", remedy);
        }
    }
    if tls.certificate.is_some() != tls.key.is_some() {
        check.refuse(
            at,
            "a certificate and its key go together",
            "give both `certificate` and `key`, or neither",
        );
    }
    if tls.insecure_skip_verify && (tls.ca.is_some() || tls.server_name.is_some()) {
        let remedy = "leave it out: with a `ca` there is nothing to skip";
        check.refuse(format!("{at}.insecureSkipVerify"), "it would ignore `ca` and `serverName`", remedy);
    }
    if let Some(name) = &tls.server_name
        && (name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte)))
    {
        check.refuse(
            format!("{at}.serverName"),
            format!("{name:?} is not a host name"),
            "write one, such as prometheus",
        );
    }
}
