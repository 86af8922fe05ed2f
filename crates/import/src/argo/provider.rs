//! Where a metric is read.

use std::collections::BTreeMap;

use manifest::{Access, Basic, Http, Prometheus, Range, Reduce, Secret, Source, Tls, Value};

use super::Args;
use super::args::Arg;
use super::metric::{Conditions, unresolved};
use crate::place::Place;
use crate::report::Ledger;
use crate::text::{duration, span};

/// Who is asked.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Prometheus(Box<Prometheus>),
    /// And the fields that lead to what a condition calls the result.
    Web(Box<Http>, Vec<String>),
    /// Serin cannot ask there, and why.
    Nobody(String),
    /// What judges by itself, whatever the conditions are: why Serin cannot ask it, and the scores that pass and fail.
    Judge(String, Option<(f64, f64)>),
}

impl Asked {
    /// Where a figure of it is read; of several numbers, `highest` takes the highest of them or the lowest.
    pub(super) fn source(&self, path: &[String], highest: Option<bool>) -> Option<Source> {
        match self {
            Self::Prometheus(source) if path.is_empty() => {
                let mut source = (**source).clone();
                if let Some(highest) = highest {
                    if source.range.is_some() {
                        source.reduce = Some(if highest { Reduce::Max } else { Reduce::Min });
                    } else {
                        let function = if highest { "max" } else { "min" };
                        source.query = format!("{function}({})", source.query.trim());
                    }
                }
                Some(Source::Prometheus(source))
            }
            Self::Web(source, before) => {
                let mut source = (**source).clone();
                let steps = before.iter().chain(path);
                source.json_pointer =
                    steps.map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect();
                (!source.json_pointer.is_empty()).then_some(Source::Http(source))
            }
            Self::Prometheus(_) | Self::Nobody(_) | Self::Judge(..) => None,
        }
    }
}

const UNKNOWN_ADDRESS: &str = "http://prometheus:9090";

pub(super) fn asked(at: &Place<'_>, args: &Args, conditions: &Conditions, ledger: &mut Ledger) -> Asked {
    let provider = at.at("provider");
    let Some((name, place)) = provider.fields().into_iter().find(|(_, place)| place.is_there()) else {
        return Asked::Nobody("it names nobody to ask".to_owned());
    };
    match name.as_str() {
        "prometheus" => prometheus(&place, args, ledger),
        "web" => web(&place, args, conditions, ledger),
        "job" => Asked::Judge("Serin runs no jobs, and does not ask whether one ends well".to_owned(), None),
        "plugin" => Asked::Judge("what a plugin measures is not known".to_owned(), None),
        "kayenta" => {
            let both = [place.at("threshold"), place.at("thresholds")];
            let threshold = both.into_iter().find(Place::is_there).unwrap_or_else(|| place.at("threshold"));
            let scores = threshold.at("pass").number().zip(threshold.at("marginal").number());
            ledger.carried(&threshold, "the scores that pass and that are marginal are the gate's limits");
            let what = "Serin does not ask Kayenta: its own gates compare the new version with the old at the same time";
            Asked::Judge(what.to_owned(), scores)
        }
        _ => Asked::Nobody(format!(
            "Serin does not ask {name}: it asks Prometheus and HTTP servers that answer in JSON"
        )),
    }
}

/// A text with its arguments filled in; what is open is told of.
fn filled(at: &Place<'_>, args: &Args, ledger: &mut Ledger) -> Result<Option<String>, String> {
    let Some(text) = at.text() else { return Ok(None) };
    args.fill(&text).map(Some).map_err(|open| {
        let field = at.path.rsplit('.').next().unwrap_or_default().to_owned();
        if args.is_secret(&open) {
            return format!("{open} in its {field} is a secret, and Serin takes secrets in headers and credentials only");
        }
        if args.awaits(&open) {
            return format!("{open} in its {field} is given by the analysis that names the template: give its Rollout to `serin import` too");
        }
        unresolved(at, &open, ledger);
        format!("{open} in its {field} is filled in by nobody")
    })
}

