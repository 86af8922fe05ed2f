//! What a control plane is built from: the Go modules of `tests/mesh/parts`, and how. Without effects.

/// Parts that are built from one Go module, since they agree on their dependencies.
pub struct Family {
    pub name: &'static str,
    /// `go.mod` and `go.sum`.
    module: [&'static str; 2],
    /// Package to build, and the name of its program.
    pub packages: &'static [(&'static str, &'static str)],
    pub ldflags: &'static str,
    /// Files of one of its modules that are wanted beside the programs.
    pub files: Option<Files>,
    /// What the reader waits for when nothing is built yet; minutes of one core.
    pub minutes: u32,
}

/// Files as a Go module has them.
pub struct Files {
    pub of: &'static str,
    /// The path in the module, and the name it is kept under.
    pub paths: &'static [(&'static str, &'static str)],
}

pub const ETCD: &str = "server";
pub const API_SERVER: &str = "kube-apiserver";
pub const ISTIOD: &str = "pilot-discovery";
pub const AGENT: &str = "pilot-agent";
/// The custom resource definitions of a family.
pub const DEFINITIONS: &str = "crds.yaml";
pub const FLAGGER_CONTROLLER: &str = "flagger";
pub const ARGO_CONTROLLER: &str = "rollouts-controller";
/// What istio-agent makes an Envoy's configuration from.
pub const BOOTSTRAP: &str = "envoy_bootstrap.json";

macro_rules! module {
    ($family:literal) => {
        [
            include_str!(concat!("../../../../tests/mesh/parts/", $family, "/go.mod")),
            include_str!(concat!("../../../../tests/mesh/parts/", $family, "/go.sum")),
        ]
    };
}

pub const KUBERNETES: Family = Family {
    name: "kubernetes",
    module: module!("kubernetes"),
    packages: &[("k8s.io/kubernetes/cmd/kube-apiserver", API_SERVER), ("go.etcd.io/etcd/server/v3", ETCD)],
    // Without a version kubectl cannot read what the server says it is.
    ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
              -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
    files: None,
    minutes: 16,
};

pub const ISTIO: Family = Family {
    name: "istio",
    module: module!("istio"),
    packages: &[
        ("istio.io/istio/pilot/cmd/pilot-discovery", ISTIOD),
        ("istio.io/istio/pilot/cmd/pilot-agent", AGENT),
    ],
    ldflags: "-s -w",
    files: Some(Files {
        of: "istio.io/istio",
        paths: &[
            ("manifests/charts/base/files/crd-all.gen.yaml", DEFINITIONS),
            ("tools/packaging/common/envoy_bootstrap.json", BOOTSTRAP),
        ],
    }),
    minutes: 13,
};

/// Built only for whoever asks for it.
pub const FLAGGER: Family = Family {
    name: "flagger",
    module: module!("flagger"),
    packages: &[("github.com/fluxcd/flagger/cmd/flagger", FLAGGER_CONTROLLER)],
    ldflags: "-s -w",
    files: Some(Files {
        of: "github.com/fluxcd/flagger",
        paths: &[("artifacts/flagger/crd.yaml", DEFINITIONS)],
    }),
    minutes: 4,
};

/// Built only for whoever asks for it.
pub const ARGO_ROLLOUTS: Family = Family {
    name: "argo-rollouts",
    module: module!("argo-rollouts"),
    packages: &[("github.com/argoproj/argo-rollouts/cmd/rollouts-controller", ARGO_CONTROLLER)],
    ldflags: "-s -w",
    files: Some(Files {
        of: "github.com/argoproj/argo-rollouts",
        paths: &[
            ("manifests/crds/analysis-run-crd.yaml", "crd-analysis-run.yaml"),
            ("manifests/crds/analysis-template-crd.yaml", "crd-analysis-template.yaml"),
            ("manifests/crds/cluster-analysis-template-crd.yaml", "crd-cluster-analysis-template.yaml"),
            ("manifests/crds/experiment-crd.yaml", "crd-experiment.yaml"),
            ("manifests/crds/rollout-crd.yaml", "crd-rollout.yaml"),
        ],
    }),
    minutes: 8,
};

impl Family {
    /// The files with definitions of its own kinds.
    pub fn definitions(&self) -> impl Iterator<Item = &'static str> + use<> {
        let paths = self.files.as_ref().map_or(&[][..], |files| files.paths);
        paths.iter().map(|(_, name)| *name).filter(|name| name.starts_with("crd"))
    }

    pub fn go_mod(&self) -> &'static str {
        let [go_mod, _] = self.module;
        go_mod
    }

    pub fn go_sum(&self) -> &'static str {
        let [_, go_sum] = self.module;
        go_sum
    }

    /// The entry in the cache. Whatever changes what is built changes it, so that every checkout that wants the
    /// same finds it.
    pub fn entry(&self) -> String {
        let mut said = String::from_iter(self.module);
        said.push_str(self.ldflags);
        self.packages.iter().for_each(|(package, program)| said.extend([*package, *program]));
        self.files.iter().flat_map(|files| files.paths).for_each(|(path, name)| said.extend([*path, *name]));
        format!("mesh-{}-{:016x}", self.name, fnv(&said))
    }
}

/// FNV-1a, 64 bits: the same on every machine and in every release of Rust.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!((fnv(""), fnv("a")), (0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c));
    }

    #[test]
    fn what_is_built_differently_is_kept_apart() {
        let other = Family { ldflags: "-s", ..ISTIO };
        assert_ne!(other.entry(), ISTIO.entry());
        let other = Family { packages: &[], ..ISTIO };
        assert_ne!(other.entry(), ISTIO.entry());
        let other = Family { module: ["", ""], ..ISTIO };
        assert_ne!(other.entry(), ISTIO.entry());
        assert_ne!(KUBERNETES.entry(), ISTIO.entry());
    }

    #[test]
    fn definitions_are_told_from_other_files() {
        assert_eq!(ISTIO.definitions().collect::<Vec<_>>(), [DEFINITIONS]);
        assert_eq!((KUBERNETES.definitions().count(), ARGO_ROLLOUTS.definitions().count()), (0, 5));
    }

    /// A version stands in the module and, for the API server, in what it says it is.
    #[test]
    fn the_modules_name_what_is_built() {
        for family in [KUBERNETES, ISTIO, FLAGGER, ARGO_ROLLOUTS] {
            for (package, _) in family.packages {
                let go_mod = family.go_mod();
                let named =
                    ["\t", "tool "].iter().any(|before| go_mod.contains(&format!("{before}{package}\n")));
                assert!(named, "{package} is no tool of its module");
            }
            assert!(!family.go_sum().is_empty());
        }
        let version = KUBERNETES.go_mod().lines().find_map(|line| line.split_once("k8s.io/kubernetes v"));
        let (_, version) = version.expect("the API server's version");
        let version = version.split(' ').next().expect("a word");
        assert!(KUBERNETES.ldflags.contains(&format!("gitVersion=v{version} ")), "{version}");
    }
}
