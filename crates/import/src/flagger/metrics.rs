//! The metrics of a Canary, as gates.

use std::collections::BTreeMap;

use manifest::typed::Gate;
use manifest::{Access, Basic, Metric, Prometheus, Push, Quantity, Secret, Source, Tls, Value};

use super::Checks;
use crate::Given;
use crate::draft::{Draft, push_it};
use crate::place::Place;
use crate::report::Ledger;
use crate::source::Kind;

/// Where a metric is asked for.
enum Asked {
    Prometheus(Box<Prometheus>),
    Nobody(String),
}

pub(super) fn gates<'a>(
    draft: &mut Draft<'a>,
    spec: &Place<'a>,
    analysis: &Place<'a>,
    checks: &Checks,
    given: &'a Given,
    used: &mut Vec<usize>,
    ledger: &mut Ledger,
) -> Vec<String> {
    let mut names = Vec::new();
    for at in analysis.at("metrics").items() {
        let name = at.at("name").text().unwrap_or_else(|| "metric".to_owned());
        let limits = limits(&at, &name);
        let template = at.at("templateRef");
        let inline = at.at("query");
        let built_in = !template.is_there() && !inline.is_there();
        if built_in && ["request-success-rate", "request-duration"].contains(&name.as_str()) {
            ledger.ignored(&at.at("interval"), "Serin counts in the filter, from the beginning of a stage");
            names.extend(own(draft, &at, &name, limits, checks, ledger));
            continue;
        }
        let asked = if template.is_there() {
            of_template(spec, &at, &template, given, used, ledger)
        } else if inline.is_there() {
            of_query(spec, &at, &inline, None, ledger)
        } else {
            Asked::Nobody("it has neither `templateRef` nor `query`, so nothing can be asked".to_owned())
        };
        ledger.carried(&at.at("name"), format!("gate {name}"));
        for rest in ["interval", "templateVariables"] {
            if !ledger.says_below(&at.at(rest)) {
                ledger.ignored(&at.at(rest), "it is of a query that is not asked");
            }
        }
        names.extend(asked_for(draft, &at, &name, limits, &asked, checks, ledger));
    }
    names
}

/// The least and the largest number that passes.
fn limits(at: &Place<'_>, name: &str) -> (Option<f64>, Option<f64>) {
    let range = at.at("thresholdRange");
    if range.is_there() {
        return (range.at("min").number(), range.at("max").number());
    }
    match (at.at("threshold").number(), name) {
        (Some(threshold), "request-success-rate") => (Some(threshold), None),
        (threshold, _) => (None, threshold),
    }
}

/// Said of the limits that are there.
fn carried(at: &Place<'_>, what: &str, ledger: &mut Ledger) {
    for field in ["thresholdRange.min", "thresholdRange.max", "threshold"] {
        let place = at.down(field);
        if !ledger.is_said(&place) {
            ledger.carried(&place, what);
        }
    }
}

/// What Flagger measures itself, Serin does too.
fn own(
    draft: &mut Draft<'_>,
    at: &Place<'_>,
    name: &str,
    (min, max): (Option<f64>, Option<f64>),
    checks: &Checks,
    ledger: &mut Ledger,
) -> Option<String> {
    let success = name == "request-success-rate";
    let other = if success { ("thresholdRange.max", max) } else { ("thresholdRange.min", min) };
    if other.1.is_some() {
        let what = "a limit on this side is none: no version is too good";
        ledger.lost(&at.down(other.0), what, "leave it out");
    }
    let gate = if success {
        let Some(min) = min.filter(|min| *min > 0.0) else { return never_fails(at, ledger) };
        // Of a part of 1 percent was meant, and is told of.
        let percent = if min <= 1.0 { min * 100.0 } else { min };
        let errors = ((100.0 - percent) / 100.0).clamp(0.0001, 0.99);
        let what = format!("`error_rate` of at most {}, counted by the filter", Quantity::Share(errors));
        ledger.carried(&at.at("name"), "a gate on `error_rate`");
        if !(1.0..100.0).contains(&percent) || min <= 1.0 {
            ledger.approximated(&at.down("thresholdRange.min"), what, "check the limit");
        }
        Gate { metric: Some(Metric::ErrorRate), max: Some(Quantity::Share(errors)), ..checks.gate(name) }
    } else {
        let Some(max) = max.filter(|max| *max > 0.0) else { return never_fails(at, ledger) };
        ledger.carried(&at.at("name"), "a gate on `latency_p99`");
        Gate {
            metric: Some(Metric::LatencyP99),
            max: Some(Quantity::Time(max.clamp(1.0, 3.6e6))),
            ..checks.gate(name)
        }
    };
    let limit = gate.max.map_or(String::new(), |limit| limit.to_string());
    carried(at, &format!("`max: {limit}`, proven by counts and not by one look"), ledger);
    Some(draft.gate(gate, &draft.of.clone()))
}

