//! What people do to a rollout, and what they mean by it.

use super::{Server, challenger};

#[derive(Debug, clap::Args)]
pub struct ActOnArm {
    #[command(flatten)]
    pub act: Act,
    /// Of several versions on trial this one alone: canary, or the name of an arm
    #[arg(long, value_parser = challenger)]
    pub arm: Option<split::Arm>,
}

#[derive(Debug, clap::Args)]
pub struct Act {
    #[command(flatten)]
    pub server: Server,
    /// The rollout's name
    pub name: String,
    /// Why; it stands in the history
    #[arg(long, default_value = "")]
    pub reason: String,
    #[command(flatten)]
    pub meant: Meant,
}

/// What an act is meant for. Nothing of it holds up an abort.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Meant {
    /// Only if it is still what was seen: the `revision` that `serin get NAME` shows. Default: what is there when the command
    /// begins
    #[arg(long)]
    pub revision: Option<String>,
    /// What is asked again under this key is answered as the first time and not done again, such as the name of a
    /// pipeline's step. Default: a key of each command's own
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub idempotency_key: Option<String>,
}

fn key(text: &str) -> Result<String, String> {
    let fits = (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or_else(|| "use 1 to 200 visible ASCII characters".to_owned())
}
