//! What the machine can serve: stable alone is measured through Envoy before anything is rolled out, so that a load it
//! cannot bear is not taken for the new version's doing.

use std::time::Duration;

use anyhow::bail;
use notation::{digits, milliseconds, thousands};
use serde::Serialize;
use tokio::time::Instant;

use super::mesh::Mesh;
use crate::clock;
use crate::load::{Latencies, Ledger, Load, LoadPlan, Popularity, Record, Users};
use crate::model::ModelKind;

/// How many requests per second a run is to send.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// So many, or fewer where the machine cannot serve them.
    UpTo(f64),
    /// So many, whatever the machine can do: the user said so.
    Exactly(f64),
}

/// What was found before the rollout.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ground {
    /// What was asked for.
    pub asked: Rate,
    /// Requests per second that the run sends.
    pub rate: f64,
    /// Each load that was tried.
    pub tried: Vec<WorldResult>,
}

/// One load on stable alone, through Envoy at weight 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorldResult {
    /// For a run with so many requests per second; tried was [`HEADROOM`] times as many.
    pub rate: f64,
    /// Requests per second that the client could send.
    pub sent_rate: f64,
    /// Requests sent while it was measured.
    pub requests: u64,
    /// Of these, failed without the model saying so.
    pub failed: u64,
    /// 99th percentile of the time to answer, in milliseconds; none when nothing was answered.
    pub p99_ms: Option<f64>,
}

/// Without `--rate`.
pub const USUAL: f64 = 700.0;

/// Fewer requests per second than this do not show anything in minutes.
const LEAST: f64 = 100.0;

/// Shares of the rate asked for, one tried after the other until one is served.
const LADDER: [f64; 7] = [1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.143];

/// A rate is served when so many times as much is: a rollout has the controller read counters, and more besides.
const HEADROOM: f64 = 1.25;

/// How long each is measured, after as long as connections and caches take.
const LONG: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);

/// A load that has not been sent after this is broken off.
const BREAK_OFF: Duration = Duration::from_secs(4);

/// How long the client waits for an answer meanwhile.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The client must send this share of what is due.
const SENT: f64 = 0.95;

/// The slowest of a hundred answers may take this long; of a healthy model on an idle machine it takes 20 ms.
const P99_MS: f64 = 100.0;

impl Ground {
    /// Measures. Takes three seconds where the machine serves what is asked for, and forty at most.
    ///
    /// # Errors
    /// When the machine serves not even the least rate and the user named none; then with what was measured.
    pub async fn measure(mesh: &Mesh, kind: ModelKind, asked: Rate, seed: u64) -> anyhow::Result<Self> {
        let mut tried = Vec::new();
        for (step, rate) in rates(asked).into_iter().enumerate() {
            tried.push(try_at(mesh, kind, rate, seed ^ (1 << 63) ^ ((step as u64) << 48)).await?);
            if tried.last().is_some_and(|one| one.lacks().is_none()) {
                break;
            }
        }
        Self::found(asked, tried)
    }

    fn found(asked: Rate, tried: Vec<WorldResult>) -> anyhow::Result<Self> {
        let served = tried.last().filter(|one| one.lacks().is_none()).map(|one| one.rate);
        let rate = match (asked, served) {
            (Rate::Exactly(rate), _) | (Rate::UpTo(_), Some(rate)) => rate,
            (Rate::UpTo(_), None) => {
                let last = tried.last().map_or(String::new(), WorldResult::in_words);
                bail!(
                    "this machine is too slow now: {last}, with stable alone; end what else runs here and try again, \
                     or go on all the same with --rate N (what fails is the machine's then)"
                );
            }
        };
        Ok(Self { asked, rate, tried })
    }

