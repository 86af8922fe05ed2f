//! `cargo xtask chart`: the manifests of `istio/` are what the chart gives for the values of `examples/plain.yaml`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;

use crate::cache::Cache;
use crate::cluster;
use crate::process::{Call, is_program, say};
use crate::workspace::Workspace;

/// What to do with the chart.
#[derive(Subcommand)]
pub enum Command {
    /// Write the manifests of `istio/`.
    Render,
    /// Say what is not as the chart has it, lint the chart with each file of examples, and test its rules where promtool is.
    Check,
}

/// A manifest, the template that gives it, and what is said beside the values.
struct Plain {
    file: &'static str,
    template: &'static str,
    set: &'static str,
    /// It is an entry of that template's ConfigMap.
    entry: bool,
}

const fn plain(file: &'static str, set: &'static str) -> Plain {
    Plain { file, template: file, set, entry: false }
}

const PATCHES: &str = "patches.yaml";

const MANIFESTS: [Plain; 11] = [
    plain("controller.yaml", ""),
    plain("destinationrule.yaml", ""),
    plain("virtualservice.yaml", ""),
    plain("envoyfilter-early-removal.yaml", ""),
    plain("envoyfilter-fast-lane.yaml", ""),
    plain("fast-lane-bootstrap.yaml", ""),
    plain("trafficextension.yaml", "plugin.kind=TrafficExtension"),
    plain("wasmplugin.yaml", "plugin.kind=WasmPlugin"),
    // The controller's alone, where it writes the policy.
    plain("plugin-rbac.yaml", "plugin.write=true,plugin.policy=none"),
    Plain { file: "stats-tags.yaml", template: PATCHES, set: "", entry: true },
    Plain { file: "fast-lane-workload.yaml", template: PATCHES, set: "", entry: true },
];

const REMEDY: &str = "cargo xtask chart render";

pub fn run(command: &Command, workspace: &Workspace, cache: &Cache) -> Result<()> {
    let helm = cluster::helm(cache)?;
    match command {
        Command::Render => {
            for manifest in &MANIFESTS {
                let path = folder(workspace).join(manifest.file);
                fs::write(&path, rendered(&helm, workspace, manifest)?)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            Ok(())
        }
        Command::Check => {
            check(&helm, workspace)?;
            let prometheus = crate::prometheus::find(cache);
            if !rules(workspace, prometheus.as_deref())? {
                say("no promtool beside Prometheus: the rules were not tested");
            }
            Ok(())
        }
    }
}

/// The same as a step of the tests. Why it was left out, if it was.
pub fn tested(workspace: &Workspace, cache: &Cache, prometheus: Option<&Path>) -> Result<Option<String>> {
    let helm = match cluster::helm(cache) {
        Ok(helm) => helm,
        Err(error) => return Ok(Some(format!("Helm cannot be had: {error:#}"))),
    };
    check(&helm, workspace)?;
    Ok((!rules(workspace, prometheus)?).then(|| "its rules: there is no promtool".to_owned()))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("istio")
}

/// Values that fit the schema and not each other, and words of the error.
const REFUSED: [(&str, &str); 4] = [
    ("monitoring.serviceMonitor.enabled=true", "set networkPolicy.monitoring"),
    ("controller.podLabels.app=other", "leave it out"),
    ("controller.extraArgs={--http=127.0.0.1:1}", "other values of the chart say --http="),
    ("plugin.enabled=true", "plugin.namespaces"),
];

/// Values, and how often a line is in what is made of them.
const MADE: [(&str, &str, usize); 6] = [
    ("services[0].name=a,services[0].namespace=b", "kind: DestinationRule", 1),
    (
        "services[0].name=a,services[0].namespace=b,services[0].destinationRule=false",
        "kind: DestinationRule",
        0,
    ),
    ("replicas=2", "podAntiAffinity:", 1),
    ("replicas=1", "podAntiAffinity:", 0),
    ("fullnameOverride=a.b", "name: a-b", 5),
    ("controller.extraArgs={--log=info}", "- --log=info", 1),
];

fn check(helm: &Path, workspace: &Workspace) -> Result<()> {
    for manifest in &MANIFESTS {
        let path = folder(workspace).join(manifest.file);
        let stands = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let rendered = rendered(helm, workspace, manifest)?;
        ensure!(
            stands == rendered,
            "{} is not what the chart gives{}\n  remedy:  change the template in istio/chart, then {REMEDY}",
            path.display(),
            first_difference(&stands, &rendered)
        );
    }
    let chart = folder(workspace).join("chart");
    let lint = || Call::new(helm).args(["lint", "--strict", "--quiet"]).arg(&chart);
    lint().run_aside()?;
    for values in examples(&chart)? {
        lint().arg("--values").arg(&values).run_aside()?;
        let template = Call::new(helm).args(["template", "serin"]).arg(&chart);
        template.arg("--values").arg(&values).text()?;
    }
    for (values, reason) in REFUSED {
        let said = Call::new(helm).args(["template", "serin"]).arg(&chart).args(["--set", values]).text();
        let refused = said.as_ref().is_err_and(|error| format!("{error:?}").contains(reason));
        ensure!(refused, "the chart takes {values}, or does not say {reason:?}");
    }
    for (values, object, count) in MADE {
        let call = Call::new(helm).args(["template", "serin"]).arg(&chart).args(["--set", values]);
        let found = call.text()?.lines().filter(|line| line.trim() == object).count();
        ensure!(found == count, "{values} makes {found} lines `{object}`, where it should make {count}");
    }
    Ok(())
}

/// Files of values, in order.
fn examples(chart: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(chart.join("examples")).context("the chart has no examples")?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension() == Some(OsStr::new("yaml")));
    files.sort();
    ensure!(!files.is_empty(), "the chart has no examples");
    Ok(files)
}

