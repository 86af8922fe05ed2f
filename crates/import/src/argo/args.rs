//! Arguments of templates: `{{args.name}}`.

use std::collections::BTreeMap;

use crate::place::Place;
use crate::report::Ledger;

/// What an argument stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arg {
    Text(String),
    /// A secret, by the name under which Serin would be offered it.
    Secret(String),
    /// Declared, and given no value by anybody.
    Open,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    pub(super) known: BTreeMap<String, Arg>,
    /// Nobody gives any: the analysis that would was not given.
    pub(crate) alone: bool,
}

impl Args {
    const STABLE: &str = "{{stable}}";
    const CANARY: &str = "{{canary}}";

    pub(crate) fn get(&self, name: &str) -> Option<&Arg> {
        self.known.get(name)
    }

    /// Those an analysis gives; `root` is the rollout, whose fields may be named.
    pub(crate) fn given(list: &Place<'_>, root: &Place<'_>, outer: &Self, ledger: &mut Ledger) -> Self {
        let mut args = Self::default();
        for item in list.items() {
            let Some(name) = item.at("name").text() else { continue };
            ledger.carried(&item.at("name"), format!("argument {name}"));
            let from = item.at("valueFrom");
            let arg = if let Some(text) = item.at("value").text() {
                match outer.fill(&of_experiment(&text)) {
                    Ok(text) => {
                        ledger.carried(&item.at("value"), format!("{{{{args.{name}}}}} is {text}"));
                        Arg::Text(text)
                    }
                    Err(open) => {
                        ledger.lost(
                            &item.at("value"),
                            format!("{open} is known to nobody"),
                            "write the value",
                        );
                        Arg::Open
                    }
                }
            } else if let Some(which) = from.at("podTemplateHashValue").text() {
                let version = if which == "Stable" { Args::STABLE } else { Args::CANARY };
                let what = format!("the version's name ({version}) stands where the hash of its pods did");
                let remedy = "have the metrics bear a label with the version, and name it in the query";
                ledger.approximated(&from.at("podTemplateHashValue"), what, remedy);
                Arg::Text(version.to_owned())
            } else if let Some(path) = from.at("fieldRef").at("fieldPath").text() {
                let place = from.at("fieldRef").at("fieldPath");
                if let Some(text) = field(root, &path) {
                    ledger.carried(&place, format!("{{{{args.{name}}}}} is {text}"));
                    Arg::Text(text)
                } else {
                    let what = format!("the rollout that was given has no {path}");
                    ledger.lost(&place, what, "write the value in the query");
                    Arg::Open
                }
            } else {
                secret(&from.at("secretKeyRef"), ledger)
            };
            args.known.insert(name, arg);
        }
        args
    }

    /// With the defaults of a template.
    pub(crate) fn with_defaults(&self, list: &Place<'_>, ledger: &mut Ledger) -> Self {
        let mut args = Self { alone: self.alone, ..Self::default() };
        for item in list.items() {
            let Some(name) = item.at("name").text() else { continue };
            ledger.carried(&item.at("name"), format!("argument {name}"));
            let arg = match (self.known.get(&name), item.at("value").text()) {
                (Some(given), _) => {
                    ledger.ignored(&item.at("value"), "the analysis gives another");
                    ledger.ignored(&item.at("valueFrom"), "the analysis gives another");
                    given.clone()
                }
                (None, Some(text)) => {
                    ledger.carried(&item.at("value"), format!("{{{{args.{name}}}}} is {text}"));
                    Arg::Text(text)
                }
                (None, None) => secret(&item.at("valueFrom").at("secretKeyRef"), ledger),
            };
            args.known.insert(name, arg);
        }
        // What a template does not declare Argo fills in all the same, once templates are merged.
        for (name, arg) in &self.known {
            args.known.entry(name.clone()).or_insert_with(|| arg.clone());
        }
        args
    }

    /// A text with its placeholders filled in, or the first that nobody knows.
    pub(crate) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            let (before, after) = rest.split_at(at);
            filled.push_str(before);
            let inner = after.get(2..).unwrap_or_default();
            let Some(end) = inner.find("}}") else { return Err("{{ without an end".to_owned()) };
            let (name, after) = inner.split_at(end);
            rest = after.get(2..).unwrap_or_default();
            if [Self::STABLE, Self::CANARY].iter().any(|known| known.trim_matches(['{', '}']) == name.trim())
            {
                filled.push_str(&format!("{{{{{}}}}}", name.trim()));
                continue;
            }
            match name.trim().strip_prefix("args.").and_then(|name| self.known.get(name)) {
                Some(Arg::Text(text)) => filled.push_str(text),
                _ => return Err(format!("{{{{{}}}}}", name.trim())),
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// May somebody fill this placeholder in who was not given?
    pub(crate) fn awaits(&self, open: &str) -> bool {
        let name = open.trim_matches(['{', '}']).trim().strip_prefix("args.");
        self.alone && name.is_some_and(|name| self.known.is_empty() || self.known.contains_key(name))
    }

    /// Is this placeholder that of a secret?
    pub(crate) fn is_secret(&self, open: &str) -> bool {
        let name = open.trim_matches(['{', '}']).trim().strip_prefix("args.");
        matches!(name.and_then(|name| self.known.get(name)), Some(Arg::Secret(_)))
    }

    /// The secret that a text holds, and what stands before it.
    pub(crate) fn secret(&self, text: &str) -> Option<(String, String)> {
        let (before, rest) = text.split_once("{{")?;
        let name = rest.trim().strip_suffix("}}")?.trim().strip_prefix("args.")?;
        match self.known.get(name)? {
            Arg::Secret(secret) => Some((before.to_owned(), secret.clone())),
            _ => None,
        }
    }
}

/// The versions of an experiment are those of its templates, as these are called by everybody.
fn of_experiment(text: &str) -> String {
    let inner = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    let name =
        inner.and_then(|inner| inner.trim().strip_prefix("templates.")?.strip_suffix(".podTemplateHash"));
    match name {
        Some(name) if name.contains("canary") || name.contains("experiment") => Args::CANARY.to_owned(),
        Some(name) if name.contains("stable") || name.contains("baseline") || name.contains("control") => {
            Args::STABLE.to_owned()
        }
        _ => text.to_owned(),
    }
}

fn secret(at: &Place<'_>, ledger: &mut Ledger) -> Arg {
    let (Some(name), Some(key)) = (at.at("name").text(), at.at("key").text()) else { return Arg::Open };
    let secret = format!("{name}/{key}");
    let what = format!("the secret {secret:?}, which the controller must be offered under this name");
    ledger.approximated(at, what, "mount it below the controller's --secret-dir");
    Arg::Secret(secret)
}

/// A field of the rollout, as `metadata.labels['app']` names it.
fn field(root: &Place<'_>, path: &str) -> Option<String> {
    let path = path.replace("['", ".").replace("[\"", ".").replace("']", "").replace("\"]", "");
    let steps: Vec<&str> = path.split('.').collect();
    for joined in 0..steps.len() {
        // A label's name may hold dots.
        let (first, last) = steps.split_at(steps.len() - joined);
        if first.is_empty() {
            break;
        }
        let mut place = first.iter().fold(root.clone(), |place, step| place.at(step));
        if !last.is_empty() {
            let (outer, begin) = first.split_at(first.len() - 1);
            let name = begin.iter().chain(last).copied().collect::<Vec<_>>().join(".");
            place = outer.iter().fold(root.clone(), |place, step| place.at(step)).at(&name);
        }
        if let Some(text) = place.text() {
            return Some(text);
        }
    }
    None
}