fn prometheus(at: &Place<'_>, args: &Args, ledger: &mut Ledger) -> Asked {
    let mut source = Prometheus::default();
    match filled(&at.at("address"), args, ledger) {
        Ok(Some(address)) => {
            source.url = url(&at.at("address"), &address, ledger);
            ledger.carried(&at.at("address"), format!("`url: {}`", source.url));
        }
        Ok(None) => {
            source.url = UNKNOWN_ADDRESS.to_owned();
            let what = format!("it names no address: `url: {UNKNOWN_ADDRESS}`");
            ledger.approximated(
                at,
                what,
                "write the one that Argo's controller has in ARGO_ROLLOUTS_PROMETHEUS_ADDRESS",
            );
        }
        Err(why) => return Asked::Nobody(why),
    }
    // What nobody fills in may be the version after all.
    let meant = of_the_version(&at.at("query"), args);
    let query = match (filled(&at.at("query"), args, ledger), meant) {
        (Ok(Some(query)), _) if !query.trim().is_empty() => query,
        (Err(_), Some(query)) => query,
        (Ok(_), _) => return Asked::Nobody("it has no query".to_owned()),
        (Err(why), None) => return Asked::Nobody(why),
    };
    if at.at("query").text().as_deref() == Some(query.as_str()) {
        ledger.carried(&at.at("query"), "the query");
    } else if !query.contains("{{canary}}") {
        ledger.carried(&at.at("query"), "the query, its arguments filled in");
    } else {
        let what = "the query, with the new version's name ({{canary}}) where the hash of its pods was";
        ledger.approximated(&at.at("query"), what, "have the metrics bear a label with the version");
    }
    source.query = query.trim().to_owned();
    source.access = access(at, args, &source.url, ledger);
    if let Some(seconds) = at.at("timeout").number() {
        timeout(&mut source.access, seconds, &at.at("timeout"), ledger);
    }
    let range = at.at("rangeQuery");
    if range.is_there() {
        source.range = self::range(&range, args, ledger);
    }
    Asked::Prometheus(Box::new(source))
}

/// `{{templates.podTemplateHash}}` and its like mean the new version.
fn of_the_version(at: &Place<'_>, args: &Args) -> Option<String> {
    let text = at.text()?;
    let mut parts = text.split("{{");
    let mut meant = parts.next()?.to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}")?;
        let name = name.trim();
        let known = args.fill(&format!("{{{{{name}}}}}")).ok();
        let lower = name.to_ascii_lowercase();
        let value = known.or_else(|| lower.contains("podtemplatehash").then(|| "{{canary}}".to_owned()))?;
        meant.push_str(&value);
        meant.push_str(rest);
    }
    Some(meant)
}

/// `end` is now, mostly.
fn range(at: &Place<'_>, args: &Args, ledger: &mut Ledger) -> Option<Range> {
    let text = |name: &str| at.at(name).text().map(|text| args.fill(&text).unwrap_or(text));
    let back = |text: String| -> Option<u64> {
        let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if squeezed == "now()" {
            return Some(0);
        }
        duration(squeezed.strip_prefix("now()-duration(")?.strip_suffix(')')?.trim_matches(['"', '\'']))
    };
    let (start, end) = (text("start").and_then(back), text("end").map_or(Some(0), back));
    let step = text("step").and_then(|step| duration(&step));
    match (start, end, step) {
        (Some(start), Some(end), Some(step)) if start > end && step > 0 => {
            if end == 0 {
                ledger.carried(at, format!("`range: {{over: {}, step: {}}}`", span(start), span(step)));
            } else {
                let what = "`range` ends now, and not before";
                ledger.approximated(at, what, "put the distance into the query, by `offset`");
            }
            Some(Range { over: span(start - end), step: span(step) })
        }
        _ => {
            ledger.lost(at, "the times of it are not understood", "write `range: {over: 10m, step: 30s}`");
            None
        }
    }
}

