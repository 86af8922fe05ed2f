//! Level and power by simulation: `cargo xtask bench judge [--part P] [--streams N] [--seed S]`
//!
//! Parts: `errors`, `latency`, `confidence` (every method on the same streams), `gates` (both answers of the gates that
//! decide in a run), `levels` (each test alone), `speed` (judgements per second), `all`. Fixed seed 1 unless given; 2000 streams unless given.

#![allow(clippy::indexing_slicing, reason = "a simulation on arrays of its own making")]

mod broken;
mod gates;
mod levels;
mod report;
mod rivals;
mod speed;
mod streams;
mod table;
mod wholes;

use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut part, mut streams, mut seed) = ("all".to_owned(), 2000u64, 1u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let known = match name.as_str() {
            "--part" => {
                part = value;
                true
            }
            "--streams" => value.parse().map(|v| streams = v).is_ok(),
            "--seed" => value.parse().map(|v| seed = v).is_ok(),
            _ => false,
        };
        if !known {
            eprintln!(
                "usage: judge [--part errors|latency|confidence|gates|levels|speed|all] [--streams N] [--seed S]"
            );
            return ExitCode::from(2);
        }
    }
    println!(
        "judge {}, {streams} streams a cell, seed {seed}; 100 requests a second, 5 % canary,",
        judge::JUDGE
    );
    println!(
        "one hour: canary requests = 5 x seconds, exposed requests = 100 x seconds. Delay: median / p90 s."
    );
    let wanted = |name: &str| part == "all" || part == name;
    if wanted("errors") {
        table::errors(seed, streams);
    }
    if wanted("latency") {
        table::latency(seed, streams);
    }
    if wanted("confidence") {
        table::confidence(seed, streams);
    }
    if wanted("gates") {
        gates::print_all(seed, streams.max(40));
    }
    if wanted("levels") {
        println!("\n**Each test alone, alpha 5 %, looks every 10 s for an hour unless said**\n");
        levels::print_all(seed, streams.max(40));
    }
    if wanted("speed") {
        speed::print();
    }
    ExitCode::SUCCESS
}
