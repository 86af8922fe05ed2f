use std::path::PathBuf;

/// Manifests of other tools.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is carried over of each tool: docs/importing.md.\n\nExit codes: 0 done, 1 nothing could be made of it, or something is lost (--strict) or wrong (--check), 3 a file cannot be read, 64 the command cannot be read."
)]
pub struct Import {
    /// Manifests of Argo Rollouts, Flagger, KServe, the Gateway API or Istio, one or several in a file; a folder of such files;
    /// - reads standard input. Those that belong together are given together: a rollout and its templates
    #[arg(required = true, value_name = "FILE|DIR")]
    pub file: Vec<PathBuf>,
    /// Whatever is lost is an error: no rollout is printed then
    #[arg(long)]
    pub strict: bool,
    /// Only look at the gates and steps where they come from: those that never fail, that pass without data, ...
    #[arg(long)]
    pub check: bool,
    /// The form of the answer: rollouts, with a report on standard error; or all of it as JSON
    #[arg(short, long, default_value = "yaml")]
    pub output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    Yaml,
    Json,
}
