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

/// What becomes of the stories where `SERIN_MESH` says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsaid {
    /// They are skipped.
    Skip,
    /// A few of them run where the control plane is built: they take minutes, and building it takes half an hour of a core.
    Few,
}

/// What `SERIN_MESH` says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Run(Missing),
    /// Unset: a few of them where that is built.
    Few,
    /// `0`, or unset: skipped.
    No,
    /// The names of tools: as `1`, and their controllers are built as well.
    With(Vec<Peer>),
}

/// What is done about the stories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Run,
    /// [`FEW`].
    RunFew,
    Build {
        or_skip: bool,
        with: Vec<Peer>,
    },
    Skip(String),
}

/// What every run of CI can afford: each has passed again and again with both processors busy, and together they take few minutes.
const FEW: [&str; 5] = [
    "server::every_manifest_is_taken",
    "server::what_is_written_wrongly_is_refused",
    "workloads::a_deployment_is_handed_back_and_what_was_kept_is_scaled_down",
    "workloads::what_somebody_else_deployed_is_not_written_over",
    "pods::a_selector_without_pods_and_a_right_that_lacks_are_said",
];

const STORIES: [&str; 4] = ["test", "--workspace", "--test", "mesh"];

/// What to do about the stories, by `SERIN_MESH`, the cache, and what `cargo test` is asked for.
///
/// # Errors
/// When `SERIN_MESH` says something else than 1, 0, try, auto or the names of tools.
pub fn way(cache: &Cache, args: &[OsString], unsaid: Unsaid) -> Result<Way> {
    let said = var("SERIN_MESH").map(|value| value.to_string_lossy().into_owned());
    Ok(decide(wish(said.as_deref(), unsaid)?, cluster::all_built(cache), concern(args)))
}

/// Runs the stories; `handed` are the paths of what they need. Returns the line that says how many were skipped, and why.
pub fn run(
    workspace: &Workspace,
    cache: &Cache,
    way: Way,
    args: &[OsString],
    handed: &[(&'static str, PathBuf)],
) -> Result<Option<String>> {
    match &way {
        Way::Skip(why) => return Ok(Some(skipped(workspace, &[(None, why.clone())], 0))),
        Way::Build { or_skip, with } => match (cluster::build(cache, with), *or_skip) {
            (Ok(()), _) => {}
            (Err(error), true) => {
                let why = format!("the control plane could not be built: {}", first_line(&error));
                say(format!("{why}\n{error:#}"));
                return Ok(Some(skipped(workspace, &[(None, why)], 0)));
            }
            (Err(error), false) => return Err(error),
        },
        Way::Run | Way::RunFew => {}
    }
    let few = way == Way::RunFew;
    let mut left_out = Vec::new();
    if few {
        call_few(workspace, handed)?;
        let why = "CI runs a few; SERIN_MESH=auto runs all".to_owned();
        return Ok(Some(skipped(workspace, &[(None, why)], FEW.len())));
    }
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
    Ok((!left_out.is_empty()).then(|| skipped(workspace, &left_out, 0)))
}

fn call_few(workspace: &Workspace, handed: &[(&'static str, PathBuf)]) -> Result<()> {
    let call = workspace.cargo().args(STORIES).args(["--", "--ignored", "--exact"]).args(FEW);
    let remedy =
        "see the failed story above; run it alone with: SERIN_MESH=1 cargo xtask test --test mesh NAME";
    call.envs(handed.iter().cloned()).env("SERIN_XTASK", workspace.binary("xtask")).remedy(remedy).run()
}

/// The module of the stories with that tool.
const fn stories_of(peer: Peer) -> &'static str {
    match peer {
        Peer::Flagger => "flagger::",
        Peer::ArgoRollouts => "argo_rollouts::",
    }
}

/// The line that says how many stories were skipped, and why; those of a module, or all but so many that ran.
fn skipped(workspace: &Workspace, which: &[(Option<&str>, String)], ran: usize) -> String {
    let listed = workspace.cargo().args(STORIES).args(["--quiet", "--", "--list", "--ignored"]).text();
    let each: Vec<String> = which
        .iter()
        .map(|(module, why)| {
            let count = listed.as_ref().map_or_else(
                |_| "all".to_owned(),
                |said| (stories_in(said, module.unwrap_or_default()).saturating_sub(ran)).to_string(),
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

fn wish(said: Option<&str>, unsaid: Unsaid) -> Result<Wish> {
    match said {
        Some("auto") => Ok(Wish::Run(Missing::Skip)),
        Some("try") => Ok(Wish::Run(Missing::TryToBuild)),
        Some("1") => Ok(Wish::Run(Missing::Build)),
        None | Some("") if unsaid == Unsaid::Few => Ok(Wish::Few),
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
        Wish::Few if built => Way::RunFew,
        Wish::Few => Way::Skip(UNBUILT.to_owned()),
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
        let wish = wish(said, Unsaid::Skip).expect("a wish");
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
            let error = wish(Some(wrong), Unsaid::Skip).expect_err("no such word").to_string();
            assert!(error.contains("1 (build"), "{error}");
        }
    }

    /// CI needs neither Go nor time for it, and says what it leaves out.
    #[test]
    fn ci_runs_a_few_where_the_control_plane_is_built() {
        let of =
            |said: Option<&str>, built: bool| decide(wish(said, Unsaid::Few).expect("a wish"), built, true);
        assert_eq!((of(None, true), of(Some(""), true)), (Way::RunFew, Way::RunFew));
        assert!(matches!(of(None, false), Way::Skip(why) if why.contains("not built")));
        assert!(matches!(of(Some("0"), true), Way::Skip(_)));
        assert_eq!(of(Some("auto"), true), Way::Run);
    }

    #[test]
    fn the_few_are_stories() {
        for story in FEW {
            let (module, name) = story.split_once("::").expect("a module and a name");
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(format!("../../tests/mesh/{module}.rs"));
            let text = std::fs::read_to_string(&file).expect("a file of stories");
            assert!(text.contains(&format!("async fn {name}()")), "{story} is no story");
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
