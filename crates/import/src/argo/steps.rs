//! Steps, as stages.

use manifest::Percent;
use manifest::typed::Condition;

use super::analysis::{How, analysis, reference_to};
use super::{Args, Reading, pauses};
use crate::draft::{Draft, Step};
use crate::place::Place;
use crate::report::Ledger;
use crate::source::Kind;
use crate::text::{duration, share, span};

/// The fields that make a step of a canary, one in each.
pub(crate) const STEP_KINDS: [&str; 8] = [
    "setWeight",
    "pause",
    "analysis",
    "experiment",
    "setCanaryScale",
    "setHeaderRoute",
    "setMirrorRoute",
    "plugin",
];

pub(super) fn canary<'a>(
    draft: &mut Draft<'a>,
    at: &Place<'a>,
    replicas: Option<f64>,
    reading: &mut Reading<'a, '_>,
) {
    let ledger = &mut *reading.ledger;
    let pods = "Serin moves traffic, and no pods";
    let scaling = [
        "maxSurge",
        "maxUnavailable",
        "antiAffinity",
        "canaryMetadata",
        "stableMetadata",
        "scaleDownDelaySeconds",
        "scaleDownDelayRevisionLimit",
        "abortScaleDownDelaySeconds",
        "minPodsPerReplicaSet",
        "replicaProgressThreshold",
    ];
    ledger.ignored_all(at, &scaling, pods);
    let dynamic = at.at("dynamicStableScale");
    if dynamic.flag() == Some(true) {
        let what = "stable has to be able to bear all traffic as long as the way back is open";
        ledger.lost(&dynamic, what, "keep stable's replicas while the rollout lasts");
        ledger.warning(
            "slow-abort",
            &dynamic,
            "an abort waits until stable is scaled up again",
            "leave it out",
        );
    } else {
        ledger.ignored(&dynamic, pods);
    }
    host(draft, &at.at("stableService"), ledger);
    ledger.carried(&at.at("canaryService"), "what the canary route leads to");
    let ping = at.at("pingPong");
    if ping.is_there() {
        let what = "the two services are the two routes; they do not change places in Serin";
        ledger.approximated(&ping, what, "lead the stable route to the one that serves today");
    }
    let routing = at.at("trafficRouting");
    let most = routing.at("maxTrafficWeight").number().filter(|most| *most >= 1.0).unwrap_or(100.0);
    ledger.carried(&routing.at("maxTrafficWeight"), format!("weights are parts of {most}"));
    self::routing(draft, &routing, reading);
    let background = at.at("analysis");
    let from = background.at("startingStep").number();
    let always = if background.is_map() {
        reading.ledger.carried(&background.at("startingStep"), "from which stage on its gates hold");
        let names = analysis(draft, &background, How { background: true }, reading);
        if !names.is_empty() {
            let what = "Argo asks all the time; here each stage from there on has to pass";
            reading.ledger.approximated(&background.at("(when)"), what, "");
        }
        Some((from.unwrap_or(0.0), names))
    } else {
        None
    };
    let steps = at.at("steps");
    self::steps(draft, &steps, most, always.as_ref().map(|(from, names)| (*from, names.as_slice())), reading);
    pauses::check(at, &steps, replicas.filter(|_| !routing.is_there()), &background, reading.ledger);
}

/// Requests of a service, by the names it is called by.
pub(crate) fn host(draft: &mut Draft<'_>, service: &Place<'_>, ledger: &mut Ledger) {
    let Some(name) = service.text() else { return };
    let namespace = draft.of.document.namespace.clone();
    draft.hosts = crate::routes::names(&name, namespace.as_deref());
    let what = format!("`match.authority`: requests to {name}, by the names it has in the cluster");
    ledger.approximated(service, what, "add the names that clients use outside of it");
}

