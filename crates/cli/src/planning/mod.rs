//! `serin plan`: how many requests, how long, how much harm meanwhile, and whether there is traffic enough.

mod amount;
mod caveats;
mod show;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use judge::plan::{ANYTIME_FACTOR, PlanInput};
use judge::power::{Sided, sample_size_no_harm, sample_size_two_proportions};
use manifest::Metric;
use serde::Serialize;

use crate::args::Output;
use crate::client;
use amount::Harm;
pub use amount::{per_second, share};

/// Options of `serin plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Options {
    /// Traffic of all versions together: 100 (a second), 6000/m or 1000/h
    #[arg(long, value_parser = per_second)]
    pub rate: f64,
    /// File of a rollout, for its weights, margin, alpha and times; - reads standard input
    #[arg(short, long, conflicts_with_all = ["schedule", "margin", "alpha"])]
    pub file: Option<PathBuf>,
    /// Stable's error rate (or the rate of another event)
    #[arg(long, default_value = "1%", value_parser = share)]
    pub baseline: f64,
    /// The smallest harm that matters: a factor (2x), or points more (+0.5%) or less (-0.5%)
    #[arg(long, default_value = "2x", allow_hyphen_values = true)]
    pub harm: String,
    /// How much worse is acceptable, as a factor: a stage must prove that the canary is not worse [default: 1.5x, or the
    /// harm itself if it is a fall]
    #[arg(long)]
    pub margin: Option<manifest::Margin>,
    /// One-sided probability of a false decision [default: 0.05]
    #[arg(long)]
    pub alpha: Option<f64>,
    /// Probability of detecting the harm
    #[arg(long, default_value_t = 0.8)]
    pub power: f64,
    /// Weights of the stages
    #[arg(long, value_delimiter = ',', default_value = "1%,5%,25%,50%")]
    pub schedule: Vec<manifest::Percent>,
    /// Price of one hour of the canary's machines, in any currency; they cost the same at 1 % as at 50 %
    #[arg(long, default_value_t = 0.0)]
    pub cost: f64,
    /// Requests per user during a stage, with sticky users: shows how many users are exposed
    #[arg(long)]
    pub requests_per_user: Option<f64>,
    /// Design effect: correlation of the requests of one user (1: none)
    #[arg(long, default_value_t = 1.0)]
    pub design_effect: f64,
    /// Also plan for a mean: the smallest change that matters, in standard deviations
    #[arg(long)]
    pub effect_size: Option<f64>,
    /// Output format
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

const EXIT_CODES: &str = "Exit codes: 0 planned, 2 planned and a stage needs more than a day (too little traffic), 3 could not be planned.";

/// A day: a stage that needs longer is no stage.
const DAY: f64 = 86_400.0;

/// The whole answer.
#[derive(Debug, Serialize)]
struct Answer {
    requests_per_second: f64,
    baseline: f64,
    harmed: f64,
    /// No harm beyond this factor on stable's rate is to be proven; below 1 where the harm is a fall.
    margin: f64,
    alpha: f64,
    power: f64,
    stages: Vec<Stage>,
    total_seconds: f64,
    total_exposed_requests: f64,
    total_cost: f64,
    /// Is there a stage that needs more than a day?
    too_little_traffic: bool,
    advice: Vec<String>,
}

/// One stage's needs.
#[derive(Debug, Serialize)]
struct Stage {
    weight: f64,
    /// One look at the end: canary requests.
    fixed_samples: f64,
    /// Watched all the time: canary requests to find the harm.
    samples_harm: f64,
    /// Watched all the time: canary requests to prove no harm beyond the margin.
    samples_no_harm: f64,
    /// Stable's requests in the same time.
    samples_stable: f64,
    bake_seconds: f64,
    /// Requests the canary answers in that time.
    exposed_requests: f64,
    exposed_users: Option<f64>,
    /// Events on top of stable's, if the harm is there, until it is found.
    extra_events: f64,
    cost: f64,
    /// What the file gives this stage: shortest and longest time, in seconds.
    given_seconds: Option<[f64; 2]>,
}

