//! A process: the VMs of one Envoy and what they share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::abi::Callback;
use crate::calls::HostCalls;
use crate::error::{Error, Result};
use crate::exchange::Open;
use crate::metrics::Metrics;
use crate::module::Module;
use crate::properties::{Node, Properties};
use crate::shared::SharedData;
use crate::vm::{Failure, Vm, VmName};
use crate::world::{HttpCall, LogLevel, LogLine, World};

/// What Envoy does with requests for a worker whose VM has trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// A new VM at the next request, at most one per interval; 503 in between.
    Reload {
        /// Envoy adds up to half of it at random; the host does not.
        base_interval: Duration,
    },
    /// 503 until a changed configuration comes.
    Closed,
    /// Without the filter until a changed configuration comes.
    Open,
}

/// How a process is set up. [`Default`] is what Serin's own bootstrap uses.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// Envoy's `--concurrency`.
    pub workers: usize,
    /// `vm_config.vm_id`: names the shared data.
    pub vm_id: String,
    /// The plugin's `name`.
    pub plugin_name: String,
    /// The plugin's `root_id`.
    pub root_id: String,
    /// `vm_config.configuration`.
    pub vm_configuration: Vec<u8>,
    /// What a trap leads to.
    pub failure_policy: FailurePolicy,
    /// `allow_on_headers_stop_iteration`: a filter that pauses in headers still gets the body.
    pub allow_on_headers_stop_iteration: bool,
    /// Clusters an HTTP call may name; any other is refused with `BadArgument`.
    pub clusters: Vec<String>,
    /// Properties of the node (`xds.node.id`, ...), readable from every context.
    pub properties: Properties,
    /// What `proxy_get_log_level` answers. The host keeps every line whatever its level.
    pub log_level: LogLevel,
    /// The clock's first reading, since 1970.
    pub now: Duration,
}

impl Default for ProcessOptions {
    fn default() -> ProcessOptions {
        ProcessOptions {
            workers: 1,
            vm_id: "serin".to_owned(),
            plugin_name: "serin".to_owned(),
            root_id: "serin".to_owned(),
            vm_configuration: Vec::new(),
            failure_policy: FailurePolicy::Reload { base_interval: Duration::from_secs(1) },
            allow_on_headers_stop_iteration: false,
            clusters: vec!["serin".to_owned()],
            properties: Properties::new().text(&["xds", "node", "id"], "node-1"),
            log_level: LogLevel::Info,
            now: Duration::from_secs(1_763_700_000),
        }
    }
}

/// A trap in a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Which VM died of it.
    pub vm: VmName,
    /// Callback, cause and WebAssembly backtrace.
    pub text: String,
}

/// Envoy's counters `wasm.<plugin>.vm_reload_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// VMs brought back.
    pub success: u64,
    /// VMs that could not be brought back.
    pub failure: u64,
    /// Requests refused because the interval was not over.
    pub backoff: u64,
}

/// A thread's place for a VM.
pub(crate) struct Slot {
    pub(crate) name: VmName,
    pub(crate) vm: Option<Vm>,
    /// The root context new streams belong to.
    pub(crate) root: u32,
    pub(crate) last_load: Duration,
    /// The configuration was accepted on trial and refused here: Envoy leaves the filter out, silently.
    pub(crate) refused: bool,
}

/// One Envoy.
pub struct Process {
    pub(crate) module: Module,
    pub(crate) options: ProcessOptions,
    pub(crate) world: Rc<RefCell<World>>,
    /// The main thread's first, then the workers'.
    pub(crate) slots: Vec<Slot>,
    pub(crate) configuration: Option<Vec<u8>>,
    pub(crate) streams: BTreeMap<u64, Open>,
    pub(crate) last_stream: u64,
    pub(crate) traps: Vec<Trap>,
    pub(crate) reloads: Reloads,
}

