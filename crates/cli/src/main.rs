//! The `serin` command: the controller, its clients, and what needs no controller.

#![allow(clippy::print_stdout)] // a command's answer goes to standard output

mod args;
mod bootstrap;
mod client;
mod clock;
mod doctor;
mod import;
mod judgement;
mod lint;
mod planning;
mod serve;
mod simulation;
mod table;

use std::process::ExitCode;

use api::{Refusal, Verb};
use args::{Args, Command};
use clap::Parser;

/// Exit code of a command that cannot be read, apart from those that say what became of a rollout (sysexits: EX_USAGE).
const USAGE: u8 = 64;

/// Exit code of a command whose reader has gone, as a shell shows a death by SIGPIPE.
const READER_GONE: i32 = 141;

fn main() -> ExitCode {
    readers_may_leave();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are asked for; whatever cannot be printed has no reader.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(args.command) {
        Ok(code) => code,
        // A refusal is the controller's answer, not a fault.
        Err(error) => match error.downcast::<Refusal>() {
            Ok(refusal) => {
                eprintln!("{refusal}");
                ExitCode::from(1)
            }
            Err(error) => {
                eprintln!("serin: {error:#}");
                ExitCode::from(3)
            }
        },
    }
}

/// `serin get | head` is no fault: the standard library panics where a pipe is closed.
fn readers_may_leave() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |fault| {
        let said = fault.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to std") && said.contains("Broken pipe") {
            std::process::exit(READER_GONE);
        }
        before(fault);
    }));
}

#[tokio::main]
async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(options) => serve::run(*options).await,
        Command::Apply(options) => client::apply(options).await,
        Command::Get(options) => client::get(options).await,
        Command::Wait(options) => client::wait(options).await,
        Command::Retry(options) => client::retry(options).await,
        Command::Abort(options) => client::act_on_arm(Verb::Abort, options).await,
        Command::Promote(options) => client::act_on_arm(Verb::Promote, options).await,
        Command::Approve(options) => client::act(Verb::Approve, options).await,
        Command::Pause(options) => client::act(Verb::Pause, options).await,
        Command::Resume(options) => client::act(Verb::Resume, options).await,
        Command::SetWeight(options) => client::set_weight(options).await,
        Command::Delete(options) => client::delete(options).await,
        Command::Rollback(options) => client::rollback(options).await,
        Command::Drill(options) => client::drill(options).await,
        Command::Trigger(options) => client::triggers::run(options).await,
        Command::Parity(options) => client::parity(options).await,
        Command::History(options) => client::history(options).await,
        Command::Export(options) => client::export(options).await,
        Command::Push(options) => client::push(options).await,
        Command::Lint(options) => lint::lint(&options),
        Command::Explain(options) => lint::explain(&options),
        Command::Import(options) => import::import(&options),
        Command::Judge(options) => judgement::judge(&options),
        Command::Compare(options) => judgement::compare(&options),
        Command::Plan(options) => planning::plan(&options),
        Command::Simulate(options) => simulation::simulate(&options),
        Command::Bootstrap(options) => bootstrap::print(&options),
        Command::Doctor(options) => doctor::run(*options).await,
    }
}
