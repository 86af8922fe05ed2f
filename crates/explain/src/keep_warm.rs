//! What is said of the time after a run.

use std::fmt::Write as _;

use manifest::HookHow;
use manifest::Plan;
use manifest::Span;
use manifest::{WorkloadChange, WorkloadWhat};

pub(crate) fn afterwards(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let (name, stable, canary) = (&plan.name, &plan.stable, &plan.canary);
    if let Some(keep) = &plan.keep_warm {
        let time = Span::from_ms(keep.for_ms);
        match &keep.hook {
            None => write!(text, "After a promotion {stable} stays deployed behind the canary route")?,
            Some(HookHow::Kubernetes(change)) => {
                write!(text, "After a promotion {}", changed(change, stable))?
            }
            Some(hook) => {
                write!(text, "After a promotion {} to put {stable} behind the canary route", asked(hook))?;
            }
        }
        writeln!(
            text,
            ", for {time} or until another run begins: `serin rollback {name}` then gives it all traffic at once. After \
             a rollback {canary} stays for as long."
        )?;
    }
    let kept = if plan.keep_warm.is_some() { ", when nothing is kept any longer" } else { "" };
    for (end, version, hook) in
        [("promotion", stable, &plan.after.succeeded), ("rollback", canary, &plan.after.rolled_back)]
    {
        if let Some(HookHow::Kubernetes(change)) = hook {
            writeln!(text, "After a {end}{kept}, {}, if it runs {version}.", changed(change, version))?;
        } else if let Some(hook) = hook {
            writeln!(text, "After a {end}{kept}, {} to delete {version}.", asked(hook))?;
        }
    }
    Ok(())
}

fn asked(hook: &HookHow) -> String {
    match hook {
        HookHow::Url(url) => format!("{url} is asked"),
        HookHow::Command(command) => format!("`{}` is run", command.join(" ")),
        HookHow::Kubernetes(change) => format!("{} is changed", change.words()),
    }
}

/// What is done to an object for a version.
pub(crate) fn changed(change: &WorkloadChange, version: &str) -> String {
    let it = change.words();
    match &change.what {
        WorkloadWhat::Image { image, .. } => {
            format!("{it} is given the image {}", WorkloadChange::filled(image, version))
        }
        WorkloadWhat::Selector { labels, .. } => {
            let of = |(key, value): (&String, &String)| {
                format!("{key}={}", WorkloadChange::filled(value, version))
            };
            format!("{it} selects {}", labels.iter().map(of).collect::<Vec<_>>().join(","))
        }
        WorkloadWhat::Scale { replicas, .. } => format!("{it} is scaled to {replicas}"),
    }
}
