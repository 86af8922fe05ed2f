//! Configuration: tried on a throw-away VM first, then a new root context in every VM.

use crate::abi::Callback;
use crate::error::{Error, Result};
use crate::process::{Process, Stop};
use crate::vm::{Failure, Life, Root, Vm, VmName};
use crate::world::LogLine;

/// The outcome of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// It is in force. If not, the one before still is.
    pub accepted: bool,
    /// Why not: the callback that refused, or the trap. (Envoy's own NACK does not carry this.)
    pub reason: Option<String>,
    /// What the filter logged meanwhile, in all VMs.
    pub log: Vec<LogLine>,
    /// It was the same as the one in force, so no VM was touched.
    pub unchanged: bool,
    /// Workers that refused what the trial had accepted. Envoy leaves the filter out there, silently.
    pub refused_by: Vec<VmName>,
}

enum Start {
    Accepted { root: u32 },
    Refused(String),
    Trapped(String),
}

impl Process {
    /// Pushes a plugin configuration, as ECDS does.
    ///
    /// A refusal on trial leaves everything as it was. Streams in flight stay on the root context they began with;
    /// an old root ends (done, delete) with its last stream. A changed configuration revives dead VMs.
    ///
    /// # Errors
    /// Only what ends a test: [`Error::Unimplemented`] and failures to instantiate.
    pub fn configure(&mut self, configuration: &[u8]) -> Result<Configured> {
        let log_start = self.world.borrow().log.len();
        let mut configured = Configured {
            accepted: true,
            reason: None,
            log: Vec::new(),
            unchanged: self.configuration.as_deref() == Some(configuration),
            refused_by: Vec::new(),
        };
        if configured.unchanged {
            return Ok(configured);
        }
        let mut trial = Vm::start(&self.module, &self.world, VmName::Trial)?;
        let outcome = start_root(&mut trial, configuration)?;
        let generation = trial.state().generation;
        drop(trial);
        self.world.borrow_mut().cancel_calls_of(generation);
        match outcome {
            Start::Refused(reason) | Start::Trapped(reason) => {
                configured.accepted = false;
                configured.reason = Some(reason);
            }
            Start::Accepted { .. } => {
                self.configuration = Some(configuration.to_vec());
                for slot in 0..self.slots.len() {
                    configured.refused_by.extend(self.configure_slot(slot)?);
                }
            }
        }
        configured.log = self.world.borrow().log.iter().skip(log_start).cloned().collect();
        Ok(configured)
    }

    /// Gives a slot a root context with the configuration in force, and a VM first if it has none.
    /// Returns the slot's name when it refused.
    fn configure_slot(&mut self, index: usize) -> Result<Option<VmName>> {
        let refused = self.load(index)?.is_err();
        let Some(slot) = self.slots.get_mut(index) else { return Ok(None) };
        slot.refused = refused;
        let name = slot.name;
        self.sweep(index)?;
        Ok(refused.then_some(name))
    }

    /// Brings a slot's root context up; the reason when it did not come up.
    pub(crate) fn load(&mut self, index: usize) -> Result<Result<(), String>> {
        let configuration = self.configuration.clone().ok_or(Error::NotConfigured)?;
        let now = self.now();
        let Some(slot) = self.slots.get_mut(index) else { return Ok(Ok(())) };
        slot.last_load = now;
        let vm = match slot.vm.as_mut() {
            Some(vm) => vm,
            None => slot.vm.insert(Vm::start(&self.module, &self.world, slot.name)?),
        };
        for root in vm.state_mut().roots.values_mut().filter(|root| root.life == Life::Active) {
            root.life = Life::Retired;
        }
        match start_root(vm, &configuration)? {
            Start::Accepted { root } => {
                slot.root = root;
                Ok(Ok(()))
            }
            Start::Refused(reason) => Ok(Err(reason)),
            Start::Trapped(reason) => {
                self.bury(index, reason.clone());
                Ok(Err(reason))
            }
        }
    }

    /// Ends root contexts that were replaced and have no stream left.
    pub(crate) fn sweep(&mut self, slot: usize) -> Result<()> {
        let roots: Vec<u32> =
            self.vm(slot).map(|vm| vm.state().roots.keys().copied().collect()).unwrap_or_default();
        for root in roots {
            match self.sweep_root(slot, root) {
                Ok(()) | Err(Stop::Dead) => {}
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn sweep_root(&mut self, slot: usize, root: u32) -> Result<(), Stop> {
        let state = self.vm(slot).ok_or(Stop::Dead)?.state();
        let in_use = state.streams.values().any(|stream| stream.root == root);
        let Some(life) = state.roots.get(&root).map(|root| root.life) else { return Ok(()) };
        if life == Life::Retired && !in_use {
            // Set before the call, so that `proxy_done` from within it counts.
            self.set_life(slot, root, Life::AwaitsDone);
            if self.call(slot, Callback::Done, root, &[root])? != Some(0) {
                self.set_life(slot, root, Life::Done);
            }
        }
        let life = self.vm(slot).and_then(|vm| vm.state().roots.get(&root).map(|root| root.life));
        if life == Some(Life::Done) {
            self.call(slot, Callback::Delete, root, &[root])?;
            let state = self.vm(slot).ok_or(Stop::Dead)?.state_mut();
            state.roots.remove(&root);
            let generation = state.generation;
            self.world
                .borrow_mut()
                .calls
                .retain(|call| (call.vm_generation, call.root) != (generation, root));
        }
        Ok(())
    }

    fn set_life(&mut self, slot: usize, root: u32, life: Life) {
        if let Some(root) = self.vm(slot).and_then(|vm| vm.state_mut().roots.get_mut(&root)) {
            root.life = life;
        }
    }
}

/// Creates a root context and configures it.
fn start_root(vm: &mut Vm, configuration: &[u8]) -> Result<Start> {
    let root = vm.allocate_context();
    let fresh = Root { configuration: configuration.to_vec(), tick: None, life: Life::Active };
    vm.state_mut().roots.insert(root, fresh);
    let vm_configuration_size = vm.state().world.borrow().vm_configuration.len();
    let steps = [
        (Callback::ContextCreate, 0),
        (Callback::VmStart, u32::try_from(vm_configuration_size).unwrap_or(u32::MAX)),
        (Callback::Configure, u32::try_from(configuration.len()).unwrap_or(u32::MAX)),
    ];
    for (callback, argument) in steps {
        match vm.call(callback, root, &[root, argument]) {
            Ok(Some(0)) if callback != Callback::ContextCreate => {
                return Ok(Start::Refused(format!("{callback} returned false")));
            }
            Ok(_) => {}
            Err(Failure::Trap(text)) => return Ok(Start::Trapped(text)),
            Err(Failure::Unimplemented(error)) => return Err(error),
        }
    }
    Ok(Start::Accepted { root })
}