/// What is planned for.
struct Question {
    input: PlanInput,
    harm: Harm,
    /// Stages of the file, where there is one: bake and deadline in seconds.
    given: Vec<[f64; 2]>,
    budget: Option<manifest::Budget>,
    notes: Vec<String>,
}

pub fn plan(options: &Options) -> Result<ExitCode> {
    let answer = answer(options)?;
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&answer)?),
        Output::Text => print!("{}", show::text(&answer)),
    }
    Ok(ExitCode::from(if answer.too_little_traffic { 2 } else { 0 }))
}

fn answer(options: &Options) -> Result<Answer> {
    let question = match &options.file {
        Some(file) => of_file(options, file)?,
        None => of_options(options)?,
    };
    let input = &question.input;
    let harmed = question.harm.of(input.base_rate)?;
    let mut advice = question.notes.clone();
    let mut stages = if harmed > input.base_rate {
        let planned = judge::plan::plan(input)?;
        advice.extend(planned.advice);
        planned
            .stages
            .iter()
            .map(|s| stage(options, s.weight, s.fixed_samples, s.samples_no_harm, harmed, input.base_rate))
            .collect()
    } else {
        let falls = |weight: &f64| {
            let k = (1.0 - weight) / weight;
            let (base, alpha, power) = (input.base_rate, input.alpha, input.power);
            let n = sample_size_two_proportions(harmed, base, alpha, power, k, Sided::One)?;
            let no_fall = sample_size_no_harm(base, input.margin, alpha, power, k)?;
            let deff = input.design_effect;
            let no_fall = no_fall * deff * ANYTIME_FACTOR;
            Ok(stage(options, *weight, n * deff, no_fall, harmed, base))
        };
        input.weights.iter().map(falls).collect::<Result<Vec<_>>>()?
    };
    for (stage, given) in stages.iter_mut().zip(&question.given) {
        stage.given_seconds = Some(*given);
    }
    advice.extend(caveats::all(options, &question, harmed, &stages)?);
    let too_little_traffic = stages.iter().any(|s| s.bake_seconds > DAY);
    Ok(Answer {
        requests_per_second: input.requests_per_second,
        baseline: input.base_rate,
        harmed,
        margin: input.margin,
        alpha: input.alpha,
        power: input.power,
        total_seconds: stages.iter().map(|s| s.bake_seconds).sum(),
        total_exposed_requests: stages.iter().map(|s| s.exposed_requests).sum(),
        total_cost: stages.iter().map(|s| s.cost).sum(),
        stages,
        too_little_traffic,
        advice,
    })
}

fn stage(options: &Options, weight: f64, fixed: f64, no_harm: f64, harmed: f64, base: f64) -> Stage {
    let samples_harm = fixed * ANYTIME_FACTOR;
    let samples = no_harm.max(samples_harm).ceil();
    let bake_seconds = samples / (options.rate * weight);
    Stage {
        weight,
        fixed_samples: fixed.ceil(),
        samples_harm: samples_harm.ceil(),
        samples_no_harm: no_harm.ceil(),
        samples_stable: (samples * (1.0 - weight) / weight).ceil(),
        bake_seconds,
        exposed_requests: samples,
        exposed_users: options.requests_per_user.map(|each| (samples / each).ceil()),
        extra_events: samples_harm * (harmed - base).abs(),
        cost: options.cost * bake_seconds / 3600.0,
        given_seconds: None,
    }
}

