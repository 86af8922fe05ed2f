//! `serin compare`: predictions of two versions, and what became of them: from files to the columns that `serin judge`
//! judges.

mod classes;
mod fit;
mod labels;
mod shown;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::{AnalysisOptions, EXIT_CODES, Judgement, Options, Output, Table, Verdict, exit_code, whole};
use crate::judgement::segment::SegmentPolicy;
use fit::Unfit;
use labels::Labels;
use version::{Columns, Version};

/// Options of `serin compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct CompareOptions {
    /// File of stable's predictions: one JSON object per line, or CSV with a header
    pub baseline: PathBuf,
    /// File of the canary's predictions, in either format
    pub canary: PathBuf,
    /// File of true labels, in either format, with the columns of --id and --label. Default: the label column of the files
    #[arg(long)]
    pub labels: Option<PathBuf>,
    /// Column that identifies a prediction
    #[arg(long, default_value = "id")]
    pub id: String,
    /// Column of the true label
    #[arg(long, default_value = "label")]
    pub label: String,
    /// Column of the predicted class (or number, with --numeric)
    #[arg(long, default_value = "prediction")]
    pub prediction: String,
    /// Column of the probability, 0 to 1: of the class of --positive, else of the predicted class
    #[arg(long, default_value = "score")]
    pub score: String,
    /// Column of the answer time
    #[arg(long, default_value = "latency_ms")]
    pub latency: String,
    /// Column of errors: 0 or 1, or a text where there was one
    #[arg(long, default_value = "error")]
    pub error: String,
    /// The class that precision, recall and AUC are about. Default: 1 or true, where labels are 0 and 1, or false and true
    #[arg(long)]
    pub positive: Option<String>,
    /// Without a column of predictions, scores from here on predict the class of --positive
    #[arg(long, default_value_t = 0.5)]
    pub threshold: f64,
    /// Predictions and labels are numbers: compare how far off they are
    #[arg(long)]
    pub numeric: bool,
    /// A metric's own terms, or a further column to judge: accuracy,margin=0.01 (see `serin judge --metric`)
    #[arg(long)]
    pub metric: Vec<String>,
    /// Limit with a severity on a column, such as prediction_distribution_shift=score (see `serin judge --trigger`)
    #[arg(long)]
    pub trigger: Vec<String>,
    /// Also judge each value of these columns separately; a+b combines two columns
    #[arg(long, value_delimiter = ',')]
    pub segment: Vec<String>,
    /// Column of the independent unit, such as the user: all its rows become one observation, their mean
    #[arg(long)]
    pub unit: Option<String>,
    /// One-sided probability of a false proof
    #[arg(long)]
    pub alpha: Option<f64>,
    /// Output format
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

/// What is judged where nobody says otherwise, and how much worse is borne.
const USUAL: [(&str, &str); 7] = [
    ("accuracy", "direction=higher_is_better,margin=0.02,critical"),
    ("precision", "direction=higher_is_better,margin=0.02,critical"),
    ("recall", "direction=higher_is_better,margin=0.02,critical"),
    ("brier", "direction=lower_is_better,margin=10%,kind=mean,critical"),
    ("absolute_error", "direction=lower_is_better,margin=5%,kind=mean,critical"),
    ("latency", "direction=lower_is_better,margin=10%,kind=latency,critical"),
    ("errors", "direction=lower_is_better,margin=0.005,critical"),
];

pub fn compare(options: &CompareOptions) -> Result<ExitCode> {
    let judgement = judgement(options)?;
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&judgement.json)?),
        Output::Text => print!("{}", judgement.text),
    }
    Ok(ExitCode::from(exit_code(judgement.verdict)))
}

