//! The mesh stories of `cargo xtask test`: run where the control plane is built or may be built, else counted as skipped.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::cluster;
use crate::process::{say, var};
use crate::workspace::Workspace;

/// What `SERIN_MESH` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// `auto`: run where the parts are built already.
    Auto,
    /// `1`: run, and what is missing is built first.
    Yes,
    /// `0`, or unset: skipped.
    No,
}

/// What is done about the stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Run,
    BuildAndRun,
    Skip(&'static str),
}

const STORIES: [&str; 4] = ["test", "--workspace", "--test", "mesh"];

/// What to do about the stories, by `SERIN_MESH`, the cache, and what `cargo test` is asked for.
///
/// # Errors
/// When `SERIN_MESH` says something else than 1, 0 or auto.
pub fn way(cache: &Cache, args: &[OsString]) -> Result<Way> {
    let wish = wish(var("SERIN_MESH").map(|value| value.to_string_lossy().into_owned()).as_deref())?;
    Ok(decide(wish, cluster::all_built(cache), concern(args)))
}

/// Runs the stories; `handed` are the paths of what they need.
pub fn run(
    workspace: &Workspace,
    cache: &Cache,
    way: Way,
    args: &[OsString],
    handed: &[(&'static str, PathBuf)],
) -> Result<()> {
    if way == Way::BuildAndRun {
        cluster::build(cache)?;
    }
    let agents = cluster::agents_can_store_modules();
    let helm = cluster::helm(cache);
    let mut call = workspace.cargo().args(STORIES).args(with(args, "--ignored"));
    if !agents {
        say("skipped: the stories with istio-agent, since you may not write to /var/lib/istio/data");
        call = call.args(["--skip", "agent::"]);
    }
    match helm {
        Ok(helm) => call = call.env("SERIN_HELM", helm),
        Err(error) => {
            say(format!("skipped: the stories of the chart, since Helm cannot be had: {error:#}"));
            call = call.args(["--skip", "chart::"]);
        }
    }
    let remedy =
        "see the failed story above; run it alone with: SERIN_MESH=1 cargo xtask test --test mesh NAME";
    call.envs(handed.iter().cloned()).env("SERIN_XTASK", workspace.binary("xtask")).remedy(remedy).run()
}

/// The line that says how many stories were skipped, and why.
pub fn skipped(workspace: &Workspace, why: &str) -> String {
    let listed = workspace.cargo().args(STORIES).args(["--quiet", "--", "--list", "--ignored"]).text();
    let stories = listed.map_or_else(|_| "all".to_owned(), |said| stories_in(&said).to_string());
    format!("mesh stories: {stories} skipped ({why})")
}

fn stories_in(said: &str) -> usize {
    said.lines().filter(|line| line.ends_with(": test")).count()
}

fn wish(said: Option<&str>) -> Result<Wish> {
    match said {
        Some("auto") => Ok(Wish::Auto),
        Some("1") => Ok(Wish::Yes),
        None | Some("0") => Ok(Wish::No),
        Some(other) => bail!("SERIN_MESH={other}: set it to 1 (build what is missing), 0 or auto"),
    }
}

fn decide(wish: Wish, built: bool, concern: bool) -> Way {
    match (wish, built) {
        (_, _) if !concern => Way::Skip("other tests were asked for"),
        (Wish::No, _) => Way::Skip(
            "SERIN_MESH is 0 or unset: auto runs them where the control plane is built, 1 builds it first",
        ),
        (_, true) => Way::Run,
        (Wish::Yes, false) => Way::BuildAndRun,
        (Wish::Auto, false) => Way::Skip(
            "the control plane is not built; SERIN_MESH=1 builds it, once, in about 30 minutes of one core",
        ),
    }
}

/// Do these arguments of `cargo test` leave the stories in? Another package or target selects them away.
fn concern(args: &[OsString]) -> bool {
    let mut args = args.iter().take_while(|arg| *arg != "--").map(|arg| arg.to_string_lossy());
    while let Some(arg) = args.next() {
        let (name, value) = arg.split_once('=').map_or((&*arg, None), |(name, value)| (name, Some(value)));
        let mut is = |wanted: &str| match value {
            Some(value) => value == wanted,
            None => args.next().is_some_and(|value| value == wanted),
        };
        let stays = match name {
            "--package" | "-p" => is("tests"),
            "--test" => is("mesh"),
            "--lib" | "--bin" | "--bins" | "--doc" | "--example" | "--examples" | "--bench" | "--benches" => {
                false
            }
            _ => !name.starts_with("-p") || name.starts_with("--") || name == "-ptests",
        };
        if !stays {
            return false;
        }
    }
    true
}

/// The arguments for `cargo test --workspace --test mesh`, with one more for the test itself.
fn with(args: &[OsString], more: &str) -> Vec<OsString> {
    let mut ours = Vec::new();
    let mut given = args.iter().peekable();
    while let Some(arg) = given.next_if(|arg| *arg != "--") {
        match arg.to_string_lossy().as_ref() {
            // Said already.
            "--test" | "--package" | "-p" => drop(given.next()),
            name if name.starts_with("--test=") || name.starts_with("--package=") || name == "-ptests" => {}
            _ => ours.push(arg.clone()),
        }
    }
    ours.push("--".into());
    ours.extend(given.skip(1).cloned());
    ours.push(more.into());
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[track_caller]
    fn check(said: Option<&str>, built: bool, args: &[&str], expected: Way) {
        let wish = wish(said).expect("a wish");
        match (decide(wish, built, concern(&os(args))), expected) {
            (Way::Skip(why), Way::Skip(part)) => assert!(why.contains(part), "{why}"),
            (found, expected) => assert_eq!(found, expected),
        }
    }

    #[test]
    fn stories_run_where_they_can() {
        check(Some("auto"), true, &[], Way::Run);
        check(Some("auto"), false, &[], Way::Skip("SERIN_MESH=1"));
        check(Some("1"), false, &[], Way::BuildAndRun);
        check(Some("1"), true, &[], Way::Run);
        check(None, true, &[], Way::Skip("0 or unset"));
        check(Some("0"), true, &[], Way::Skip("0 or unset"));
        assert!(wish(Some("yes")).expect_err("no such word").to_string().contains("1 (build"));
    }

    #[test]
    fn who_asks_for_other_tests_waits_for_no_cluster() {
        let others = Way::Skip("other tests");
        check(Some("auto"), true, &["-p", "split"], others);
        check(Some("auto"), true, &["-psplit"], others);
        check(Some("auto"), true, &["--test", "e2e"], others);
        check(Some("auto"), true, &["--test=e2e", "leases"], others);
        check(Some("auto"), true, &["--lib"], others);
        check(Some("auto"), true, &["leases", "--", "--nocapture"], Way::Run);
        check(Some("auto"), true, &["-p", "tests", "plugin"], Way::Run);
        check(Some("auto"), true, &["--package=tests"], Way::Run);
        check(Some("auto"), true, &["--test", "mesh"], Way::Run);
        check(Some("auto"), true, &["--profile", "x"], Way::Run);
    }

    #[test]
    fn the_arguments_are_handed_on() {
        let handed =
            |args: &[&str], expected: &[&str]| assert_eq!(with(&os(args), "--ignored"), os(expected));
        handed(&[], &["--", "--ignored"]);
        handed(&["plugin"], &["plugin", "--", "--ignored"]);
        handed(
            &["-p", "tests", "plugin", "--", "--nocapture"],
            &["plugin", "--", "--nocapture", "--ignored"],
        );
        handed(&["--test=mesh"], &["--", "--ignored"]);
    }

    #[test]
    fn stories_are_counted() {
        assert_eq!(stories_in("plugin::a: test\nserver::b: test\n\n2 tests, 0 benchmarks\n"), 2);
        assert_eq!(stories_in(""), 0);
    }
}
