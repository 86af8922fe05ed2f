//! `cargo xtask wasm`: the filter, built for wasm32, as shipped and with the test-only trap.

mod sysroot;
mod way;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use self::sysroot::Sysroot;
use self::way::{Found, Rustup, TARGET, Way};
use crate::apt::{self, Apt};
use crate::cache::Cache;
use crate::consent::Consent;
use crate::process::{Call, on_path, say, var};
use crate::workspace::Workspace;

/// What the caller permits and wants.
#[derive(Clone, Copy)]
pub struct Options {
    /// rustup may download the target.
    pub install: bool,
    /// Shrink the result with `wasm-opt`, where there is one.
    pub optimize: bool,
    /// Who is asked before packages are installed.
    pub consent: Consent,
}

/// What rustc uses of WebAssembly by default. wasm-opt must be told, since the module's own list is stripped.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Which filter.
#[derive(Clone, Copy)]
pub enum Filter {
    /// As shipped.
    Plain,
    /// With the feature `test-trap`: a header traps the VM. For the recovery test only.
    Trap,
}

impl Filter {
    fn output(self) -> &'static str {
        match self {
            Self::Plain => "filter.wasm",
            Self::Trap => "filter-trap.wasm",
        }
    }

    fn features(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Trap => &["--features", "test-trap"],
        }
    }

    /// cargo keeps one `filter.wasm` per target directory whatever its features: in a shared one each variant would
    /// be compiled again after the other.
    fn target(self, workspace: &Workspace) -> PathBuf {
        match self {
            Self::Plain => workspace.target.clone(),
            Self::Trap => workspace.outputs().join("trap-build"),
        }
    }
}

/// What cargo must be told beyond the target.
enum Toolchain {
    /// The active one has all it needs.
    Active,
    /// Debian's compiler with our standard library and this linker.
    Debian { sysroot: Sysroot, linker: PathBuf },
}

/// Builds these filters and returns where each is; cargo skips what is up to date.
pub fn build<const N: usize>(
    workspace: &Workspace,
    cache: &Cache,
    filters: [Filter; N],
    options: Options,
) -> Result<[PathBuf; N]> {
    let toolchain = toolchain(workspace, cache, options)?;
    for filter in filters {
        compile(workspace, &toolchain, filter, options.optimize)?;
    }
    Ok(filters.map(|filter| workspace.outputs().join(filter.output())))
}

fn toolchain(workspace: &Workspace, cache: &Cache, options: Options) -> Result<Toolchain> {
    let linker = linker();
    let found = look(linker.is_some());
    let mut chosen = way::way(&found, options.install);
    if chosen == Way::Rustup {
        say(format!("the toolchain has no standard library for {TARGET}: letting rustup add it"));
        match Call::new("rustup").args(["target", "add", TARGET]).run_aside() {
            Ok(()) => return Ok(Toolchain::Active),
            Err(error) if found.apt == Apt::Absent => return Err(error),
            Err(error) => say(format!("{error}\nfalling back on Debian's packages")),
        }
        chosen = way::debian(&found);
    }
    match chosen {
        Way::Toolchain | Way::Rustup => {
            say(format!("{TARGET}: the active toolchain has it"));
            Ok(Toolchain::Active)
        }
        Way::Debian { install } => debian(workspace, cache, &install, linker, options.consent),
        Way::Tell(remedy) => {
            bail!(
                "the filter needs Rust's standard library for {TARGET}, and this toolchain has none\n  remedy:  {remedy}"
            )
        }
    }
}

fn debian(
    workspace: &Workspace,
    cache: &Cache,
    install: &[&str],
    linker: Option<PathBuf>,
    consent: Consent,
) -> Result<Toolchain> {
    if !install.is_empty() {
        let oldest = workspace.oldest_rust;
        let enough = || apt::candidate("rustc-web").is_some_and(|release| release >= oldest);
        if !enough() {
            apt::refresh()?;
        }
        ensure!(
            enough(),
            "the filter needs Rust {oldest} for {TARGET}, and this Debian has no such rustc-web\n  remedy:  rustup target add {TARGET}"
        );
        apt::install(
            install,
            &format!("The filter is built for {TARGET}, and this toolchain cannot be given that target"),
            consent,
        )?;
    }
    let linker = linker.or_else(self::linker).context("no linker for wasm32: apt-get install lld-19")?;
    let sysroot = sysroot::ready(workspace, cache)?;
    say(format!("{TARGET}: Debian's rustc with the standard library in {}", sysroot.dir.display()));
    Ok(Toolchain::Debian { sysroot, linker })
}

