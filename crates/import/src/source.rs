//! The documents of the texts that were given, and what each of them is.

use manifest::documents;

use crate::argo::STEP_KINDS;
use crate::place::Document;
use crate::tree::{Node, Value, parse};

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ArgoRollout,
    /// Of Argo: what stands under `spec.strategy.canary`, alone.
    ArgoCanary,
    /// Of Argo: a list of steps, alone.
    ArgoSteps,
    ArgoTemplate,
    /// Of Argo: a list of metrics, alone.
    ArgoMetrics,
    FlaggerCanary,
    /// Of Flagger: what stands under `spec`, alone.
    FlaggerSpec,
    FlaggerTemplate,
    InferenceService,
    LlmInferenceService,
    HttpRoute,
    VirtualService,
    /// Serin's own.
    Own,
    Other,
}

/// What can be imported, for messages.
pub(crate) const SUPPORTED: &str = "Rollout, AnalysisTemplate and ClusterAnalysisTemplate (argoproj.io), Canary and MetricTemplate \
    (flagger.app), InferenceService and LLMInferenceService (serving.kserve.io), HTTPRoute (gateway.networking.k8s.io) and \
    VirtualService (networking.istio.io)";

/// A text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// The file.
    pub file: String,
    /// The line, if one is known.
    pub line: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What helps.
    pub remedy: String,
}

/// The documents of some texts, lists taken apart.
pub(crate) fn read(texts: &[crate::Text]) -> (Vec<(Kind, Document)>, Vec<Refused>) {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for text in texts {
        let whole = text.text.strip_prefix('\u{feff}').unwrap_or(&text.text);
        let parts = documents(whole);
        if parts.is_empty() {
            refused.push(Refused {
                file: text.file.clone(),
                line: None,
                what: "it holds no document".to_owned(),
                remedy: format!("give a {SUPPORTED}"),
            });
        }
        for part in parts {
            let before = part.line - 1;
            match parse(&part.text) {
                Ok(root) => add(&mut found, &text.file, before, String::new(), root, 0),
                Err((line, what)) => {
                    let templated = part.text.contains("{{") || part.text.contains("${");
                    refused.push(Refused {
                        file: text.file.clone(),
                        line: line.map(|line| before + line),
                        what: format!("it is not valid YAML: {what}"),
                        remedy: if templated {
                            "render it first: `helm template`, `kustomize build` or envsubst".to_owned()
                        } else {
                            "check it with `kubectl apply --dry-run=client`; give only the documents that are to be imported".to_owned()
                        },
                    });
                }
            }
        }
    }
    (found, refused)
}

fn add(found: &mut Vec<(Kind, Document)>, file: &str, before: u64, within: String, root: Node, depth: usize) {
    let text = |name: &str| match root.field(name).map(|node| &node.value) {
        Some(Value::Text(text) | Value::Number(text)) => text.clone(),
        _ => String::new(),
    };
    let (group, kind) = (text("apiVersion"), text("kind"));
    if let (true, Some(Value::List(items))) = (
        depth < 3 && (kind.is_empty() || kind.ends_with("List")),
        root.field("items").map(|node| &node.value),
    ) {
        let dot = if within.is_empty() { "" } else { "." };
        for (index, item) in items.iter().enumerate() {
            add(found, file, before, format!("{within}{dot}items[{index}]"), item.clone(), depth + 1);
        }
        return;
    }
    if kind.is_empty()
        && let Some((kind, path, node)) = fragment(&root, within.clone(), 0)
    {
        let document = document(found.len(), file, before, path, kind_name(kind), node.clone());
        found.push((kind, document));
        return;
    }
    let known = of_kind(&group, &kind);
    let name = if kind.is_empty() { "a document without a kind".to_owned() } else { kind };
    let document = document(found.len(), file, before, within, &name, root);
    found.push((known, document));
}

