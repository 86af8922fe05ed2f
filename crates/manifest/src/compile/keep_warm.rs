//! What is kept when the run is over, and who is told that it no longer is.

use super::hand_back::{endpoints, hook, version_in};
use super::{Check, kubernetes, span};
use crate::keep_warm::{AfterRun, HookHow, KeepWarm};
use crate::typed;

const HALF_AN_HOUR_MS: u64 = 30 * 60_000;

/// It, and what is done when its time is over.
pub(super) fn keep_warm(
    check: &mut Check,
    written: Option<&typed::KeepWarm>,
) -> (Option<Box<KeepWarm>>, Option<HookHow>) {
    let Some(written) = written.cloned() else { return (None, None) };
    let at = "spec.keepWarm";
    let for_ms = span(written.time, HALF_AN_HOUR_MS);
    if for_ms == 0 {
        let remedy = "write a time such as 30m, or leave keepWarm out";
        check.refuse(format!("{at}.for"), "the old version would be kept for no time", remedy);
    }
    endpoints(check, at, &written.endpoints);
    if written.hook.is_some() && written.kubernetes.is_some() {
        check.refuse(format!("{at}.kubernetes"), "there is a hook as well", "keep one of the two");
    }
    let by_hook = written.hook.and_then(|written| hook(check, &format!("{at}.hook"), written));
    let (placed, scale) = match written.kubernetes.map(|written| kubernetes::keep_warm(check, written)) {
        None => (None, None),
        Some((placed, scale)) => (Some(HookHow::Kubernetes(Box::new(placed))), scale),
    };
    let keep = KeepWarm {
        for_ms,
        hook: by_hook.or(placed),
        version_in: version_in(check, at, written.version_header, written.json_pointer),
        endpoints: written.endpoints,
    };
    (Some(Box::new(keep)), scale.map(|scale| HookHow::Kubernetes(Box::new(scale))))
}

/// `scale`: what `keepWarm` asks for when its time is over.
pub(super) fn after(
    check: &mut Check,
    written: Option<&typed::AfterRun>,
    scale: Option<HookHow>,
) -> AfterRun {
    let typed::AfterRun { succeeded, rolled_back } = written.cloned().unwrap_or_default();
    if scale.is_some() {
        for (field, given) in [("succeeded", succeeded.is_some()), ("rolledBack", rolled_back.is_some())] {
            if given {
                let remedy = "keep one of the two: the hook, or the replicas";
                let what = "keepWarm.kubernetes.replicas scales the version down then";
                check.refuse(format!("spec.after.{field}"), what, remedy);
            }
        }
    }
    let mut of = |field: &str, written: Option<typed::Hook>| {
        let by_hook = written.and_then(|written| hook(check, &format!("spec.after.{field}"), written));
        by_hook.or_else(|| scale.clone())
    };
    AfterRun { succeeded: of("succeeded", succeeded), rolled_back: of("rolledBack", rolled_back) }
}
