//! How often is a healthy version told of, and how soon is drift found? Random weeks on a fake clock; figures:
//! `WEEKS=1000 cargo test --release -p rollout weeks -- --nocapture`.

use judge::random::SplitMix64;

use super::story::{HEAD, human};
use crate::{Acks, Bins, Counts, Event, Interval, Moments, Now, State, step};

const MINUTE_MS: u64 = 60_000;
const DAY: u64 = 144;
const PER_SECOND: u64 = 100;

const LINES: &str = "confidence: {fromHeader: x-sure}
  stages: [{weight: 100%, bake: 10m}]
  gates:
  - {name: errors, metric: error_rate, against: stable, margin: 1.5x}
  - {name: latency, metric: latency_p99, against: stable, margin: 25%}
  - {name: sure, metric: confidence_mean, against: stable, margin: 2%}
  handBack: {steps: [0%]}
  watch: {for: always}
";

/// How a version answers.
#[derive(Clone, Copy)]
struct World {
    errors: f64,
    slower: f64,
    sure: f64,
}

const HEALTHY: World = World { errors: 0.01, slower: 1.0, sure: 0.85 };

/// The laws that weeks are drawn from.
struct Dice(SplitMix64);

impl Dice {
    fn normal(&mut self) -> f64 {
        judge::special::normal_quantile(self.0.open_unit())
    }

    /// How many of `n` happen: one by one where they are few, else by the normal law.
    fn binomial(&mut self, n: u64, p: f64) -> u64 {
        let mean = n as f64 * p;
        if mean * (1.0 - p) > 50.0 {
            let drawn = mean + self.normal() * (mean * (1.0 - p)).sqrt();
            return drawn.round().clamp(0.0, n as f64) as u64;
        }
        let scale = (1.0 - p.clamp(1e-12, 0.999_999)).ln();
        let (mut at, mut happened) = (0.0, 0);
        loop {
            at += (self.0.open_unit().ln() / scale).floor() + 1.0;
            if at > n as f64 {
                return happened;
            }
            happened += 1;
        }
    }

    /// What a version shows in `n` requests: lognormal times of median 50 ms and sigma 0.5, in every fourth bin.
    fn counts(&mut self, world: World, n: u64) -> Counts {
        let below = |ms: f64| judge::special::normal_cdf((ms / 50.0 / world.slower).ln() / 0.5);
        let mut latency = Bins::default();
        let (mut rest, mut done) = (n, 0.0);
        for bin in (60..240).step_by(4) {
            let until = below(tally::latency_upper_ms(bin));
            let share = ((until - done) / (1.0 - done).max(1e-12)).clamp(0.0, 1.0);
            let here = if share > 0.999_999 { rest } else { self.binomial(rest, share) };
            latency.0.insert(bin, here);
            (rest, done) = (rest - here, until);
        }
        let mean = world.sure + self.normal() * 0.08 / (n as f64).sqrt();
        let confidence =
            Moments { n, sum: n as f64 * mean, sum_squares: n as f64 * (mean.powi(2) + 0.08_f64.powi(2)) };
        let errors = self.binomial(n, world.errors);
        Counts { assigned: n, finished: n, outcomes: n, errors, latency, confidence, ..Counts::default() }
    }
}

/// A promotion and the weeks after it, told in looks of ten minutes.
struct Weeks {
    state: Option<State>,
    dice: Dice,
    ms: u64,
}

impl Weeks {
    fn promoted(seed: u64) -> Self {
        let plan = manifest::load(&format!("{HEAD}  {LINES}")).expect("a rollout").plan;
        let state = State::new(plan, 1, 0, Now::at_ms(0));
        let mut weeks = Self { state: Some(state), dice: Dice(SplitMix64::seeded(seed)), ms: 0 };
        weeks.take(&Event::Start(human()));
        weeks.follow();
        // Nobody is exposed unseen.
        weeks.look(MINUTE_MS, Counts::default(), Counts::default());
        weeks.take(&Event::Tick);
        weeks.follow();
        for _ in 0..11 {
            let canary = weeks.dice.counts(HEALTHY, 60 * PER_SECOND);
            weeks.look(MINUTE_MS, canary, Counts::default());
        }
        weeks.take(&Event::Promote(human()));
        weeks.follow();
        weeks.take(&Event::Tick);
        assert!(weeks.state().has_post_run_work(), "{}", weeks.state().message());
        weeks
    }

