//! Base images for an engine that cannot pull: named as the Dockerfile and the compose file name them, made of Debian's packages
//! and of what this workspace uses anyway.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Engine, private};
use crate::cache::{self, Cache};
use crate::consent::Consent;
use crate::process::{Call, say};
use crate::workspace::Workspace;
use crate::{envoy, prometheus};

/// What stands for cargo in the image of Rust: this workspace's binaries where cargo would leave its own. Everything around it in
/// the Dockerfile is run as it is written.
const CARGO: &str = r#"#!/bin/sh
set -e
test -f Cargo.lock
case "$*" in
*wasm32-unknown-unknown*) install -D -m 644 /built/filter.wasm target/wasm32-unknown-unknown/wasm/filter.wasm ;;
*) install -D -t target/release /built/serin /built/demo ;;
esac
"#;

/// Says that the target is there, so that nothing is downloaded.
const RUSTC: &str = "#!/bin/sh\necho /built/target\n";

/// As Prometheus' own image is: `nobody`, its flags, and a `wget`.
const PROMETHEUS: &str = r#"
RUN ln -s /bin/busybox /usr/bin/wget && install -d -o 65534 -g 65534 /prometheus
COPY prometheus /bin/prometheus
USER 65534:65534
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
"#;

/// The first image that is not in the engine and cannot be pulled.
pub fn unavailable(engine: &Engine, workspace: &Workspace) -> Result<Option<String>> {
    let Names { debian, rust, envoy, prometheus } = names(workspace)?;
    Ok([debian, rust, envoy, prometheus].into_iter().find(|name| {
        let here = engine.docker().args(["image", "inspect", "--format", "{{.Id}}", name]).text().is_ok();
        !here && engine.docker().args(["pull", name]).run_aside().is_err()
    }))
}

/// Downloads what the images are made of; needs the network, which [`import`] has not.
pub fn ready(cache: &Cache, consent: Consent) -> Result<()> {
    debian(cache)?;
    envoy::ready(cache, consent)?;
    prometheus::ready(cache)?;
    Ok(())
}

/// Puts the images into the engine; `scratch` is for their contexts.
pub fn import(engine: &Engine, workspace: &Workspace, cache: &Cache, scratch: &Path) -> Result<()> {
    say("base images: imported under the names that are pulled elsewhere");
    let Names { debian: base, rust, envoy: with_envoy, prometheus: with_prometheus } = names(workspace)?;
    engine.docker().arg("import").arg(debian(cache)?).arg(&base).text()?;
    let build = |name: &str, steps: &str, fill: &dyn Fn(&Path) -> Result<()>| {
        let context = scratch.join(name.replace(['/', ':'], "-"));
        fs::create_dir_all(&context)?;
        fill(&context)?;
        fs::write(context.join("Dockerfile"), format!("FROM {base}\n{steps}"))?;
        let call = engine.docker().env("DOCKER_BUILDKIT", "0").args(["build", "--quiet", "--tag", name]);
        call.arg(&context).text()?;
        cache::remove(&context)
    };
    let filter = workspace.outputs().join("filter.wasm");
    let steps = "COPY built /built\nCOPY cargo rustc /usr/local/bin/\n";
    build(&rust, steps, &|context| {
        fs::create_dir_all(context.join("built/target"))?;
        fs::write(context.join("built/target/libstd-here.rlib"), "")?;
        copy(&filter, &context.join("built/filter.wasm"))?;
        for name in ["serin", "demo"] {
            copy(&workspace.binary(name), &context.join("built").join(name))?;
        }
        program(&context.join("cargo"), CARGO)?;
        program(&context.join("rustc"), RUSTC)
    })?;
    let (envoy, prometheus) = (envoy::ready(cache, Consent::Given)?, prometheus::ready(cache)?);
    build(&with_envoy, "COPY envoy /usr/local/bin/envoy\n", &|context| copy(&envoy, &context.join("envoy")))?;
    build(&with_prometheus, PROMETHEUS, &|context| copy(&prometheus, &context.join("prometheus")))
}

/// What images are called elsewhere.
pub struct Names {
    debian: String,
    rust: String,
    envoy: String,
    prometheus: String,
}

/// The names in the Dockerfile and the compose file.
pub fn names(workspace: &Workspace) -> Result<Names> {
    Ok(Names {
        debian: named(workspace, "debian:")?,
        rust: named(workspace, "rust:")?,
        envoy: named(workspace, "envoyproxy/envoy:")?,
        prometheus: named(workspace, "prom/prometheus:")?,
    })
}

/// The image whose name begins like that, in the Dockerfile or the compose file.
fn named(workspace: &Workspace, prefix: &str) -> Result<String> {
    for file in ["envoy/Dockerfile", "envoy/docker-compose.yaml"] {
        let text =
            fs::read_to_string(workspace.root.join(file)).with_context(|| format!("cannot read {file}"))?;
        if let Some(name) = text.split_ascii_whitespace().find(|word| word.starts_with(prefix)) {
            return Ok(name.to_owned());
        }
    }
    bail!("neither the Dockerfile nor the compose file names an image {prefix}")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display())).map(drop)
}

fn program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// A minimal Debian as a tar file, made by debootstrap.
fn debian(cache: &Cache) -> Result<PathBuf> {
    let folder = cache.folder("debian-bookworm", |part| {
        say("a minimal Debian for the images: debootstrap, from this machine's mirror (two minutes)");
        private::unpack(&["debootstrap"], part)?;
        let (root, tar) = (part.join("root"), part.join("root.tar"));
        Call::new("sh")
            .arg(part.join("usr/sbin/debootstrap"))
            .args(["--variant=minbase", "--include=busybox,ca-certificates", "bookworm"])
            .arg(&root)
            .arg(mirror()?)
            .env("DEBOOTSTRAP_DIR", part.join("usr/share/debootstrap"))
            .remedy("see debootstrap's message above; it needs the network")
            .run_aside()?;
        Call::new("tar")
            .arg("-C")
            .arg(&root)
            .args(["--exclude=./var/cache/apt/archives/*.deb", "-cf"])
            .arg(&tar)
            .arg(".")
            .run()?;
        cache::remove(&root)
    })?;
    Ok(folder.join("root.tar"))
}

/// Where this machine's packages come from.
fn mirror() -> Result<String> {
    let format = ["indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"];
    let said = Call::new("apt-get").args(format).text()?;
    let Some(mirror) = said.lines().find_map(|line| line.strip_prefix("bookworm ")) else {
        bail!("this machine has no packages of Debian 12 to make images of");
    };
    Ok(mirror.to_owned())
}
