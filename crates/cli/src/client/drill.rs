//! `serin drill`: asks for a drill, follows it, and says what it found.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use api::{Begun, DrillRequest, DrillView, Kept, Outcome, RunView, Word};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Client, LOOK, refusal};
use crate::args::{self, Output};

/// What is followed until it is over.
pub(super) trait Followed: DeserializeOwned {
    fn outcome(&self) -> Option<&Word<Outcome>>;
    fn message(&self) -> &str;
}

impl Followed for DrillView {
    fn outcome(&self) -> Option<&Word<Outcome>> {
        self.outcome.as_ref()
    }

    fn message(&self) -> &str {
        &self.message
    }
}

pub async fn drill(options: args::Drill) -> Result<ExitCode> {
    let client = Client::new(&options.server);
    let Some(names) = meant(&client, &options.name, options.detach).await? else {
        return Ok(ExitCode::from(1));
    };
    let mut codes = Vec::new();
    for name in names {
        codes.push(or_refused(one(&client, &options, &name).await)?);
    }
    Ok(ExitCode::from(worst(&codes)))
}

/// One that is refused does not keep the others from being tried.
pub(super) fn or_refused(code: Result<u8>) -> Result<u8> {
    Ok(refusal(code)?.unwrap_or_else(|refusal| {
        eprintln!("{refusal}");
        1
    }))
}

async fn one(client: &Client, options: &args::Drill, name: &str) -> Result<u8> {
    let args::Drill { weight, limit, reason, detach, output, .. } = options;
    let request = DrillRequest { weight: *weight, limit: *limit, reason: reason.clone() };
    let Begun { number } = client.post(&format!("/v1/rollouts/{name}/drill"), &request).await?.read()?;
    if *detach {
        println!("{name}: drill {number} begun; see: serin get {name}");
        return Ok(0);
    }
    let path = format!("/v1/rollouts/{name}/drills/{number}");
    let (answer, drill) = follow::<DrillView>(client, &path, *output).await?;
    match output {
        Output::Json => print!("{}", answer.pretty()?),
        Output::Text => print!("{}", report(&drill)),
    }
    Ok(code(drill.outcome()))
}

/// Whom a name means: the members of a fleet, one after the other, since a lease stands for all of a proxy's rollouts;
/// or the rollout itself. `None`, and the person is told: several cannot be begun and left alone.
pub(super) async fn meant(client: &Client, name: &str, detach: bool) -> Result<Option<Vec<String>>> {
    // Whether there is such a rollout is said by whoever is to begin something on it.
    let run: RunView = match refusal(client.get(&format!("/v1/rollouts/{name}")).await)? {
        Ok(answer) => answer.read()?,
        Err(_) => RunView::default(),
    };
    let members: Vec<String> = run.members.into_iter().map(|member| member.run.name).collect();
    if members.is_empty() {
        return Ok(Some(vec![name.to_owned()]));
    }
    if detach {
        let members = members.join(", ");
        eprintln!(
            "{name} is several, one tried after the other; leave out --detach, or name one of them: {members}"
        );
        return Ok(None);
    }
    Ok(Some(members))
}

/// Of several exit codes: failed before undecided before passed.
pub(super) fn worst(codes: &[u8]) -> u8 {
    [1, 2].into_iter().find(|code| codes.contains(code)).unwrap_or(0)
}