    fn state(&self) -> &State {
        self.state.as_ref().expect("a state")
    }

    fn take(&mut self, event: &Event) {
        let state = self.state.take().expect("a state");
        self.state = Some(step(state, event, Now::at_ms(self.ms)).0);
    }

    fn follow(&mut self) {
        let publication = self.state().publication.as_ref().map_or(0, |publication| publication.sent.id);
        self.take(&Event::Acks(Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() }));
    }

    fn look(&mut self, ms: u64, canary: Counts, stable: Counts) {
        let (from_ms, epoch) = (self.ms, self.state().epoch);
        // The run's own clock moves by a minute at most at a time.
        while self.ms < from_ms + ms {
            self.ms += MINUTE_MS;
            self.take(&Event::Tick);
        }
        let interval = Interval { epoch, from_ms, to_ms: self.ms, canary, stable, ..Interval::default() };
        self.take(&Event::Interval(Box::new(interval)));
    }

    /// The look, from now, in which a gate drifts, and its name.
    fn drifts(&mut self, world: World, looks: u64) -> Option<(u64, String)> {
        (1..=looks).find_map(|look| {
            let stable = self.dice.counts(world, 600 * PER_SECOND);
            self.look(10 * MINUTE_MS, Counts::default(), stable);
            let gate = self.state().watched()?.drifting().next()?;
            Some((look, gate.limit.name.clone()))
        })
    }
}

#[allow(clippy::disallowed_methods)] // how many is for whoever runs the test to say
fn weeks() -> u64 {
    std::env::var("WEEKS").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

#[test]
fn a_healthy_week_is_told_of_in_at_most_alpha() {
    let weeks = weeks();
    let told: Vec<String> = (0..weeks)
        .filter_map(|seed| Weeks::promoted(seed).drifts(HEALTHY, 7 * DAY))
        .map(|(_, gate)| gate)
        .collect();
    println!(
        "| healthy weeks at {PER_SECOND} requests a second | told of {} of {weeks} | {told:?} |",
        told.len()
    );
    // Two standard errors above alpha.
    let most = 0.01 * weeks as f64 + 2.0 * (0.01 * weeks as f64).sqrt();
    assert!(told.len() as f64 <= most, "{told:?} of {weeks}");
}

#[test]
fn drift_that_begins_late_is_found_soon() {
    let tries = (weeks() / 4).max(3);
    for (what, world, gate) in [
        ("errors x2", World { errors: 0.02, ..HEALTHY }, "errors"),
        ("errors x3", World { errors: 0.03, ..HEALTHY }, "errors"),
        ("latency x1.5", World { slower: 1.5, ..HEALTHY }, "latency"),
        ("confidence -5 %", World { sure: 0.8, ..HEALTHY }, "sure"),
    ] {
        for (from, when) in [(0, "at once"), (DAY, "after a day"), (6 * DAY, "after six days")] {
            let found = (0..tries).map(|seed| {
                let mut weeks = Weeks::promoted(1_000 + seed);
                assert_eq!(
                    weeks.drifts(HEALTHY, from),
                    None,
                    "a false word, of these seeds none is expected"
                );
                let (looks, named) = weeks.drifts(world, 2 * DAY).expect("found within two days");
                assert_eq!(named, gate);
                looks * 10
            });
            let mut minutes: Vec<u64> = found.collect();
            minutes.sort_unstable();
            let (median, worst) = (minutes[minutes.len() / 2], minutes[minutes.len() - 1]);
            println!(
                "| {what} {when} | found within {median} minutes (median), {worst} (largest of {tries}) |"
            );
            assert!(worst <= 180, "{what} {when}: {minutes:?}");
        }
    }
}
