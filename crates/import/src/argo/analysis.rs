//! Analyses: which templates they name, and the gates in these.

use super::{Args, Reading, metric};
use crate::draft::{Draft, push_it};
use crate::place::{Document, Place};
use crate::source::Kind;

/// How an analysis is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct How {
    /// At every step from one on, and not at one.
    pub(crate) background: bool,
}

/// The gates of an analysis: their names.
pub(crate) fn analysis<'a>(
    draft: &mut Draft<'a>,
    at: &Place<'a>,
    how: How,
    reading: &mut Reading<'a, '_>,
) -> Vec<String> {
    let root = reading.root.clone();
    let args = Args::given(&at.at("args"), &root, &Args::default(), reading.ledger);
    let dry = dry_run(&at.at("dryRun"), reading);
    let history = "how many measurements are kept is Serin's own affair";
    reading.ledger.ignored(&at.at("measurementRetention"), history);
    reading.ledger.ignored(&at.at("analysisRunMetadata"), "there is no object that bears it");
    let mut names = Vec::new();
    for reference in at.at("templates").items() {
        names.extend(reference_to(draft, &reference, &args, &dry, how.background, reading));
    }
    if names.is_empty() && at.at("templates").items().is_empty() {
        let what = "the analysis names no template, so it proves nothing";
        reading.ledger.error("no-gate", at, what, "name one by `templateName`");
        reading.ledger.lost(at, what, "write `gates`");
    }
    names
}

fn dry_run(list: &Place<'_>, reading: &mut Reading<'_, '_>) -> Vec<String> {
    let mut names = Vec::new();
    for item in list.items() {
        if let Some(name) = item.at("metricName").text() {
            reading
                .ledger
                .carried(&item.at("metricName"), "`level: advisory`: reported, and decides nothing");
            names.push(name);
        }
    }
    names
}

pub(crate) fn reference_to<'a>(
    draft: &mut Draft<'a>,
    reference: &Place<'a>,
    args: &Args,
    dry: &[String],
    background: bool,
    reading: &mut Reading<'a, '_>,
) -> Vec<String> {
    let wanted = reference.at("templateName");
    let misnamed = reference.at("name");
    let at = if wanted.is_there() || !misnamed.is_there() { wanted } else { misnamed.clone() };
    if let Some(name) = misnamed.text().filter(|_| at.path == misnamed.path) {
        let what = format!("`name` is no field here, so the analysis names no template {name:?}");
        reading.ledger.error("unknown-field", &misnamed, what, "write `templateName`");
    }
    reading.ledger.carried(&reference.at("clusterScope"), "where the template is looked for");
    let Some(name) = at.text() else {
        reading.ledger.lost(reference, "it names no template", "write `templateName`");
        return Vec::new();
    };
    if let Some(found) = find(reading, &name, &reference.at("clusterScope")) {
        let number = found.number;
        reading.ledger.carried(&at, format!("the gates of {name}"));
        let names = template(draft, found, args, dry, background, reading);
        reading.used.push(number);
        return names;
    }
    // The metric of a template in a template's place: what was meant is plain.
    let given = reading.given;
    for document in given.of(Kind::ArgoTemplate) {
        let spec = document.place().at("spec");
        if let Some(metric) = spec
            .at("metrics")
            .items()
            .into_iter()
            .find(|metric| metric.at("name").text().as_ref() == Some(&name))
        {
            let what = format!("{name:?} is a metric of the template {}, and no template", document.name);
            reading.ledger.error(
                "template-unresolved",
                &at,
                what.clone(),
                "name the template: all its metrics are asked",
            );
            reading.ledger.approximated(
                &at,
                format!("{what}; the metric is taken"),
                "check that it is the one that is meant",
            );
            let args = args.with_defaults(&spec.at("args"), reading.ledger);
            reading.used.push(document.number);
            super::spec::of_template(document, reading.ledger);
            return metrics(draft, &[metric], &args, dry, background, reading);
        }
    }
    let gate = draft.pushed(&name, &at);
    let what = format!("no template {name:?} was given");
    let remedy = format!("give its file to `serin import` too; or {}", push_it(&draft.name, &gate));
    reading.ledger.lost(&at, what.clone(), &remedy);
    let any = given.of(Kind::ArgoTemplate).next().is_some();
    if any {
        let remedy =
            "name one that is there: a run that finds no template ends in an error, and the rollout aborts";
        reading.ledger.error("template-unresolved", &at, what, remedy);
    } else {
        reading.ledger.warning(
            "template-unresolved",
            &at,
            what,
            "give its file too, so that it can be looked at",
        );
    }
    vec![gate]
}

fn find<'a>(reading: &Reading<'a, '_>, name: &str, cluster: &Place<'_>) -> Option<&'a Document> {
    let cluster = cluster.flag() == Some(true);
    let fits = |document: &&Document| document.name == name;
    let of = |document: &&Document| (document.kind == "ClusterAnalysisTemplate") == cluster;
    let mut named = reading.given.of(Kind::ArgoTemplate).filter(fits);
    named.clone().find(of).or_else(|| named.next())
}

/// The gates of a template.
pub(crate) fn template<'a>(
    draft: &mut Draft<'a>,
    document: &'a Document,
    args: &Args,
    dry: &[String],
    background: bool,
    reading: &mut Reading<'a, '_>,
) -> Vec<String> {
    super::spec::of_template(document, reading.ledger);
    let spec = document.place().at("spec");
    let args = args.with_defaults(&spec.at("args"), reading.ledger);
    let mut dry = dry.to_vec();
    dry.extend(dry_run(&spec.at("dryRun"), reading));
    reading
        .ledger
        .ignored(&spec.at("measurementRetention"), "how many measurements are kept is Serin's own affair");
    let listed = spec.at("metrics").items();
    let mut names = metrics(draft, &listed, &args, &dry, background, reading);
    if reading.used.iter().filter(|number| **number == document.number).count() < 4 {
        // Templates that name each other in a ring are read a few times, not for ever.
        reading.used.push(document.number);
        for reference in spec.at("templates").items() {
            names.extend(reference_to(draft, &reference, &args, &dry, background, reading));
        }
    }
    names
}

pub(crate) fn metrics<'a>(
    draft: &mut Draft<'a>,
    listed: &[Place<'a>],
    args: &Args,
    dry: &[String],
    background: bool,
    reading: &mut Reading<'a, '_>,
) -> Vec<String> {
    let mut names = Vec::new();
    for (index, at) in listed.iter().enumerate() {
        let name = at.at("name").text();
        let twice = |other: &Place<'a>| name.is_some() && other.at("name").text() == name;
        if listed.iter().take(index).any(twice) {
            let what = "another metric of the template has this name, and Argo refuses the two together";
            reading.ledger.error("duplicate-name", &at.at("name"), what, "rename one");
        }
        let advisory = name.is_some_and(|name| dry.iter().any(|dry| matches(dry, &name)));
        names.extend(metric::gates(draft, at, args, advisory, background, reading));
    }
    names
}

/// Does a name fit one of Argo's patterns? They are regular expressions; here `.*` stands for anything, the rest for itself.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
    let parts: Vec<&str> = pattern.split(".*").collect();
    let mut rest = name;
    for (index, part) in parts.iter().enumerate() {
        let Some(at) = rest.find(part) else { return false };
        if index == 0 && at > 0 || index + 1 == parts.len() && !rest.ends_with(part) {
            return false;
        }
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    parts.len() > 1 || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_of_dry_runs() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            (".*", "x", true),
            ("test.*", "test-1", true),
            ("a", "ab", false),
            ("b", "ab", false),
            (".*b", "ab", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
