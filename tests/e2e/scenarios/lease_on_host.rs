//! The lease to the millisecond, on a clock that only the test moves.

use std::time::Duration;

use host::{CallAnswer, HttpCall, Module, Process, ProcessOptions, Request, Upstream};
use serde_json::json;

use super::on_host::FILTER;
use super::trap_on_host::TRAPPING;
use tests::{arms, policy};

/// How often a VM looks at the lease: how late it may notice.
const TICK: u64 = 100;
const INTERVAL: u64 = 1_000;
const WORKERS: usize = 2;

/// An Envoy with a leased policy that sends everybody to the canary. Times are in ms since it was taken.
struct Leased {
    process: Process,
    begun: Duration,
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

impl Leased {
    fn start(module: &Module, ttl: u64, on_lease_expired: &str) -> Self {
        let options = ProcessOptions { workers: WORKERS, ..ProcessOptions::default() };
        let process = Process::new(module, options).expect("a process");
        let begun = process.now();
        let mut leased = Self { process, begun };
        leased.push(1, ttl, on_lease_expired);
        leased
    }

    fn push(&mut self, generation: u64, ttl: u64, on_lease_expired: &str) {
        let lease = json!({
            "cluster": "serin", "authority": "serin", "path": "/v1/lease", "interval_ms": INTERVAL, "ttl_ms": ttl,
        });
        let policy = policy(
            generation,
            json!({"lease": lease, "arms": arms(1_000_000), "on_lease_expired": on_lease_expired}),
        );
        assert!(self.process.configure(policy.to_string().as_bytes()).expect("a configuration").accepted);
    }

    /// The same with a second rollout, which owns an authority.
    fn push_beside(&mut self, generation: u64, ttl: u64, name: &str) {
        let lease = json!({
            "cluster": "serin", "authority": "serin", "path": "/v1/lease", "interval_ms": INTERVAL, "ttl_ms": ttl,
        });
        let mut policy = policy(
            generation,
            json!({"lease": lease, "arms": arms(1_000_000), "match": {"authority": ["models.local"]}}),
        );
        let mut other = policy["rollouts"][0].clone();
        (other["name"], other["match"]) = (name.into(), json!({"authority": [format!("{name}.local")]}));
        policy["rollouts"].as_array_mut().expect("a list").push(other);
        assert!(self.process.configure(policy.to_string().as_bytes()).expect("a configuration").accepted);
    }

    fn to(&mut self, time: u64) {
        let ahead = (self.begun + ms(time)).checked_sub(self.process.now()).expect("time does not go back");
        self.process.advance(ahead).expect("time");
    }

    fn now(&self) -> u64 {
        u64::try_from((self.process.now() - self.begun).as_millis()).expect("a time")
    }

    /// The arm that each worker gives a request now.
    fn arms(&mut self) -> [String; WORKERS] {
        [0, 1].map(|worker| self.ask(worker, false).expect("an arm"))
    }

    #[track_caller]
    fn is(&mut self, arm: &str) {
        let now = self.now();
        assert_eq!(self.arms(), [arm; WORKERS], "at {now} ms");
    }

    fn ask(&mut self, worker: usize, trap: bool) -> Option<String> {
        self.exchange("models.local", worker, trap)
    }

    fn ask_at(&mut self, authority: &str, worker: usize) -> Option<String> {
        self.exchange(authority, worker, false)
    }

    fn exchange(&mut self, authority: &str, worker: usize, trap: bool) -> Option<String> {
        let mut request = Request::get(authority, "/").header("x-user-id", "u1");
        if trap {
            request = request.header("x-serin-test-trap", "1");
        }
        let exchange = self.process.request(worker, request, Upstream::status(200)).expect("an exchange");
        assert_eq!(exchange.failed.is_some(), trap, "{:?}", exchange.failed);
        exchange.request.text("x-serin-arm")
    }

    /// The question under way.
    fn question(&self) -> Option<HttpCall> {
        let mut calls = self.process.http_calls();
        assert!(calls.len() <= 1, "one at a time: {calls:?}");
        calls.pop()
    }

    /// Goes on to the next question and answers it at once; returns when that was.
    fn answer_next(&mut self, answer: &str) -> u64 {
        let before = self.question().map(|call| call.id);
        for _ in 0..=INTERVAL / TICK {
            let next = self.now() / TICK * TICK + TICK;
            self.to(next);
            if let Some(call) = self.question().filter(|call| Some(call.id) != before) {
                self.answer(&call, 200, answer);
                return next;
            }
        }
        panic!("no question within an interval");
    }

    fn answer(&mut self, call: &HttpCall, status: u16, body: &str) {
        self.process.answer(call.id, CallAnswer::response(status, body)).expect("a question");
    }

