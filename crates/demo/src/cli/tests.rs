use clap::CommandFactory;

use super::*;

fn options(args: &[&str]) -> Result<Options, String> {
    // Any file that is there will do: nothing is run.
    let here = std::env::current_exe().unwrap().display().to_string();
    let mut line = vec!["demo", "run", "--envoy", &here, "--wasm", &here, "--serin", &here];
    line.extend(args);
    match Cli::try_parse_from(line).map_err(|e| e.to_string())?.command {
        Command::Run(run) => run.options().map_err(|e| format!("{e:#}")),
        other => Err(format!("{other:?}")),
    }
}

#[track_caller]
fn check_refused(args: &[&str], reason: &str) {
    let refused = options(args).unwrap_err();
    assert!(refused.contains(reason), "{refused}");
}

#[test]
fn the_command_line_is_whole() {
    Cli::command().debug_assert();
    let options_of = |args: &[&str]| options(args).unwrap();
    let options = options_of(&["--scenario", "hang", "--headless", "--seed", "7", "--speed", "4"]);
    assert_eq!((options.scenario, options.seed, options.speed), (Scenario::Hang, 7, 4.0));
    assert_eq!(
        (options.assignment, options.rate, options.users),
        (Assignment::Sticky, Rate::UpTo(700.0), 20_000)
    );
    assert_eq!(options_of(&["--rate", "300"]).rate, Rate::Exactly(300.0));
}

#[test]
fn a_refusal_names_the_remedy() {
    check_refused(&["--speed", "0"], "--speed 0: use a number from 0.1 to 100");
    check_refused(&["--rate", "1"], "--rate 1: use 50 to 20000 requests/s");
    check_refused(&["--users", "0"], "at least one user");
    check_refused(
        &["--scenario", "bad"],
        "possible values: good, errors, slow, unsure, hang, tokens, refusals",
    );
    let missing =
        found("--envoy", Path::new("/nowhere/envoy"), "`cargo xtask demo` installs one").unwrap_err();
    assert_eq!(missing.to_string(), "--envoy /nowhere/envoy: no such file; `cargo xtask demo` installs one");
}

#[test]
fn a_model_s_behaviour_is_a_scenario_s_worst_and_what_is_said_besides() {
    let model = |args: &[&str]| {
        let line = ["demo", "model", "--version", "v2"].into_iter().chain(args.iter().copied());
        match Cli::try_parse_from(line).unwrap().command {
            Command::Model(model) => model.behaviour(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(model(&[]), Behaviour::healthy("v2", 1));
    assert_eq!(model(&["--behaviour", "hang"]).hang_share, 1.0);
    let unsure = model(&["--behaviour", "unsure", "--error-share", "0.5"]);
    assert_eq!((unsure.confidence_mean, unsure.error_share), (0.75, 0.5));
}