pub(super) fn judgement(options: &CompareOptions) -> Result<Judgement> {
    let (baseline, canary) = (Table::read(&options.baseline)?, Table::read(&options.canary)?);
    let labels = match &options.labels {
        Some(path) => Some(Labels::of(&Table::read(path)?, &options.id, &options.label)?),
        None => None,
    };
    let columns = Columns::new(options, labels.as_ref(), [&baseline, &canary])?;
    let versions = [Version::new(&baseline, &columns)?, Version::new(&canary, &columns)?];
    fit::spelling(&columns, &versions)?;
    let unfit = fit::unfit(&columns, &versions)?;
    let judged = judged(options, &versions, &unfit);
    if !unfit.is_empty() && judged.is_empty() && options.trigger.is_empty() {
        let text = format!("{}\n", shown::text(&columns, &versions)?);
        let json = json!({"versions": shown::figures(&columns, &versions)?});
        return Ok(with_unfit(Judgement { verdict: Verdict::Error, text, json }, &unfit));
    }
    if judged.is_empty() && options.trigger.is_empty() {
        let has: Vec<&str> = baseline.names().collect();
        bail!(
            "nothing can be compared: {} has {}; name the columns with --prediction, --score, --latency, --error, and give \
             --labels for accuracy",
            baseline.file(),
            has.join(", ")
        );
    }
    let found = whole::judgement(
        &of_judge(options, judged),
        &versions[0].table,
        &versions[1].table,
        shown::notes(options, &columns, &versions),
    )?;
    let mut text = shown::text(&columns, &versions)?;
    text.push('\n');
    text.push_str(&found.text);
    let mut json = found.json;
    if let Some(object) = json.as_object_mut() {
        object.insert("versions".to_owned(), json!(shown::figures(&columns, &versions)?));
        object.insert("drift".to_owned(), json!(shown::drift(&columns, &versions)?));
    }
    Ok(with_unfit(Judgement { verdict: found.verdict, text, json }, &unfit))
}

/// What else was found harmful stands beside what cannot be compared; nothing else does.
fn with_unfit(found: Judgement, unfit: &[Unfit]) -> Judgement {
    let Judgement { mut verdict, mut text, mut json } = found;
    if unfit.is_empty() {
        return Judgement { verdict, text, json };
    }
    if verdict != Verdict::Fail {
        verdict = Verdict::Error;
    }
    for Unfit { why, .. } in unfit {
        text.push_str(&format!("{verdict}: {why}\n"));
    }
    if let Some(object) = json.as_object_mut() {
        let reasons: Vec<&str> = unfit.iter().map(|one| one.why.as_str()).collect();
        object.insert("verdict".to_owned(), json!(verdict));
        object.insert("not_comparable".to_owned(), json!(reasons));
        if let Some(labels) = unfit.iter().find(|one| one.what == fit::LABELS) {
            object.insert("uneven_labels".to_owned(), json!(labels.why));
        }
    }
    Judgement { verdict, text, json }
}

/// The metrics that both files have, each with its terms; what the user says of one goes after, and so before.
fn judged(options: &CompareOptions, versions: &[Version; 2], unfit: &[Unfit]) -> Vec<String> {
    let both = |name: &str| {
        versions.iter().all(|version| version.has(name)) && !unfit.iter().any(|one| one.concerns(name))
    };
    let name_of = |text: &str| text.split(',').next().unwrap_or_default().trim().to_owned();
    let own = |name: &str| {
        let found = options.metric.iter().find(|text| name_of(text) == name);
        found.and_then(|text| text.split_once(',')).map_or(String::new(), |(_, terms)| format!(",{terms}"))
    };
    let usual = USUAL.into_iter().filter(|(name, _)| both(name));
    let usual = usual.map(|(name, terms)| format!("{name},{terms}{}", own(name)));
    let further =
        options.metric.iter().filter(|text| !USUAL.iter().any(|(name, _)| *name == name_of(text))).cloned();
    usual.chain(further).collect()
}

fn of_judge(options: &CompareOptions, metric: Vec<String>) -> Options {
    Options {
        control: options.baseline.clone(),
        canary: options.canary.clone(),
        config: None,
        metric,
        trigger: options.trigger.clone(),
        rules: None,
        direction: None,
        margin: None,
        kind: None,
        test: None,
        alpha: options.alpha,
        min_samples: 10,
        segment: options.segment.clone(),
        min_segment_n: 100,
        segments_must: SegmentPolicy::Pass,
        share: None,
        unit: options.unit.clone(),
        pair_by: Some(options.id.clone()),
        seed: 1,
        timestamp: None,
        // Any metric that is proven worse fails, and no share of undecided ones does.
        pass: Some(100.0),
        fail: Some(-1.0),
        marginal: None,
        output: options.output,
        series: AnalysisOptions::default(),
    }
}

/// "950 of 1000 (95 %)".
fn share(k: u64, n: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // rows
    let part = notation::percent(k as f64 / (n as f64).max(1.0), 1);
    format!("{k} of {n} ({part})")
}
