//! What `serin wait` may be told.

use super::Server;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 it ended as wanted, 1 it ended the other way, 2 the timeout came first, 3 could not ask."
)]
pub struct Wait {
    #[command(flatten)]
    pub server: Server,
    /// Its name
    pub name: String,
    /// The end that is wanted
    #[arg(long = "for", default_value = "promoted")]
    pub end: End,
    /// Wait no longer than this; without it, as long as it takes
    #[arg(long)]
    pub timeout: Option<manifest::Span>,
    /// Which run, by its number; it may be yet to begin. Without it, the present one
    #[arg(long)]
    pub run: Option<u64>,
}

/// An end of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum End {
    /// Stable serves the new version
    Promoted,
    /// Everything went back
    RolledBack,
    /// Either
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
