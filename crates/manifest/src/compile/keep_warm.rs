//! What is kept when the run is over, and who is told that it no longer is.

use super::hand_back::{endpoints, hook, version_in};
use super::{Check, span};
use crate::keep_warm::{AfterRun, KeepWarm};
use crate::typed;

const HALF_AN_HOUR_MS: u64 = 30 * 60_000;

pub(super) fn keep_warm(check: &mut Check, written: Option<&typed::KeepWarm>) -> Option<Box<KeepWarm>> {
    let written = written?.clone();
    let at = "spec.keepWarm";
    let for_ms = span(written.time, HALF_AN_HOUR_MS);
    if for_ms == 0 {
        let remedy = "write a time such as 30m, or leave keepWarm out";
        check.refuse(format!("{at}.for"), "nothing is kept", remedy);
    }
    endpoints(check, at, &written.endpoints);
    Some(Box::new(KeepWarm {
        for_ms,
        hook: written.hook.and_then(|written| hook(check, &format!("{at}.hook"), written)),
        version_in: version_in(check, at, written.version_header, written.json_pointer),
        endpoints: written.endpoints,
    }))
}

pub(super) fn after(check: &mut Check, written: Option<&typed::AfterRun>) -> AfterRun {
    let typed::AfterRun { succeeded, rolled_back } = written.cloned().unwrap_or_default();
    AfterRun {
        succeeded: succeeded.and_then(|written| hook(check, "spec.after.succeeded", written)),
        rolled_back: rolled_back.and_then(|written| hook(check, "spec.after.rolledBack", written)),
    }
}
