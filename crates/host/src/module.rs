//! Loading: compile once, check what the module exports and imports, link it to the host functions.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use wasmtime::{Engine, ExternType, FuncType, InstancePre, Linker};

use crate::abi::UNIMPLEMENTED;
use crate::error::{Error, Result};
use crate::imports;
use crate::vm::{Unimplemented, VmState};

/// The one module name the ABI imports from.
pub(crate) const ENV: &str = "env";

/// Envoy has a part of WASI as well; of that a filter needs the clock that nobody sets.
pub(crate) const WASI: &str = "wasi_snapshot_preview1";
pub(crate) const CLOCK: &str = "clock_time_get";

/// A compiled filter, ready to be run in any number of processes. Cloning is cheap.
#[derive(Clone)]
pub struct Module(Arc<Linked>);

struct Linked {
    engine: Engine,
    instance: InstancePre<VmState>,
}

impl Module {
    /// Compiles the module in a file.
    ///
    /// # Errors
    /// Those of [`Module::from_bytes`], and [`Error::Read`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Module> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Module::from_bytes(&bytes)
    }

    /// Compiles a module: binary WebAssembly that exports the marker `proxy_abi_version_0_2_1`, a memory and `malloc`
    /// (or `proxy_on_memory_allocate`), and imports nothing but functions of that ABI.
    ///
    /// # Errors
    /// Names what is missing, unknown or of the wrong type.
    pub fn from_bytes(bytes: &[u8]) -> Result<Module> {
        let engine = Engine::default();
        let module =
            wasmtime::Module::new(&engine, bytes).map_err(|error| Error::Compile(format!("{error:#}")))?;
        check_exports(&module)?;
        let linker = link(&engine, &module)?;
        let instance = linker.instantiate_pre(&module).map_err(|error| Error::Link(format!("{error:#}")))?;
        Ok(Module(Arc::new(Linked { engine, instance })))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn instance(&self) -> &InstancePre<VmState> {
        &self.0.instance
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").finish_non_exhaustive()
    }
}

fn check_exports(module: &wasmtime::Module) -> Result<()> {
    let exports: BTreeSet<&str> = module.exports().map(|export| export.name()).collect();
    if !exports.contains("proxy_abi_version_0_2_1") {
        let other = exports.iter().find(|name| name.starts_with("proxy_abi_version_"));
        return Err(match other {
            Some(found) => Error::AbiVersion { found: (*found).to_owned() },
            None => Error::MissingExport {
                name: "proxy_abi_version_0_2_1",
                remedy: "is this a proxy-wasm filter? The crate proxy-wasm exports it by itself",
            },
        });
    }
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(Error::MissingExport { name: "memory", remedy: "the host passes all data through it" });
    }
    if !exports.contains("malloc") && !exports.contains("proxy_on_memory_allocate") {
        return Err(Error::MissingExport {
            name: "malloc",
            remedy: "export it, or `proxy_on_memory_allocate`; the host returns data through it",
        });
    }
    Ok(())
}

fn link(engine: &Engine, module: &wasmtime::Module) -> Result<Linker<VmState>> {
    let mut linker = Linker::new(engine);
    imports::define(&mut linker).map_err(|error| Error::Link(format!("{error:#}")))?;
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        match import.ty() {
            ExternType::Func(signature) if from == ENV && UNIMPLEMENTED.contains(&name) => {
                refuse_when_called(&mut linker, name, signature)?;
            }
            ExternType::Func(_) if from == ENV && imports::NAMES.contains(&name) => {}
            ExternType::Func(_) if (from, name) == (WASI, CLOCK) => {}
            other => {
                return Err(Error::UnknownImport {
                    module: from.to_owned(),
                    name: name.to_owned(),
                    signature: describe(&other),
                });
            }
        }
    }
    Ok(linker)
}

/// Present, so that the module links; a call ends the test by the function's name.
fn refuse_when_called(linker: &mut Linker<VmState>, name: &str, signature: FuncType) -> Result<()> {
    let named = name.to_owned();
    let refuse = move |_: wasmtime::Caller<'_, VmState>, _: &[wasmtime::Val], _: &mut [wasmtime::Val]| {
        Err(wasmtime::Error::new(Unimplemented(named.clone())))
    };
    linker
        .func_new(ENV, name, signature, refuse)
        .map(|_| ())
        .map_err(|error| Error::Link(format!("{error:#}")))
}

fn describe(item: &ExternType) -> String {
    match item {
        ExternType::Func(signature) => format!("func {signature}"),
        ExternType::Memory(_) => "memory".to_owned(),
        ExternType::Table(_) => "table".to_owned(),
        ExternType::Global(_) => "global".to_owned(),
        _ => "tag".to_owned(),
    }
}
