//! Is the canary there, and warm, before it gets traffic?

use super::{Check, asked, check_url, span};
use crate::plan::Insufficient;
use crate::ready::{Ready, WarmUpHook, WarmUpHow};
use crate::source::Source;
use crate::typed;

/// `several`: are there further versions on trial?
pub(super) fn ready(check: &mut Check, written: &typed::Ready, several: bool) -> Ready {
    let at = "spec.ready";
    let endpoints = written.endpoints.unwrap_or(1);
    if endpoints == 0 {
        let remedy = "write 1 or more: a canary without endpoints never gets traffic";
        check.refuse(format!("{at}.endpoints"), "none are wanted", remedy);
    }
    let of_stable_ppm = written.of_stable.map_or(0, |part| part.ppm());
    if let Some(source) = &written.source {
        if matches!(source, Source::Push(_)) {
            let remedy = "use prometheus or http, or leave it out: Envoy knows";
            check.refuse(format!("{at}.source.push"), "endpoints are asked for, not pushed", remedy);
        }
        super::sources::source(check, at, source);
        if of_stable_ppm > 0 && !source.gives_stable() {
            check.refuse(
                format!("{at}.ofStable"),
                "the source does not count stable's endpoints",
                "add stableQuery or stablePointer, or write `endpoints` instead",
            );
        }
    }
    if written.source.is_some() && written.kubernetes.is_some() {
        check.refuse(format!("{at}.kubernetes"), "there is a source as well", "keep one of the two");
    }
    let kubernetes =
        written.kubernetes.clone().and_then(|written| super::kubernetes::ready(check, written, several));
    if of_stable_ppm > 0 && kubernetes.as_ref().is_some_and(|it| !it.of.gives_stable()) {
        let what = "stable's endpoints are not counted";
        check.refuse(format!("{at}.ofStable"), what, "add `kubernetes.stable`, or write `endpoints` instead");
    }
    Ready {
        endpoints,
        of_stable_ppm,
        source: written.source.clone(),
        kubernetes,
        timeout_ms: span(written.timeout, 600_000),
        on_timeout: written.on_timeout.unwrap_or_default(),
        on_loss: written.on_loss.unwrap_or(Insufficient::Rollback),
    }
}

pub(super) fn warm_up_hook(check: &mut Check, written: &typed::WarmUpHook) -> WarmUpHook {
    let at = "spec.warmUpHook";
    let how = match (written.url.clone(), written.command.clone(), written.requests.clone()) {
        (Some(url), None, None) => {
            check_url(check, &format!("{at}.url"), &url);
            WarmUpHow::Url(url)
        }
        (None, Some(command), None) => {
            if command.first().is_none_or(String::is_empty) {
                let remedy = "write the program and its arguments as a list";
                check.refuse(format!("{at}.command"), "no program is named", remedy);
            }
            WarmUpHow::Command(command)
        }
        (None, None, Some(typed::WarmUpRequests { url, count, body })) => {
            asked(check, &format!("{at}.requests"), &url, &crate::source::Access::default());
            if !(1..=100_000).contains(&count) {
                let remedy = "write a number from 1 to 100000";
                check.refuse(
                    format!("{at}.requests.count"),
                    format!("{count} requests warm nothing"),
                    remedy,
                );
            }
            if body.as_ref().is_some_and(|body| serde_json::from_str::<serde_json::Value>(body).is_err()) {
                check.refuse(format!("{at}.requests.body"), "it is no JSON", "write JSON as one text");
            }
            WarmUpHow::Requests { url, count, body }
        }
        _ => {
            let remedy = "keep one of the three";
            check.refuse(at, "it is not exactly one of url, command and requests", remedy);
            WarmUpHow::Command(Vec::new())
        }
    };
    let timeout_ms = span(written.timeout, 300_000);
    if timeout_ms == 0 {
        check.refuse(format!("{at}.timeout"), "it has no time at all", "write a time such as 5m");
    }
    WarmUpHook { how, timeout_ms }
}
