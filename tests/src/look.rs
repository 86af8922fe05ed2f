use api::ExportedRun;
use serde::Deserialize;

/// What one look counted, by the weights of the moment. Exports pass measurements on as they are stored, so no type of
/// `api` stands for them: this is the form of the document itself, as far as stories ask for it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Look {
    pub epoch: u64,
    pub from_ms: u64,
    pub to_ms: u64,
    /// Why nothing is known of it.
    pub gap: Option<String>,
    pub canary: Counts,
    pub stable: Counts,
    pub baseline: Counts,
    /// The same by other weights than those of the moment.
    pub others: Vec<Self>,
}

/// What one look counted of an arm.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub assigned: u64,
    pub finished: u64,
    pub errors: u64,
}

impl Look {
    /// All looks of an exported run.
    pub fn all(run: &ExportedRun) -> Vec<Self> {
        #[derive(Deserialize)]
        struct Measured {
            counts: Option<Counted>,
        }
        #[derive(Deserialize)]
        struct Counted {
            interval: Look,
        }
        let measured = run.measurements.clone().unwrap_or_default();
        let measured: Option<Vec<Measured>> = serde_json::from_value(measured).expect("measurements");
        let counted = measured.into_iter().flatten().filter_map(|measured| measured.counts);
        counted.map(|counted| counted.interval).collect()
    }

    /// By the weights of the moment, and by others.
    pub fn strata(&self) -> impl Iterator<Item = &Self> {
        self.others.iter().chain([self])
    }

    /// Stable's and the virtual baseline's, which stable serves.
    pub fn stable_and_baseline(&self) -> Counts {
        let (stable, baseline) = (self.stable, self.baseline);
        Counts {
            assigned: stable.assigned + baseline.assigned,
            finished: stable.finished + baseline.finished,
            errors: stable.errors + baseline.errors,
        }
    }
}