/// Why a callback gave no result.
pub(crate) enum Stop {
    /// The VM died; its streams have been ended.
    Dead,
    /// The test cannot go on.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

impl Process {
    /// Starts a process. VMs come with the first [`Process::configure`].
    ///
    /// # Errors
    /// [`Error::Start`] when the module does not get through `_initialize`.
    pub fn new(module: &Module, options: ProcessOptions) -> Result<Process> {
        let world = World {
            now: options.now,
            wall_set_ns: 0,
            node: Node {
                plugin_name: options.plugin_name.clone(),
                root_id: options.root_id.clone(),
                vm_id: options.vm_id.clone(),
                properties: options.properties.clone(),
            },
            vm_configuration: options.vm_configuration.clone(),
            clusters: options.clusters.clone(),
            log_level: options.log_level,
            metrics: Metrics::default(),
            shared: SharedData::default(),
            log: Vec::new(),
            calls: Vec::new(),
            host_calls: HostCalls::default(),
            last_call: 0,
            last_generation: 0,
        };
        let world = Rc::new(RefCell::new(world));
        // Envoy's base VM: it shows at once whether the code starts, and is never configured.
        Vm::start(module, &world, VmName::Trial)?;
        let names = std::iter::once(VmName::Main).chain((0..options.workers).map(VmName::Worker));
        let slot = |name| Slot { name, vm: None, root: 0, last_load: Duration::ZERO, refused: false };
        Ok(Process {
            module: module.clone(),
            slots: names.map(slot).collect(),
            options,
            world,
            configuration: None,
            streams: BTreeMap::new(),
            last_stream: 0,
            traps: Vec::new(),
            reloads: Reloads::default(),
        })
    }

    /// The clock, since 1970.
    pub fn now(&self) -> Duration {
        self.world.borrow().now
    }

    /// Somebody sets the wall clock, by so many milliseconds; time goes on as before.
    pub fn set_wall_clock(&mut self, by_ms: i64) {
        self.world.borrow_mut().wall_set_ns += by_ms * 1_000_000;
    }

    /// All metrics, as they stand.
    pub fn metrics(&self) -> Metrics {
        self.world.borrow().metrics.clone()
    }

    /// Every counter above 0.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.world.borrow().metrics.counters()
    }

    /// Every call into the host so far, from any VM, configuration and ticks included.
    /// [`Exchange::host_calls`] has those of one request.
    pub fn host_calls(&self) -> HostCalls {
        self.world.borrow().host_calls.clone()
    }

    /// Every line logged so far.
    pub fn log(&self) -> Vec<LogLine> {
        self.world.borrow().log.clone()
    }

    /// The value under a key of the shared data.
    pub fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        self.world.borrow().shared.get(key.as_bytes()).ok().map(|(value, _)| value)
    }

    /// HTTP calls that wait for an answer, oldest first.
    pub fn http_calls(&self) -> Vec<HttpCall> {
        self.world.borrow().calls.iter().map(|pending| pending.call.clone()).collect()
    }

    /// Every trap so far.
    pub fn traps(&self) -> &[Trap] {
        &self.traps
    }

    /// The outcome of VMs that trapped.
    pub fn reloads(&self) -> Reloads {
        self.reloads
    }

    /// Live VMs, as Envoy's gauge `wasm.wasm_vm_count` less its base VM.
    pub fn vm_count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.vm.is_some()).count()
    }

    pub(crate) fn slot_of(&self, worker: usize) -> Result<usize> {
        if worker < self.options.workers {
            Ok(worker + 1)
        } else {
            Err(Error::NoSuchWorker { worker, workers: self.options.workers })
        }
    }

    pub(crate) fn vm(&mut self, slot: usize) -> Option<&mut Vm> {
        self.slots.get_mut(slot)?.vm.as_mut()
    }

    /// Calls into a VM and deals with a trap: the VM dies and takes its streams with it.
    pub(crate) fn call(
        &mut self,
        slot: usize,
        callback: Callback,
        context: u32,
        args: &[u32],
    ) -> Result<Option<u32>, Stop> {
        let vm = self.vm(slot).ok_or(Stop::Dead)?;
        match vm.call(callback, context, args) {
            Ok(result) => Ok(result),
            Err(Failure::Unimplemented(error)) => Err(Stop::Error(error)),
            Err(Failure::Trap(text)) => {
                self.bury(slot, text);
                Err(Stop::Dead)
            }
        }
    }

    /// Records a trap and takes the VM away.
    pub(crate) fn bury(&mut self, slot: usize, text: String) {
        if let Some(slot) = self.slots.get(slot) {
            self.traps.push(Trap { vm: slot.name, text: text.clone() });
        }
        self.remove_vm(slot, &text);
    }

    /// Takes a VM away, and ends its streams.
    pub(crate) fn remove_vm(&mut self, slot: usize, text: &str) {
        let Some(slot) = self.slots.get_mut(slot) else { return };
        let Some(mut vm) = slot.vm.take() else { return };
        let generation = vm.state().generation;
        let mut ended = std::mem::take(&mut vm.state_mut().streams);
        for open in self.streams.values_mut() {
            if let Open::Live { vm_generation, context, .. } = open
                && *vm_generation == generation
                && let Some(stream) = ended.remove(context)
            {
                *open = Open::Ended(Box::new(stream.died(text)));
            }
        }
        self.world.borrow_mut().cancel_calls_of(generation);
    }
}
