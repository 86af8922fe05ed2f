//! The command's other half: asks a running controller, and shows what it says.

mod apply;
mod connection;
mod drill;
mod exercise;
mod export;
mod files;
mod list;
mod objects;
mod parity;
mod practice;
mod seen;
mod show;
pub mod triggers;
mod wait;

use std::io::IsTerminal as _;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use api::{
    ActRequest, Applied, DeleteQuery, Done, Figure, RollbackReply, RollbackRequest, RunView, Verb, path,
};
pub use apply::apply;
use connection::{Answer, Client, refusal};
pub use drill::drill;
pub use export::{export, history};
pub use files::{Placed, files_of, read_documents};
pub use parity::parity;
use seen::seen;
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

pub async fn act(verb: Verb, options: args::Act) -> Result<ExitCode> {
    let request = ActRequest { reason: options.reason.clone(), ..ActRequest::default() };
    ask_for(verb, &options, &request).await
}

/// The whole rollout, or one of its arms.
pub async fn act_on_arm(verb: Verb, options: args::ActOnArm) -> Result<ExitCode> {
    let args::ActOnArm { act: options, arm } = options;
    let request = ActRequest { reason: options.reason.clone(), arm, ..ActRequest::default() };
    ask_for(verb, &options, &request).await
}

pub async fn set_weight(options: args::SetWeight) -> Result<ExitCode> {
    let args::SetWeight { act, weight } = options;
    let request = ActRequest { reason: act.reason.clone(), weight: Some(weight), ..ActRequest::default() };
    ask_for(Verb::SetWeight, &act, &request).await
}

async fn ask_for(verb: Verb, options: &args::Act, request: &ActRequest) -> Result<ExitCode> {
    let args::Act { server, name, meant, .. } = options;
    let client = Client::new(server);
    // Traffic is taken back from wherever it is.
    let client = if verb == Verb::Abort { client } else { seen(&client, name, meant).await? };
    let done: Done = client.post(&path::of_rollout(name, verb), request).await?.read()?;
    done.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    println!("{name}: done ({verb}); see: serin get {name}");
    Ok(ExitCode::SUCCESS)
}

pub async fn retry(options: args::Retry) -> Result<ExitCode> {
    let args::Retry { server, name, reason, meant } = options;
    let request = ActRequest { reason, ..ActRequest::default() };
    let client = seen(&Client::new(&server), &name, &meant).await?;
    let applied: Applied = client.post(&path::of_rollout(&name, Verb::Retry), &request).await?.read()?;
    applied.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    println!("{name}: {}; {}", apply::said(&applied, false).1, apply::next(&applied));
    Ok(ExitCode::SUCCESS)
}

pub async fn rollback(options: args::Rollback) -> Result<ExitCode> {
    let args::Rollback { act: args::Act { server, name, reason, meant }, to, unverified } = options;
    let request = RollbackRequest { reason, to, unverified };
    let client = seen(&Client::new(&server), &name, &meant).await?;
    let went = client.post(&path::of_rollout(&name, Verb::Rollback), &request).await?;
    let RollbackReply { run, begun, message, .. } = went.read()?;
    if begun {
        println!("{name}: run {run}: {message}; follow it: serin get {name} -w");
    } else {
        println!("{name}: {message}; see: serin get {name}");
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn delete(options: args::Act) -> Result<ExitCode> {
    let args::Act { server, name, reason, meant } = options;
    let client = seen(&Client::new(&server), &name, &meant).await?;
    client.delete(&path::rollout(&name), &DeleteQuery { reason }).await?;
    println!("{name}: deleted; what it did: serin history {name}");
    Ok(ExitCode::SUCCESS)
}

pub async fn push(options: args::Push) -> Result<ExitCode> {
    let args::Push { server, name, metric, version, value, n } = options;
    let said = format!("{name}: {metric} of {version} is {value}");
    let figure = Figure { metric, version, value, n };
    Client::new(&server).post(&path::of_rollout(&name, path::FIGURES), &figure).await?;
    println!("{said}");
    Ok(ExitCode::SUCCESS)
}

/// Cursor to the corner, and everything after it away.
const CLEAR: &str = "\x1b[H\x1b[J";

pub async fn get(options: args::Get) -> Result<ExitCode> {
    let client = Client::new(&options.server);
    // What objects say is asked for when the controller cannot be, and by nobody who wants the rest of a run.
    let whole = options.run.is_none() && !options.watch && options.output == Output::Text;
    let Some(name) = &options.name else {
        let all = match client.get(path::ROLLOUTS).await {
            Err(error) if whole => return objects::instead(&client, None, error).await,
            all => all?,
        };
        match options.output {
            Output::Json => print!("{}", all.pretty()?),
            Output::Text => print!("{}", list::list(&all.read::<Vec<RunView>>()?, options.needs_attention)),
        }
        return Ok(ExitCode::SUCCESS);
    };
    let run = options.run.map(|run| path::one_of_rollout(name, path::RUNS, run));
    let read_at = run.unwrap_or_else(|| path::rollout(name));
    let mut seen = String::new();
    loop {
        let answer = match client.get(&read_at).await {
            Err(error) if whole => return objects::instead(&client, Some(name), error).await,
            answer => answer?,
        };
        let run: RunView = answer.read()?;
        let text = match options.output {
            Output::Json if options.watch => answer.line(),
            Output::Json => answer.pretty()?,
            Output::Text => show::one(&run, crate::clock::unix_ms()),
        };
        if text != seen {
            if options.watch && options.output == Output::Text {
                // On a terminal the screen is drawn anew; elsewhere a blank line divides what came one after the other.
                if std::io::stdout().is_terminal() {
                    print!("{CLEAR}{text}");
                } else {
                    println!("{text}");
                }
            } else {
                print!("{text}");
            }
            seen = text;
        }
        match (options.watch, exit_code(&run)) {
            (false, _) => return Ok(ExitCode::SUCCESS),
            (true, Some(code)) => return Ok(ExitCode::from(code)),
            (true, None) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Of a rollout that is over: 0 promoted, 1 rolled back.
fn exit_code(run: &RunView) -> Option<u8> {
    run.promoted().map(|promoted| u8::from(!promoted))
}
