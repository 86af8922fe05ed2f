//! The mesh stories of `cargo xtask test`: run where the control plane is built or may be built, else counted as skipped.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum as _;

use crate::cache::Cache;
use crate::cluster::{self, Peer};
use crate::process::{say, var};
use crate::workspace::Workspace;

/// What becomes of the stories whose programs are not built yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// `auto`: skipped.
    Skip,
    /// `try`: built first; where that cannot be, they are skipped.
    TryToBuild,
    /// `1`: built first.
    Build,
}

/// What `SERIN_MESH` says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Run(Missing),
    /// `0`, or unset: skipped.
    No,
    /// The names of tools: as `1`, and their controllers are built as well.
    With(Vec<Peer>),
}

/// What is done about the stories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Run,
    Build { or_skip: bool, with: Vec<Peer> },
    Skip(String),
}

const STORIES: [&str; 4] = ["test", "--workspace", "--test", "mesh"];

/// What to do about the stories, by `SERIN_MESH`, the cache, and what `cargo test` is asked for.
///
/// # Errors
/// When `SERIN_MESH` says something else than 1, 0, try, auto or the names of tools.
pub fn way(cache: &Cache, args: &[OsString]) -> Result<Way> {
    let said = var("SERIN_MESH").map(|value| value.to_string_lossy().into_owned());
    Ok(decide(wish(said.as_deref())?, cluster::all_built(cache), concern(args)))
}

