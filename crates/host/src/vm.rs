//! One VM: an instance of the filter, its contexts, and the calls into it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use wasmtime::{Func, Instance, Memory, Store, StoreLimits, StoreLimitsBuilder, TypedFunc, Val};

use crate::abi::Callback;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::module::Module;
use crate::stream::Stream;
use crate::world::World;

/// V8's limit in Envoy: one GiB of linear memory per VM.
const MEMORY_LIMIT: usize = 1 << 30;

/// Which VM of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VmName {
    /// The throw-away VM on which a configuration is tried first.
    Trial,
    /// The main thread's: it is configured and ticks like a worker, and never sees a request.
    Main,
    /// A worker's, counted from 0.
    Worker(usize),
}

impl fmt::Display for VmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VmName::Trial => f.write_str("trial"),
            VmName::Main => f.write_str("main"),
            VmName::Worker(number) => write!(f, "worker {number}"),
        }
    }
}

/// A call of a host function that is left out; travels through WebAssembly as an error.
#[derive(Debug)]
pub(crate) struct Unimplemented(pub(crate) String);

impl fmt::Display for Unimplemented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not implemented by this host", self.0)
    }
}

impl std::error::Error for Unimplemented {}

/// What a root context holds.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) configuration: Vec<u8>,
    pub(crate) tick: Option<Tick>,
    pub(crate) life: Life,
}

/// How far a root context has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Active,
    /// Replaced by a newer configuration; ends with its last stream.
    Retired,
    /// `proxy_on_done` asked for more time; `proxy_done` will say when.
    AwaitsDone,
    /// May be deleted.
    Done,
}

/// A root context's timer. Envoy arms it again after each tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    pub(crate) period: Duration,
    pub(crate) due: Duration,
}

/// The response to an HTTP call, while its callback runs.
#[derive(Debug, Default)]
pub(crate) struct CallResponse {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Headers>,
}

/// What host functions work on: the store's data.
pub(crate) struct VmState {
    pub(crate) world: Rc<RefCell<World>>,
    pub(crate) name: VmName,
    pub(crate) generation: u64,
    pub(crate) memory: Option<Memory>,
    pub(crate) malloc: Option<TypedFunc<u32, u32>>,
    /// The callback under way, and its context.
    pub(crate) running: (Callback, u32),
    /// Set by `proxy_set_effective_context` for the rest of the callback.
    pub(crate) effective: Option<u32>,
    pub(crate) roots: BTreeMap<u32, Root>,
    pub(crate) streams: BTreeMap<u32, Stream>,
    /// The metrics this VM defined; another VM's ids mean nothing to it.
    pub(crate) metrics: BTreeSet<u32>,
    pub(crate) response: Option<CallResponse>,
    limits: StoreLimits,
}

impl VmState {
    /// The context host functions act on.
    pub(crate) fn context(&self) -> u32 {
        self.effective.unwrap_or(self.running.1)
    }

    /// The root of the context host functions act on.
    pub(crate) fn root_of_context(&self) -> u32 {
        let context = self.context();
        self.streams.get(&context).map_or(context, |stream| stream.root)
    }
}

/// Why a callback did not return.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The filter trapped: the VM is dead. The text has the WebAssembly backtrace.
    Trap(String),
    /// The filter asked for something this host leaves out.
    Unimplemented(Error),
}

/// A live VM.
pub(crate) struct Vm {
    store: Store<VmState>,
    instance: Instance,
    next_context: u32,
}

impl Vm {
    /// Instantiates the module and runs `_initialize`.
    pub(crate) fn start(module: &Module, world: &Rc<RefCell<World>>, name: VmName) -> Result<Vm> {
        let generation = world.borrow_mut().next_generation();
        let state = VmState {
            world: Rc::clone(world),
            name,
            generation,
            memory: None,
            malloc: None,
            running: (Callback::Initialize, 0),
            effective: None,
            roots: BTreeMap::new(),
            streams: BTreeMap::new(),
            metrics: BTreeSet::new(),
            response: None,
            limits: StoreLimitsBuilder::new().memory_size(MEMORY_LIMIT).build(),
        };
        let mut store = Store::new(module.engine(), state);
        store.limiter(|state| &mut state.limits);
        let instance =
            module.instance().instantiate(&mut store).map_err(|error| Error::Start(format!("{error:?}")))?;
        let memory = instance.get_memory(&mut store, "memory");
        let malloc = ["malloc", "proxy_on_memory_allocate"]
            .into_iter()
            .find_map(|name| instance.get_typed_func::<u32, u32>(&mut store, name).ok());
        if malloc.is_none() {
            return Err(Error::MissingExport {
                name: "malloc",
                remedy: "it takes a size and returns a pointer",
            });
        }
        store.data_mut().memory = memory;
        store.data_mut().malloc = malloc;
        let mut vm = Vm { store, instance, next_context: 1 };
        match vm.call(Callback::Initialize, 0, &[]) {
            Ok(_) => Ok(vm),
            Err(Failure::Trap(text)) => Err(Error::Start(text)),
            Err(Failure::Unimplemented(error)) => Err(error),
        }
    }

    pub(crate) fn state(&self) -> &VmState {
        self.store.data()
    }

    pub(crate) fn state_mut(&mut self) -> &mut VmState {
        self.store.data_mut()
    }

    /// A fresh context id.
    pub(crate) fn allocate_context(&mut self) -> u32 {
        let context = self.next_context;
        self.next_context += 1;
        context
    }

    /// Calls an exported callback; `None` when the filter does not export it.
    pub(crate) fn call(
        &mut self,
        callback: Callback,
        context: u32,
        args: &[u32],
    ) -> Result<Option<u32>, Failure> {
        let Some(function) = self.instance.get_func(&mut self.store, callback.export()) else {
            return Ok(None);
        };
        self.store.data_mut().running = (callback, context);
        self.store.data_mut().effective = None;
        let outcome = self.invoke(function, args);
        self.store.data_mut().effective = None;
        outcome.map_err(|error| match error.downcast_ref::<Unimplemented>() {
            Some(Unimplemented(name)) => Failure::Unimplemented(Error::Unimplemented {
                name: name.clone(),
                callback: callback.export(),
            }),
            None => Failure::Trap(format!("trap in {callback}: {error:?}")),
        })
    }

    fn invoke(&mut self, function: Func, args: &[u32]) -> wasmtime::Result<Option<u32>> {
        let args: Vec<Val> = args.iter().map(|arg| Val::I32(arg.cast_signed())).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        function.call(&mut self.store, &args, &mut results)?;
        Ok(results.first().and_then(Val::i32).map(i32::cast_unsigned))
    }
}
