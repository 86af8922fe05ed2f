//! How traffic is taken and split: the policy document's part, in its own words.

use split::policy;

use super::{Check, answers, arms, on_expired};
use crate::plan::{Clusters, Traffic, Unit};
use crate::typed::{self, Assignment, Condition, Mode, RolloutSpec};

pub(super) fn traffic(
    check: &mut Check,
    name: &str,
    canary: &str,
    spec: &RolloutSpec,
    unit: Unit,
) -> Traffic {
    let routing = spec.routing.clone().unwrap_or_default();
    let lease = spec.lease.unwrap_or_default();
    let lease_intervals = lease.intervals.unwrap_or(5);
    if lease_intervals < 2 {
        check.refuse(
            "spec.lease.intervals",
            format!("one lost answer would end a lease of {lease_intervals}"),
            "use 2 or more; 5 is the default",
        );
    }
    let header = check.header("spec.routing.header", routing.header.as_deref().unwrap_or("x-serin-arm"));
    let version_header = check
        .header("spec.routing.versionHeader", routing.version_header.as_deref().unwrap_or("x-serin-version"));
    let sticky = spec.assignment.as_ref().is_some_and(|a| a.mode.unwrap_or_default() == Mode::Sticky);
    let mut clusters = Clusters::default();
    let written = routing.clusters.unwrap_or_default();
    for (field, name, is) in
        [("stable", written.stable, &mut clusters.stable), ("canary", written.canary, &mut clusters.canary)]
    {
        let Some(name) = name else { continue };
        if name.is_empty() || name.contains(char::is_whitespace) {
            let what = format!("{name:?} is no cluster's name");
            check.refuse(
                format!("spec.routing.clusters.{field}"),
                what,
                "write it as Envoy's /clusters shows it, or leave the field out",
            );
        }
        *is = name;
    }
    Traffic {
        clusters,
        scope: scope(check, spec.scope.as_ref()),
        role: if routing.follow.is_empty() {
            policy::Role::Decide
        } else {
            policy::Role::Follow { peers: routing.follow }
        },
        header,
        version_header,
        assignment: assignment(check, name, canary, spec.assignment.as_ref()),
        overrides: overrides(check, &spec.overrides, &spec.arms),
        cohorts: cohorts(check, &spec.cohorts, &spec.arms),
        confidence: spec.confidence.as_ref().map(|written| answers::confidence(check, written)),
        answer: answers::answer(check, spec),
        count_groups: sticky && unit == Unit::User,
        on_lease_expired: lease.on_expired.map_or(policy::OnLeaseExpired::Stable, on_expired),
        lease_intervals,
    }
}

fn scope(check: &mut Check, written: Option<&typed::Match>) -> Option<policy::Match> {
    let written = written?;
    for (index, authority) in written.authority.iter().enumerate() {
        if authority.is_empty() || authority.contains(['/', ' ']) {
            let what = format!("{authority:?} is not a host name");
            check.refuse(
                format!("spec.match.authority[{index}]"),
                what,
                "write it as in the Host header, without a port",
            );
        }
    }
    if let Some(prefix) = &written.path_prefix
        && !prefix.starts_with('/')
    {
        check.refuse("spec.match.pathPrefix", format!("{prefix:?} fits no path"), "begin with '/'");
    }
    if written.port == Some(0) {
        check.refuse(
            "spec.match.port",
            "there is no port 0",
            "write the listener's port, or leave the field out",
        );
    }
    Some(policy::Match {
        authority: written.authority.clone(),
        path_prefix: written.path_prefix.clone(),
        port: written.port,
        direction: written.direction.map(|direction| match direction {
            typed::Direction::Inbound => policy::Direction::Inbound,
            typed::Direction::Outbound => policy::Direction::Outbound,
            typed::Direction::Unspecified => policy::Direction::Unspecified,
        }),
    })
}

