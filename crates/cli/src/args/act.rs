//! Arguments of acts on a rollout.

use super::{Server, challenger};

#[derive(Debug, clap::Args)]
pub struct ActOnArm {
    #[command(flatten)]
    pub act: Act,
    /// Apply to this version only: canary, or a name under spec.arms
    #[arg(long, value_parser = challenger)]
    pub arm: Option<split::Arm>,
}

#[derive(Debug, clap::Args)]
pub struct Act {
    #[command(flatten)]
    pub server: Server,
    /// Name of the rollout
    pub name: String,
    /// Reason; recorded in the history
    #[arg(long, default_value = "")]
    pub reason: String,
    #[command(flatten)]
    pub meant: ActPrecondition,
}

/// When an act applies. An abort ignores the revision.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ActPrecondition {
    /// Refuse the act unless this is still the rollout's revision (`serin get NAME` shows it). Default: the
    /// revision when the command starts
    #[arg(long)]
    pub revision: Option<String>,
    /// Idempotency key, such as the name of a pipeline's step: a repeated request with the same key gets the first answer
    /// and is not carried out again. Default: a new key for each command
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub idempotency_key: Option<String>,
}

fn key(text: &str) -> Result<String, String> {
    let fits = (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or_else(|| "use 1 to 200 visible ASCII characters".to_owned())
}
