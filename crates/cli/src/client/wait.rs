//! `serin wait`: for pipelines that go on when a rollout has ended.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use api::{RunView, path};
use tokio::time::Instant;

use super::{Client, LOOK, exit_code};
use crate::args::{self, End};

/// A controller that is started again is waited for this long.
const SILENCE: Duration = Duration::from_secs(60);

/// Exit code: the timeout came first.
const TIMED_OUT: u8 = 2;

pub async fn wait(options: args::Wait) -> Result<ExitCode> {
    let client = Client::new(&options.server);
    let begun = Instant::now();
    let timeout = options.timeout.map(|timeout| Duration::from_millis(timeout.ms()));
    let mut heard = Instant::now();
    let mut awaited = options.run;
    let mut seen = String::new();
    let mut silent = false;
    loop {
        match look(&client, &options.name, awaited).await {
            Ok(view) => {
                heard = Instant::now();
                silent = false;
                // Whatever is applied meanwhile: it is this run that is waited for.
                let run = *awaited.get_or_insert(view.run.run);
                let said = said(&view, run);
                if let Some(code) = code(&view, run, options.end) {
                    println!("{said}");
                    return Ok(ExitCode::from(code));
                }
                if said != seen {
                    eprintln!("{said}");
                    seen = said;
                }
            }
            Err(error) if heard.elapsed() > SILENCE => return Err(error),
            // A rollout that is not there does not come by waiting, a silent controller may. Exit code 1 says something else
            // here, so a refusal is an error like any other.
            Err(error) if error.downcast_ref::<reqwest::Error>().is_none() => {
                return Err(anyhow!("{error:#}"));
            }
            Err(error) if !silent => {
                eprintln!("{error:#}; asks again for {} s", SILENCE.as_secs());
                silent = true;
            }
            Err(_) => {}
        }
        if timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
            println!("{}: not {} in time; {seen}", options.name, options.end);
            return Ok(ExitCode::from(TIMED_OUT));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The run that is waited for; while its number has not come, the one before it.
async fn look(client: &Client, name: &str, awaited: Option<u64>) -> Result<RunView> {
    let view: RunView = client.get(&path::rollout(name)).await?.read()?;
    match awaited.filter(|run| *run < view.run.run) {
        Some(run) => client.get(&path::one_of_rollout(name, path::RUNS, run)).await?.read(),
        None => Ok(view),
    }
}

fn said(view: &RunView, run: u64) -> String {
    let view = &view.run;
    if view.run == run {
        format!("{} run {run}: {}: {}", view.name, view.phase, view.message)
    } else {
        format!("{} run {run} has not begun; run {} is {}", view.name, view.run, view.phase)
    }
}

/// 0: as wanted, 1: the other end; `None`: not over.
fn code(view: &RunView, run: u64, end: End) -> Option<u8> {
    let over = exit_code(view).filter(|_| view.run.run == run)?;
    Some(match end {
        End::Over => 0,
        End::Promoted => over,
        End::RolledBack => 1 - over,
    })
}

#[cfg(test)]
mod tests {
    use api::{PhaseName, View};

    use super::*;

    #[test]
    fn an_end_is_the_wanted_one_or_the_other() {
        #[track_caller]
        fn check(phase: PhaseName, run: u64, expected: [Option<u8>; 3]) {
            let run = View { run, phase: phase.into(), ..View::default() };
            let view = RunView { run, ..RunView::default() };
            assert_eq!([End::Promoted, End::RolledBack, End::Over].map(|end| code(&view, 3, end)), expected);
        }
        check(PhaseName::Succeeded, 3, [Some(0), Some(1), Some(0)]);
        check(PhaseName::RolledBack, 3, [Some(1), Some(0), Some(0)]);
        check(PhaseName::Paused, 3, [None; 3]);
        // The run before it is not it.
        check(PhaseName::Succeeded, 2, [None; 3]);
    }
}
