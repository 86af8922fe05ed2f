//! What a Rollout says around its steps.

use super::analysis::{How, analysis};
use super::{Reading, steps};
use crate::draft::Draft;
use crate::place::{Document, Place};
use crate::report::Ledger;
use crate::text;

const PODS: &str = "Serin owns no pods: the workload stays what it is";

pub(super) fn spec<'a>(draft: &mut Draft<'a>, spec: &Place<'a>, reading: &mut Reading<'a, '_>) {
    let ledger = &mut *reading.ledger;
    let owned = ["replicas", "selector", "minReadySeconds", "revisionHistoryLimit", "restartAt"];
    ledger.ignored_all(spec, &owned, PODS);
    let reference = spec.at("workloadRef");
    ledger.ignored(&reference, "Serin owns no pods: the Deployment it names stays what it is");
    version(draft, &spec.at("template"), ledger);
    if !spec.at("selector").is_there() && !reference.is_there() {
        let what = "it has no selector, and Argo refuses a Rollout without";
        ledger.error("refused", spec, what, "add `selector` and `template`, or `workloadRef`");
    }
    let paused = spec.at("paused");
    if paused.flag() == Some(true) {
        ledger.lost(&paused, "a rollout of Serin begins when it is applied", "apply it when it may begin");
    } else {
        ledger.ignored(&paused, "it is not paused");
    }
    let what = "a stage has a `deadline` of its own, at which a person is asked";
    for field in ["progressDeadlineSeconds", "progressDeadlineAbort"] {
        if spec.at(field).is_there() {
            ledger.approximated(&spec.at(field), what, "write `onInsufficient: rollback` to go back at it");
        }
    }
    if spec.at("rollbackWindow").is_there() {
        let what = "`serin rollback` goes back to versions from before at once, as long as they are deployed";
        ledger.approximated(
            &spec.at("rollbackWindow"),
            what,
            "write `keepWarm` to keep the old version deployed",
        );
    }
    ledger.ignored(&spec.at("analysis"), "how many runs are kept is `serin run --keep`");
    let canary = spec.down("strategy.canary");
    let blue_green = spec.down("strategy.blueGreen");
    let replicas = spec.at("replicas").number();
    if blue_green.is_there() {
        self::blue_green(draft, &blue_green, reading);
    } else if canary.is_map() {
        steps::canary(draft, &canary, replicas, reading);
    } else {
        let what = "it names no strategy: the stages are those of Serin's default preset";
        reading.ledger.approximated(&spec.at("(strategy)"), what, "write `stages`");
    }
}

/// The new version is what the pods run.
fn version(draft: &mut Draft<'_>, template: &Place<'_>, ledger: &mut Ledger) {
    let labels = template.down("metadata.labels");
    let images = template.down("spec.containers").items();
    let image = images.iter().map(|container| container.at("image")).find(Place::is_there);
    let of_image = image.as_ref().and_then(Place::text).and_then(|image| text::tag(&image));
    let of_label = ["version", "app.kubernetes.io/version"].iter().find_map(|name| labels.at(name).text());
    let of_label = of_label.and_then(|label| text::label(&label));
    let of_stable = |version: &String| *version != draft.stable;
    match (of_image.filter(of_stable), of_label.filter(of_stable)) {
        (Some(version), _) => {
            let place = image.unwrap_or_else(|| template.clone());
            ledger.carried(&place, format!("the new version is called {version}, as the image's tag"));
            draft.canary = version;
        }
        (None, Some(version)) => {
            ledger.carried(&labels, format!("the new version is called {version}, as its label"));
            draft.canary = version;
        }
        (None, None) => {
            let what = "nothing tells the new version's name: it is called canary";
            ledger.approximated(
                &draft.of.at("spec").at("(canary)"),
                what,
                "write its name in `canary.version`",
            );
        }
    }
    let what = "which version serves today is not written: it is called stable";
    ledger.approximated(&draft.of.at("spec").at("(stable)"), what, "write its name in `stable.version`");
    // The rest of the pods, field by field: what is said of one stands for all below it.
    pods(template, ledger);
}

fn pods(template: &Place<'_>, ledger: &mut Ledger) {
    for (name, field) in template.fields() {
        if name == "metadata" || name == "spec" {
            for (name, field) in field.fields() {
                if name == "containers" {
                    for container in field.items() {
                        let rest = container.fields().into_iter().filter(|(name, _)| name != "image");
                        rest.for_each(|(_, field)| ledger.ignored(&field, PODS));
                    }
                    let others = field.items().into_iter().map(|container| container.at("image"));
                    others.for_each(|image| {
                        if !ledger.is_said(&image) {
                            ledger.ignored(&image, PODS)
                        }
                    });
                } else if !ledger.is_said(&field) {
                    ledger.ignored(&field, PODS);
                }
            }
        } else {
            ledger.ignored(&field, PODS);
        }
    }
}

fn blue_green<'a>(draft: &mut Draft<'a>, at: &Place<'a>, reading: &mut Reading<'a, '_>) {
    let ledger = &mut *reading.ledger;
    let scaling = [
        "previewReplicaCount",
        "maxUnavailable",
        "scaleDownDelaySeconds",
        "scaleDownDelayRevisionLimit",
        "antiAffinity",
        "previewMetadata",
        "activeMetadata",
        "abortScaleDownDelaySeconds",
    ];
    ledger.ignored_all(at, &scaling, PODS);
    ledger.carried(&at.at("previewService"), "what the canary route leads to");
    steps::host(draft, &at.at("activeService"), ledger);
    let automatic = at.at("autoPromotionEnabled");
    let waits = automatic.flag() == Some(false);
    ledger.carried(
        &automatic,
        if waits { "`approval: true` before anybody is exposed" } else { "no approval is asked for" },
    );
    let seconds = at.at("autoPromotionSeconds");
    if let Some(ms) = seconds.text().and_then(|text| text::duration(&text)) {
        draft.bake(ms);
        ledger.carried(&seconds, "the time at weight 0");
    }
    let (pre, post) = (at.at("prePromotionAnalysis"), at.at("postPromotionAnalysis"));
    let before =
        if pre.is_there() { analysis(draft, &pre, How { background: false }, reading) } else { Vec::new() };
    draft.bake(0);
    if let Some(stage) = draft.stages.last_mut() {
        stage.approval = waits;
    }
    let all = manifest::Percent::from_ppm(1_000_000);
    if !before.is_empty() {
        let what = "at weight 0 nothing is measured: its gates hold a stage of 1% before all of it";
        reading.ledger.approximated(&pre.at("(when)"), what, "");
        draft.rise_to(manifest::Percent::from_ppm(10_000));
        draft.hold(&before);
    }
    draft.rise_to(all);
    draft.bake(300_000);
    if post.is_there() {
        let names = analysis(draft, &post, How { background: false }, reading);
        draft.hold(&names);
    }
}

/// What a template says around its metrics.
pub(super) fn of_template(document: &Document, ledger: &mut Ledger) {
    let root = document.place();
    crate::common(&root, ledger);
    let metadata = root.at("metadata");
    for field in ["name", "namespace"] {
        if !ledger.is_said(&metadata.at(field)) {
            ledger.carried(&metadata.at(field), "what it is named by");
        }
    }
}
