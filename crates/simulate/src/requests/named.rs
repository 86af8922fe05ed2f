//! Worlds that have a name: what really happens to rollouts, and what is true in each.

mod table;

use manifest::{Plan, Problems};

use super::play::Script;
use super::world::{CanaryDifference, RequestWorld};

pub use table::NAMED;

/// A world with a name, a plan to try in it, and the truth.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The name.
    pub name: &'static str,
    /// What happens in it, in one sentence.
    pub about: &'static str,
    /// How it should end.
    pub truth: CanaryHealth,
    /// The gate whose passing would prove what is not so.
    pub gate: Option<&'static str>,
    /// What stands under `spec` beside the two versions; empty: the default preset.
    spec: &'static str,
    /// How long it is tried.
    pub seconds: u64,
    /// What people do meanwhile.
    pub script: Script,
    /// Is it counted wrong on purpose, so that the table of worlds must find fault with it?
    pub wrong: bool,
    /// Makes the calm world this one.
    change: fn(&mut RequestWorld),
}

/// What is true of the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryHealth {
    /// It is as good as stable.
    Healthy {
        /// Is there time enough that it must be promoted?
        promoted: bool,
    },
    /// It is worse.
    Harmful {
        /// Is there time enough that it must be found?
        found: bool,
    },
    /// Who should say: it is as good as stable, later.
    Open,
}

impl Named {
    /// The world of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        NAMED.iter().find(|named| named.name == name)
    }

    /// The world.
    #[must_use]
    pub fn world(&self) -> RequestWorld {
        let mut world = RequestWorld { canary: CanaryDifference::NONE, ..RequestWorld::default() };
        (self.change)(&mut world);
        world
    }

    /// The plan that is tried in it, where nobody brings one.
    ///
    /// # Errors
    /// What is wrong with its text.
    pub fn plan(&self) -> Result<Plan, Problems> {
        let spec: String = self.spec.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: world}}\nspec:\n  stable: {{version: v1}}\n  \
             canary: {{version: v2}}\n{spec}"
        );
        manifest::load(&text).map(|loaded| loaded.plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_world_has_a_plan_and_a_name_of_its_own() {
        for named in NAMED {
            assert!(named.plan().is_ok(), "{}: {:?}", named.name, named.plan().err());
            assert_eq!(Named::find(named.name).map(|found| found.about), Some(named.about));
            let shares: f64 = named.world().proxies.iter().map(|proxy| proxy.share).sum();
            assert!((shares - 1.0).abs() < 1e-9, "{}", named.name);
        }
    }
}
