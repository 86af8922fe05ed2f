use std::path::PathBuf;

/// Converts manifests of other tools into rollouts.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is carried over from each tool: docs/importing.md.\n\nExit codes: 0 done, 1 no rollout could be made, or a field is lost (--strict) or a gate is wrong (--check), 3 a file cannot be read, 64 the arguments are wrong."
)]
pub struct Import {
    /// Manifests of Argo Rollouts, Flagger, KServe, the Gateway API or Istio, one or several in a file; a folder of such files;
    /// - for standard input. Give a rollout together with its templates
    #[arg(required = true, value_name = "FILE|DIR")]
    pub file: Vec<PathBuf>,
    /// Treat a lost field as an error, and print no rollout then
    #[arg(long)]
    pub strict: bool,
    /// Print no rollout; check the gates and steps as the other tool runs them: gates that never fail, that pass without data, ...
    #[arg(long)]
    pub check: bool,
    /// Output format: rollouts with a report on standard error, or both as JSON
    #[arg(short, long, default_value = "yaml")]
    pub output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    Yaml,
    Json,
}