    /// What was found, in one line.
    pub fn in_words(&self) -> String {
        let Some((first, last)) = self.tried.first().zip(self.tried.last()) else { return String::new() };
        let served = last.lacks().is_none();
        match self.asked {
            _ if first.lacks().is_none() => {
                format!("stable alone: {}; the load is {} requests/s", first.in_words(), digits(self.rate, 3))
            }
            Rate::UpTo(_) => format!(
                "this machine does not serve {} requests/s now ({}); the load is {}/s, so proof takes about {} times as long",
                digits(first.rate, 3),
                first.in_words(),
                digits(self.rate, 3),
                digits(first.rate / self.rate, 2),
            ),
            Rate::Exactly(rate) => {
                let can =
                    if served { format!("about {}/s", digits(last.rate, 3)) } else { "fewer".to_owned() };
                format!(
                    "warning: this machine serves {can} now, not the {}/s of --rate ({}); what fails may be the \
                     machine's, and so may what gates find",
                    digits(rate, 3),
                    first.in_words(),
                )
            }
        }
    }
}

/// What is tried, in this order.
fn rates(asked: Rate) -> Vec<f64> {
    let (Rate::UpTo(wanted) | Rate::Exactly(wanted)) = asked;
    let lower = LADDER.iter().skip(1).map(|share| share * wanted).filter(|rate| *rate >= LEAST);
    std::iter::once(wanted).chain(lower.map(f64::round)).collect()
}

impl WorldResult {
    /// Why the machine does not serve it; none: it does.
    fn lacks(&self) -> Option<String> {
        let due = HEADROOM * self.rate;
        let p99_ms = self.p99_ms.unwrap_or(f64::INFINITY);
        if self.sent_rate < SENT * due {
            return Some(format!("only {} could be sent", digits(self.sent_rate, 3)));
        }
        if self.failed > 0 {
            let (failed, all) = (thousands(self.failed), thousands(self.requests));
            return Some(format!("{failed} of {all} got no answer"));
        }
        (p99_ms > P99_MS)
            .then(|| format!("p99 {}, at most {} is good", milliseconds(p99_ms), milliseconds(P99_MS)))
    }

    fn in_words(&self) -> String {
        let said = self.lacks().or_else(|| Some(format!("p99 {}", milliseconds(self.p99_ms?))));
        format!("of {} requests/s {}", digits(HEADROOM * self.rate, 3), said.unwrap_or_default())
    }

    /// Of what finished, and how many it was of which the servers say that they failed themselves.
    fn of(rate: f64, records: &[Record], failed: u64) -> Self {
        let times = || records.iter().map(|record| record.sent_ns);
        let long_s =
            times().max().zip(times().min()).map_or(0.0, |(last, first)| (last - first) as f64 / 1e9);
        let answered = records.iter().filter(|record| record.result.is_ok());
        let latencies: Latencies = answered.map(Record::latency_ns).collect();
        Self {
            rate,
            // The first opens the time that the others are counted in.
            sent_rate: if long_s > 0.0 { records.len().saturating_sub(1) as f64 / long_s } else { 0.0 },
            requests: records.len() as u64,
            failed,
            p99_ms: latencies.quantile_ms(0.99),
        }
    }
}

