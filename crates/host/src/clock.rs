//! Time and what comes with it: ticks, answers to HTTP calls, their timeouts.

use std::time::Duration;

use crate::abi::Callback;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::process::{Process, Stop};
use crate::vm::CallResponse;
use crate::world::PendingCall;

/// The answer to an HTTP call the filter made.
#[derive(Clone, Debug)]
pub enum CallAnswer {
    /// A response.
    Response {
        /// `:status` included.
        headers: Headers,
        /// The body.
        body: Vec<u8>,
        /// The trailers, if any.
        trailers: Option<Headers>,
    },
    /// The stream was reset: the filter is called with no headers, no body, no trailers.
    Reset,
}

impl CallAnswer {
    /// A response with a status and a body.
    pub fn response(status: u16, body: impl Into<Vec<u8>>) -> CallAnswer {
        let headers = Headers::from([(":status", status.to_string())]);
        CallAnswer::Response { headers, body: body.into(), trailers: None }
    }
}

/// What happens at a moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick { slot: usize, root: u32 },
    Timeout { call: u64 },
}

impl Process {
    /// Moves the clock, and runs on the way every tick and call timeout that falls due, in order of time.
    ///
    /// # Errors
    /// Only what ends a test. A trap in a tick is in [`Process::traps`].
    pub fn advance(&mut self, by: Duration) -> Result<()> {
        let target = self.now() + by;
        while let Some((due, event)) = self.next_event().filter(|(due, _)| *due <= target) {
            // A call may have been overdue already; the clock never goes back.
            let now = due.max(self.now());
            self.world.borrow_mut().now = now;
            match event {
                Event::Tick { slot, root } => self.tick(slot, root)?,
                // Envoy's client answers a timed-out call itself.
                Event::Timeout { call } => {
                    self.answer(call, CallAnswer::response(504, "upstream request timeout"))?;
                }
            }
        }
        self.world.borrow_mut().now = target;
        Ok(())
    }

    /// Answers an HTTP call. The callback runs at once, on the root context that made the call, as the clock stands.
    ///
    /// # Errors
    /// [`Error::NoSuchCall`] when it is not in [`Process::http_calls`].
    pub fn answer(&mut self, call: u64, answer: CallAnswer) -> Result<()> {
        let pending = {
            let mut world = self.world.borrow_mut();
            let position = world.calls.iter().position(|pending| pending.call.id == call);
            world.calls.remove(position.ok_or(Error::NoSuchCall(call))?)
        };
        match self.deliver(&pending, answer) {
            Ok(()) | Err(Stop::Dead) => Ok(()),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    fn next_event(&self) -> Option<(Duration, Event)> {
        let ticks = self.slots.iter().enumerate().flat_map(|(slot, held)| {
            let roots = held.vm.iter().flat_map(|vm| vm.state().roots.iter());
            roots.filter_map(move |(root, state)| Some((state.tick?.due, Event::Tick { slot, root: *root })))
        });
        let world = self.world.borrow();
        let timeouts = world.calls.iter().filter_map(|pending| {
            let due = pending.call.made_at + pending.call.timeout?;
            Some((due, Event::Timeout { call: pending.call.id }))
        });
        ticks.chain(timeouts).min()
    }

    fn tick(&mut self, slot: usize, root: u32) -> Result<()> {
        let now = self.now();
        // Armed before the call, so that a period the callback sets is the one that holds.
        if let Some(tick) = self.vm(slot).and_then(|vm| vm.state_mut().roots.get_mut(&root)?.tick.as_mut()) {
            tick.due = now + tick.period;
        }
        match self.call(slot, Callback::Tick, root, &[root]) {
            Ok(_) => self.after_root_callback(slot),
            Err(Stop::Dead) => Ok(()),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    fn deliver(&mut self, pending: &PendingCall, answer: CallAnswer) -> Result<(), Stop> {
        let same_vm = |slot: &crate::process::Slot| {
            slot.vm.as_ref().is_some_and(|vm| vm.state().generation == pending.vm_generation)
        };
        let slot = self.slots.iter().position(same_vm).ok_or(Stop::Dead)?;
        let response = match answer {
            CallAnswer::Response { headers, body, trailers } => {
                Some(CallResponse { headers, body, trailers })
            }
            CallAnswer::Reset => None,
        };
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let sizes = response.as_ref().map_or([0; 3], |response| {
            let trailers = response.trailers.as_ref().map_or(0, Headers::len);
            [size(response.headers.len()), size(response.body.len()), size(trailers)]
        });
        let [headers, body, trailers] = sizes;
        self.vm(slot).ok_or(Stop::Dead)?.state_mut().response = response;
        let args = [pending.root, pending.token, headers, body, trailers];
        self.call(slot, Callback::HttpCallResponse, pending.root, &args)?;
        self.vm(slot).ok_or(Stop::Dead)?.state_mut().response = None;
        Ok(self.after_root_callback(slot)?)
    }

    /// Streams the filter continued from a root callback go on now; roots it let go of end.
    fn after_root_callback(&mut self, slot: usize) -> Result<()> {
        let continued: Vec<u32> = self.vm(slot).map_or_else(Vec::new, |vm| {
            let streams = vm.state().streams.iter();
            let goes_on = |stream: &crate::stream::Stream| {
                stream.continued || (stream.exchange.local_reply.is_some() && !stream.answered)
            };
            streams.filter(|(_, stream)| goes_on(stream)).map(|(context, _)| *context).collect()
        });
        for context in continued {
            self.pump_or_end(slot, context)?;
        }
        self.sweep(slot)
    }
}
