//! `serin drill`: asks for a drill, follows it, and says what it found.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::view::View;
use super::{LOOK, accepted, send};
use crate::args::{self, Output};

/// A drill, as far as a person is shown it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Drill {
    pub name: String,
    pub number: u64,
    pub weight_ppm: u32,
    pub outcome: Option<String>,
    pub message: String,
    pub ended_unix_ms: Option<u64>,
    pub lease: Lease,
    pub push: Option<Push>,
    pub limit_ms: u64,
    pub slowest_ms: Option<u64>,
    pub promises: Vec<Promise>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Lease {
    pub skipped: Option<String>,
    pub told_ms: Option<u64>,
    pub proxies: u64,
    pub missing: u64,
    pub silent: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Push {
    pub acknowledged_ms: Option<u64>,
    pub acknowledged: u64,
    pub connected: u64,
    pub laggards: Vec<String>,
    pub last_canary_ms: Option<u64>,
    pub last_canary_complete: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Promise {
    pub limit_ms: u64,
    pub kept: bool,
}

pub async fn drill(options: args::Drill) -> Result<ExitCode> {
    let Some(names) = meant(&options.server.server, &options.name, options.detach).await? else {
        return Ok(ExitCode::from(1));
    };
    let mut codes = Vec::new();
    for name in names {
        codes.push(one(&options, &name).await?);
    }
    Ok(ExitCode::from(worst(&codes)))
}

async fn one(options: &args::Drill, name: &str) -> Result<u8> {
    let args::Drill { server, weight, limit, reason, detach, output, .. } = options;
    let url = format!("{}/v1/rollouts/{name}/drill", server.server);
    let body = json!({"weight": weight, "limit": limit, "reason": reason});
    let Some(begun) = accepted(send(Client::new().post(url).json(&body)).await?).await? else {
        return Ok(1);
    };
    let number = begun.get("number").and_then(Value::as_u64).unwrap_or_default();
    let url = format!("{}/v1/rollouts/{name}/drills/{number}", server.server);
    if *detach {
        println!("{name}: drill {number} begun; see: serin get {name}");
        return Ok(0);
    }
    let Some(view) = follow(&url, *output).await? else { return Ok(1) };
    let drill: Drill = serde_json::from_value(view.clone())?;
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&view)?),
        Output::Text => print!("{}", report(&drill)),
    }
    Ok(code(drill.outcome.as_deref()))
}

/// Whom a name means: the members of a fleet, one after the other, since a lease stands for all of a proxy's rollouts;
/// or the rollout itself. `None`, and the person is told: several cannot be begun and left alone.
pub(super) async fn meant(server: &str, name: &str, detach: bool) -> Result<Option<Vec<String>>> {
    let answer = send(Client::new().get(format!("{server}/v1/rollouts/{name}"))).await?;
    // Whether there is such a rollout is said by whoever is to begin something on it.
    let View { members, .. } = answer.json().await.unwrap_or_default();
    let members: Vec<String> = members.into_iter().map(|member| member.name).collect();
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
pub(super) async fn follow(url: &str, output: Output) -> Result<Option<Value>> {
    let mut seen = String::new();
    loop {
        let Some(view) = accepted(send(Client::new().get(url)).await?).await? else { return Ok(None) };
        if view.get("outcome").is_some_and(Value::is_string) {
            return Ok(Some(view));
        }
        let message = view.get("message").and_then(Value::as_str).unwrap_or_default();
        if message != seen && output == Output::Text {
            eprintln!("{message}");
            message.clone_into(&mut seen);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// 0 passed, 1 failed, 2 neither.
pub(super) fn code(outcome: Option<&str>) -> u8 {
    match outcome {
        Some("passed") => 0,
        Some("failed") => 1,
        _ => 2,
    }
}

/// What it found, line by line.
fn report(drill: &Drill) -> String {
    let mut out = String::new();
    let weight = f64::from(drill.weight_ppm) / 10_000.0;
    let outcome = drill.outcome.as_deref().unwrap_or("under way");
    // Writing to a String does not fail.
    let _ =
        writeln!(out, "{} drill {} at {weight}%: {outcome}\n  {}", drill.name, drill.number, drill.message);
    let lease = match (drill.lease.skipped.as_deref(), drill.lease.told_ms) {
        (Some(why), _) => format!("not revoked alone ({})", why.replace('_', " ")),
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
        Promise { limit_ms: drill.limit_ms, kept: drill.slowest_ms.is_some_and(|ms| ms <= drill.limit_ms) };
    let mut promises: Vec<&Promise> = drill.promises.iter().collect();
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
        let drill: Drill = serde_json::from_str(
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
            [(Some("passed"), 0), (Some("failed"), 1), (Some("cancelled"), 2), (None, 2)]
        {
            assert_eq!(code(outcome), expected);
        }
        assert_eq!([worst(&[0, 2, 1]), worst(&[0, 2]), worst(&[0])], [1, 2, 0]);
    }
}
