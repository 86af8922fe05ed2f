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
    /// Show all triggers, or one
    Get {
        /// Name of the trigger; without it, all are listed
        name: Option<String>,
        /// Output format
        #[arg(short, long, default_value = "text")]
        output: Output,
    },
    /// Roll out a version of the registry, as if the registry had announced it
    Fire {
        /// Name of the trigger
        name: String,
        /// Version number in the registry
        version: String,
        /// Roll out a version again that was handled before
        #[arg(long)]
        again: bool,
        /// Reason; recorded in the history
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Delete a trigger; runs that it started continue
    Delete {
        /// Name of the trigger
        name: String,
    },
}