fn look(has_linker: bool) -> Found {
    let std =
        active(&["--print", "target-libdir", "--target", TARGET]).is_some_and(|dir| has_std(Path::new(&dir)));
    let rustup = match (on_path("rustup"), var("RUSTUP_TOOLCHAIN"), var("RUSTUP_AUTO_INSTALL")) {
        // rustup's own cargo names its toolchain to what it runs; without that, another Rust is in use.
        (None, ..) | (_, None, _) => Rustup::Absent,
        (.., Some(auto)) if auto == "0" => Rustup::Forbidden,
        _ => Rustup::Allowed,
    };
    let apt = Apt::find();
    let mut missing = Vec::new();
    if apt != Apt::Absent && !std {
        missing
            .extend(["rustc-web", "rust-web-src"].into_iter().filter(|package| !apt::is_installed(package)));
        if !has_linker {
            missing.push("lld-19");
        }
    }
    Found { std, rustup, apt, missing }
}

/// The linker for the fallback: rustup's toolchain brings one, else the package `lld-19` does.
fn linker() -> Option<PathBuf> {
    let sysroot = active(&["--print", "sysroot"])?;
    let host = active(&["-vV"])?.lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned))?;
    let bundled = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld");
    if bundled.is_file() { Some(bundled) } else { on_path("wasm-ld-19") }
}

/// What the active compiler answers.
fn active(args: &[&str]) -> Option<String> {
    let compiler = var("RUSTC").unwrap_or_else(|| "rustc".into());
    Call::new(compiler).args(args).text().ok()
}

fn has_std(dir: &Path) -> bool {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// Builds one filter and puts it where the others look for it.
fn compile(workspace: &Workspace, toolchain: &Toolchain, filter: Filter, optimize: bool) -> Result<()> {
    let target = filter.target(workspace);
    // Flags for the machine's own code (a linker, a CPU) make no sense here, and would replace ours.
    let mut call = workspace
        .cargo()
        .without_env(["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"])
        .args(["build", "--package", "filter", "--profile", "wasm", "--target", TARGET])
        .args(filter.features())
        .env("CARGO_TARGET_DIR", &target)
        .remedy("see the compiler's message above");
    if let Toolchain::Debian { sysroot, linker } = toolchain {
        // With --target cargo keeps these flags away from build scripts and macros, which run here and need the
        // machine's own standard library. The encoded form takes a path with spaces.
        call = call
            .env("RUSTC", &sysroot.compiler)
            .env("CARGO_ENCODED_RUSTFLAGS", format!("--sysroot={}", sysroot.dir.display()))
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    call.run_aside()?;
    let built = target.join(TARGET).join("wasm/filter.wasm");
    let output = workspace.outputs().join(filter.output());
    fs::create_dir_all(workspace.outputs())
        .with_context(|| format!("cannot make {}", workspace.outputs().display()))?;
    if optimize && shrink(&built, &output)? {
        return Ok(());
    }
    keep(&built, &output)
}

/// Copies when the content differs, so that an unchanged filter keeps its time stamp.
fn keep(built: &Path, output: &Path) -> Result<()> {
    let new = fs::read(built).with_context(|| format!("cargo left no {}", built.display()))?;
    if fs::read(output).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(output, &new).with_context(|| format!("cannot write {}", output.display()))
}

fn shrink(built: &Path, output: &Path) -> Result<bool> {
    let Some(tool) = on_path("wasm-opt") else {
        say(
            "--optimize: no wasm-opt on PATH, so the filter stays as the compiler made it (Debian: apt-get install binaryen)",
        );
        return Ok(false);
    };
    Call::new(tool)
        .args(FEATURES)
        .args(["-O3", "--output"])
        .arg(output)
        .arg(built)
        .remedy("run it without --optimize")
        .run_aside()?;
    Ok(true)
}
