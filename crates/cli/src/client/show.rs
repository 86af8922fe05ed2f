//! A rollout as text for a terminal.

use std::fmt::Write as _;

use api::{
    ActionView, ArmView, BanditView, ChallengerOutcome, ExposedView, GateWatchView, HookCallView,
    KeepWarmView, QueuedView, RunView, ShareView, UnwatchedView, VerdictView, WatchView, moment,
};

use super::exercise::so_far;
use super::practice;

/// One rollout with its gates.
pub fn one(whole: &RunView, now_ms: u64) -> String {
    let view = &whole.run;
    let mut out = String::new();
    let _ = write!(
        out,
        "{} run {}: {} -> {}   {}   weight {}{}   stage {}/{}",
        view.name,
        view.run,
        view.begins_at(),
        view.canary,
        view.phase,
        percent(view.weight_ppm),
        measured(whole).unwrap_or_default(),
        view.stage,
        view.stage_count,
    );
    if let Some(generation) = whole.generation {
        let _ = write!(out, "   generation {generation}");
    }
    if !whole.revision.is_empty() {
        let _ = write!(out, "   revision {}", whole.revision);
    }
    let _ = writeln!(out, "\n  {}", view.message);
    let ExposedView { requests, errors } = view.exposed;
    if requests > 0 {
        let _ = writeln!(out, "  exposed so far: {requests} requests, {errors} of them errors");
    }
    if let Some(closed) = &view.closed {
        let _ = writeln!(out, "  it does not rise now: {}", closed.why);
    }
    for (index, known) in view.overrides.iter().enumerate() {
        let (number, past) = (index + 1, known.past.join("; "));
        let _ = writeln!(
            out,
            "  override {number}: {} at stage {} ({}): {past}",
            known.who, known.stage, known.reason
        );
    }
    if let Some(bandit) = &view.bandit {
        shares(&mut out, bandit);
    }
    members(&mut out, &whole.members);
    if view.arms.is_empty() {
        if let Some(stage) = view.stages.last() {
            verdicts(&mut out, &stage.gates);
        }
        verdicts(&mut out, &view.guardrails);
    }
    for arm in &view.arms {
        let ArmView { arm: name, version, weight_ppm, standing, reason, gates, .. } = arm;
        let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let _ = writeln!(out, "  {name} ({version})   {}   {standing}{why}", percent(*weight_ppm));
        if *standing != ChallengerOutcome::Left {
            for VerdictView { name, answer, why, .. } in gates {
                let _ = writeln!(out, "    {answer:<14} {name:<16} {why}");
            }
        }
    }
    if let Some(watch) = &view.watch {
        watched(&mut out, watch);
    }
    for refusal in &whole.refusals {
        let proxy = envoy::ecds::pod(&refusal.node).unwrap_or_else(|| refusal.node.clone());
        let _ = writeln!(out, "  refused by {proxy}: {}", refusal.reason);
    }
    if let Some(drill) = &whole.drill {
        let outcome = so_far(drill.outcome.as_ref());
        let _ = writeln!(out, "  drill {}: {outcome}: {}", drill.number, drill.message);
    }
    if let Some(parity) = &whole.parity {
        let finding = so_far(parity.finding.as_ref()).replace('_', " ");
        let _ = writeln!(out, "  A/A check {}: {finding}: {}", parity.number, parity.message);
    }
    practice::lines(&mut out, whole, now_ms);
    for of in std::iter::once(whole).chain(&whole.members) {
        kept(&mut out, &view.name, of.run.kept.as_ref(), &of.run.calls);
    }
    match &whole.queued {
        Some(QueuedView { canary, who, refused: None, .. }) => {
            let _ = writeln!(out, "  queued: {canary}, by {who}; it begins when this run is over");
        }
        Some(QueuedView { canary, who, refused: Some(why), .. }) => {
            let _ = writeln!(out, "  queued: {canary}, by {who}; it did not begin: {why}");
        }
        None => {}
    }
    by_hand(&mut out, &view.name, &view.ways);
    out
}

/// The share of requests that the canary gets, beside the one that was set: with sticky users it is that of those who
/// come.
fn measured(whole: &RunView) -> Option<String> {
    let demand = whole.demand.as_ref().filter(|demand| demand.canary.share_ppm > 0)?;
    let (canary, all) = (demand.canary.per_second?, demand.per_second.filter(|all| *all > 0.0)?);
    Some(format!(" (measured {:.1}% of {all:.0} requests/s)", 100.0 * canary / all))
}