async fn try_at(mesh: &Mesh, kind: ModelKind, rate: f64, seed: u64) -> anyhow::Result<WorldResult> {
    let due = HEADROOM * rate;
    let begun_ns = clock::monotonic_ns();
    let load = Load::start(LoadPlan {
        rate: due,
        users: Users { count: 1_000, popularity: Popularity::Uniform },
        seed,
        timeout: TIMEOUT,
        requests: Some((due * (WARM_UP + LONG).as_secs_f64()) as u64),
        authority: mesh.authority.clone(),
        ..LoadPlan::asking(kind, mesh.listen)
    })
    .map_err(anyhow::Error::msg)?;
    let until = Instant::now() + BREAK_OFF;
    while !load.is_done() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let records: Vec<Record> = load.stop().await;
    let measured_from = begun_ns + WARM_UP.as_nanos() as u64;
    let measured: Vec<Record> =
        records.into_iter().filter(|record| record.sent_ns >= measured_from).collect();
    let failed = mesh.stable.log().with(|stable| Ledger::new(&measured, stable, &[]).totals().failed_by_us);
    Ok(WorldResult::of(rate, &measured, failed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::NoResponse;

    fn tried(rate: f64, sent_rate: f64, failed: u64, p99_ms: Option<f64>) -> WorldResult {
        WorldResult { rate, sent_rate, requests: 1_750, failed, p99_ms }
    }

    #[track_caller]
    fn check(one: &WorldResult, lacks: Option<&str>) {
        assert_eq!(one.lacks().as_deref(), lacks);
    }

    #[test]
    fn a_rate_is_served_when_a_quarter_more_is_sent_and_answered_in_time() {
        check(&tried(700.0, 874.0, 0, Some(21.0)), None);
        check(&tried(700.0, 840.0, 0, Some(100.0)), None);
        check(&tried(700.0, 512.0, 9, Some(21.0)), Some("only 512 could be sent"));
        check(&tried(700.0, 874.0, 9, Some(21.0)), Some("9 of 1,750 got no answer"));
        check(&tried(700.0, 874.0, 0, Some(412.0)), Some("p99 412.0 ms, at most 100.0 ms is good"));
        check(&tried(700.0, 874.0, 1_750, None), Some("1,750 of 1,750 got no answer"));
        check(&tried(700.0, 0.0, 0, None), Some("only 0 could be sent"));
    }

    #[test]
    fn what_is_tried_goes_down_from_what_was_asked_for() {
        assert_eq!(rates(Rate::UpTo(USUAL)), [700.0, 490.0, 350.0, 245.0, 175.0, 126.0, 100.0]);
        assert_eq!(rates(Rate::Exactly(200.0)), [200.0, 140.0, 100.0]);
        assert_eq!(rates(Rate::Exactly(50.0)), [50.0]);
    }

    #[test]
    fn a_load_is_what_was_measured_of_it() {
        let record = |at_ms: u64, took_ms: u64, result| Record {
            request_id: at_ms.to_string().into(),
            user: 1,
            sent_ns: at_ms * 1_000_000,
            finished_ns: (at_ms + took_ms) * 1_000_000,
            result,
            model_version: None,
            serin: Vec::new(),
        };
        let records = [
            record(1_000, 8, Ok(200)),
            record(1_500, 8, Ok(200)),
            record(2_000, 2_000, Err(NoResponse::Timeout)),
        ];
        let one = WorldResult::of(700.0, &records, 1);
        assert_eq!((one.sent_rate, one.requests, one.failed), (2.0, 3, 1));
        assert!(one.p99_ms.is_some_and(|ms| (ms - 8.0).abs() < 0.1), "{one:?}");
        assert_eq!(WorldResult::of(700.0, &[], 0), WorldResult { requests: 0, ..tried(700.0, 0.0, 0, None) });
    }

    fn words(asked: Rate, all: &[WorldResult]) -> Result<(f64, String), String> {
        let ground = Ground::found(asked, all.to_vec()).map_err(|error| error.to_string())?;
        Ok((ground.rate, ground.in_words()))
    }

    #[track_caller]
    fn check_words(asked: Rate, all: &[WorldResult], rate: f64, part: &str) {
        let (found, said) = words(asked, all).expect("a rate");
        assert_eq!(found, rate);
        assert!(said.contains(part), "{said}");
    }

    #[test]
    fn the_load_is_what_the_machine_serves() {
        let (fast, slow) = (
            |rate: f64| tried(rate, 1.25 * rate, 0, Some(21.0)),
            |rate: f64| tried(rate, 90.0, 0, Some(21.0)),
        );
        let usual = Rate::UpTo(700.0);
        let ladder = [slow(700.0), slow(490.0), fast(350.0)];
        check_words(usual, &[fast(700.0)], 700.0, "the load is 700 requests/s");
        check_words(
            usual,
            &ladder,
            350.0,
            "does not serve 700 requests/s now (of 875 requests/s only 90 could be sent); the load is 350/s, so proof \
             takes about 2 times as long",
        );
        // The user's word stands, and what it costs is said.
        let named = Rate::Exactly(700.0);
        check_words(named, &[fast(700.0)], 700.0, "the load is 700 requests/s");
        check_words(
            named,
            &ladder,
            700.0,
            "warning: this machine serves about 350/s now, not the 700/s of --rate",
        );
        check_words(named, &[slow(700.0), slow(100.0)], 700.0, "warning: this machine serves fewer now");
        let refused = words(usual, &[slow(700.0), slow(100.0)]).unwrap_err();
        let said = "this machine is too slow now: of 125 requests/s only 90 could be sent, with stable alone";
        assert!(refused.starts_with(said) && refused.contains("--rate N"), "{refused}");
    }
}
