//! Checks vector files: `cargo run -p judge --example vectors -- FILE...`
//!
//! Prints per file `N passed, M failed` and each failure; exit code 1 if any case failed, 2 if a file cannot be read.
#![allow(clippy::disallowed_methods, reason = "an example reads the files it is given; the library does not")]

#[path = "../tests/vectors/run.rs"]
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: vectors FILE...");
        return ExitCode::from(2);
    }
    let mut failed = 0;
    for file in files {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("{file}: cannot be read: {error}");
                return ExitCode::from(2);
            }
        };
        match run::check_file(&text) {
            Ok(outcome) => {
                println!("{file}: {} passed, {} failed", outcome.passed, outcome.failures.len());
                for failure in &outcome.failures {
                    println!("  {failure}");
                }
                failed += outcome.failures.len();
            }
            Err(reason) => {
                eprintln!("{file}: {reason}");
                return ExitCode::from(2);
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
