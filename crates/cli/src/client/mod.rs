//! The command's other half: asks a running controller, and shows what it says.

mod apply;
mod drill;
mod export;
mod files;
mod list;
mod parity;
mod practice;
mod show;
pub mod triggers;
mod view;
mod wait;

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
pub use apply::apply;
pub use drill::drill;
pub use export::{export, history};
pub use files::{Placed, gather};
pub use parity::parity;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use view::{Applied, Fault, View, WentBack};
pub use wait::wait;

use crate::args::{self, Output};

/// How often a watched rollout is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Reads a file, or standard input for `-`.
pub fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

pub async fn act(act: &str, options: args::Act) -> Result<ExitCode> {
    ask_for(act, &options, &json!({"reason": options.reason})).await
}

pub async fn retry(options: args::Retry) -> Result<ExitCode> {
    let args::Retry { server, name, reason } = options;
    let url = format!("{}/v1/rollouts/{name}/retry", server.server);
    let answer = send(Client::new().post(url).json(&json!({"reason": reason}))).await?;
    let Some(applied) = accepted(answer).await? else { return Ok(ExitCode::from(1)) };
    let applied: Applied = serde_json::from_value(applied)?;
    applied.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    println!("{name}: {}; {}", applied.said(false).1, applied.next());
    Ok(ExitCode::SUCCESS)
}

/// The whole rollout, or one of its arms.
pub async fn act_on_arm(act: &str, options: args::ActOnArm) -> Result<ExitCode> {
    let args::ActOnArm { act: options, arm } = options;
    ask_for(act, &options, &json!({"reason": options.reason, "arm": arm})).await
}

pub async fn set_weight(options: args::SetWeight) -> Result<ExitCode> {
    let args::SetWeight { act, weight } = options;
    ask_for("set-weight", &act, &json!({"reason": act.reason, "weight": weight})).await
}

pub async fn delete(options: args::Act) -> Result<ExitCode> {
    let args::Act { server, name, reason } = options;
    let request = Client::new().delete(format!("{}/v1/rollouts/{name}", server.server));
    if accepted(send(request.query(&[("reason", reason)])).await?).await?.is_none() {
        return Ok(ExitCode::from(1));
    }
    println!("{name}: deleted; what it did: serin history {name}");
    Ok(ExitCode::SUCCESS)
}

pub async fn rollback(options: args::Rollback) -> Result<ExitCode> {
    let args::Rollback { act: args::Act { server, name, reason }, to, unverified } = options;
    let url = format!("{}/v1/rollouts/{name}/rollback", server.server);
    let body = json!({"reason": reason, "to": to, "unverified": unverified});
    let Some(went) = accepted(send(Client::new().post(url).json(&body)).await?).await? else {
        return Ok(ExitCode::from(1));
    };
    let WentBack { run, begun, message } = serde_json::from_value(went)?;
    if begun {
        println!("{name}: run {run}: {message}; follow it: serin get {name} -w");
    } else {
        println!("{name}: {message}; see: serin get {name}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask_for(act: &str, options: &args::Act, body: &Value) -> Result<ExitCode> {
    let url = format!("{}/v1/rollouts/{}/{act}", options.server.server, options.name);
    let answer = send(Client::new().post(url).json(body)).await?;
    if accepted(answer).await?.is_none() {
        return Ok(ExitCode::from(1));
    }
    println!("{}: done ({act}); see: serin get {}", options.name, options.name);
    Ok(ExitCode::SUCCESS)
}

pub async fn push(options: args::Push) -> Result<ExitCode> {
    let args::Push { server, name, metric, version, value, n } = options;
    let url = format!("{}/v1/rollouts/{name}/metrics", server.server);
    let figure = json!({"metric": metric, "version": version, "value": value, "n": n});
    if accepted(send(Client::new().post(url).json(&figure)).await?).await?.is_none() {
        return Ok(ExitCode::from(1));
    }
    println!("{name}: {metric} of {version} is {value}");
    Ok(ExitCode::SUCCESS)
}

pub async fn get(options: args::Get) -> Result<ExitCode> {
    let server = &options.server.server;
    let Some(name) = &options.name else {
        let answer = send(Client::new().get(format!("{server}/v1/rollouts"))).await?;
        let Some(all) = accepted(answer).await? else { return Ok(ExitCode::from(1)) };
        match options.output {
            Output::Json => println!("{}", serde_json::to_string_pretty(&all)?),
            Output::Text => {
                print!("{}", list::list(&serde_json::from_value::<Vec<View>>(all)?, options.needs_attention))
            }
        }
        return Ok(ExitCode::SUCCESS);
    };
    let run = options.run.map(|run| format!("/runs/{run}")).unwrap_or_default();
    let url = format!("{server}/v1/rollouts/{name}{run}");
    let mut seen = String::new();
    loop {
        let answer = send(Client::new().get(&url)).await?;
        let Some(view) = accepted(answer).await? else { return Ok(ExitCode::from(1)) };
        let run: View = serde_json::from_value(view.clone())?;
        let text = match options.output {
            Output::Json if options.watch => view.to_string() + "\n",
            Output::Json => serde_json::to_string_pretty(&view)? + "\n",
            Output::Text => show::one(&run, crate::clock::unix_ms()),
        };
        if text != seen {
            print!("{text}");
            if options.watch && options.output == Output::Text {
                println!();
            }
            seen = text;
        }
        match (options.watch, run.over()) {
            (false, _) => return Ok(ExitCode::SUCCESS),
            (true, Some(code)) => return Ok(ExitCode::from(code)),
            (true, None) => tokio::time::sleep(LOOK).await,
        }
    }
}

async fn send(request: RequestBuilder) -> Result<Response> {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_else(|| "somebody".to_owned());
    request.header("x-serin-user", user).timeout(Duration::from_secs(15)).send().await.context(
        "the controller does not answer; is `serin run` up, and is --server (or SERIN_SERVER) its address?",
    )
}

/// The answer, or `None` after telling the person why there is none.
async fn accepted(answer: Response) -> Result<Option<Value>> {
    match refused_or(answer).await? {
        Ok(body) => Ok(Some(body)),
        Err(why) => {
            eprintln!("{why}");
            Ok(None)
        }
    }
}

/// The answer, or why what was asked for is not done.
async fn refused_or(answer: Response) -> Result<Result<Value, String>> {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(Ok(body));
    }
    let Fault { error } = serde_json::from_value(body).unwrap_or_default();
    if status.is_client_error() && !error.is_empty() {
        return Ok(Err(error));
    }
    bail!("the controller answered {status}: {error}")
}
