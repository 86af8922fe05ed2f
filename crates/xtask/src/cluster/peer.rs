//! Controllers of other tools, which ask Serin: real ones, for its tests and for trying them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use super::folder::Folder;
use super::lifecycle::Lifecycle;
use super::machine::ThisMachine;
use super::parts::Parts;
use super::recipe::{ARGO_CONTROLLER, ARGO_ROLLOUTS, FLAGGER, FLAGGER_CONTROLLER, Family};
use super::shape::{Answers, Part, named, on, text};
use super::{ask, tell};

/// A tool whose controller can run beside istiod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Moves the weights of routes, and asks webhooks and metrics whether it may.
    Flagger,
    /// Measures by asking URLs, and lets a rollout of its own go on or not.
    ArgoRollouts,
}

/// How many ports each wants.
const PORTS: usize = 2;

impl Peer {
    pub const ALL: [Self; 2] = [Self::Flagger, Self::ArgoRollouts];

    pub const fn family(self) -> Family {
        match self {
            Self::Flagger => FLAGGER,
            Self::ArgoRollouts => ARGO_ROLLOUTS,
        }
    }

    /// Its name on the command line, and its part's in the record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flagger => "flagger",
            Self::ArgoRollouts => "argo-rollouts",
        }
    }

    /// Makes sure that its kinds are known and that it runs.
    pub fn run(
        self,
        life: &mut Lifecycle<'_, ThisMachine<'_>>,
        folder: &Folder,
        parts: &Parts,
    ) -> Result<()> {
        for file in self.family().definitions() {
            ask(life, &["apply", "--server-side", "--filename"]).arg(parts.path(file)).text()?;
        }
        ask(life, &["wait", "--for=condition=Established", "--all", "crd", "--timeout=60s"]).text()?;
        let kubeconfig = life.record.kubeconfig.clone();
        let done =
            life.ensure(self.name(), |ports| Ok(self.shape(parts, folder.whole(), &kubeconfig, ports)))?;
        tell(life, self.name(), done);
        Ok(())
    }

    /// Both serve health and metrics on every address of the machine, and have no setting for that.
    fn shape(self, parts: &Parts, folder: &Path, kubeconfig: &Path, [health, metrics]: [u16; PORTS]) -> Part {
        let kubeconfig = text(kubeconfig);
        let (program, arguments) = match self {
            Self::Flagger => (
                FLAGGER_CONTROLLER,
                vec![
                    format!("-kubeconfig={kubeconfig}"),
                    format!("-port={health}"),
                    "-mesh-provider=istio".to_owned(),
                    // Nobody: whoever tries it names providers by MetricTemplates.
                    "-metrics-server=http://127.0.0.1:9".to_owned(),
                    "-control-loop-interval=1s".to_owned(),
                    "-log-level=info".to_owned(),
                ],
            ),
            Self::ArgoRollouts => (
                ARGO_CONTROLLER,
                vec![
                    format!("--kubeconfig={kubeconfig}"),
                    format!("--healthzPort={health}"),
                    format!("--metricsPort={metrics}"),
                    "--leader-elect=false".to_owned(),
                ],
            ),
        };
        Part {
            name: self.name().to_owned(),
            program: parts.path(program),
            arguments,
            environment: BTreeMap::new(),
            folder: folder.to_owned(),
            addresses: named([("health", on(health))]),
            answers: Answers::Http { address: on(health), path: "/healthz".to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_asked_for_by_its_name() {
        for peer in Peer::ALL {
            assert_eq!(Peer::from_str(peer.name(), false), Ok(peer));
            assert_eq!(peer.family().name, peer.name());
        }
    }
}
