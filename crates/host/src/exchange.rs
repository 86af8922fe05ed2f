//! Requests through the filter: open, respond, finish, in the order of Envoy's filter manager.

use crate::abi::Callback;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::process::{FailurePolicy, Process, Stop};
use crate::stream::{Answer, Exchange, Part, Request, Stream, Upstream, Way, flags, parts};

/// Names an open stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

/// A stream the test has not finished.
pub(crate) enum Open {
    /// Inside a VM.
    Live { slot: usize, vm_generation: u64, context: u32 },
    /// Over already: its VM died, or there was none to go through.
    Ended(Box<Exchange>),
}

/// Whether a worker can take a request.
enum Ready {
    Yes,
    Bypass,
    No(String),
}

impl Process {
    /// One request from start to end on a worker (counted from 0). A filter that pauses and is not continued ends
    /// as a client that went away; [`Exchange::paused`] says where.
    ///
    /// # Errors
    /// Those of the three steps.
    pub fn request(
        &mut self,
        worker: usize,
        request: Request,
        upstream: impl Into<Upstream>,
    ) -> Result<Exchange> {
        let stream = self.open(worker, request)?;
        if self.is_paused(stream) {
            self.respond(stream, Upstream::Disconnect)?;
        } else if !self.is_answered(stream) {
            self.respond(stream, upstream.into())?;
        }
        self.finish(stream)
    }

    /// Sends a request's headers, body and trailers through the filter.
    ///
    /// # Errors
    /// [`Error::NotConfigured`], [`Error::NoSuchWorker`], [`Error::Unimplemented`]. A trap is no error: see
    /// [`Exchange::failed`].
    pub fn open(&mut self, worker: usize, request: Request) -> Result<StreamId> {
        let slot = self.slot_of(worker)?;
        if self.configuration.is_none() {
            return Err(Error::NotConfigured);
        }
        let opened = match self.ready(slot)? {
            Ready::Yes => self.enter(slot, request)?,
            Ready::Bypass => bypassed(request),
            Ready::No(reason) => {
                let seen = Exchange { request: request.headers, ..Exchange::default() };
                Open::Ended(Box::new(seen.refused(&reason)))
            }
        };
        self.last_stream += 1;
        let id = StreamId(self.last_stream);
        self.streams.insert(id.0, opened);
        if let Some(Open::Live { slot, context, .. }) = self.streams.get(&id.0) {
            self.pump_or_end(*slot, *context)?;
        }
        Ok(id)
    }

    /// Gives the answer: its headers, body and trailers pass the filter.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] while the filter holds the request back (unless the client goes away), or after an
    /// answer; [`Error::NoSuchStream`].
    pub fn respond(&mut self, stream: StreamId, upstream: impl Into<Upstream>) -> Result<()> {
        let upstream = upstream.into();
        let Some((slot, context)) = self.live(stream)? else {
            self.respond_without_filter(stream, upstream);
            return Ok(());
        };
        let Some(state) = self.stream_in(slot, context) else { return Err(Error::NoSuchStream(stream.0)) };
        let refusal = match (&upstream, state.exchange.paused) {
            (Upstream::Disconnect, _) => None,
            (_, Some(_)) => Some("the filter holds the request back"),
            (_, None) if state.answered => Some("it has its answer"),
            (_, None) => None,
        };
        if let Some(why) = refusal {
            return Err(Error::OutOfOrder { stream: stream.0, step: "take an answer", why });
        }
        take_answer(state, upstream);
        self.pump_or_end(slot, context)
    }

