//! `serin doctor`: reads an installation, has it examined, and says what to mend.

mod prometheus;
mod read;
mod rights;
mod show;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Doctor, Output};

pub async fn run(options: Doctor) -> Result<ExitCode> {
    let snapshot = read::snapshot(&options).await?;
    let report = doctor::examine(&snapshot);
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        Output::Text => print!("{}", show::text(&report)),
    }
    Ok(ExitCode::from(report.exit_code()))
}
