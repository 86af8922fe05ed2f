//! Arguments of `serin wait`.

use super::Server;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 it ended as requested, 1 it ended otherwise, 2 timeout, 3 the controller could not be reached."
)]
pub struct Wait {
    #[command(flatten)]
    pub server: Server,
    /// Name of the rollout
    pub name: String,
    /// The end to wait for
    #[arg(long = "for", default_value = "promoted")]
    pub end: End,
    /// Longest time to wait. Default: no limit
    #[arg(long)]
    pub timeout: Option<manifest::Span>,
    /// Number of the run; it may not have begun yet. Default: the present run
    #[arg(long)]
    pub run: Option<u64>,
}

/// An end of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum End {
    /// Stable serves the new version
    Promoted,
    /// All traffic went back to stable
    RolledBack,
    /// Either end
    Over,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled back",
            Self::Over => "over",
        })
    }
}
