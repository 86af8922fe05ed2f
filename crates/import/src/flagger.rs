//! Flagger: a Canary, with the MetricTemplates it names.

mod check;
mod metrics;
mod webhooks;

use manifest::Percent;
use manifest::typed::{Condition, Gate};

use crate::argo::test_of;
use crate::draft::{Draft, Made, Step};
use crate::place::{Document, Place};
use crate::report::Ledger;
use crate::source::Kind;
use crate::text::{duration, share, span};
use crate::{Given, common, routes};

const OBJECTS: &str = "Serin makes no objects: the workload and its services stay what they are";

/// How often Flagger looks at least, and how often it does where nothing is written, in milliseconds.
const LEAST_INTERVAL_MS: u64 = 10_000;
const INTERVAL_MS: u64 = 60_000;

/// What all gates of a Canary have in common.
struct Checks {
    interval_ms: u64,
    /// Failed checks that are borne; one more rolls back.
    borne: u32,
}

impl Checks {
    fn gate(&self, name: &str) -> Gate {
        Gate {
            name: name.to_owned(),
            every: Some(span(self.interval_ms)),
            failure_limit: Some(self.borne),
            ..Gate::default()
        }
    }
}

pub(crate) fn canary<'a>(
    kind: Kind,
    document: &'a Document,
    given: &'a Given,
    used: &mut Vec<usize>,
    ledger: &mut Ledger,
) -> Option<Made> {
    let root = document.place();
    let mut draft = Draft::new(&root, ledger);
    let spec = if kind == Kind::FlaggerSpec {
        let what = "it is a part of something else, and is taken for the spec of a Canary";
        ledger.approximated(&root.at("(its kind)"), what, "give the Canary itself");
        root.clone()
    } else {
        common(&root, ledger);
        root.at("spec")
    };
    (draft.stable, draft.canary) = ("primary".to_owned(), "canary".to_owned());
    let what = "the versions are called primary and canary, as Flagger calls them";
    ledger.approximated(&spec.at("targetRef"), what, "write their names, such as the images' tags");
    around(&mut draft, &spec, ledger);
    let old = spec.at("canaryAnalysis");
    let analysis =
        if spec.at("analysis").is_there() || !old.is_there() { spec.at("analysis") } else { old.clone() };
    if analysis.path == old.path {
        ledger.warning("deprecated", &old, "its name is of before", "write `analysis`");
    }
    let interval = analysis.at("interval");
    let written = interval.text().and_then(|text| duration(&text));
    if interval.is_there() && written.is_none() {
        let what =
            format!("{:?} is not a duration, and a minute is taken", interval.text().unwrap_or_default());
        ledger.lost(&interval, what, "write the stages' `bake` and the gates' `every`");
    }
    let interval_ms = written.unwrap_or(INTERVAL_MS).max(LEAST_INTERVAL_MS);
    let what = format!("`bake: {0}` of each stage and `every: {0}` of each gate", span(interval_ms));
    ledger.carried(&interval, what);
    let threshold = analysis.at("threshold");
    let limit = threshold.number().unwrap_or(1.0).clamp(1.0, 10_000.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 1 and 10,000
    let borne = limit as u32 - 1;
    let what = format!(
        "`failureLimit: {borne}` of each gate: that many bad readings are borne in a stage, where Flagger counts all of a run together"
    );
    ledger.approximated(
        &threshold,
        what,
        "proven harm of Serin's own gates goes back without waiting for it",
    );
    let checks = Checks { interval_ms, borne };
    ledger.ignored_all(&analysis, &["primaryReadyThreshold", "canaryReadyThreshold"], OBJECTS);
    affinity(&mut draft, &analysis.at("sessionAffinity"), ledger);
    let names = metrics::gates(&mut draft, &spec, &analysis, &checks, given, used, ledger);
    let hooks = webhooks::read(&mut draft, &analysis.at("webhooks"), &checks, ledger);
    stages(&mut draft, &analysis, &checks, ledger);
    for stage in draft.stages.iter_mut().filter(|stage| stage.weight.ppm() < 1_000_000) {
        stage.gates.extend(names.iter().chain(&hooks.gates).cloned());
        stage.approval |= hooks.each_waits;
    }
    if hooks.first_waits {
        let none = Percent::from_ppm(0);
        if draft.stages.first().is_none_or(|stage| stage.weight > none || stage.shadow.is_some()) {
            let stage = crate::draft::Stage {
                weight: none,
                shadow: None,
                bake_ms: 0,
                approval: true,
                gates: Vec::new(),
            };
            draft.stages.insert(0, stage);
        } else if let Some(first) = draft.stages.first_mut() {
            first.approval = true;
        }
    }
    let all = Percent::from_ppm(1_000_000);
    if hooks.last_waits
        && let Some(last) = draft.stages.iter_mut().rfind(|stage| stage.weight < all)
    {
        last.approval = true;
    }
    for alert in analysis.at("alerts").items() {
        ledger.lost(
            &alert,
            "Serin sends no messages to chats",
            "have Prometheus alert on serin's metrics, or follow `serin get -w`",
        );
    }
    check::check(&spec, &analysis, &checks, kind == Kind::FlaggerSpec, ledger);
    draft.finish(ledger)
}

/// What stands around the analysis.
fn around(draft: &mut Draft<'_>, spec: &Place<'_>, ledger: &mut Ledger) {
    ledger.ignored_all(
        spec,
        &["autoscalerRef", "ingressRef", "routeRef", "upstreamRef", "revertOnDeletion"],
        OBJECTS,
    );
    let provider = spec.at("provider");
    match provider.text().as_deref() {
        None | Some("istio") => ledger.carried(&provider, "Istio"),
        Some(other) => {
            let what = format!("{other} splits no longer: Serin's filter in Envoy or Istio does");
            ledger.approximated(&provider, what, "see that these requests pass an Envoy with the filter");
        }
    }
    let deadline = spec.at("progressDeadlineSeconds");
    if deadline.is_there() {
        let what = "a stage has a `deadline` of its own, at which a person is asked";
        ledger.approximated(&deadline, what, "write `onInsufficient: rollback` to go back at it");
    }
    for (field, what, remedy) in [
        (
            "skipAnalysis",
            "a stage of Serin's always waits for its gates",
            "say `serin promote`, by name and with a reason",
        ),
        ("suspend", "a rollout of Serin begins when it is applied", "apply it when it may begin"),
    ] {
        let place = spec.at(field);
        if place.flag() == Some(true) {
            ledger.lost(&place, what, remedy);
        } else {
            ledger.ignored(&place, "it is off");
        }
    }
    let service = spec.at("service");
    let name = service.at("name").text().or_else(|| spec.down("targetRef.name").text());
    let namespace = draft.of.document.namespace.clone();
    if let Some(name) = name {
        draft.hosts = routes::names(&name, namespace.as_deref());
    }
    let hosts = service.at("hosts");
    for host in hosts.items().iter().filter_map(Place::text).filter(|host| !host.starts_with('*')) {
        if !draft.hosts.contains(&host) {
            draft.hosts.push(host);
        }
    }
    ledger.carried(&hosts, "`match.authority`");
    ledger.carried(&service.at("name"), "`match.authority`");
    let prefixes: Vec<String> =
        service.at("match").items().iter().filter_map(|item| item.down("uri.prefix").text()).collect();
    match (prefixes.as_slice(), service.at("match").items().len()) {
        ([prefix], 1) if prefix != "/" => {
            draft.prefix = Some(prefix.clone());
            ledger.carried(&service.at("match"), "`match.pathPrefix`");
        }
        ([prefix], 1) if prefix == "/" => ledger.ignored(&service.at("match"), "it fits everything"),
        (_, 0) => {}
        _ => {
            let what = "a rollout has one path's beginning, and this is more";
            ledger.lost(&service.at("match"), what, "write `match`, or a rollout for each path");
        }
    }
    for (name, field) in service.fields() {
        if !ledger.is_said(&field) {
            let _ = name;
            ledger.ignored(&field, OBJECTS);
        }
    }
    ledger.ignored(&spec.at("metricsServer"), "it is where its metrics are asked for: see there");
}

/// Users that stay with a version.
fn affinity(draft: &mut Draft<'_>, at: &Place<'_>, ledger: &mut Ledger) {
    let Some(cookie) = at.at("cookieName").text() else { return };
    let what = format!(
        "`assignment: {{mode: sticky, keys: [{{cookie: {cookie}}}]}}`: who has this cookie stays with a version while the weight rises. \
         Serin sets none"
    );
    ledger.approximated(&at.at("cookieName"), what, "name a cookie or header that your users have already");
    draft.cookie = Some(cookie);
    for (name, field) in at.fields() {
        if name != "cookieName" {
            ledger.ignored(&field, "Serin sets no cookies");
        }
    }
}

fn stages(draft: &mut Draft<'_>, at: &Place<'_>, checks: &Checks, ledger: &mut Ledger) {
    let (step, most, list) = (at.at("stepWeight"), at.at("maxWeight"), at.at("stepWeights"));
    let iterations = at.at("iterations");
    shadow(draft, at, checks, ledger);
    if let Some(iterations_wanted) = iterations.number().filter(|wanted| *wanted > 0.0) {
        return by_iterations(draft, at, iterations_wanted, checks, ledger);
    }
    ledger.ignored(&iterations, "weights are stepped through");
    let limit = most.number();
    let all = Percent::from_ppm(1_000_000);
    let by = step.number().filter(|by| *by > 0.0);
    if list.is_list() && by.is_none() {
        for item in list.items() {
            match item.number().and_then(|weight| share(weight, 100.0)) {
                Some(weight) if draft.rise_to(weight) == Step::Up => {
                    if weight < all {
                        draft.bake(checks.interval_ms);
                    }
                    ledger.carried(&item, format!("stage at {weight}"));
                }
                _ => {
                    ledger.lost(&item, "a rollout of Serin only goes up, to 100 at most", "write its stages")
                }
            }
        }
        ledger.ignored_all(at, &["stepWeight", "maxWeight"], "`stepWeights` stands in its place");
    } else if let Some(by) = by {
        if list.is_there() {
            ledger.lost(&list, "`stepWeight` goes before", "leave one of the two out");
        }
        let limit = limit.filter(|limit| *limit > 0.0).unwrap_or(100.0).min(100.0);
        let mut weight = by.max(0.1);
        let mut count = 0;
        // As Flagger adds: the step that reaches the limit is the last, also beyond it.
        while count < 200 {
            let Some(stage) = share(weight.min(100.0), 100.0) else { break };
            if draft.rise_to(stage) == Step::Up && stage < all {
                draft.bake(checks.interval_ms);
            }
            count += 1;
            if weight >= limit {
                break;
            }
            weight += by;
        }
        let what = format!("{count} stages of {} each, up to {}", span(checks.interval_ms), draft.weight());
        ledger.carried(&step, what);
        ledger.carried(&most, format!("the stages end at {}, and then all traffic follows", draft.weight()));
    } else {
        // Flagger goes to everything at once.
        if most.is_there() {
            let what = "without `stepWeight` there are no steps: all traffic goes over at once";
            ledger.approximated(&most, what, "write `stages`");
        }
        if step.is_there() {
            ledger.lost(&step, "it is not a step size", "write `stages`");
        } else {
            let what = "it has no weights: all traffic goes over at once, in one stage";
            ledger.approximated(&at.at("(stepWeight)"), what, "write `stages`");
        }
        draft.rise_to(all);
    }
    let promotion = at.at("stepWeightPromotion");
    if promotion.is_there() {
        let what =
            "at the end the weight goes down as `handBack.steps` say, while stable serves the new version";
        ledger.approximated(&promotion, what, "write `handBack`");
    }
    matches(draft, &at.at("match"), ledger);
}

fn shadow(draft: &mut Draft<'_>, at: &Place<'_>, checks: &Checks, ledger: &mut Ledger) {
    let (mirror, weight) = (at.at("mirror"), at.at("mirrorWeight"));
    if mirror.flag() == Some(true) {
        let wished = share(weight.number().unwrap_or(100.0), 100.0);
        if let Some(share) = wished.filter(|share| draft.shadow(*share)) {
            draft.bake(checks.interval_ms);
            let what = format!("a stage with `shadow: {share}`, before anybody is exposed");
            ledger.carried(&mirror, what.clone());
            return ledger.carried(&weight, what);
        }
    }
    ledger.ignored(&mirror, "nothing is mirrored");
    ledger.ignored(&weight, "nothing is mirrored");
}

/// Without weights: so many checks, and then all traffic.
fn by_iterations(draft: &mut Draft<'_>, at: &Place<'_>, wanted: f64, checks: &Checks, ledger: &mut Ledger) {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a handful
    let ms = checks.interval_ms.saturating_mul(wanted.min(10_000.0) as u64);
    let iterations = at.at("iterations");
    let users = at.at("match").is_list();
    if draft.stages.is_empty() {
        draft.bake(ms);
        let what = if users {
            "a stage at weight 0 as long as its checks: chosen requests are no evidence in Serin"
        } else {
            "a stage at weight 0 as long as its checks: without traffic Serin measures nothing"
        };
        ledger.approximated(
            &iterations,
            what,
            "begin with a small weight, or a `shadow`, so that its gates can be asked",
        );
    } else {
        draft.bake(ms.saturating_sub(checks.interval_ms));
        ledger.carried(&iterations, "the time of the stage of copies");
    }
    draft.rise_to(Percent::from_ppm(10_000));
    let what = "a stage of 1% stands before all traffic, so that its gates are asked of some users first";
    ledger.approximated(&at.at("(first weight)"), what, "leave it out where that is not wished");
    draft.bake(checks.interval_ms);
    draft.rise_to(Percent::from_ppm(1_000_000));
    draft.bake(300_000);
    ledger.ignored_all(
        at,
        &["stepWeight", "maxWeight", "stepWeights", "stepWeightPromotion"],
        "`iterations` goes before",
    );
    matches(draft, &at.at("match"), ledger);
}

/// Requests that get the new version: conditions of one item together, of several each.
fn matches(draft: &mut Draft<'_>, at: &Place<'_>, ledger: &mut Ledger) {
    for item in at.items() {
        let mut when = Vec::new();
        let mut unknown = Vec::new();
        for (name, field) in item.fields() {
            match name.as_str() {
                "headers" => when.extend(field.fields().into_iter().filter_map(|(name, test)| {
                    let condition = test_of(&test)?;
                    Some(of_header(name, condition))
                })),
                "queryParams" => when.extend(field.fields().into_iter().filter_map(|(name, test)| {
                    test_of(&test).map(|condition| Condition { query: Some(name), ..condition })
                })),
                "uri" => {
                    when.extend(test_of(&field).map(|condition| Condition { path: Some(true), ..condition }))
                }
                _ => unknown.push(name),
            }
        }
        if !unknown.is_empty() || when.is_empty() {
            let what = if unknown.is_empty() {
                "nothing in it is understood".to_owned()
            } else {
                format!("{} is not understood", unknown.join(", "))
            };
            ledger.lost(&item, what, "write the rule in `overrides`");
            continue;
        }
        let of = draft.of.clone();
        draft.always(when, &of);
        let what = "`overrides`: such requests get the new version from the beginning, whatever the stage";
        ledger.approximated(&item, what, "they are counted apart, never as evidence");
    }
}

/// A header's test; a cookie within its header is a cookie.
fn of_header(name: String, condition: Condition) -> Condition {
    if name.eq_ignore_ascii_case("cookie")
        && let Some(inner) = condition.regex.as_deref().and_then(|regex| {
            regex
                .strip_prefix("(.*?;)?(")?
                .strip_suffix(")(;.*)?")
                .filter(|inner| !inner.contains(['(', '[', '*', '\\']))
        })
        && let Some((cookie, value)) = inner.split_once('=')
    {
        return Condition {
            cookie: Some(cookie.to_owned()),
            exact: Some(value.to_owned()),
            ..Condition::default()
        };
    }
    Condition { header: Some(name), ..condition }
}

/// A template says how a figure is read, and not what is good.
pub(crate) fn template_alone(document: &Document, ledger: &mut Ledger) {
    let root = document.place();
    common(&root, ledger);
    ledger.ignored(&root.down("metadata.name"), "what it is named by");
    ledger.ignored(&root.down("metadata.namespace"), "where it is named");
    let what = "no Canary that was given names it, and by itself it has no limit";
    ledger.lost(&root.at("spec"), what, "give the Canary that names it too");
}
