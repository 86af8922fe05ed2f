//! From a draft to a rollout that `serin lint` accepts.

use manifest::typed::{
    AfterRun, Assignment, Hook, Key, Level, Match, Metadata, Mode, Rollout, RolloutSpec, Routing, WarmUpHook,
};
use manifest::{Percent, Problem, Severity};
use serde_json::json;

use super::{Draft, LEAST_DEADLINE_MS, OF_PRESET, Stage, push_it, pushed, takes_ms};
use crate::report::{Fate, Ledger, Note};
use crate::text::span;

/// A rollout that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Its text, which [`manifest::load`] reads: `serin.dev/v1alpha1`, with what is lost in its head.
    pub yaml: String,
    /// As typed.
    pub rollout: Rollout,
}

/// The longest deadline, a year.
const LONGEST_MS: u64 = 366 * 86_400_000;

impl Draft<'_> {
    /// The rollout. What Serin does not take after all is left out of it and named; `None`: nothing is left.
    pub(crate) fn finish(mut self, ledger: &mut Ledger) -> Option<Made> {
        self.complete(ledger);
        // Each turn takes something out.
        for _ in 0..self.gates.len() * 2 + self.overrides.len() + 10 {
            let rollout = self.rollout()?;
            let yaml = serde_saphyr::to_string(&rollout).ok()?;
            let problems = match manifest::load(&yaml) {
                Ok(_) => {
                    let yaml = format!("{}{yaml}", self.head(ledger));
                    return Some(Made { name: self.name, yaml, rollout });
                }
                Err(problems) => problems,
            };
            let first = problems.0.iter().find(|problem| problem.severity == Severity::Error)?;
            if !self.without(first, ledger) {
                let what = format!("no rollout can be made of it: {}: {}", first.field, first.what);
                ledger.lost(&self.of.at("(rollout)"), what, &first.remedy.clone());
                return None;
            }
        }
        None
    }

    /// The stages end at 100 %.
    fn complete(&mut self, ledger: &mut Ledger) {
        let idle = |stage: &Stage| {
            stage.weight.ppm() == 0 && stage.shadow.is_none() && stage.bake_ms == 0 && !stage.approval
        };
        while self.stages.first().is_some_and(idle) {
            self.stages.remove(0);
        }
        let all = Percent::from_ppm(1_000_000);
        if self.stages.last().is_some_and(|last| last.weight < all) {
            let what = "a last stage of 100% for 5m stands at the end: Serin promotes what bore all traffic for a while, with the way \
                        back open";
            ledger.approximated(
                &self.of.at("(stages)"),
                what,
                "change its bake where that is too long or too short",
            );
            self.rise_to(all);
            self.bake(300_000);
        }
        if let Some(last) = self.stages.last_mut().filter(|last| last.weight == all && last.bake_ms == 0) {
            last.bake_ms = 300_000;
            let what = "nothing comes after all traffic: the last stage lasts 5m all the same, with the way back open";
            ledger.approximated(
                &self.of.at("(last stage)"),
                what,
                "change its bake where that is too long or too short",
            );
        }
        let beside = "Serin's own gates on errors, answer times and requests that wait stand beside those of here (preset default)";
        ledger.approximated(
            &self.of.at("(own gates)"),
            beside,
            "leave one out by `{name: latency, level: off}`",
        );
        if self.hosts.is_empty() && self.prefix.is_none() {
            let what = "nothing says which requests are its own: it takes all that the filter sees";
            ledger.approximated(&self.of.at("(match)"), what, "write `match: {authority: [HOST]}`");
        }
        if self.stages.is_empty() && self.arms.is_empty() {
            let what =
                "it says no steps: the stages are those of Serin's default preset (5%, 25%, 50%, 100%)";
            ledger.approximated(&self.of.at("(stages)"), what, "write `stages` where others are meant");
        }
    }

    fn rollout(&self) -> Option<Rollout> {
        let versions = json!({"stable": {"version": self.stable}, "canary": {"version": self.canary}});
        let mut spec: RolloutSpec = serde_json::from_value(versions).ok()?;
        let has_scope = !self.hosts.is_empty() || self.prefix.is_some();
        spec.scope = has_scope.then(|| Match {
            authority: self.hosts.clone(),
            path_prefix: self.prefix.clone(),
            ..Match::default()
        });
        spec.routing =
            self.clusters.clone().map(|clusters| Routing { clusters: Some(clusters), ..Routing::default() });
        spec.assignment = self.cookie.clone().map(|cookie| Assignment {
            mode: Some(Mode::Sticky),
            keys: vec![Key::Cookie(cookie)],
            unit: Some(manifest::Unit::Request),
            ..Assignment::default()
        });
        spec.overrides = self.overrides.iter().map(|(known, _)| known.clone()).collect();
        let preset = if self.arms.is_empty() { "default" } else { "ab-n" };
        spec.preset = Some(preset.to_owned());
        spec.arms.clone_from(&self.arms);
        spec.gates = self.gates.iter().map(|(gate, _)| gate.clone()).collect();
        spec.stages =
            (!self.stages.is_empty()).then(|| self.stages.iter().map(|stage| self.typed(stage)).collect());
        spec.warm_up_hook =
            self.warm_up.clone().map(|url| WarmUpHook { url: Some(url), ..WarmUpHook::default() });
        spec.after = self.succeeded.clone().map(|url| AfterRun {
            succeeded: Some(Hook { url: Some(url), command: None }),
            rolled_back: None,
        });
        Some(Rollout {
            api_version: manifest::typed::API_VERSION.to_owned(),
            kind: manifest::typed::KIND.to_owned(),
            metadata: Metadata {
                name: self.name.clone(),
                namespace: self.of.document.namespace.clone(),
                ..Metadata::default()
            },
            spec,
        })
    }

    fn typed(&self, stage: &Stage) -> manifest::typed::Stage {
        let here = |name: &str| stage.gates.iter().any(|known| known == name);
        let of_all = self.gates.iter().all(|(gate, _)| here(&gate.name));
        let measures = stage.weight.ppm() > 0 || stage.shadow.is_some();
        let takes =
            self.gates.iter().filter(|(gate, _)| here(&gate.name)).map(|(gate, _)| takes_ms(gate)).max();
        let deadline = stage.bake_ms.saturating_mul(3).max(LEAST_DEADLINE_MS);
        let deadline = deadline.max(takes.unwrap_or(0).saturating_mul(2)).min(LONGEST_MS);
        let of_preset = OF_PRESET.iter().filter(|gate| stage.shadow.is_none() || **gate != "overdue");
        let named = || {
            let own = self.gates.iter().map(|(gate, _)| gate.name.as_str()).filter(|name| here(name));
            of_preset.copied().chain(own).map(str::to_owned).collect()
        };
        manifest::typed::Stage {
            weight: stage.shadow.is_none().then_some(stage.weight),
            shadow: stage.shadow,
            bake: span(stage.bake_ms),
            deadline: measures.then(|| span(deadline)),
            gates: (measures && !of_all).then(named),
            approval: stage.approval.then_some(true),
        }
    }

    /// Takes out what is refused, and names it; `false`: it is nothing that could be done without.
    fn without(&mut self, problem: &Problem, ledger: &mut Ledger) -> bool {
        let what = format!("Serin does not take it: {}", problem.what);
        if let Some(index) = index(&problem.field, "spec.gates[") {
            let Some((gate, at)) = self.gates.get_mut(index) else { return false };
            let of_itself = pushed(&gate.name);
            if *gate == of_itself || gate.level == Some(Level::Off) {
                let name = gate.name.clone();
                ledger.lost(&at.at("(gate)"), what, &problem.remedy);
                self.gates.remove(index);
                self.stages.iter_mut().for_each(|stage| stage.gates.retain(|known| *known != name));
            } else {
                let remedy = format!("{}; or {}", problem.remedy, push_it(&self.name, &gate.name));
                ledger.lost(&at.at("(gate)"), what, &remedy);
                *gate = of_itself;
            }
            return true;
        }
        if let Some(index) = index(&problem.field, "spec.overrides[") {
            let Some((_, at)) = self.overrides.get(index) else { return false };
            ledger.lost(&at.at("(rule)"), what, &problem.remedy);
            self.overrides.remove(index);
            return true;
        }
        ledger.lost(&self.of.at("(rollout)"), format!("{}: {what}", problem.field), &problem.remedy);
        match problem.field.split(['.', '[']).nth(1) {
            Some("match") => {
                std::mem::take(&mut self.hosts).len() + usize::from(self.prefix.take().is_some()) > 0
            }
            Some("routing") => self.clusters.take().is_some(),
            Some("assignment") => self.cookie.take().is_some(),
            Some("warmUpHook") => self.warm_up.take().is_some(),
            Some("after") => self.succeeded.take().is_some(),
            Some("arms" | "choose") => !std::mem::take(&mut self.arms).is_empty(),
            Some("stages") => !std::mem::take(&mut self.stages).is_empty(),
            _ => false,
        }
    }

    /// What stands above the text: where it comes from, and what a person has to do.
    fn head(&self, ledger: &Ledger) -> String {
        let document = self.of.document;
        let mut head =
            format!("# From {} in {} by `serin import`.\n", document.subject(), plain(&document.file));
        let named = |note: &&Note| note.fate == Fate::Lost || note.fate == Fate::Approximated;
        let (file, subject) = (&document.file, document.subject());
        let mine = |note: &&Note| note.file == *file && note.subject == subject;
        for note in ledger.notes.iter().filter(named).filter(mine) {
            let field = if note.field.is_empty() { String::new() } else { format!(" {}", note.field) };
            head.push_str(&plain(&format!("# {}{field} (line {}): {}", note.fate, note.line, note.what)));
            head.push('\n');
        }
        head
    }
}

/// One line, whatever stood in it.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || c == '\u{2028}' || c == '\u{2029}' || c == '\u{85}' { ' ' } else { c })
        .collect()
}

fn index(field: &str, list: &str) -> Option<usize> {
    field.strip_prefix(list)?.split(']').next()?.parse().ok()
}