/// Are the rules tested? They are where promtool is beside Prometheus.
fn rules(workspace: &Workspace, prometheus: Option<&Path>) -> Result<bool> {
    let promtool = prometheus.and_then(Path::parent).map(|folder| folder.join("promtool"));
    let Some(promtool) = promtool.filter(|path| is_program(path)) else { return Ok(false) };
    let rules = folder(workspace).join("chart/rules");
    let files = ["records.yaml", "alerts.yaml"].map(|file| rules.join(file));
    Call::new(&promtool).args(["check", "rules"]).args(files).run_aside()?;
    Call::new(&promtool).args(["test", "rules"]).arg(rules.join("tests.yaml")).run_aside()?;
    Ok(true)
}

fn rendered(helm: &Path, workspace: &Workspace, manifest: &Plain) -> Result<String> {
    let chart = folder(workspace).join("chart");
    let call = Call::new(helm).args(["template", "serin"]).arg(&chart).args(["--namespace", "serin-system"]);
    let call = call.arg("--values").arg(chart.join("examples/plain.yaml"));
    let call = match manifest.set {
        "" => call,
        set => call.args(["--set", set]),
    };
    let said = call.args(["--show-only", &format!("templates/{}", manifest.template)]).text()?;
    let documents = without_helms_lines(&said);
    if !manifest.entry {
        return Ok(documents);
    }
    match entry(&documents, manifest.file) {
        Some(text) => Ok(text),
        None => bail!("{} has no entry {}", manifest.template, manifest.file),
    }
}

/// Helm says above each document where it is from, and begins with a line of its own.
fn without_helms_lines(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with("# Source: "));
    let text: Vec<&str> = lines.skip_while(|line| *line == "---" || line.is_empty()).collect();
    format!("{}\n", text.join("\n").trim_end())
}

/// The text of a ConfigMap's entry.
fn entry(document: &str, key: &str) -> Option<String> {
    let head = format!("  {key}: |");
    let lines = document.lines().skip_while(|line| *line != head).skip(1);
    let lines = lines.map_while(|line| match line.strip_prefix("    ") {
        Some(line) => Some(line),
        None => line.is_empty().then_some(""),
    });
    let text: Vec<&str> = lines.collect();
    (!text.is_empty()).then(|| format!("{}\n", text.join("\n").trim_end()))
}

fn first_difference(stands: &str, rendered: &str) -> String {
    let line = stands.lines().zip(rendered.lines()).position(|(one, other)| one != other);
    line.map_or_else(String::new, |line| {
        let at = |text: &str| text.lines().nth(line).unwrap_or_default().to_owned();
        format!(": line {} is {:?}, and the chart has {:?}", line + 1, at(stands), at(rendered))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helm_adds_is_left_out() {
        let said = "---\n# Source: serin/templates/a.yaml\n# A.\nkind: A\n---\n# Source: serin/templates/a.yaml\nkind: B\n\n";
        assert_eq!(without_helms_lines(said), "# A.\nkind: A\n---\nkind: B\n");
    }

    #[test]
    fn an_entry_is_taken_out() {
        let map = "data:\n  a.yaml: |\n    # A.\n    x:\n\n      y: 1\n  b.yaml: |\n    z\n";
        assert_eq!(entry(map, "a.yaml").as_deref(), Some("# A.\nx:\n\n  y: 1\n"));
        assert_eq!(entry(map, "b.yaml").as_deref(), Some("z\n"));
        assert_eq!(entry(map, "c.yaml"), None);
    }

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), ": line 2 is \"b\", and the chart has \"c\"");
        assert_eq!(first_difference("a\n", "a\n"), "");
    }

    #[test]
    fn every_manifest_is_the_charts() {
        let istio = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../istio");
        let files = fs::read_dir(istio).unwrap().flatten().map(|entry| entry.file_name());
        let mut files: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        files.retain(|name| name.ends_with(".yaml"));
        files.sort();
        let mut ours = MANIFESTS.map(|manifest| manifest.file.to_owned());
        ours.sort();
        assert_eq!(files, ours, "a manifest without a template: say it in MANIFESTS");
    }
}