/// Runs the stories; `handed` are the paths of what they need. Returns the line that says how many were skipped, and why.
pub fn run(
    workspace: &Workspace,
    cache: &Cache,
    way: Way,
    args: &[OsString],
    handed: &[(&'static str, PathBuf)],
) -> Result<Option<String>> {
    match way {
        Way::Skip(why) => return Ok(Some(skipped(workspace, &[(None, why)]))),
        Way::Build { or_skip, with } => match (cluster::build(cache, &with), or_skip) {
            (Ok(()), _) => {}
            (Err(error), true) => {
                let why = format!("the control plane could not be built: {}", first_line(&error));
                say(format!("{why}\n{error:#}"));
                return Ok(Some(skipped(workspace, &[(None, why)])));
            }
            (Err(error), false) => return Err(error),
        },
        Way::Run => {}
    }
    let mut left_out = Vec::new();
    if !cluster::agents_can_store_modules() {
        left_out.push((Some("agent::"), "you may not write to /var/lib/istio/data".to_owned()));
    }
    for peer in Peer::ALL.into_iter().filter(|peer| !cluster::peer_built(cache, *peer)) {
        let why = format!("{0} is not built; SERIN_MESH={0} builds it", peer.name());
        left_out.push((Some(stories_of(peer)), why));
    }
    let helm = cluster::helm(cache);
    if let Err(error) = &helm {
        left_out.push((Some("chart::"), format!("Helm cannot be had: {}", first_line(error))));
    }
    let mut call = workspace.cargo().args(STORIES).args(with(args, "--ignored"));
    for (stories, _) in &left_out {
        call = call.args(["--skip", stories.unwrap_or_default()]);
    }
    if let Ok(helm) = helm {
        call = call.env("SERIN_HELM", helm);
    }
    let remedy =
        "see the failed story above; run it alone with: SERIN_MESH=1 cargo xtask test --test mesh NAME";
    call.envs(handed.iter().cloned()).env("SERIN_XTASK", workspace.binary("xtask")).remedy(remedy).run()?;
    Ok((!left_out.is_empty()).then(|| skipped(workspace, &left_out)))
}

/// The module of the stories with that tool.
const fn stories_of(peer: Peer) -> &'static str {
    match peer {
        Peer::Flagger => "flagger::",
        Peer::ArgoRollouts => "argo_rollouts::",
    }
}

/// The line that says how many stories were skipped, and why; those of a module, or all.
fn skipped(workspace: &Workspace, which: &[(Option<&str>, String)]) -> String {
    let listed = workspace.cargo().args(STORIES).args(["--quiet", "--", "--list", "--ignored"]).text();
    let each: Vec<String> = which
        .iter()
        .map(|(module, why)| {
            let count = listed.as_ref().map_or_else(
                |_| "all".to_owned(),
                |said| stories_in(said, module.unwrap_or_default()).to_string(),
            );
            format!("{count} skipped ({why})")
        })
        .collect();
    format!("mesh stories: {}", each.join(", "))
}

fn stories_in(said: &str, module: &str) -> usize {
    said.lines().filter(|line| line.ends_with(": test") && line.starts_with(module)).count()
}

fn first_line(error: &anyhow::Error) -> String {
    error.root_cause().to_string().lines().next().unwrap_or_default().to_owned()
}

fn wish(said: Option<&str>) -> Result<Wish> {
    match said {
        Some("auto") => Ok(Wish::Run(Missing::Skip)),
        Some("try") => Ok(Wish::Run(Missing::TryToBuild)),
        Some("1") => Ok(Wish::Run(Missing::Build)),
        None | Some("" | "0") => Ok(Wish::No),
        Some(other) => {
            let peers: Result<Vec<_>, _> =
                other.split(',').map(|name| Peer::from_str(name.trim(), false)).collect();
            let Ok(peers) = peers else {
                bail!(
                    "SERIN_MESH={other}: set it to 1 (build what is missing), try, 0, auto, or the tools to build as well (flagger, argo-rollouts)"
                )
            };
            Ok(Wish::With(peers))
        }
    }
}

fn decide(wish: Wish, built: bool, concern: bool) -> Way {
    const UNBUILT: &str =
        "the control plane is not built; SERIN_MESH=1 builds it, once, in about 30 minutes of one core";
    match wish {
        _ if !concern => Way::Skip("other tests were asked for".to_owned()),
        Wish::No => Way::Skip(
            "SERIN_MESH is 0 or unset: auto runs them where the control plane is built, 1 builds it first"
                .to_owned(),
        ),
        Wish::With(with) => Way::Build { or_skip: false, with },
        Wish::Run(_) if built => Way::Run,
        Wish::Run(Missing::Skip) => Way::Skip(UNBUILT.to_owned()),
        Wish::Run(missing) => Way::Build { or_skip: missing == Missing::TryToBuild, with: Vec::new() },
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

    /// `expected`: or a part of why they are skipped.
    #[track_caller]
    fn check(said: Option<&str>, built: bool, args: &[&str], expected: Result<Way, &str>) {
        let wish = wish(said).expect("a wish");
        match (decide(wish, built, concern(&os(args))), expected) {
            (Way::Skip(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (found, expected) => assert_eq!(Ok(found), expected),
        }
    }

    fn build(with: &[Peer]) -> Way {
        Way::Build { or_skip: false, with: with.to_vec() }
    }

    #[test]
    fn stories_run_where_they_can() {
        check(Some("auto"), true, &[], Ok(Way::Run));
        check(Some("auto"), false, &[], Err("SERIN_MESH=1"));
        check(Some("1"), false, &[], Ok(build(&[])));
        check(Some("1"), true, &[], Ok(Way::Run));
        check(None, true, &[], Err("0 or unset"));
        check(Some("try"), true, &[], Ok(Way::Run));
        check(Some("try"), false, &[], Ok(Way::Build { or_skip: true, with: Vec::new() }));
        check(Some("0"), true, &[], Err("0 or unset"));
        check(Some("flagger"), true, &[], Ok(build(&[Peer::Flagger])));
        check(Some("argo-rollouts, flagger"), false, &[], Ok(build(&[Peer::ArgoRollouts, Peer::Flagger])));
        for wrong in ["yes", "flagger,", "1,flagger"] {
            let error = wish(Some(wrong)).expect_err("no such word").to_string();
            assert!(error.contains("1 (build"), "{error}");
        }
    }

    #[test]
    fn who_asks_for_other_tests_waits_for_no_cluster() {
        let others = Err("other tests");
        check(Some("auto"), true, &["-p", "split"], others.clone());
        check(Some("auto"), true, &["-psplit"], others.clone());
        check(Some("auto"), true, &["--test", "e2e"], others.clone());
        check(Some("auto"), true, &["--test=e2e", "leases"], others.clone());
        check(Some("auto"), true, &["--lib"], others.clone());
        check(Some("auto"), true, &["leases", "--", "--nocapture"], Ok(Way::Run));
        check(Some("auto"), true, &["-p", "tests", "plugin"], Ok(Way::Run));
        check(Some("auto"), true, &["--package=tests"], Ok(Way::Run));
        check(Some("auto"), true, &["--test", "mesh"], Ok(Way::Run));
        check(Some("auto"), true, &["--profile", "x"], Ok(Way::Run));
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
        let said = "plugin::a: test\nagent::b: test\n\n2 tests, 0 benchmarks\n";
        assert_eq!((stories_in(said, ""), stories_in(said, "agent::"), stories_in("", "")), (2, 1, 0));
    }
}
