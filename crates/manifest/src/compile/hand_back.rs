//! The end of the way, and hooks at it.

use super::{Check, check_url, kubernetes, span};
use crate::amount::Percent;
use crate::keep_warm::HookHow;
use crate::plan::{HandBack, HandBackHow, VersionIn};
use crate::typed::{Hook, RolloutSpec};

pub(super) fn hand_back(check: &mut Check, spec: &RolloutSpec) -> HandBack {
    let written = spec.hand_back.clone().unwrap_or_default();
    let at = "spec.handBack";
    if written.hook.is_some() && written.kubernetes.is_some() {
        check.refuse(format!("{at}.kubernetes"), "there is a hook as well", "keep one of the two");
    }
    let by_hook = written.hook.and_then(|written| hook(check, &format!("{at}.hook"), written));
    let changed = written.kubernetes.and_then(|written| kubernetes::hand_back(check, written));
    let changed = changed.map(|change| HookHow::Kubernetes(Box::new(change)));
    let how = match by_hook.or(changed) {
        None => HandBackHow::Manual,
        Some(HookHow::Url(url)) => HandBackHow::Url(url),
        Some(HookHow::Command(command)) => HandBackHow::Command(command),
        Some(HookHow::Kubernetes(change)) => HandBackHow::Kubernetes(change),
    };
    endpoints(check, at, &written.endpoints);
    let version_in = version_in(check, at, written.version_header, written.json_pointer);
    let steps = written.steps.unwrap_or_else(|| vec![Percent::from_ppm(500_000), Percent::from_ppm(0)]);
    if steps.is_empty() {
        check.refuse(format!("{at}.steps"), "there is no step", "end with 0%, or leave the field out");
    }
    HandBack {
        how,
        endpoints: written.endpoints,
        version_in,
        steps_ppm: check.falling(&format!("{at}.steps"), &steps, true),
        step_ms: span(written.step, 10_000),
        remind_after_ms: span(written.remind_after, 600_000),
    }
}

/// `None`: it cannot be called, which is said.
pub(super) fn hook(check: &mut Check, at: &str, written: Hook) -> Option<HookHow> {
    match written {
        Hook { url: Some(url), command: None } => {
            check_url(check, &format!("{at}.url"), &url);
            Some(HookHow::Url(url))
        }
        Hook { url: None, command: Some(command) } => {
            if command.first().is_none_or(String::is_empty) {
                let remedy = "write the program and its arguments as a list";
                check.refuse(format!("{at}.command"), "no program is named", remedy);
            }
            Some(HookHow::Command(command))
        }
        _ => {
            check.refuse(at, "it is not exactly one of url and command", "keep one of the two");
            None
        }
    }
}

pub(super) fn endpoints(check: &mut Check, at: &str, written: &[String]) {
    for (index, endpoint) in written.iter().enumerate() {
        check_url(check, &format!("{at}.endpoints[{index}]"), endpoint);
    }
}

/// Where endpoints name their version.
pub(super) fn version_in(
    check: &mut Check,
    at: &str,
    header: Option<String>,
    pointer: Option<String>,
) -> VersionIn {
    match (header, pointer) {
        (Some(_), Some(_)) => {
            check.refuse(
                format!("{at}.jsonPointer"),
                "versionHeader is given as well",
                "keep one of the two",
            );
            VersionIn::Header(String::new())
        }
        (None, Some(pointer)) => {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                let what = format!("{pointer:?} is not a JSON pointer");
                check.refuse(format!("{at}.jsonPointer"), what, "begin with '/', such as /model/version");
            }
            VersionIn::JsonPointer(pointer)
        }
        (header, None) => {
            let header = header.unwrap_or_else(|| "x-model-version".to_owned());
            VersionIn::Header(check.header(&format!("{at}.versionHeader"), &header))
        }
    }
}