/// What a person can type now, and what it does.
fn by_hand(out: &mut String, name: &str, ways: &[ActionView]) {
    let typed: Vec<String> = ways
        .iter()
        .map(|ActionView { verb, arm, reason, .. }| {
            let arm = if *arm { " --arm ARM" } else { "" };
            let reason = if *reason { " --reason TEXT" } else { "" };
            format!("serin {verb} {name}{arm}{reason}")
        })
        .collect();
    let Some(wide) = typed.iter().map(String::len).max() else { return };
    let _ = writeln!(out, "  by hand:");
    for (typed, way) in typed.iter().zip(ways) {
        let _ = writeln!(out, "    {typed:<wide$}   {}", way.does);
    }
}

/// What is kept warm now that the run is over, and which hooks are still to be called.
fn kept(out: &mut String, name: &str, kept: Option<&KeepWarmView>, calls: &[HookCallView]) {
    if let Some(KeepWarmView { versions, left_ms, until_unix_ms, there, was_stable }) = kept {
        let (versions, left) =
            (versions.join(", "), manifest::Span::from_ms(left_ms.div_ceil(1_000) * 1_000));
        let until = api::moment(*until_unix_ms);
        let there = match there {
            None => "",
            Some(true) => "; its endpoints report it",
            Some(false) => "; its endpoints do not report it",
        };
        let _ =
            write!(out, "  kept warm: {versions} behind the canary route, for {left} (until {until}){there}");
        let back = if *was_stable {
            format!("; go back: serin rollback {name} --reason ...")
        } else {
            String::new()
        };
        let _ = writeln!(out, "{back}");
    }
    for HookCallView { run, duty, versions, failed, again_ms } in calls {
        let wants = duty.known().map_or("deleted", |duty| duty.wants());
        let _ = write!(out, "  hook after run {run}: {} to be {wants}", versions.join(", "));
        let _ = match (failed, again_ms) {
            (None, _) => writeln!(out, "; an answer is awaited"),
            (Some(why), None) => writeln!(out, "; failed: {why}; called again now"),
            (Some(why), Some(ms)) => {
                let left = manifest::Span::from_ms(ms.div_ceil(1_000) * 1_000);
                writeln!(out, "; failed: {why}; again in {left}, or at once: serin resume {name}")
            }
        };
    }
}

/// What is watched since the promotion, and how it stands.
fn watched(out: &mut String, watch: &WatchView) {
    let WatchView { version, standing, since_unix_ms, gates, left_out, .. } = watch;
    let since = moment(*since_unix_ms);
    let _ = writeln!(out, "  {standing}: {version} since {since}");
    for GateWatchView { name, standing, why, .. } in gates {
        let _ = writeln!(out, "    {standing:<12} {name:<16} {why}");
    }
    for UnwatchedView { name, why } in left_out {
        let _ = writeln!(out, "    {:<12} {name:<16} {why}", "not watched");
    }
}

/// One line for each member of a fleet, and below it what its gates say.
fn members(out: &mut String, members: &[RunView]) {
    let Some(wide) = members.iter().map(|member| member.run.name.len()).max() else { return };
    let columns = [
        ("MODEL", members.iter().any(|member| member.run.model.is_some())),
        ("REGION", members.iter().any(|member| member.run.region.is_some())),
    ];
    let _ = write!(out, "\n  ");
    for (name, _) in columns.iter().filter(|(_, shown)| *shown) {
        let _ = write!(out, "{name:<16} ");
    }
    let _ = writeln!(out, "{:<12} {:>8} {:>7}  MESSAGE", "PHASE", "WEIGHT", "STAGE");
    for member in members {
        let cells = [member.run.model.as_deref(), member.run.region.as_deref()];
        let _ = write!(out, "  ");
        for (cell, _) in cells.iter().zip(columns).filter(|(_, (_, shown))| *shown) {
            let _ = write!(out, "{:<16} ", cell.unwrap_or("-"));
        }
        let (weight, stage) =
            (percent(member.run.weight_ppm), format!("{}/{}", member.run.stage, member.run.stage_count));
        let _ = writeln!(out, "{:<12} {weight:>8} {stage:>7}  {}", member.run.phase, member.run.message);
    }
    for member in members {
        for gate in member.run.stages.last().map(|stage| &stage.gates).into_iter().flatten() {
            let _ = writeln!(
                out,
                "  {:<14} {:<wide$} {:<16} {}",
                gate.answer, member.run.name, gate.name, gate.why
            );
        }
    }
}