fn never_fails(at: &Place<'_>, ledger: &mut Ledger) -> Option<String> {
    ledger.error("never-fails", at, "no limit of it can be missed", "write `thresholdRange`");
    ledger.lost(
        at,
        "it sets no limit that could be missed, so no gate is made of it",
        "write a gate with `max`",
    );
    None
}

fn asked_for<'a>(
    draft: &mut Draft<'a>,
    at: &Place<'a>,
    name: &str,
    (min, max): (Option<f64>, Option<f64>),
    asked: &Asked,
    checks: &Checks,
    ledger: &mut Ledger,
) -> Vec<String> {
    if min.is_none() && max.is_none() {
        never_fails(at, ledger);
        return Vec::new();
    }
    let source = match asked {
        Asked::Prometheus(source) => Source::Prometheus((**source).clone()),
        Asked::Nobody(_) => Source::Push(Push {}),
    };
    let base = Gate { source: Some(source), consecutive: Some(1), ..checks.gate(name) };
    let both = min.is_some() && max.is_some();
    let called = |ending: &str| if both { format!("{name}-{ending}") } else { name.to_owned() };
    let mut names = Vec::new();
    if let Some(min) = min {
        names.push(
            draft.gate(Gate { name: called("min"), min: Some(Quantity::Plain(min)), ..base.clone() }, at),
        );
    }
    if let Some(max) = max {
        names.push(draft.gate(Gate { name: called("max"), max: Some(Quantity::Plain(max)), ..base }, at));
    }
    carried(at, "the gate's limit; one good reading passes a stage, as one does in Flagger", ledger);
    if let (Asked::Nobody(why), Some(first)) = (asked, names.first()) {
        let remedy = push_it(&draft.name, first).replace(" (1 passes, 0 fails)", "");
        let place = if at.at("templateRef").is_there() { at.at("templateRef") } else { at.at("(source)") };
        ledger.lost(&place, why.clone(), &remedy);
    }
    names
}

fn of_template(
    spec: &Place<'_>,
    at: &Place<'_>,
    reference: &Place<'_>,
    given: &Given,
    used: &mut Vec<usize>,
    ledger: &mut Ledger,
) -> Asked {
    let name = reference.at("name").text().unwrap_or_default();
    let namespace = reference.at("namespace").text().or_else(|| at.document.namespace.clone());
    let mut named = given.of(Kind::FlaggerTemplate).filter(|document| document.name == name);
    let found = named.clone().find(|document| document.namespace == namespace).or_else(|| named.next());
    let Some(document) = found else {
        let what = format!("no MetricTemplate {name:?} was given");
        ledger.warning(
            "template-unresolved",
            reference,
            what.clone(),
            "give its file too, so that it can be looked at",
        );
        return Asked::Nobody(format!("{what}: give its file to `serin import` too"));
    };
    used.push(document.number);
    ledger.carried(reference, format!("the query of MetricTemplate {name}"));
    let root = document.place();
    crate::common(&root, ledger);
    ledger.carried(&root.down("metadata.name"), "what it is named by");
    ledger.carried(&root.down("metadata.namespace"), "where it is named");
    let provider = root.down("spec.provider");
    let kind = provider.at("type").text().unwrap_or_default();
    if kind != "prometheus" {
        let what =
            format!("Serin does not ask {kind}: it asks Prometheus and HTTP servers that answer in JSON");
        ledger.lost(&provider, what.clone(), "see the gates of the Canary");
        ledger.lost(&root.down("spec.query"), what.clone(), "see the gates of the Canary");
        return Asked::Nobody(what);
    }
    ledger.carried(&provider.at("type"), "`source: {prometheus: ...}`");
    ledger.ignored(&provider.at("region"), "it is of CloudWatch");
    of_query(spec, at, &root.down("spec.query"), Some(&provider), ledger)
}