fn document(number: usize, file: &str, before: u64, within: String, kind: &str, root: Node) -> Document {
    let metadata =
        |name: &str| match root.field("metadata").and_then(|node| node.field(name)).map(|node| &node.value) {
            Some(Value::Text(text) | Value::Number(text)) => Some(text.clone()),
            _ => None,
        };
    let target = root.field("targetRef").and_then(|node| node.field("name")).map(|node| &node.value);
    let of_target = || match target {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let of_file = || {
        let last = file.rsplit(['/', '\\']).next().unwrap_or(file);
        last.split('.').next().filter(|stem| !stem.is_empty() && *stem != "-").map(str::to_owned)
    };
    let name = metadata("name").or_else(|| metadata("generateName")).or_else(of_target).or_else(of_file);
    Document {
        number,
        file: file.to_owned(),
        before,
        within,
        kind: kind.to_owned(),
        name: name.unwrap_or_else(|| "imported".to_owned()),
        namespace: metadata("namespace"),
        root,
    }
}

fn of_kind(group: &str, kind: &str) -> Kind {
    let group = group.split('/').next().unwrap_or_default();
    match (group, kind) {
        ("argoproj.io" | "", "Rollout") => Kind::ArgoRollout,
        ("argoproj.io" | "", "AnalysisTemplate" | "ClusterAnalysisTemplate") => Kind::ArgoTemplate,
        ("flagger.app" | "", "Canary") => Kind::FlaggerCanary,
        ("flagger.app" | "", "MetricTemplate") => Kind::FlaggerTemplate,
        ("serving.kserve.io" | "", "InferenceService") => Kind::InferenceService,
        ("serving.kserve.io" | "", "LLMInferenceService") => Kind::LlmInferenceService,
        ("gateway.networking.k8s.io" | "", "HTTPRoute" | "GRPCRoute") => Kind::HttpRoute,
        ("networking.istio.io" | "", "VirtualService") => Kind::VirtualService,
        ("serin.dev", _) => Kind::Own,
        _ => Kind::Other,
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::ArgoCanary => "a part of a Rollout",
        Kind::ArgoSteps => "steps of a Rollout",
        Kind::ArgoMetrics => "metrics of an AnalysisTemplate",
        _ => "a part of a Canary",
    }
}

/// A part of a known kind in a document without one: the values of a chart, a piece of documentation.
fn fragment(node: &Node, path: String, depth: usize) -> Option<(Kind, String, &Node)> {
    if let Some(kind) = shape(node) {
        return Some((kind, path, node));
    }
    let Value::Map(fields) = &node.value else { return None };
    fields.iter().filter(|_| depth < 4).find_map(|(name, field)| {
        let dot = if path.is_empty() { "" } else { "." };
        fragment(field, format!("{path}{dot}{name}"), depth + 1)
    })
}

fn shape(node: &Node) -> Option<Kind> {
    let has = |node: &Node, names: &[&str]| names.iter().any(|name| node.field(name).is_some());
    match &node.value {
        Value::List(items) if !items.is_empty() => {
            if items.iter().all(|item| has(item, &STEP_KINDS)) {
                Some(Kind::ArgoSteps)
            } else {
                items.iter().all(|item| has(item, &["provider"])).then_some(Kind::ArgoMetrics)
            }
        }
        Value::Map(_) => {
            let analysis = node.field("analysis").or_else(|| node.field("canaryAnalysis"));
            let of_flagger = ["stepWeight", "stepWeights", "maxWeight", "iterations", "threshold"];
            if analysis.is_some_and(|analysis| has(analysis, &of_flagger)) {
                Some(Kind::FlaggerSpec)
            } else if has(node, &["canaryService", "stableService", "trafficRouting"])
                || node.field("steps").is_some_and(|steps| shape(steps) == Some(Kind::ArgoSteps))
            {
                Some(Kind::ArgoCanary)
            } else {
                None
            }
        }
        _ => None,
    }
}