/// Between what shares move, and how likely each version is the best.
fn shares(out: &mut String, bandit: &BanditView) {
    let BanditView { by, floor_ppm, ceiling_ppm, most_ppm, next_in_ms, holds, versions } = bandit;
    let together = if versions.len() > 2 {
        format!(
            "each between {} and {}, up to {} together",
            percent(*floor_ppm),
            percent(*most_ppm),
            percent(*ceiling_ppm)
        )
    } else {
        format!("between {} and {}", percent(*floor_ppm), percent(*most_ppm))
    };
    let next = next_in_ms
        .map(|ms| format!(", considered again in {}", manifest::Span::from_ms(ms.div_ceil(1_000) * 1_000)));
    let _ = writeln!(out, "  shares follow {by}, {together}{}", next.unwrap_or_default());
    for ShareView { arm, version, share_ppm, best } in versions {
        let best = best.map_or_else(|| "?".to_owned(), |best| format!("{:.1}%", 100.0 * best));
        let _ = writeln!(
            out,
            "    {:<24} {:>8}   best with {best}",
            format!("{version} ({arm})"),
            percent(*share_ppm)
        );
    }
    if let Some(why) = holds {
        let _ = writeln!(out, "    none rises now: {why}");
    }
}

fn verdicts(out: &mut String, gates: &[VerdictView]) {
    for gate in gates {
        let _ = writeln!(out, "  {:<14} {:<16} {}", gate.answer, gate.name, gate.why);
    }
}