    /// Ends the stream: log, done, delete. Returns what was seen of it.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] before an answer; [`Error::NoSuchStream`].
    pub fn finish(&mut self, stream: StreamId) -> Result<Exchange> {
        if let Some((slot, context)) = self.live(stream)? {
            let answered = self.stream_in(slot, context).is_some_and(|state| state.answered);
            if !answered {
                let why = "it has no answer yet; use `respond`, with `Upstream::Disconnect` for none";
                return Err(Error::OutOfOrder { stream: stream.0, step: "finish", why });
            }
            match self.log_and_delete(slot, context) {
                Ok(exchange) => {
                    self.streams.remove(&stream.0);
                    self.sweep(slot)?;
                    return Ok(exchange);
                }
                // The trap has made it an ended stream.
                Err(Stop::Dead) => {}
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        match self.streams.remove(&stream.0) {
            Some(Open::Ended(exchange)) => Ok(*exchange),
            _ => Err(Error::NoSuchStream(stream.0)),
        }
    }

    /// The request's headers as they stand: what routes would match on now.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`].
    pub fn routed(&mut self, stream: StreamId) -> Result<Headers> {
        match self.streams.get(&stream.0) {
            Some(Open::Ended(exchange)) => Ok(exchange.request.clone()),
            Some(Open::Live { slot, context, .. }) => {
                let (slot, context) = (*slot, *context);
                let state = self.stream_in(slot, context).ok_or(Error::NoSuchStream(stream.0))?;
                Ok(state.exchange.request.clone())
            }
            None => Err(Error::NoSuchStream(stream.0)),
        }
    }

    /// Whether a VM is there to take a request, after bringing it back if the policy says so.
    fn ready(&mut self, index: usize) -> Result<Ready> {
        let now = self.now();
        let Some(slot) = self.slots.get(index) else { return Ok(Ready::Bypass) };
        if slot.refused {
            return Ok(Ready::Bypass);
        }
        if slot.vm.is_some() {
            return Ok(Ready::Yes);
        }
        let FailurePolicy::Reload { base_interval } = self.options.failure_policy else {
            return Ok(match self.options.failure_policy {
                FailurePolicy::Open => Ready::Bypass,
                _ => Ready::No("the VM is dead and the policy is to fail closed".to_owned()),
            });
        };
        if now.saturating_sub(slot.last_load) < base_interval {
            self.reloads.backoff += 1;
            return Ok(Ready::No("the VM is dead and was loaded less than the base interval ago".to_owned()));
        }
        Ok(match self.load(index)? {
            Ok(()) => {
                self.reloads.success += 1;
                Ready::Yes
            }
            Err(reason) => {
                self.reloads.failure += 1;
                self.remove_vm(index, &reason);
                Ready::No(reason)
            }
        })
    }

    fn enter(&mut self, index: usize, request: Request) -> Result<Open> {
        let now = self.now();
        let root = self.slots.get(index).map_or(0, |slot| slot.root);
        let Some(vm) = self.vm(index) else { return Ok(bypassed(request)) };
        let context = vm.allocate_context();
        vm.state_mut().streams.insert(context, Stream::new(root, request, now));
        Ok(Open::Live { slot: index, vm_generation: vm.state().generation, context })
    }

    pub(crate) fn stream_in(&mut self, slot: usize, context: u32) -> Option<&mut Stream> {
        self.vm(slot)?.state_mut().streams.get_mut(&context)
    }

    fn live(&self, stream: StreamId) -> Result<Option<(usize, u32)>> {
        match self.streams.get(&stream.0) {
            Some(Open::Live { slot, context, .. }) => Ok(Some((*slot, *context))),
            Some(Open::Ended(_)) => Ok(None),
            None => Err(Error::NoSuchStream(stream.0)),
        }
    }

    fn is_paused(&mut self, stream: StreamId) -> bool {
        let Ok(Some((slot, context))) = self.live(stream) else { return false };
        self.stream_in(slot, context).is_some_and(|state| state.exchange.paused.is_some())
    }

    fn is_answered(&mut self, stream: StreamId) -> bool {
        let Ok(Some((slot, context))) = self.live(stream) else { return false };
        self.stream_in(slot, context).is_some_and(|state| state.answered)
    }

    fn respond_without_filter(&mut self, stream: StreamId, upstream: Upstream) {
        if let Some(Open::Ended(exchange)) = self.streams.get_mut(&stream.0)
            && exchange.bypassed
        {
            exchange.response = match upstream {
                Upstream::Answer(answer) => Some(answer.headers),
                Upstream::Local { status, .. } => Some([(":status", status.to_string())].into()),
                Upstream::Disconnect => None,
            };
        }
    }

    /// [`Process::pump`]; a trap has ended the stream by then and is no error.
    pub(crate) fn pump_or_end(&mut self, slot: usize, context: u32) -> Result<()> {
        match self.pump(slot, context) {
            Ok(()) | Err(Stop::Dead) => Ok(()),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    /// Hands the stream's parts to the filter until it pauses or nothing is left.
    fn pump(&mut self, slot: usize, context: u32) -> Result<(), Stop> {
        if let Some(stream) = self.stream_in(slot, context)
            && !stream.created
        {
            stream.created = true;
            let root = stream.root;
            self.call(slot, Callback::ContextCreate, context, &[context, root])?;
        }
        while let Some((way, part)) = self.next_part(slot, context) {
            self.pass(slot, context, way, part)?;
        }
        let answers_itself = self.stream_in(slot, context).is_some_and(|stream| {
            let answers = stream.exchange.local_reply.is_some() && !stream.answered;
            if answers {
                take_local_reply(stream);
            }
            answers
        });
        if answers_itself { self.pump(slot, context) } else { Ok(()) }
    }

    /// The next part, unless the filter holds it back.
    fn next_part(&mut self, slot: usize, context: u32) -> Option<(Way, Part)> {
        let body_goes_on = self.options.allow_on_headers_stop_iteration;
        let stream = self.stream_in(slot, context)?;
        if std::mem::take(&mut stream.continued) {
            stream.exchange.paused = None;
        }
        let waits = match stream.exchange.paused {
            None => false,
            // Envoy buffers: the next chunk comes on top of those held back.
            Some(Callback::RequestBody | Callback::ResponseBody) => false,
            Some(Callback::RequestHeaders | Callback::ResponseHeaders) => !body_goes_on,
            Some(_) => true,
        };
        if waits { None } else { stream.queue.pop_front() }
    }

    fn pass(&mut self, slot: usize, context: u32, way: Way, part: Part) -> Result<(), Stop> {
        let callback = way.callback(&part);
        let Some(stream) = self.stream_in(slot, context) else { return Err(Stop::Dead) };
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let args = match part {
            Part::Headers { end } => {
                stream.open.push(way.headers());
                let headers = match way {
                    Way::Request => stream.exchange.request.len(),
                    Way::Response => stream.exchange.response.as_ref().map_or(0, Headers::len),
                };
                vec![context, size(headers), u32::from(end)]
            }
            Part::Body { chunk, end } => {
                stream.chunk.extend(chunk);
                vec![context, size(stream.chunk.len()), u32::from(end)]
            }
            Part::Trailers => {
                stream.open.push(way.trailers());
                let trailers = match way {
                    Way::Request => stream.given.trailers.as_ref(),
                    Way::Response => stream.response_trailers.as_ref(),
                };
                vec![context, size(trailers.map_or(0, Headers::len))]
            }
        };
        let action = self.call(slot, callback, context, &args)?;
        let Some(stream) = self.stream_in(slot, context) else { return Err(Stop::Dead) };
        let answers_itself = stream.exchange.local_reply.is_some() && !stream.answered;
        if answers_itself {
            // Envoy ignores the returned action then, and the request goes no further.
            stream.queue.clear();
            stream.exchange.paused = None;
            stream.open.clear();
        } else if matches!(action, None | Some(0)) {
            stream.sent |= way == Way::Response;
            stream.exchange.paused = None;
            stream.open.clear();
            stream.chunk.clear();
        } else if !stream.continued {
            stream.exchange.paused = Some(callback);
        }
        Ok(())
    }

    fn log_and_delete(&mut self, slot: usize, context: u32) -> Result<Exchange, Stop> {
        let Some(stream) = self.stream_in(slot, context) else { return Err(Stop::Dead) };
        stream.logging = true;
        stream.flags |= stream.late_flags;
        self.call(slot, Callback::Log, context, &[context])?;
        if let Some(stream) = self.stream_in(slot, context) {
            stream.logging = false;
        }
        self.call(slot, Callback::Done, context, &[context])?;
        self.call(slot, Callback::Delete, context, &[context])?;
        let vm = self.vm(slot).ok_or(Stop::Dead)?;
        vm.state_mut().streams.remove(&context).map(|stream| stream.exchange).ok_or(Stop::Dead)
    }
}

fn bypassed(request: Request) -> Open {
    Open::Ended(Box::new(Exchange { request: request.headers, bypassed: true, ..Exchange::default() }))
}

fn take_answer(stream: &mut Stream, upstream: Upstream) {
    stream.answered = true;
    match upstream {
        Upstream::Answer(Answer { headers, body, trailers, latency, tries, flags }) => {
            stream.tries = tries;
            stream.code = headers.text(":status").and_then(|status| status.parse().ok());
            stream.code_details = Some("via_upstream".to_owned());
            stream.late_flags = flags;
            stream.latency = Some(latency);
            stream.contacted_upstream = true;
            stream.queue = parts(Way::Response, &body, trailers.as_ref());
            stream.exchange.response = Some(headers);
            stream.response_trailers = trailers;
        }
        Upstream::Local { status, details, flags } => {
            stream.flags |= flags;
            answer_locally(stream, status, details, Headers::new());
        }
        Upstream::Disconnect => {
            stream.flags |= flags::DOWNSTREAM_DISCONNECT;
            stream.code_details = Some("downstream_remote_disconnect".to_owned());
            stream.queue.clear();
        }
    }
}

fn take_local_reply(stream: &mut Stream) {
    let Some(reply) = stream.exchange.local_reply.clone() else { return };
    stream.answered = true;
    let status = u16::try_from(reply.status).unwrap_or(500);
    answer_locally(stream, status, reply.details, reply.headers);
}

/// An answer of Envoy's own. To gRPC clients it speaks gRPC: HTTP 200 and the status translated.
fn answer_locally(stream: &mut Stream, status: u16, details: String, extra: Headers) {
    let content_type = stream.exchange.request.get("content-type").unwrap_or_default();
    let mut headers = if content_type.starts_with(b"application/grpc") {
        let grpc_status = match status {
            400 => "13",
            401 => "16",
            403 => "7",
            404 => "12",
            429 | 502..=504 => "14",
            _ => "2",
        };
        Headers::from([
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", grpc_status),
        ])
    } else {
        Headers::new().with(":status", status.to_string()).with("content-type", "text/plain")
    };
    for (name, value) in extra.iter() {
        headers.add(name, value);
    }
    stream.code = headers.text(":status").and_then(|status| status.parse().ok());
    stream.code_details = Some(details);
    stream.queue = parts(Way::Response, &[], None);
    stream.exchange.response = Some(headers);
}