    fn count(&self, what: &str) -> u64 {
        self.process.metrics().counter(&format!("serin_{what}_total"))
    }
}

fn says(word: &str, generation: u64, ttl: u64) -> String {
    json!({"incarnation": 1, "generation": generation, "lease": word, "ttl_ms": ttl}).to_string()
}

#[track_caller]
fn ends_at_its_deadline(ttl: u64) {
    let mut leased = Leased::start(&FILTER, ttl, "stable");
    leased.is("canary");
    leased.to(ttl - 1);
    leased.is("canary");
    leased.to(ttl.next_multiple_of(TICK));
    leased.is("stable");
    assert_eq!(leased.count("lease_expired"), 1, "once for the process");
    let fallback =
        "serin_assigned_total.rollout=.=ranker;.;version=.=v1;.;arm=.=stable;.;cause=.=fallback;.;";
    assert_eq!(leased.process.metrics().counter(fallback), 2);
    leased.to(ttl + 60_000);
    leased.is("stable");
    assert_eq!(leased.count("lease_expired"), 1);
}

#[test]
fn without_an_answer_the_lease_ends_at_its_deadline_and_not_before() {
    for ttl in [1_100, 1_500, 1_501, 5_000, 5_050, 5_099] {
        ends_at_its_deadline(ttl);
    }
}

#[test]
fn an_answer_moves_the_deadline_from_when_it_comes() {
    let mut leased = Leased::start(&FILTER, 5_000, "stable");
    let mut answered = 0;
    for _ in 0..30 {
        answered = leased.answer_next(&says("renew", 1, 5_000));
        leased.is("canary");
    }
    assert_eq!(leased.count("lease_renewed"), 30);
    leased.to(answered + 4_999);
    leased.is("canary");
    leased.to(answered + 5_000);
    leased.is("stable");
    // The controller is back.
    let answered = leased.answer_next(&says("renew", 1, 3_000));
    leased.to(answered + TICK);
    leased.is("canary");
    leased.to(answered + 2_999);
    leased.is("canary");
    leased.to(answered + 3_000);
    leased.is("stable");
    assert_eq!((leased.count("lease_renewed"), leased.count("lease_expired")), (31, 2));
}

/// Two workers and the main thread: three VMs that tick, and one question an interval.
#[test]
fn the_process_asks_once_an_interval() {
    for answers in [true, false] {
        let mut leased = Leased::start(&FILTER, 5_000, "stable");
        let mut asked = Vec::new();
        for time in (0..=30_000).step_by(10) {
            leased.to(time);
            let Some(call) = leased.question().filter(|call| !asked.contains(&(call.id, call.made_at)))
            else {
                continue;
            };
            assert_eq!((call.cluster.as_str(), call.timeout), ("serin", Some(ms(INTERVAL))));
            let header = |name| call.headers.text(name).expect("a header");
            assert_eq!((header(":method"), header(":authority")), ("GET".to_owned(), "serin".to_owned()));
            assert_eq!(header(":path"), "/v1/lease?incarnation=1&generation=1&by_rollout=true&node=node-1");
            asked.push((call.id, call.made_at));
            if answers {
                leased.answer(&call, 200, &says("renew", 1, 5_000));
            }
        }
        let times: Vec<Duration> = asked.iter().map(|(_, at)| *at - leased.begun).collect();
        let expected: Vec<Duration> = (0..30).map(|n| ms(TICK + n * INTERVAL)).collect();
        assert_eq!(times, expected, "answered: {answers}");
    }
}

#[test]
fn a_revoked_lease_is_obeyed_within_a_tick_and_not_undone() {
    for on_lease_expired in ["stable", "hold"] {
        let mut leased = Leased::start(&FILTER, 5_000, on_lease_expired);
        let revoked = leased.answer_next(&says("revoke", 1, 5_000));
        leased.to(revoked + TICK);
        leased.is("stable");
        leased.answer_next(&says("renew", 1, 5_000));
        leased.to(leased.now() + TICK);
        leased.is("stable");
        assert_eq!((leased.count("lease_revoked"), leased.count("lease_renewed")), (1, 0));
        leased.push(2, 5_000, on_lease_expired);
        leased.is("canary");
    }
}

/// Taking back one rollout takes nothing from another, and holds for whoever lags behind the next policy.
#[test]
fn one_rollout_is_revoked_and_the_others_keep_their_canaries() {
    let mut leased = Leased::start(&TRAPPING, 5_000, "hold");
    leased.push_beside(2, 5_000, "search");
    let both = |leased: &mut Leased| {
        let ranker = leased.arms();
        let search = [0, 1].map(|worker| leased.ask_at("search.local", worker).expect("an arm"));
        (ranker.map(|arm| arm == "canary"), search.map(|arm| arm == "canary"))
    };
    assert_eq!(both(&mut leased), ([true; 2], [true; 2]));
    let answer = |revoked: &[&str]| {
        json!({"incarnation": 1, "generation": 2, "lease": "renew", "ttl_ms": 5_000, "revoked": revoked})
            .to_string()
    };
    let revoked = leased.answer_next(&answer(&["ranker", "gone"]));
    leased.to(revoked + TICK);
    assert_eq!(both(&mut leased), ([false; 2], [true; 2]));
    assert_eq!((leased.count("lease_revoked"), leased.count("lease_renewed")), (1, 1));
    // Said once is enough, and a VM made anew knows it.
    leased.answer_next(&answer(&[]));
    leased.ask(0, true);
    leased.to(leased.now() + 2_000);
    assert_eq!(both(&mut leased), ([false; 2], [true; 2]));
    let revoked = leased.answer_next(&answer(&["search"]));
    leased.to(revoked + TICK);
    assert_eq!(both(&mut leased), ([false; 2], [false; 2]));
    assert_eq!(leased.count("lease_revoked"), 2);
    leased.push_beside(3, 5_000, "search");
    assert_eq!(both(&mut leased), ([true; 2], [true; 2]));
}

#[test]
fn a_rollout_that_holds_outlives_its_lease() {
    let mut leased = Leased::start(&FILTER, 5_000, "hold");
    leased.to(60_000);
    leased.is("canary");
    assert_eq!(leased.count("lease_expired"), 1);
    let by_weight =
        "serin_assigned_total.rollout=.=ranker;.;version=.=v2;.;arm=.=canary;.;cause=.=weight;.;slot=.=1;.;";
    assert_eq!(leased.process.metrics().counter(by_weight), 2);
}

#[test]
fn an_answer_that_says_nothing_of_this_policy_changes_nothing() {
    let of_the_past =
        json!({"incarnation": 0, "generation": 1, "lease": "renew", "ttl_ms": 5_000}).to_string();
    let foreign = [
        (200, says("unknown", 1, 5_000)),
        (200, says("renew", 2, 5_000)),
        (200, says("revoke", 2, 5_000)),
        (200, of_the_past),
        (200, says("perhaps", 1, 5_000)),
        (200, "{".to_owned()),
        (200, String::new()),
        (503, says("renew", 1, 5_000)),
        (404, says("revoke", 1, 5_000)),
    ];
    for (status, body) in foreign {
        let mut leased = Leased::start(&FILTER, 2_500, "stable");
        leased.to(TICK);
        let call = leased.question().expect("a question");
        leased.answer(&call, status, &body);
        leased.to(2_499);
        leased.is("canary");
        leased.to(2_500);
        leased.is("stable");
        assert_eq!((leased.count("lease_renewed"), leased.count("lease_revoked")), (0, 0), "{status} {body}");
        assert!(leased.process.traps().is_empty());
    }
}

#[test]
fn a_vm_made_anew_neither_extends_nor_forgets_the_lease() {
    let mut leased = Leased::start(&TRAPPING, 5_000, "stable");
    leased.to(3_000);
    leased.ask(0, true);
    leased.to(4_250);
    leased.is("canary");
    assert_eq!(leased.process.reloads().success, 1);
    leased.to(4_999);
    leased.is("canary");
    leased.to(5_000);
    assert_eq!(leased.ask(1, false).as_deref(), Some("stable"), "the other VM, which ticks now");
    // The new one ticks at 4,350 and so on.
    leased.to(5_050);
    leased.is("stable");

    // A VM made after the end does not begin a lease of its own.
    leased.ask(0, true);
    leased.to(7_000);
    leased.is("stable");
    assert_eq!((leased.process.reloads().success, leased.count("lease_expired")), (2, 1));

    // Nor does one made after a revocation.
    leased.push(2, 5_000, "hold");
    leased.is("canary");
    let revoked = leased.answer_next(&says("revoke", 2, 5_000));
    leased.to(revoked + TICK);
    leased.ask(1, true);
    leased.to(revoked + 2_000);
    leased.is("stable");
    assert_eq!(leased.process.reloads().success, 3);
}

/// The VM that asked dies before the answer: another asks an interval later, and nothing is lost but that answer.
#[test]
fn a_question_that_dies_with_its_vm_is_asked_again() {
    let mut leased = Leased::start(&TRAPPING, 5_000, "stable");
    for worker in [0, 1] {
        leased.to(leased.now() + INTERVAL + TICK);
        leased.ask(worker, true);
    }
    let answered = leased.answer_next(&says("renew", 1, 5_000));
    leased.to(answered + 4_999);
    leased.is("canary");
}

/// Whoever sets the wall clock, either way, moves no deadline, no question and no answer.
#[test]
fn a_wall_clock_that_is_set_changes_nothing() {
    const TTL: u64 = 3_000;
    for by_ms in [-600_000, 600_000, -1_700_000_000_000] {
        let mut leased = Leased::start(&FILTER, TTL, "stable");
        leased.process.set_wall_clock(by_ms);
        leased.to(TTL - 1);
        leased.is("canary");
        leased.to(TTL + TICK);
        leased.is("stable");
        assert_eq!(leased.count("lease_expired"), 1, "{by_ms}");
        // It is asked on, and what is said counts.
        leased.process.set_wall_clock(-by_ms);
        let answered = leased.answer_next(&says("renew", 1, TTL));
        leased.to(answered + TICK);
        leased.is("canary");
        leased.process.set_wall_clock(by_ms);
        let answered = leased.answer_next(&says("revoke", 1, TTL));
        leased.to(answered + TICK);
        leased.is("stable");
    }
}
