//! `serin trigger`.

use clap::Subcommand;

use super::{Output, Server};

#[derive(Debug, clap::Args)]
pub struct Trigger {
    #[command(flatten)]
    pub server: Server,
    #[command(subcommand)]
    pub act: TriggerAct,
}

#[derive(Debug, Subcommand)]
pub enum TriggerAct {
    /// Show triggers, or one of them
    Get {
        /// Its name; without one, all are listed
        name: Option<String>,
        /// The form of the answer
        #[arg(short, long, default_value = "text")]
        output: Output,
    },
    /// Roll a version of the registry out, as if the registry had said so
    Fire {
        /// The trigger's name
        name: String,
        /// The registry's version
        version: String,
        /// A version that had its turn
        #[arg(long)]
        again: bool,
        /// Why; it stands in the history
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Forget a trigger; what it began goes on
    Delete {
        /// The trigger's name
        name: String,
    },
}