/// Parts per million as a person reads them.
pub fn percent(ppm: u32) -> String {
    format!("{}%", f64::from(ppm) / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_fits_a_terminal() {
        let view: RunView = serde_json::from_str(
            r#"{"name":"ranker","run":2,"phase":"Progressing","message":"bakes","stage":1,"stage_count":4,
                "weight_ppm":1500,"generation":7,"revision":"2-31","stable":"v1","canary":"v2","unknown":[1],
                "stages":[{"gates":[{"name":"errors","verdict":"insufficient","why":"12 requests"}]}]}"#,
        )
        .expect("a view");
        assert_eq!(
            one(&view, 0),
            "ranker run 2: v1 -> v2   Progressing   weight 0.15%   stage 1/4   generation 7   revision 2-31\n  bakes\n  \
             insufficient   errors           12 requests\n"
        );
        for (refused, tail) in [
            ("null", "queued: v3, by anna; it begins when this run is over"),
            ("\"why\"", "queued: v3, by anna; it did not begin: why"),
        ] {
            let text = format!(r#"{{"queued":{{"canary":"v3","who":"anna","refused":{refused}}}}}"#);
            let view: RunView = serde_json::from_str(&text).expect("a view");
            assert!(one(&view, 0).ends_with(&format!("  {tail}\n")), "{}", one(&view, 0));
        }
        let text = r#"{"closed":{"why":"frozen until the end of 2026-12-27; opens Monday"},
                       "overrides":[{"who":"anna","reason":"incident 12","stage":2,"past":["a","b"]}]}"#;
        let view_of_windows: RunView = serde_json::from_str(text).expect("a view");
        let shown = one(&view_of_windows, 0);
        for part in ["it does not rise now: frozen until", "override 1: anna at stage 2 (incident 12): a; b"]
        {
            assert!(shown.contains(part), "{shown}");
        }
        let exposed: RunView =
            serde_json::from_str(r#"{"exposed":{"requests":1200,"errors":13}}"#).expect("a view");
        assert!(
            one(&exposed, 0).contains("\n  exposed so far: 1200 requests, 13 of them errors\n"),
            "{}",
            one(&exposed, 0)
        );
        let member = |model: &str, weight: u32| {
            format!(
                r#"{{"name":"f.{model}","model":"{model}","region":"eu","phase":"Progressing","message":"bakes","stage":1,"stage_count":4,
                    "weight_ppm":{weight},"stages":[{{"gates":[{{"name":"errors","verdict":"pass","why":"fine"}}]}}]}}"#
            )
        };
        let text =
            format!(r#"{{"name":"f","members":[{},{}]}}"#, member("ranking", 10_000), member("two", 0));
        let shown = one(&serde_json::from_str(&text).expect("a fleet"), 0);
        let lines: Vec<&str> = shown.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "",
                "  MODEL            REGION           PHASE          WEIGHT   STAGE  MESSAGE",
                "  ranking          eu               Progressing        1%     1/4  bakes",
                "  two              eu               Progressing        0%     1/4  bakes",
                "  pass           f.ranking errors           fine",
                "  pass           f.two     errors           fine",
            ]
        );
        let text = r#"{"watch":{"version":"v2","standing":"watching","since_unix_ms":1700000000000,
            "gates":[{"name":"errors","standing":"drift","why":"error_rate is 4%"}],
            "left_out":[{"name":"clicks","why":"its figures are not counted"}]}}"#;
        let shown = one(&serde_json::from_str(text).expect("a view"), 0);
        let watch = "  watching: v2 since 2023-11-14T22:13:20.000Z\n    drift        errors           error_rate is 4%\n    \
                     not watched  clicks           its figures are not counted\n";
        assert!(shown.ends_with(watch), "{shown}");
        let several: RunView = serde_json::from_str(
            r#"{"name":"ranker","run":1,"stages":[{"gates":[{"name":"errors"}]}],"arms":[
                {"arm":"canary","version":"v2","weight_ppm":50000,"standing":"in",
                 "gates":[{"name":"errors","verdict":"pass","why":"proven"}]},
                {"arm":"b","version":"v3","weight_ppm":0,"standing":"dropped","reason":"gate errors: harm"}]}"#,
        )
        .expect("a view");
        let text = one(&several, 0);
        let arms = "  canary (v2)   5%   in\n    pass           errors           proven\n  \
                    b (v3)   0%   dropped: gate errors: harm\n";
        assert!(text.ends_with(arms), "{text}");
        let moving: RunView = serde_json::from_str(
            r#"{"name":"ranker","bandit":{"by":"error_rate","floor_ppm":10000,"ceiling_ppm":200000,"most_ppm":190000,
                "next_in_ms":61200,"holds":"v1 has 7 of the 100 answers it takes","versions":[
                {"arm":"canary","version":"v2","share_ppm":120000,"best":0.813},
                {"arm":"b","version":"v3","share_ppm":10000,"best":null},
                {"arm":"stable","version":"v1","share_ppm":870000,"best":0.001}]}}"#,
        )
        .expect("a view");
        let text = one(&moving, 0);
        let shares = "  shares follow error_rate, each between 1% and 19%, up to 20% together, considered again in 1m2s\n    \
                      v2 (canary)                   12%   best with 81.3%\n    \
                      v3 (b)                         1%   best with ?\n    \
                      v1 (stable)                   87%   best with 0.1%\n    \
                      none rises now: v1 has 7 of the 100 answers it takes\n";
        assert!(text.ends_with(shares), "{text}");
        assert_eq!(super::super::exit_code(&view), None);
    }

    #[test]
    fn the_share_that_is_there_stands_beside_the_one_that_was_set() {
        let shown = |demand: &str| {
            let text = format!(r#"{{"name":"ranker","weight_ppm":50000,"demand":{demand}}}"#);
            one(&serde_json::from_str(&text).expect("a view"), 0)
        };
        let text = shown(r#"{"per_second":484.5,"canary":{"share_ppm":50000,"per_second":22.3}}"#);
        assert!(text.contains("weight 5% (measured 4.6% of 484 requests/s)   stage"), "{text}");
        for nothing in [
            "null",
            r#"{"per_second":0.0,"canary":{"share_ppm":50000,"per_second":0.0}}"#,
            r#"{"per_second":null,"canary":{"share_ppm":50000,"per_second":null}}"#,
            r#"{"per_second":484.5,"canary":{"share_ppm":0,"per_second":0.0}}"#,
        ] {
            assert!(shown(nothing).contains("weight 5%   stage"), "{nothing}");
        }
    }

    #[test]
    fn what_can_be_done_is_what_to_type() {
        let text = r#"{"name":"ranker","run":2,"ways":[
            {"verb":"promote","arm":true,"reason":true,"does":"on to 25%"},{"verb":"abort","does":"back to stable"}]}"#;
        let shown = one(&serde_json::from_str(text).expect("a view"), 0);
        let lines = "  by hand:\n    serin promote ranker --arm ARM --reason TEXT   on to 25%\n    \
                     serin abort ranker                             back to stable\n";
        assert!(shown.ends_with(lines), "{shown}");
    }

    #[test]
    fn what_comes_after_the_end_says_how_long_and_what_to_type() {
        let kept =
            r#"{"versions":["v1"],"left_ms":1619300,"until_unix_ms":0,"there":true,"was_stable":true}"#;
        let failed =
            r#"{"run":3,"duty":"succeeded","versions":["v0"],"failed":"answered 503","again_ms":9500}"#;
        let asked = r#"{"run":3,"duty":"keep","versions":["v1"]}"#;
        let text = format!(r#"{{"name":"ranker","kept":{kept},"calls":[{failed},{asked}]}}"#);
        let shown = one(&serde_json::from_str(&text).expect("a view"), 0);
        for part in [
            "kept warm: v1 behind the canary route, for 27m (until 1970-01-01T00:00:00.000Z); its endpoints report it; \
             go back: serin rollback ranker --reason ...",
            "hook after run 3: v0 to be deleted; failed: answered 503; again in 10s, or at once: serin resume ranker",
            "hook after run 3: v1 to be put behind the canary route; an answer is awaited",
        ] {
            assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
        }
    }
}