/// A query with its placeholders filled in as Flagger does.
fn of_query(
    spec: &Place<'_>,
    at: &Place<'_>,
    query: &Place<'_>,
    provider: Option<&Place<'_>>,
    ledger: &mut Ledger,
) -> Asked {
    let Some(text) = query.text().filter(|text| !text.trim().is_empty()) else {
        return Asked::Nobody("it has no query".to_owned());
    };
    let filled = match fill(&text, &values(spec, at)) {
        Ok(filled) => filled,
        Err(open) => {
            let what = format!("{open} in the query is filled in by nobody");
            ledger.error(
                "unresolved",
                query,
                what.clone(),
                "use name, namespace, target, service, ingress, route, interval or variables.NAME",
            );
            ledger.lost(query, what.clone(), "see its gate");
            return Asked::Nobody(what);
        }
    };
    for (name, field) in at.at("templateVariables").fields() {
        ledger.carried(&field, format!("filled in for {{{{ variables.{name} }}}}"));
    }
    ledger.carried(&at.at("interval"), "filled in for {{ interval }}");
    ledger.carried(query, "the query, filled in for this Canary");
    if crate::promql::instead_of_nothing(&text).is_some() {
        let what = "a number stands for no data there: where it is within the limit, a version without traffic passes";
        ledger.warning(
            "passes-without-data",
            query,
            what,
            "leave `or vector(...)` out: Flagger halts without values",
        );
    }
    let mut source = Prometheus { query: filled.trim().to_owned(), ..Prometheus::default() };
    let server = spec.at("metricsServer");
    let address = provider.map_or(server.clone(), |provider| provider.at("address"));
    match address.text().filter(|address| !address.is_empty()) {
        Some(written) => {
            let with_scheme = written.contains("://");
            source.url = if with_scheme { written } else { format!("http://{written}") };
            if let Some((scheme, rest)) = source.url.split_once("://")
                && let Some((_, host)) = rest.split_once('@')
            {
                source.url = format!("{scheme}://{host}");
                ledger.lost(&address, "the credentials in it are left out", "write `access: {basic: ...}`");
            }
            ledger.carried(&address, format!("`url: {}`", source.url));
        }
        None => {
            source.url = "http://prometheus:9090".to_owned();
            let what = "it names no address: `url: http://prometheus:9090`";
            ledger.approximated(
                &query.at("(address)"),
                what,
                "write the one that Flagger has as -metrics-server",
            );
        }
    }
    if let Some(provider) = provider {
        source.access = access(provider, &source.url, ledger);
    }
    Asked::Prometheus(Box::new(source))
}

fn access(provider: &Place<'_>, url: &str, ledger: &mut Ledger) -> Access {
    let mut access = Access::default();
    let secret = provider.at("secretRef");
    if let Some(name) = secret.at("name").text() {
        let what = format!(
            "basic authentication: the password is the secret {name}/password, its user is to be written"
        );
        ledger.approximated(
            &secret,
            what,
            "offer the controller this secret, and write `access.basic.user`; or `bearer` for a token",
        );
        access.basic =
            Some(Basic { user: "user".to_owned(), password: Secret { secret: format!("{name}/password") } });
    }
    let mut headers = BTreeMap::new();
    for (name, values) in provider.at("headers").fields() {
        let secretive = ["authorization", "cookie", "token", "key"]
            .iter()
            .any(|part| name.to_ascii_lowercase().contains(part));
        match values.items().first().and_then(Place::text).or_else(|| values.text()) {
            Some(value) if !secretive => {
                ledger.carried(&values, format!("header {name}"));
                headers.insert(name, Value::Value(value));
            }
            _ => ledger.lost(
                &values,
                "a secret may stand in it: the header is left out",
                "write `headers: {NAME: {secret: NAME}}`",
            ),
        }
    }
    access.headers = headers;
    let insecure = provider.at("insecureSkipVerify");
    if insecure.flag() == Some(true) && url.starts_with("https://") {
        access.tls = Some(Tls { insecure_skip_verify: true, ..Tls::default() });
    }
    ledger.carried(&insecure, "`tls.insecureSkipVerify`");
    access
}

/// What Flagger fills in.
fn values(spec: &Place<'_>, at: &Place<'_>) -> BTreeMap<String, String> {
    let target = spec.down("targetRef.name").text().unwrap_or_else(|| at.document.name.clone());
    let service = spec.down("service.name").text().unwrap_or_else(|| target.clone());
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    values.insert("name".to_owned(), at.document.name.clone());
    values.insert(
        "namespace".to_owned(),
        at.document.namespace.clone().unwrap_or_else(|| "default".to_owned()),
    );
    values.insert("target".to_owned(), target);
    values.insert("service".to_owned(), service);
    values.insert("ingress".to_owned(), spec.down("ingressRef.name").text().unwrap_or_default());
    values.insert("route".to_owned(), spec.down("routeRef.name").text().unwrap_or_default());
    values.insert("interval".to_owned(), at.at("interval").text().unwrap_or_else(|| "1m".to_owned()));
    for (name, field) in at.at("templateVariables").fields() {
        if let Some(text) = field.text() {
            values.insert(format!("variables.{name}"), text);
        }
    }
    values
}

fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { return Err("{{ without an end".to_owned()) };
        let name = name.trim().trim_matches('-').trim();
        let value = values.get(name).or_else(|| {
            // `index variables "name"` is how Go reads what has a dash in it.
            let quoted = name.strip_prefix("index variables ")?.trim().trim_matches(['"', '`']);
            values.get(&format!("variables.{quoted}"))
        });
        let Some(value) = value else { return Err(format!("{{{{ {name} }}}}")) };
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