fn assignment(
    check: &mut Check,
    name: &str,
    canary: &str,
    written: Option<&Assignment>,
) -> policy::Assignment {
    let written = written.cloned().unwrap_or_default();
    let at = "spec.assignment";
    // With the canary's version in it, the same people are not first in every rollout.
    let salt = written.salt.unwrap_or_else(|| format!("{name}/{canary}"));
    match written.mode.unwrap_or_default() {
        Mode::Random => {
            if !written.keys.is_empty() {
                let remedy = "add `mode: sticky`, or leave the keys out";
                check.refuse(format!("{at}.keys"), "random assignment looks at no key", remedy);
            }
            if written.no_key.is_some() {
                check.refuse(format!("{at}.noKey"), "random assignment looks at no key", "leave it out");
            }
            policy::Assignment::Random {
                source: match written.source {
                    Some(typed::Source::RequestId) => policy::Source::RequestId,
                    Some(typed::Source::Stream) | None => policy::Source::Stream,
                },
                salt,
            }
        }
        Mode::Sticky => {
            if written.source.is_some() {
                let remedy = "leave it out, or use `mode: random`";
                check.refuse(format!("{at}.source"), "sticky assignment draws nothing", remedy);
            }
            if written.keys.is_empty() {
                let remedy = "say where a user's key is found, such as {header: x-user-id}";
                check.refuse(format!("{at}.keys"), "sticky assignment has no key", remedy);
            }
            let keys = written.keys.iter().enumerate().map(|(index, key)| {
                let field = format!("{at}.keys[{index}]");
                match key {
                    typed::Key::Header(header) => policy::Key::Header(check.header(&field, header)),
                    typed::Key::Cookie(cookie) => policy::Key::Cookie(filled(check, &field, cookie)),
                    typed::Key::Query(query) => policy::Key::Query(filled(check, &field, query)),
                    typed::Key::SourceAddress(yes) => {
                        if !yes {
                            check.refuse(
                                field,
                                "sourceAddress: false looks at nothing",
                                "write true, or leave it out",
                            );
                        }
                        policy::Key::SourceAddress(true)
                    }
                }
            });
            policy::Assignment::Sticky {
                salt,
                keys: keys.collect(),
                no_key: match written.no_key {
                    Some(typed::NoKey::Stable) => policy::NoKey::Stable,
                    Some(typed::NoKey::Random) | None => policy::NoKey::Random,
                },
            }
        }
    }
}

fn filled(check: &mut Check, field: &str, name: &str) -> String {
    if name.is_empty() {
        check.refuse(field, "the name is empty", "write the name to look for");
    }
    name.to_owned()
}

fn overrides(
    check: &mut Check,
    written: &[typed::Override],
    known: &[typed::Challenger],
) -> Vec<policy::Override> {
    written
        .iter()
        .enumerate()
        .map(|(index, written)| policy::Override {
            when: conditions(check, &format!("spec.overrides[{index}]"), &written.when),
            arm: arms::named(check, &format!("spec.overrides[{index}].arm"), &written.arm, known, true),
        })
        .collect()
}

fn cohorts(check: &mut Check, written: &[typed::Cohort], known: &[typed::Challenger]) -> Vec<policy::Cohort> {
    let mut cohorts: Vec<policy::Cohort> = Vec::new();
    for (index, written) in written.iter().enumerate() {
        let at = format!("spec.cohorts[{index}]");
        if cohorts.iter().any(|cohort| cohort.name == written.name) {
            check.refuse(
                format!("{at}.name"),
                format!("two cohorts are called {:?}", written.name),
                "rename one",
            );
        }
        cohorts.push(policy::Cohort {
            name: check.label(&format!("{at}.name"), &written.name),
            when: conditions(check, &at, &written.when),
            weight_ppm: written.weight.ppm(),
            arm: written.arm.as_ref().map_or(split::Arm::Canary, |name| {
                arms::named(check, &format!("{at}.arm"), name, known, false)
            }),
        });
    }
    cohorts
}

fn conditions(check: &mut Check, at: &str, written: &[Condition]) -> Vec<policy::Condition> {
    if written.is_empty() {
        check.refuse(format!("{at}.when"), "it fits every request", "write at least one condition");
    }
    written
        .iter()
        .enumerate()
        .map(|(index, condition)| {
            let field = format!("{at}.when[{index}]");
            let places = [
                condition.header.is_some(),
                condition.cookie.is_some(),
                condition.query.is_some(),
                condition.path.is_some(),
            ];
            if places.into_iter().filter(|given| *given).count() != 1 {
                check.refuse(
                    field.clone(),
                    "it looks at none or several places",
                    "keep one of header, cookie, query and path",
                );
            }
            let tests = [
                condition.exact.is_some(),
                condition.prefix.is_some(),
                condition.present.is_some(),
                condition.regex.is_some(),
            ];
            if tests.into_iter().filter(|given| *given).count() != 1 {
                check.refuse(
                    field.clone(),
                    "it makes none or several tests",
                    "keep one of exact, prefix, regex and present",
                );
            }
            if condition.present == Some(false) {
                let remedy = "write `present: true`; what is absent cannot be asked for";
                check.refuse(format!("{field}.present"), "it is false", remedy);
            }
            if condition.path == Some(false) {
                check.refuse(format!("{field}.path"), "it is false", "write `path: true`, or leave it out");
            }
            if let Some(Err(problem)) = condition.regex.as_deref().map(split::Pattern::new) {
                let remedy = "write one that fits the whole value, such as beta-.* or (?i)staff|crew";
                check.refuse(format!("{field}.regex"), format!("it {problem}"), remedy);
            }
            policy::Condition {
                header: condition
                    .header
                    .as_ref()
                    .map(|header| check.header(&format!("{field}.header"), header)),
                cookie: condition.cookie.clone(),
                query: condition.query.clone(),
                exact: condition.exact.clone(),
                prefix: condition.prefix.clone(),
                path: condition.path,
                present: condition.present,
                regex: condition.regex.clone(),
            }
        })
        .collect()
}
