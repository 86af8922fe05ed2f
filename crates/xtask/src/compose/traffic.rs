//! Plain requests to published ports, and a stream of them that runs beside the story.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer.
pub struct Answer {
    pub status: u16,
    /// The version that says it answered.
    pub version: Option<String>,
    body: String,
}

impl Answer {
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {}", self.body))
    }
}

/// Asks a port of this machine.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n")?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    answer(&String::from_utf8_lossy(&said)).with_context(|| format!("port {port} does not speak HTTP"))
}

fn answer(said: &str) -> Option<Answer> {
    let (head, body) = said.split_once("\r\n\r\n")?;
    let status = head.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let field = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
    };
    let version = field("x-model-version").map(|(_, value)| value.trim().to_owned());
    let body = if field("transfer-encoding").is_some() { unchunked(body)? } else { body.to_owned() };
    Some(Answer { status, version, body })
}

/// A body in chunks, put together.
fn unchunked(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// Requests to the models, one after the other, until it is dropped.
pub struct Traffic {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    port: u16,
    ended: AtomicBool,
    resting: AtomicBool,
    /// How often each version answered with 200.
    served: Mutex<BTreeMap<String, u64>>,
}

impl Traffic {
    pub fn to(port: u16) -> Self {
        let (ended, resting) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { port, ended, resting, served: Mutex::default() });
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || shared.send()
        });
        Self { shared, thread: Some(thread) }
    }

    /// How often each version answered.
    pub fn served(&self) -> BTreeMap<String, u64> {
        self.shared.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends nothing, until told otherwise.
    pub fn rest(&self, resting: bool) {
        self.shared.resting.store(resting, Ordering::Relaxed);
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

impl Shared {
    fn send(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            // Some fifty requests a second: enough to count, and little for the machine.
            std::thread::sleep(Duration::from_millis(20));
            if self.resting.load(Ordering::Relaxed) {
                continue;
            }
            if let Ok(Answer { status: 200, version: Some(version), .. }) = get(self.port, "/predict") {
                *self.served.lock().unwrap_or_else(PoisonError::into_inner).entry(version).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, expected: Option<(u16, Option<&str>, &str)>) {
        let answer = answer(said);
        let seen =
            answer.as_ref().map(|answer| (answer.status, answer.version.as_deref(), answer.body.as_str()));
        assert_eq!(seen, expected);
    }

    #[test]
    fn answers_are_read() {
        check("HTTP/1.1 200 OK\r\nX-Model-Version: v1\r\n\r\n{}", Some((200, Some("v1"), "{}")));
        check("HTTP/1.1 503 No\r\n\r\n", Some((503, None, "")));
        let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        check(chunks, Some((200, None, "abcde")));
        check("HTTP/1.1 200 OK\r\n", None);
        check("", None);
    }
}
