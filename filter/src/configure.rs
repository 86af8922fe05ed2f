//! From policy text to a policy that runs, and what happens to a bad one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use split::policy::Policy;
use split::{Draws, Splitter, Standing};
use tally::metric::filter;

use crate::count::{self, Counters};
use crate::host::{self, Buffer, Level};
use crate::lease;
use crate::stream::Stream;

/// The newest policy that any VM of this process accepted: its incarnation and generation, then its text. It outlives
/// VMs.
const NEWEST: &str = "serin/newest";
/// There once a configuration was accepted in this process.
const ACCEPTED: &str = "serin/accepted";

/// A policy that runs in this VM.
pub struct Active {
    pub splitter: Splitter,
    pub counters: Vec<Rc<Counters>>,
    /// How the lease of all of it stands.
    pub standing: Cell<Standing>,
    /// Of each rollout: was it taken back by itself?
    pub revoked: Vec<Cell<bool>>,
    pub draws: RefCell<Draws>,
}

impl Active {
    /// How the lease of a rollout stands, by its place in the policy.
    pub fn standing_of(&self, rollout: usize) -> Standing {
        match self.revoked.get(rollout) {
            Some(revoked) if revoked.get() => Standing::Revoked,
            _ => self.standing.get(),
        }
    }
}

/// One configuration of the filter in one VM. Envoy makes a new one for every push and lets requests in flight keep
/// the old one to their end.
pub struct Root {
    id: u32,
    active: Option<Rc<Active>>,
    strict: bool,
}

/// Why a policy was not taken: a word for the counter, a sentence for the log.
struct Refusal {
    reason: &'static str,
    text: String,
}

impl Root {
    pub const fn new(id: u32) -> Self {
        Self { id, active: None, strict: false }
    }

    fn read(&self, text: &[u8]) -> Result<Active, Refusal> {
        let splitter = compile(text)?;
        let Some((pair, newest)) = newest().filter(|(pair, _)| splitter.pair() < *pair) else {
            raise_newest(splitter.pair(), text);
            return Ok(self.activate(splitter));
        };
        // Older than what was in force here: from a leader of the past, out of order, or overtaken by the next push
        // while this VM was waiting for its turn. The newest one runs instead. Refusing it would be wrong: a worker
        // whose turn comes late would be left without a VM, and Envoy would then take no configuration at all.
        count::once(&tally::policy_refused("stale"));
        host::log(
            Level::Warn,
            &format!("serin: the policy {:?} is stale; {pair:?} stays in force", splitter.pair()),
        );
        compile(&newest).map(|splitter| self.activate(splitter))
    }

    fn activate(&self, splitter: Splitter) -> Active {
        let seed = host::now().unwrap_or(0) ^ (u64::from(self.id) << 48);
        Active {
            counters: splitter.rollouts().map(|claim| Counters::begin(&claim)).collect(),
            standing: Cell::new(Standing::Live),
            revoked: splitter.rollouts().map(|_| Cell::new(false)).collect(),
            draws: RefCell::new(Draws::seeded(Draws::seeded(seed).draw())),
            splitter,
        }
    }

    /// Takes the policy over. What it promises is written where all VMs see it before the first request does.
    fn accept(&mut self, active: Active) {
        let (incarnation, generation) = active.splitter.pair();
        count::show(&tally::gauge(filter::POLICY_INCARNATION, &[]), incarnation);
        count::show(&tally::gauge(filter::POLICY_GENERATION, &[]), generation);
        active.counters.iter().for_each(|counters| counters.announce());
        if let Some(terms) = active.splitter.lease() {
            lease::begin(&active, terms);
        }
        // Without ticks the lease would never be seen to run out; a host that refuses them is not one of ours.
        if let Err(refused) = host::tick_every(lease::TICK_MS) {
            host::log(Level::Warn, &format!("serin: the host gives no ticks: {refused:?}"));
        }
        host::log(
            Level::Info,
            &format!(
                "serin {}: policy {incarnation}-{generation} accepted, {} rollouts",
                env!("CARGO_PKG_VERSION"),
                active.counters.len()
            ),
        );
        self.active = Some(Rc::new(active));
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, _: u32, _: usize, _: usize, _: usize) {
        if let Some(active) = &self.active {
            lease::take_answer(active);
        }
    }
}

impl RootContext for Root {
    fn on_vm_start(&mut self, _: usize) -> bool {
        self.strict = host::buffer(Buffer::VmConfiguration).is_ok_and(|text| text == b"strict");
        true
    }

    /// Empty: pass through. Good: take it. Bad: keep the last good one; when there never was one in this process, a
    /// refusal would make Envoy answer every request with 500, so it counts as pass-through and says so. Validation
    /// (`vm_config.configuration: strict`) refuses it all the same.
    fn on_configure(&mut self, _: usize) -> bool {
        let text = match host::buffer(Buffer::PluginConfiguration) {
            Ok(text) => text,
            Err(host::NOT_FOUND) => Vec::new(),
            Err(refused) => {
                host::log(Level::Warn, &format!("serin: the configuration cannot be read: {refused:?}"));
                return false;
            }
        };
        if text.is_empty() {
            let _ = host::set_shared(ACCEPTED, b"1", 0);
            return true;
        }
        match self.read(&text) {
            Ok(active) => {
                self.accept(active);
                let _ = host::set_shared(ACCEPTED, b"1", 0);
                true
            }
            Err(refusal) => {
                count::once(&tally::policy_refused(refusal.reason));
                let keep = self.strict || host::shared(ACCEPTED).is_ok();
                let then = if keep { "the last good one stays" } else { "passing through" };
                host::log(Level::Warn, &format!("serin: {}; {then}", refusal.text));
                !keep
            }
        }
    }

    fn on_tick(&mut self) {
        let (Some(active), Ok(now)) = (&self.active, host::steady()) else { return };
        lease::tick(active, now);
        count::tick(now);
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(self.active.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

fn compile(text: &[u8]) -> Result<Splitter, Refusal> {
    let policy: Policy = serde_json::from_slice(text).map_err(|error| Refusal {
        reason: "malformed",
        text: format!("the policy cannot be read: {error}"),
    })?;
    Splitter::compile(&policy)
        .map_err(|error| Refusal { reason: error.reason, text: format!("the policy is refused: {error}") })
}

fn newest() -> Option<((u64, u64), Vec<u8>)> {
    let (bytes, _) = host::shared(NEWEST).ok()?;
    let (pair, text) = pair_of(&bytes)?;
    Some((pair, text.to_vec()))
}

/// Puts a policy where every VM finds it, unless a newer one is there; another VM may be doing the same.
fn raise_newest(pair: (u64, u64), text: &[u8]) {
    for _ in 0..8 {
        let (current, cas) = host::shared(NEWEST).unwrap_or_default();
        if pair_of(&current).is_some_and(|(current, _)| current >= pair) {
            return;
        }
        let value = [&pair.0.to_le_bytes()[..], &pair.1.to_le_bytes(), text].concat();
        if host::set_shared(NEWEST, &value, cas).is_ok() {
            return;
        }
    }
}

fn pair_of(bytes: &[u8]) -> Option<((u64, u64), &[u8])> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    let (second, rest) = rest.split_first_chunk::<8>()?;
    Some(((u64::from_le_bytes(*first), u64::from_le_bytes(*second)), rest))
}