/// Who splits in Argo's place, and where requests are told.
fn routing<'a>(draft: &mut Draft<'a>, at: &Place<'a>, reading: &mut Reading<'a, '_>) {
    for (name, place) in at.fields() {
        match name.as_str() {
            "maxTrafficWeight" => {}
            "managedRoutes" => reading.ledger.ignored(&place, "no routes are made: Serin's filter decides"),
            "istio" => istio(draft, &place, reading),
            _ => {
                let known = ["nginx", "alb", "smi", "ambassador", "appMesh", "traefik", "apisix", "plugins"];
                let what = if known.contains(&name.as_str()) {
                    format!("{name} splits no longer: Serin's filter in Envoy or Istio does")
                } else {
                    format!("Argo knows no traffic router {name:?}")
                };
                let sticky = place.down("stickinessConfig.enabled").flag() == Some(true);
                let remedy = if sticky {
                    "write `assignment: {mode: sticky, keys: [{cookie: NAME}]}`: the filter has to be on the way"
                } else {
                    "see that these requests pass an Envoy with the filter"
                };
                reading.ledger.lost(&place, what, remedy);
            }
        }
    }
}

fn istio<'a>(draft: &mut Draft<'a>, at: &Place<'a>, reading: &mut Reading<'a, '_>) {
    let rule = at.at("destinationRule");
    let what = "the subsets stay: the routes to them match the filter's header";
    reading.ledger.approximated(&rule, what, "write the routes once: istio/ has an example");
    let mut services = at.at("virtualServices").items();
    services.push(at.at("virtualService"));
    for service in services.into_iter().filter(Place::is_there) {
        reading.ledger.carried(&service.at("routes"), "its routes stay, and match the filter's header");
        for list in ["tlsRoutes", "tcpRoutes"] {
            if service.at(list).is_there() {
                let what = "Serin splits HTTP and gRPC, and no bare connections";
                reading.ledger.lost(&service.at(list), what, "leave it to Istio's weights");
            }
        }
        let Some(name) = service.at("name").text() else { continue };
        let short = name.split('.').next().unwrap_or(&name).to_owned();
        let given = reading.given;
        if let Some(found) = given.of(Kind::VirtualService).find(|found| found.name == short) {
            reading.used.push(found.number);
            let hosts = crate::routes::of_rollout(found, reading.ledger);
            if !hosts.is_empty() {
                draft.hosts = hosts;
            }
            let what = format!("`match.authority`: the hosts of VirtualService {name}");
            reading.ledger.carried(&service.at("name"), what);
        } else {
            let what = format!(
                "its routes stay, with weights no longer: they match the filter's header. VirtualService {name} was not given"
            );
            reading.ledger.approximated(
                &service.at("name"),
                what,
                "give its file too, so that `match.authority` names its hosts",
            );
        }
    }
}

pub(super) fn steps<'a>(
    draft: &mut Draft<'a>,
    at: &Place<'a>,
    most: f64,
    always: Option<(f64, &[String])>,
    reading: &mut Reading<'a, '_>,
) {
    let mut header_routes = 0_usize;
    for (index, step) in at.items().into_iter().enumerate() {
        let kinds = step
            .fields()
            .iter()
            .filter(|(name, place)| STEP_KINDS.contains(&name.as_str()) && place.is_there())
            .count();
        if kinds > 1 {
            let what = "two things stand in one step, and Argo refuses that";
            reading.ledger.error("refused", &step, what, "make two steps of it");
        }
        // An empty step is nothing, and Argo refuses it too.
        for (name, place) in step.fields() {
            match name.as_str() {
                "setWeight" => weight(draft, &place, most, reading.ledger),
                "pause" => pause(draft, &place, reading.ledger),
                "analysis" => {
                    let names = analysis(draft, &place, How { background: false }, reading);
                    hold(draft, &names, &place, reading.ledger);
                }
                "experiment" => experiment(draft, &place, reading),
                "setCanaryScale" => {
                    let what = "Serin moves traffic, and no pods";
                    let remedy = "scale the new version before its stage; `ready` waits for its endpoints";
                    reading.ledger.lost(&place, what, remedy);
                }
                "setHeaderRoute" => header_route(draft, &place, &mut header_routes, reading.ledger),
                "setMirrorRoute" => mirror_route(draft, &place, reading.ledger),
                "plugin" => {
                    let what = "what a plugin does is not known";
                    reading.ledger.lost(&place, what, "do it by a hook, or a stage with `approval: true`");
                }
                _ => {}
            }
        }
        #[allow(clippy::cast_precision_loss)] // a handful of steps
        if let Some((from, names)) = always
            && index as f64 >= from
            && !draft.stages.is_empty()
        {
            draft.hold(names);
        }
    }
    // Background analyses of rollouts without steps of their own hold every stage.
    if let Some((_, names)) = always.filter(|_| !draft.stages.is_empty()) {
        let all = Percent::from_ppm(1_000_000);
        if let Some(last) = draft.stages.last_mut().filter(|last| last.weight == all) {
            last.gates
                .extend(names.iter().filter(|name| !last.gates.contains(name)).cloned().collect::<Vec<_>>());
        }
    }
}

