//! `serin lint`: everything that is wrong with a file, without a controller.

use std::process::ExitCode;

use crate::args;
use crate::client;

pub fn lint(options: &args::Lint) -> anyhow::Result<ExitCode> {
    let text = client::read(&options.file)?;
    match spec::load(&text) {
        Err(problems) => {
            println!("{problems}");
            Ok(ExitCode::from(1))
        }
        Ok(loaded) => {
            for warning in &loaded.warnings {
                println!("{warning}");
            }
            let plan = &loaded.plan;
            println!("{}: {} -> {}, {} stages: fine", plan.name, plan.stable, plan.canary, plan.stages.len());
            Ok(ExitCode::SUCCESS)
        }
    }
}