fn of_options(options: &Options) -> Result<Question> {
    let weights: Vec<f64> = options.schedule.iter().map(|w| w.share()).filter(|w| *w < 1.0).collect();
    let ratio = Harm::parse(&options.harm)?.of(options.baseline)? / options.baseline;
    let falls = ratio < 1.0;
    let margin = match options.margin {
        // A fall that matters is the fall to be ruled out.
        None if falls => ratio,
        None => 1.5,
        Some(manifest::Margin::Factor(factor)) => factor,
        Some(manifest::Margin::Part(part)) if falls => 1.0 - part,
        Some(manifest::Margin::Part(part)) => 1.0 + part,
        Some(manifest::Margin::Points(points)) if falls => 1.0 - points / options.baseline,
        Some(manifest::Margin::Points(points)) => 1.0 + points / options.baseline,
    };
    if falls && !(margin > 0.0 && margin < 1.0) {
        bail!(
            "--margin is {margin}x and the harm is a fall; it must be below 1x, such as 0.98x, 2% or 0.5pp"
        );
    }
    if !falls && margin <= 1.0 {
        bail!("--margin is {margin}x; it must be above 1x, such as 1.5x, 50% or 0.5pp");
    }
    question(options, weights, margin, options.alpha.unwrap_or(0.05))
}

/// Weights, margin, alpha and times of a rollout's file.
fn of_file(options: &Options, file: &Path) -> Result<Question> {
    let plan = load(file)?;
    let gate = plan.gates.iter().find(|gate| gate.metric() == Metric::ErrorRate && gate.against.is_some());
    let Some((gate, against)) = gate.and_then(|gate| Some((gate, gate.against?))) else {
        bail!(
            "{}: no gate compares error_rate with stable; plan without the file: --schedule and --margin",
            file.display()
        );
    };
    let hard = plan.gates.iter().filter(|gate| gate.hard).count().max(1);
    #[allow(clippy::cast_precision_loss)] // gates of one file
    let alpha = plan.alpha.beside_stable() / hard as f64;
    let staged: Vec<_> = plan.stages.iter().filter(|stage| stage.weight_ppm < split::MILLION).collect();
    let weights = staged.iter().map(|stage| f64::from(stage.weight_ppm) / 1e6).collect();
    // Points are a factor once the base rate is known.
    let margin = against.margin + against.margin_points / options.baseline;
    let mut question = question(options, weights, margin, alpha)?;
    if question.input.smallest_harm < 1.0 {
        bail!(
            "--harm {} is a fall, and the file's gate on error_rate watches a rise; plan without the file",
            options.harm
        );
    }
    #[allow(clippy::cast_precision_loss)] // milliseconds below a year
    let seconds = |ms: u64| ms as f64 / 1e3;
    question.given =
        staged.iter().map(|stage| [seconds(stage.bake_ms), seconds(stage.deadline_ms)]).collect();
    question.budget = Some(plan.budget);
    question.notes.push(format!(
        "Planned for gate {}: margin {margin}x, alpha {alpha:.4} ({} shared by {hard} gates).",
        gate.name,
        plan.alpha.beside_stable()
    ));
    Ok(question)
}

fn question(options: &Options, weights: Vec<f64>, margin: f64, alpha: f64) -> Result<Question> {
    let harm = Harm::parse(&options.harm)?;
    if weights.is_empty() || weights.iter().any(|w| *w <= 0.0) {
        bail!("the schedule needs a weight above 0% and below 100%, such as --schedule 1%,5%,25%,50%");
    }
    if options.requests_per_user.is_some_and(|each| !(each >= 1.0 && each.is_finite())) {
        bail!("--requests-per-user must be 1 or more");
    }
    let input = PlanInput {
        requests_per_second: options.rate,
        base_rate: options.baseline,
        smallest_harm: harm.of(options.baseline)? / options.baseline,
        margin,
        alpha,
        power: options.power,
        weights,
        design_effect: options.design_effect,
        cost_per_hour: options.cost,
    };
    Ok(Question { input, harm, given: Vec::new(), budget: None, notes: Vec::new() })
}

/// A rollout's file, checked.
pub fn load(file: &Path) -> Result<manifest::Plan> {
    let loaded = manifest::load(&client::read(file)?)
        .map_err(|problems| anyhow!("{}:\n{problems}", file.display()))?;
    Ok(loaded.plan)
}