fn weight(draft: &mut Draft<'_>, at: &Place<'_>, most: f64, ledger: &mut Ledger) {
    let Some(weight) = at.number().and_then(|weight| share(weight, most)) else {
        let written = at.text().unwrap_or_default();
        let what = format!("{written:?} is not a weight from 0 to {most}");
        ledger.error("refused", at, what.clone(), "write a whole number");
        return ledger.lost(at, what, "write the stage's weight");
    };
    let before = draft.weight();
    match draft.rise_to(weight) {
        Step::Up => ledger.carried(at, format!("stage at {weight}")),
        Step::Same => ledger.carried(at, format!("the stage is at {weight} already")),
        Step::Down => {
            let what = format!(
                "a rollout of Serin only goes up: the stage stays at {before}, and what follows is part of it"
            );
            ledger.lost(at, what, "leave the step out, or begin a new rollout");
        }
    }
}

fn pause(draft: &mut Draft<'_>, at: &Place<'_>, ledger: &mut Ledger) {
    let written = at.at("duration");
    // `pause: {}` and `pause:` both wait.
    let Some(text) = written.text() else {
        if let Some(stage) = draft.stage() {
            stage.approval = true;
        }
        let what = "`approval: true`: a person says yes, after the stage's gates have passed";
        if at.is_there() {
            ledger.carried(at, what);
        } else {
            ledger.approximated(at, what, "");
        }
        return;
    };
    match duration(&text) {
        Some(0) => {
            let what = "goes on at once, so no person is asked";
            ledger.error(
                "no-approval",
                &written,
                format!("a pause of {text} {what}"),
                "write `pause: {}` to wait for a person",
            );
            ledger.approximated(
                &written,
                format!("a pause of {text} {what}"),
                "write `approval: true` where a person was meant to say yes",
            );
        }
        Some(ms) => {
            draft.bake(ms);
            ledger.carried(&written, format!("`bake`: {} at {}", span(ms), draft.weight()));
        }
        None => {
            let what = format!("{text:?} is not a duration");
            ledger.error("refused", &written, what.clone(), "write a time such as 10m");
            ledger.lost(&written, what, "write the stage's `bake`");
        }
    }
}

fn hold(draft: &mut Draft<'_>, names: &[String], at: &Place<'_>, ledger: &mut Ledger) {
    draft.hold(names);
    let unexposed =
        draft.stages.last().is_some_and(|stage| stage.weight.ppm() == 0 && stage.shadow.is_none());
    if unexposed && !names.is_empty() {
        let what = "at weight 0 nothing is measured, and its gates are not asked";
        ledger.lost(&at.at("(when)"), what, "ask them at the first stage with traffic, or at a `shadow`");
    }
}