/// Looks until it is over, and says on standard error how far it is.
pub(super) async fn follow<T: Followed>(client: &Client, path: &str, output: Output) -> Result<(Answer, T)> {
    let mut seen = String::new();
    loop {
        let answer = client.get(path).await?;
        let view: T = answer.read()?;
        if view.outcome().is_some() {
            return Ok((answer, view));
        }
        if view.message() != seen && output == Output::Text {
            eprintln!("{}", view.message());
            view.message().clone_into(&mut seen);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// 0 passed, 1 failed, 2 neither.
pub(super) fn code(outcome: Option<&Word<Outcome>>) -> u8 {
    match outcome.and_then(Word::known) {
        Some(Outcome::Passed) => 0,
        Some(Outcome::Failed) => 1,
        _ => 2,
    }
}

/// "passed", or that it is not over.
pub(super) fn so_far<T: Serialize>(word: Option<&Word<T>>) -> String {
    word.map_or_else(|| "under way".to_owned(), ToString::to_string)
}

/// What it found, line by line.
fn report(drill: &DrillView) -> String {
    let mut out = String::new();
    let weight = f64::from(drill.weight_ppm) / 10_000.0;
    let outcome = so_far(drill.outcome());
    // Writing to a String does not fail.
    let _ =
        writeln!(out, "{} drill {} at {weight}%: {outcome}\n  {}", drill.name, drill.number, drill.message);
    let lease = match (&drill.lease.skipped, drill.lease.told_ms) {
        (Some(why), _) => format!("not revoked alone ({})", why.to_string().replace('_', " ")),
        (None, Some(ms)) => format!("revoked alone: {} told after {ms} ms", drill.lease.proxies),
        (None, None) => {
            format!("revoked alone: {} did not ask {}", drill.lease.missing, drill.lease.silent.join(", "))
        }
    };
    let _ = writeln!(out, "  lease      {lease}");
    if let Some(push) = &drill.push {
        let when = push.acknowledged_ms.map_or("not by all yet".to_owned(), |ms| format!("after {ms} ms"));
        let missing = if push.laggards.is_empty() {
            String::new()
        } else {
            format!("; missing: {}", push.laggards.join(", "))
        };
        let _ = writeln!(
            out,
            "  push       {} of {} acknowledged, {when}{missing}",
            push.acknowledged, push.connected
        );
        if let Some(ms) = push.last_canary_ms {
            let bound = if push.last_canary_complete { "" } else { " (lower bound: a proxy is silent)" };
            let _ = writeln!(out, "  canary     last request {ms} ms after the decision{bound}");
        }
    }
    let limit =
        Kept { limit_ms: drill.limit_ms, kept: drill.slowest_ms.is_some_and(|ms| ms <= drill.limit_ms) };
    let mut promises: Vec<&Kept> = drill.promises.iter().collect();
    if !promises.iter().any(|promise| promise.limit_ms == limit.limit_ms) {
        promises.push(&limit);
    }
    let promises = promises.iter().map(|promise| {
        let kept = if promise.kept { "kept" } else { "NOT kept" };
        format!("{} {kept}", manifest::Span::from_ms(promise.limit_ms))
    });
    let _ = writeln!(out, "  promises   {}", promises.collect::<Vec<_>>().join(", "));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_fits_a_terminal() {
        let drill: DrillView = serde_json::from_str(
            r#"{"name":"ranker","number":3,"weight_ppm":1000,"outcome":"failed","message":"late","unknown":1,
                "lease":{"told_ms":900,"proxies":2},"limit_ms":10000,"slowest_ms":40000,
                "push":{"acknowledged_ms":9,"acknowledged":2,"connected":2,"last_canary_ms":40000,"last_canary_complete":true},
                "promises":[{"limit_ms":30000,"kept":false},{"limit_ms":120000,"kept":true}]}"#,
        )
        .expect("a drill");
        assert_eq!(
            report(&drill),
            "ranker drill 3 at 0.1%: failed\n  late\n  lease      revoked alone: 2 told after 900 ms\n  push       2 of 2 \
             acknowledged, after 9 ms\n  canary     last request 40000 ms after the decision\n  promises   30s NOT \
             kept, 2m kept, 10s NOT kept\n"
        );
        for (outcome, expected) in
            [(Some(Outcome::Passed), 0), (Some(Outcome::Failed), 1), (Some(Outcome::Cancelled), 2), (None, 2)]
        {
            assert_eq!(code(outcome.map(Word::from).as_ref()), expected);
        }
        assert_eq!([worst(&[0, 2, 1]), worst(&[0, 2]), worst(&[0])], [1, 2, 0]);
    }
}
