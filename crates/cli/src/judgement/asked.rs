//! What is to be judged: what a file of rules says, and then what the command says.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use serde::Deserialize;

use super::Options;
use crate::client;

/// Entries as they are typed after --metric, --trigger and --segment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    #[serde(default)]
    pub metrics: Vec<String>,
    #[serde(default)]
    pub triggers: Vec<String>,
    #[serde(default)]
    pub segments: Vec<String>,
}

impl Asked {
    pub fn new(options: &Options) -> Result<Self> {
        let mut asked = match &options.rules {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        asked.metrics.extend(options.metric.iter().cloned());
        asked.triggers.extend(options.trigger.iter().cloned());
        asked.segments.extend(options.segment.iter().cloned());
        Ok(asked)
    }

    fn read(path: &Path) -> Result<Self> {
        let file = path.display();
        let asked: Self = serde_saphyr::from_str(&client::read(path)?).map_err(|error| {
            anyhow!(
                "{file}: {error}\nwrite lists of what would follow --metric, --trigger and --segment:\n  metrics: \
                 [\"ctr,direction=higher_is_better\"]\n  triggers: [\"error_rate=errors\"]\n  segments: [country]"
            )
        })?;
        if asked.metrics.is_empty() && asked.triggers.is_empty() {
            bail!("{file} names no metric and no trigger; give at least one");
        }
        Ok(asked)
    }
}
