//! The webhooks of a Canary.

use super::Checks;
use crate::draft::{Draft, push_it, pushed};
use crate::place::Place;
use crate::report::Ledger;
use manifest::typed::Gate;

/// What webhooks ask for.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    pub(super) gates: Vec<String>,
    /// A yes before anybody is exposed, before every step, before all traffic.
    pub(super) first_waits: bool,
    pub(super) each_waits: bool,
    pub(super) last_waits: bool,
}

pub(super) fn read<'a>(
    draft: &mut Draft<'a>,
    list: &Place<'a>,
    checks: &Checks,
    ledger: &mut Ledger,
) -> Hooks {
    let mut hooks = Hooks::default();
    for at in list.items() {
        let name = at.at("name").text().unwrap_or_else(|| "webhook".to_owned());
        let kind = at.at("type").text().unwrap_or_else(|| "rollout".to_owned());
        let url = at.at("url").text().unwrap_or_default();
        let command = at.down("metadata.type").text();
        let loads = at.down("metadata.cmd").is_there() || command.is_some();
        // The load tester answers for commands of other types, such as bash, when they have ended.
        let traffic = loads && command.is_none_or(|kind| kind == "cmd");
        let yes = "`approval: true`: a person says yes by `serin approve`, or a program does";
        let ask = "have what answered the webhook call `serin approve` in its place";
        match kind.as_str() {
            "rollout" | "" if traffic => {
                let what = "it makes traffic, and Serin makes none: what counts is what users send";
                ledger.lost(&at, what, "let it run by itself where there are no users");
            }
            "rollout" | "" => {
                let gate = Gate { every: checks.gate(&name).every, ..pushed(&name) };
                let gate = draft.gate(gate, &at);
                let what = "Serin reads numbers, and does not ask whether a URL answers with 2xx";
                ledger.lost(&at, what, &push_it(&draft.name, &gate));
                hooks.gates.push(gate);
            }
            "pre-rollout" if loads => {
                let what = "its command is run by Flagger's load tester, which Serin does not know";
                ledger.lost(
                    &at,
                    what,
                    "run it in the pipeline before `serin apply`, or as a `warmUpHook` command",
                );
            }
            "pre-rollout" if draft.warm_up.is_none() && !url.is_empty() => {
                let what = "`warmUpHook`: called before the first request, with the rollout's name and versions as JSON; 2xx is success";
                ledger.approximated(&at, what, "it gets no `metadata`");
                draft.warm_up = Some(url);
            }
            "confirm-rollout" => {
                hooks.first_waits = true;
                ledger.approximated(&at, format!("a first stage of 0% with {yes}"), ask);
            }
            "confirm-traffic-increase" => {
                hooks.each_waits = true;
                ledger.approximated(&at, format!("each stage has {yes}"), ask);
            }
            "confirm-promotion" => {
                hooks.last_waits = true;
                ledger.approximated(&at, format!("the last stage before all traffic has {yes}"), ask);
            }
            "post-rollout" if draft.succeeded.is_none() && !url.is_empty() && !loads => {
                let what = "`after.succeeded`: called when the promotion is over and the old version can go";
                ledger.approximated(&at, what, "it gets no `metadata`");
                draft.succeeded = Some(url);
            }
            "rollback" => {
                let what = "Serin asks nobody whether to go back";
                ledger.lost(&at, what, "have it call `serin rollback NAME`, which goes back at once");
            }
            "event" => {
                let what = "Serin calls nobody with what happens";
                ledger.lost(&at, what, "follow `serin get -w`, or have Prometheus alert on serin's metrics");
            }
            _ => ledger.lost(
                &at,
                format!("a hook of type {kind:?} has no place"),
                "run it in the pipeline around `serin wait`",
            ),
        }
    }
    hooks
}