/// An address Serin takes: with a scheme, without credentials.
fn url(at: &Place<'_>, address: &str, ledger: &mut Ledger) -> String {
    let address = address.trim();
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((_, host)) => {
            let what = "the credentials in it are left out: everybody may read them";
            ledger.lost(at, what, "write `access: {basic: {user: ..., password: {secret: NAME}}}`");
            format!("{scheme}://{host}{path}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

fn timeout(access: &mut Access, seconds: f64, at: &Place<'_>, ledger: &mut Ledger) {
    let Some(ms) = duration(&seconds.to_string()).filter(|ms| *ms > 0) else {
        return ledger.ignored(at, "it is the default");
    };
    if ms > 60_000 {
        ledger.approximated(at, "`timeout: 60s`: Serin waits no longer", "");
    } else {
        ledger.carried(at, format!("`timeout: {}`", span(ms)));
    }
    access.timeout = Some(span(ms.min(60_000)));
}

/// Headers, credentials and trust.
fn access(at: &Place<'_>, args: &Args, url: &str, ledger: &mut Ledger) -> Access {
    let mut access = Access { headers: BTreeMap::new(), ..Access::default() };
    for header in at.at("headers").items() {
        let (Some(key), value) = (header.at("key").text(), header.at("value")) else { continue };
        ledger.carried(&header.at("key"), format!("header {key}"));
        let text = value.text().unwrap_or_default();
        let authorization = key.eq_ignore_ascii_case("authorization");
        match (args.secret(&text), args.fill(&text)) {
            (Some((before, secret)), _) if authorization && before.trim().eq_ignore_ascii_case("bearer") => {
                ledger.approximated(
                    &value,
                    format!("`bearer: {{secret: {secret}}}`"),
                    "offer the controller this secret",
                );
                access.bearer = Some(Secret { secret });
            }
            (Some((before, secret)), _) if before.trim().is_empty() => {
                ledger.approximated(
                    &value,
                    format!("`secret: {secret}`"),
                    "offer the controller this secret",
                );
                access.headers.insert(key, Value::Secret(secret));
            }
            (None, Ok(text)) if !authorization && !key.eq_ignore_ascii_case("cookie") => {
                ledger.carried(&value, "the header's value");
                access.headers.insert(key, Value::Value(text));
            }
            _ => {
                let what = "a secret stands in it, or an argument nobody knows: the header is left out";
                ledger.lost(
                    &value,
                    what,
                    "write `headers: {NAME: {secret: NAME}}` and offer the controller this secret",
                );
            }
        }
    }
    if let Some(true) = at.at("insecure").flag() {
        if url.starts_with("https://") {
            ledger.carried(&at.at("insecure"), "`tls: {insecureSkipVerify: true}`");
            access.tls = Some(Tls { insecure_skip_verify: true, ..Tls::default() });
        } else {
            ledger.ignored(&at.at("insecure"), "the address is not https");
        }
    } else {
        ledger.ignored(&at.at("insecure"), "certificates are checked");
    }
    let basic = at.down("authentication.basicAuth");
    if let Some(user) = basic.at("username").text() {
        let password = basic.at("password").text().unwrap_or_default();
        let argument = password
            .trim()
            .trim_start_matches("{{")
            .trim_end_matches("}}")
            .trim()
            .trim_start_matches("args.")
            .to_owned();
        let secret = match args.get(&argument) {
            Some(Arg::Secret(secret)) => secret.clone(),
            _ => "prometheus/password".to_owned(),
        };
        ledger.carried(&basic.at("username"), "`basic.user`");
        let what = format!("`basic: {{password: {{secret: {secret}}}}}`");
        ledger.approximated(&basic.at("password"), what, "offer the controller this secret");
        let user = args.fill(&user).unwrap_or(user);
        access.basic = Some(Basic { user, password: Secret { secret } });
    }
    for way in ["sigv4", "oauth2"] {
        let way = at.at("authentication").at(way);
        if way.is_there() {
            ledger.lost(
                &way,
                "Serin does not authenticate so",
                "put a proxy that does in front, or use `bearer`",
            );
        }
    }
    access
}

fn web(at: &Place<'_>, args: &Args, conditions: &Conditions, ledger: &mut Ledger) -> Asked {
    let mut source = Http::default();
    match filled(&at.at("url"), args, ledger) {
        Ok(Some(address)) => {
            source.url = url(&at.at("url"), &address, ledger);
            ledger.carried(&at.at("url"), "`url`");
        }
        Ok(None) => return Asked::Nobody("it has no url".to_owned()),
        Err(why) => return Asked::Nobody(why),
    }
    let method = at.at("method").text().unwrap_or_else(|| "GET".to_owned());
    if method != "GET" || at.at("body").is_there() || at.at("jsonBody").is_there() {
        for field in ["method", "body", "jsonBody"] {
            if at.at(field).is_there() {
                ledger.lost(&at.at(field), "Serin asks with GET", "put what is asked into the url");
            }
        }
        return Asked::Nobody(format!("Serin asks with GET, and not with {method} and a body"));
    }
    ledger.carried(&at.at("method"), "asked with GET");
    let path = at.at("jsonPath");
    let written = path.text().unwrap_or_default();
    let Some(steps) = json_path(&written) else {
        return Asked::Nobody(format!("jsonPath {written:?} names more than one field"));
    };
    let below =
        [&conditions.success, &conditions.bearable].into_iter().flatten().flat_map(|meaning| &meaning.ranges);
    let whole = steps.is_empty() && below.clone().any(|(path, _)| path.is_empty());
    if whole {
        return Asked::Nobody(
            "its whole answer is the number, and Serin reads a field of a JSON object".to_owned(),
        );
    }
    ledger.carried(&path, "`jsonPointer`");
    source.access = access(at, args, &source.url, ledger);
    if let Some(seconds) = at.at("timeoutSeconds").number() {
        timeout(&mut source.access, seconds, &at.at("timeoutSeconds"), ledger);
    }
    Asked::Web(Box::new(source), steps)
}

/// The fields a JSONPath of Kubernetes names, `{$.a.b[0]}`; `None`: it may name several.
pub(super) fn json_path(path: &str) -> Option<Vec<String>> {
    let path = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    if path.contains(['*', '?', '(', '{', ':', ',']) || path.contains("..") {
        return None;
    }
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let mut inner = part.split('[');
        steps.extend(inner.next().filter(|name| !name.is_empty()).map(str::to_owned));
        for place in inner {
            steps.push(place.strip_suffix(']')?.trim_matches(['\'', '"']).to_owned());
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::json_path;

    #[test]
    fn one_field_is_named() {
        let steps = |path: &str| json_path(path).map(|steps| steps.join("/"));
        assert_eq!(steps("{$.data.ok}").as_deref(), Some("data/ok"));
        assert_eq!(steps("{$}").as_deref(), Some(""));
        assert_eq!(steps("{$.items[0]['v']}").as_deref(), Some("items/0/v"));
        assert_eq!(steps("{$..x}"), None);
        assert_eq!(steps("{$.items[*].v}"), None);
    }
}