fn experiment<'a>(draft: &mut Draft<'a>, at: &Place<'a>, reading: &mut Reading<'a, '_>) {
    if let Some(text) = at.at("duration").text() {
        match duration(&text) {
            Some(ms) => {
                draft.bake(ms);
                reading
                    .ledger
                    .carried(&at.at("duration"), format!("`bake`: {} at {}", span(ms), draft.weight()));
            }
            None => reading.ledger.lost(
                &at.at("duration"),
                format!("{text:?} is not a duration"),
                "write the stage's `bake`",
            ),
        }
    }
    let templates = at.at("templates").items();
    let refers =
        |to: &str| templates.iter().any(|template| template.at("specRef").text().as_deref() == Some(to));
    let pair = refers("stable") && refers("canary") && templates.len() == 2;
    for template in &templates {
        let weight = template.at("weight");
        if pair {
            let what = "`baseline`: as much of stable's traffic as the new version gets is counted apart, without pods of its own";
            for (_, field) in template.fields() {
                reading.ledger.approximated(&field, what, "");
            }
        } else {
            let rest = template.fields().into_iter().filter(|(name, _)| name != "weight");
            rest.for_each(|(_, field)| {
                reading.ledger.lost(
                    &field,
                    "Serin starts no pods",
                    "deploy a further version, and name it in `arms`",
                )
            });
            if weight.is_there() {
                reading.ledger.lost(
                    &weight,
                    "Serin starts no pods to give a weight to",
                    "name the version in `arms`",
                );
            }
        }
    }
    reading.ledger.ignored(&at.at("scaleDownDelaySeconds"), "Serin owns no pods");
    reading.ledger.ignored(&at.at("analysisRunMetadata"), "there is no object that bears it");
    let dry: Vec<String> =
        at.at("dryRun").items().iter().filter_map(|item| item.at("metricName").text()).collect();
    reading.ledger.carried(&at.at("dryRun"), "`level: advisory`");
    let root = reading.root.clone();
    for asked in at.at("analyses").items() {
        let args = Args::given(&asked.at("args"), &root, &Args::default(), reading.ledger);
        reading.ledger.ignored(&asked.at("requiredForCompletion"), "a stage waits for its gates");
        reading.ledger.ignored(&asked.at("name"), "the analysis's name");
        let names = if asked.at("templateName").is_there() {
            reference_to(draft, &asked, &args, &dry, false, reading)
        } else {
            reading.ledger.lost(&asked, "it names no template", "write `templateName`");
            Vec::new()
        };
        hold(draft, &names, &asked, reading.ledger);
    }
}

/// One test of Argo's or Istio's on a text, as a condition without its place.
pub(crate) fn test_of(at: &Place<'_>) -> Option<Condition> {
    let condition = Condition::default();
    if let Some(exact) = at.at("exact").text() {
        return Some(Condition { exact: Some(exact), ..condition });
    }
    if let Some(prefix) = at.at("prefix").text() {
        return Some(Condition { prefix: Some(prefix), ..condition });
    }
    at.at("regex").text().map(|regex| match regex.as_str() {
        ".*" | ".+" | "^.*$" => Condition { present: Some(true), ..condition },
        _ => {
            let regex = regex.trim_start_matches('^').trim_end_matches('$').to_owned();
            Condition { regex: Some(regex), ..condition }
        }
    })
}

fn header_route<'a>(draft: &mut Draft<'a>, at: &Place<'a>, routes: &mut usize, ledger: &mut Ledger) {
    let matches = at.at("match").items();
    ledger.ignored(&at.at("name"), "a rule of Serin's has no name");
    if matches.is_empty() {
        let what = "its rule holds until the end of the run, and is not taken away before";
        ledger.lost(&at.at("(end)"), what, "leave the rule out if that is not wished");
        return;
    }
    for rule in matches {
        let header = rule.at("headerName").text();
        match (header, test_of(&rule.at("headerValue"))) {
            (Some(header), Some(condition)) => {
                draft.always(vec![Condition { header: Some(header), ..condition }], &rule);
                let what =
                    "`overrides`: such requests get the new version from the beginning, whatever the stage";
                ledger.approximated(&rule, what, "");
                *routes += 1;
            }
            _ => ledger.lost(&rule, "it names no header and value", "write the rule in `overrides`"),
        }
    }
}

fn mirror_route(draft: &mut Draft<'_>, at: &Place<'_>, ledger: &mut Ledger) {
    ledger.ignored(&at.at("name"), "a stage of Serin's has no name");
    let (percentage, matches) = (at.at("percentage"), at.at("match"));
    if !percentage.is_there() && !matches.is_there() {
        let what = "copies end with their stage";
        return ledger.ignored(&at.at("name"), what);
    }
    if matches.is_there() {
        let what = "copies are made of all requests of the rollout";
        ledger.lost(&matches, what, "narrow the rollout by `match`");
    }
    let wished = percentage.number().unwrap_or(100.0);
    let shadow = share(wished, 100.0).filter(|share| draft.shadow(*share));
    match shadow {
        Some(share) => ledger.approximated(
            &percentage,
            format!("a stage with `shadow: {share}`, before anybody is exposed"),
            "",
        ),
        None => {
            let what = "copies are made before anybody is exposed, and of more than before";
            ledger.lost(&percentage, what, "put a `shadow` stage first");
        }
    }
}
