//! What all VMs of a process share: clock, metrics, shared data, log, HTTP calls under way.

use std::time::Duration;

use crate::abi::Callback;
use crate::calls::HostCalls;
use crate::headers::Headers;
use crate::metrics::Metrics;
use crate::properties::Node;
use crate::shared::SharedData;
use crate::vm::VmName;

/// Severity of a log line, as the ABI numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the usual names")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl LogLevel {
    const ALL: [LogLevel; 6] = [
        LogLevel::Trace,
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Warn,
        LogLevel::Error,
        LogLevel::Critical,
    ];

    pub(crate) fn from_number(number: u32) -> Option<LogLevel> {
        LogLevel::ALL.get(usize::try_from(number).ok()?).copied()
    }

    pub(crate) fn number(self) -> u32 {
        LogLevel::ALL
            .iter()
            .zip(0..)
            .find_map(|(level, number)| (*level == self).then_some(number))
            .unwrap_or(0)
    }
}

/// A line the filter logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// From which VM.
    pub vm: VmName,
    /// In which callback.
    pub callback: Callback,
    /// How severe.
    pub level: LogLevel,
    /// The text.
    pub message: String,
}

/// An HTTP call the filter made and that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// Names the call towards [`crate::Process::answer`]; unique in the process.
    pub id: u64,
    /// The VM that made it.
    pub vm: VmName,
    /// The Envoy cluster it goes to.
    pub cluster: String,
    /// `:method`, `:path` and `:authority` included.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Headers,
    /// When Envoy gives up by itself and answers 504; `None`: never.
    pub timeout: Option<Duration>,
    /// When it was made, on the process's clock.
    pub made_at: Duration,
}

/// A call under way, and where its answer goes.
#[derive(Debug)]
pub(crate) struct PendingCall {
    pub(crate) call: HttpCall,
    pub(crate) vm_generation: u64,
    pub(crate) root: u32,
    pub(crate) token: u32,
}

/// The shared part of a process.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    /// How far somebody has set the wall clock from there, in nanoseconds.
    pub(crate) wall_set_ns: i64,
    pub(crate) node: Node,
    pub(crate) vm_configuration: Vec<u8>,
    pub(crate) clusters: Vec<String>,
    pub(crate) log_level: LogLevel,
    pub(crate) metrics: Metrics,
    pub(crate) shared: SharedData,
    pub(crate) log: Vec<LogLine>,
    pub(crate) calls: Vec<PendingCall>,
    pub(crate) host_calls: HostCalls,
    pub(crate) last_call: u64,
    pub(crate) last_generation: u64,
}

impl World {
    /// Numbers VMs in order of creation, so that a stale reference to a dead one is recognised.
    pub(crate) fn next_generation(&mut self) -> u64 {
        self.last_generation += 1;
        self.last_generation
    }

    /// Calls made by a VM that died are cancelled, as Envoy does when it destroys the contexts.
    pub(crate) fn cancel_calls_of(&mut self, vm_generation: u64) {
        self.calls.retain(|pending| pending.vm_generation != vm_generation);
    }
}
