//! Quick level checks: few streams here, thousands in `cargo xtask bench judge`. Seeds are fixed.

use judge::anytime::{
    Better, BoundedMeans, Claim, EProcess, Guardrail, NormalMixture, QuantileRatio, RateRatio, SampleRatio,
    Scale, ScoreStratum, Stratum, TailRatio, TailStratum, Trials,
};
use judge::classical::Margin;
use judge::gate::{Gate, Limits, RateGate, RateRules, ScoreGate, ScoreLimit, ScoreRules, Span};
use judge::random::SplitMix64;

pub struct Rng(SplitMix64);

impl Rng {
    pub fn seeded(seed: u64) -> Self {
        Self(SplitMix64::seeded(seed))
    }

    pub fn uniform(&mut self) -> f64 {
        self.0.unit()
    }

    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        let scale = (1.0 - p).ln();
        let (mut at, mut successes) = (0.0, 0);
        loop {
            at += ((1.0 - self.uniform()).ln() / scale).floor() + 1.0;
            if at > n as f64 {
                return successes;
            }
            successes += 1;
        }
    }
}

/// Share of streams in which the test ever reaches 1/0.05.
fn level<P: EProcess>(
    streams: u64,
    new: impl Fn() -> P,
    interval: impl Fn(&mut Rng, usize) -> P::Observation,
) -> f64 {
    let fired = (0..streams).filter(|i| {
        let (mut rng, mut process) = (Rng::seeded(i * 7919 + 1), new());
        (0..180).for_each(|step| process.observe(&interval(&mut rng, step)).unwrap());
        process.p_value() <= 0.05
    });
    fired.count() as f64 / streams as f64
}

/// 5 % plus three standard errors at 400 streams; checks with fewer streams allow more.
const ALLOWED: f64 = 0.083;

fn errors(ratio: f64) -> impl Fn(&mut Rng, usize) -> Stratum {
    move |rng, step| {
        // Ramp 1-5-20 % with bursts to 5 % in both arms.
        let weight = [0.01, 0.05, 0.2][step / 60];
        let rate = if step % 40 < 4 { 0.05 } else { 0.01 };
        let n1 = rng.binomial(1000, weight);
        Stratum::new(n1, rng.binomial(n1, rate * ratio), 1000 - n1, rng.binomial(1000 - n1, rate))
    }
}

#[test]
fn rate_ratio_keeps_its_level_under_ramp_and_bursts() {
    for (name, claim, ratio) in
        [("harm", Claim::Harm, 1.0), ("harm 1.5", Claim::Harm, 1.5), ("no harm 1.5", Claim::NoHarm, 1.5)]
    {
        let new = || match claim {
            Claim::Harm => RateRatio::harm(ratio).unwrap(),
            Claim::NoHarm => RateRatio::no_harm(ratio).unwrap(),
        };
        let level = level(400, new, errors(ratio));
        assert!(level <= ALLOWED, "{name}: {level}");
    }
}

/// Share of streams in which either answer is ever proven at 0.05.
fn proven<G: Gate, T>(
    streams: u64,
    new: impl Fn() -> G,
    interval: impl Fn(&mut Rng, usize) -> T,
    observe: impl Fn(&mut G, &T) -> Result<(), judge::JudgeError>,
) -> (f64, f64) {
    let (mut harm, mut no_harm) = (0, 0);
    for i in 0..streams {
        let (mut rng, mut gate, mut top) = (Rng::seeded(i * 7919 + 1), new(), (0f64, 0f64));
        for step in 0..180 {
            observe(&mut gate, &interval(&mut rng, step)).unwrap();
            let answers = gate.answers();
            top = (top.0.max(answers.harm), top.1.max(answers.no_harm));
        }
        harm += u32::from(top.0 >= 20f64.ln());
        no_harm += u32::from(top.1 >= 20f64.ln());
    }
    (f64::from(harm) / streams as f64, f64::from(no_harm) / streams as f64)
}

const TEN: Span = Span { ms: 10_000, of_stage: true };

fn rules() -> RateRules {
    RateRules {
        harm: 1.0,
        harm_points: 0.0,
        margin: 1.5,
        margin_points: 0.0,
        ignore_below: 0.0,
        pass_below: 0.0,
    }
}

#[test]
fn a_watch_keeps_its_level() {
    let gate = || RateGate::new(rules()).unwrap();
    let (harm, _) = proven(400, gate, errors(1.0), |gate, s| gate.observe(*s, TEN));
    assert!(harm <= ALLOWED, "{harm}");
    let (_, no_harm) = proven(400, gate, errors(1.5), |gate, s| gate.observe(*s, TEN));
    assert!(no_harm <= ALLOWED, "{no_harm}");
}

#[test]
fn margins_in_points_keep_their_level_while_the_base_moves() {
    let points = RateRules { margin: 1.0, margin_points: 0.005, harm_points: 0.005, ..rules() };
    let beyond = |rng: &mut Rng, step: usize| {
        let weight = [0.01, 0.05, 0.2][step / 60];
        let rate = [0.05, 0.001, 0.01, 0.002][step / 4 % 4];
        let n1 = rng.binomial(1000, weight);
        Stratum::new(n1, rng.binomial(n1, rate + 0.005), 1000 - n1, rng.binomial(1000 - n1, rate))
    };
    let gate = || RateGate::new(points).unwrap();
    let (harm, no_harm) = proven(400, gate, beyond, |gate, s| gate.observe(*s, TEN));
    assert!(harm <= ALLOWED && no_harm <= ALLOWED, "{harm} {no_harm}");
    let equal = |rng: &mut Rng, step: usize| {
        let rate = [0.05, 0.001, 0.01, 0.002][step / 4 % 4];
        Stratum::new(500, rng.binomial(500, rate), 9500, rng.binomial(9500, rate))
    };
    let (harm, no_harm) = proven(20, gate, equal, |gate, s| gate.observe(*s, TEN));
    assert!(harm == 0.0 && no_harm == 1.0, "{harm} {no_harm}");
}

#[test]
fn bets_on_means_keep_their_level() {
    let rules = ScoreRules {
        scale: Scale { min: -1.0, max: 3.0, better: Better::Lower },
        harm: Margin::Absolute(0.0),
        margin: Margin::Relative(0.05),
        late: false,
    };
    let gate = || ScoreGate::new(rules).unwrap();
    // Skewed: 3 with a small chance, else -1 to -0.9; the level swings, arms of equal size, few scores.
    let interval = |excess: f64| {
        move |rng: &mut Rng, step: usize| {
            let swing = 0.3 * (step as f64 / 20.0).sin();
            let mut out = ScoreStratum { n1: 25, n0: 25, ..ScoreStratum::default() };
            for i in 0..50 {
                let rare = rng.uniform() < 0.03;
                let x = if rare { 2.6 } else { -0.6 + 0.1 * rng.uniform() } + swing;
                let x = if i < 25 { x + excess * (-0.501f64 + swing + 0.03 * 3.15).abs() } else { x };
                let (sum, squares) = if i < 25 {
                    (&mut out.sum1, &mut out.squares1)
                } else {
                    (&mut out.sum0, &mut out.squares0)
                };
                (*sum, *squares) = (*sum + x, *squares + x * x);
            }
            out
        }
    };
    let (harm, _) = proven(300, gate, interval(0.0), |gate, s| gate.observe(s, TEN));
    assert!(harm <= 0.088, "{harm}");
    let (_, no_harm) = proven(300, gate, interval(0.05), |gate, s| gate.observe(s, TEN));
    assert!(no_harm <= 0.088, "{no_harm}");
    let limits = Limits { fail: 0.5, pass: 0.5, two: false };
    let alone = || ScoreLimit::new(Scale::UNIT, limits).unwrap();
    let coin = |rng: &mut Rng, _| {
        let k = rng.binomial(30, 0.5) as f64;
        ScoreStratum { n1: 30, sum1: k, squares1: k, ..ScoreStratum::default() }
    };
    let (harm, no_harm) = proven(300, alone, coin, |gate, s| gate.observe(s, TEN));
    assert!(harm <= 0.088 && no_harm <= 0.088, "{harm} {no_harm}");
}

#[test]
fn pooled_ramp_fails_the_same_check() {
    let fired = (0..200u64).filter(|i| {
        let (mut rng, mut total, mut max) = (Rng::seeded(i * 31 + 5), Stratum::default(), 0f64);
        for step in 0..180 {
            let weight = [0.01, 0.05, 0.2][step / 60];
            let rate = 0.005 * 4f64.powf(step as f64 / 180.0);
            let n1 = rng.binomial(1000, weight);
            let n0 = 1000 - n1;
            total.merge(&Stratum::new(n1, rng.binomial(n1, rate), n0, rng.binomial(n0, rate)));
            let mut process = RateRatio::harm(1.0).unwrap();
            process.update(total).unwrap();
            max = max.max(process.log_e());
        }
        max >= 20f64.ln()
    });
    assert!(fired.count() > 100, "pooling counts over a ramp must be caught by this check");
}

#[test]
fn guardrail_and_sample_ratio() {
    let level_guard =
        level(400, || Guardrail::harm(0.02).unwrap(), |rng, _| Trials { n: 50, k: rng.binomial(50, 0.02) });
    assert!(level_guard <= ALLOWED, "{level_guard}");
    let level_split = level(
        400,
        || SampleRatio::new(&[0.05, 0.95], 100.0).unwrap(),
        |rng, _| {
            let k = rng.binomial(1000, 0.05);
            vec![k, 1000 - k]
        },
    );
    assert!(level_split <= ALLOWED, "{level_split}");
}

fn latency(rng: &mut Rng) -> TailStratum {
    let mut out = TailStratum::default();
    for i in 0..400 {
        let ms = 20.0 - 60.0 * (1.0 - rng.uniform()).ln();
        let arm = if i < 40 { &mut out.canary } else { &mut out.stable };
        *arm.entry((16.0 * ms.log2()).ceil() as i32).or_default() += 1;
    }
    out
}

#[test]
fn tail_ratio_and_quantile() {
    let tail = level(60, || TailRatio::harm(1.0).unwrap(), |rng, _| latency(rng));
    assert!(tail <= 0.135, "{tail}");
    let quantile = || QuantileRatio::new(0.9, 0, Claim::Harm).unwrap();
    let fired = (0..10u64).filter(|i| {
        let (mut rng, mut process) = (Rng::seeded(i * 97 + 3), quantile());
        (0..40).for_each(|_| process.update(&latency(&mut rng)));
        process.p_value() <= 0.05
    });
    assert!(fired.count() <= 2);
}

#[test]
fn no_bet_is_needed() {
    let power = |bets: &[f64]| {
        let mut process = QuantileRatio::with_bets(0.9, 0, Claim::Harm, bets.to_vec()).unwrap();
        let mut rng = Rng::seeded(11);
        for _ in 0..200 {
            let mut interval = latency(&mut rng);
            interval.canary = interval.canary.iter().map(|(bin, c)| (bin + 8, *c)).collect();
            process.update(&interval);
        }
        process.log_e()
    };
    assert!(power(&[1.0, 1.5, 2.0, 4.0]) > 3.0);
    assert!(power(&[1.5, 2.0, 4.0]) < 0.0, "without rho = 1 the evidence must collapse");
}

#[test]
fn means() {
    let score = |rng: &mut Rng| 1.0 - 0.3 * rng.uniform() * rng.uniform();
    let mixture = || NormalMixture::new(Claim::Harm, Better::Higher, 0.0, 0.01, 300).unwrap();
    let level = level(300, mixture, |rng, _| {
        let mut out = ScoreStratum { n1: 10, n0: 90, ..ScoreStratum::default() };
        for _ in 0..10 {
            let x = score(rng);
            (out.sum1, out.squares1) = (out.sum1 + x, out.squares1 + x * x);
        }
        for _ in 0..90 {
            let x = score(rng);
            (out.sum0, out.squares0) = (out.sum0 + x, out.squares0 + x * x);
        }
        out
    });
    assert!(level <= 0.088, "{level}");
    let fired = (0..10u64).filter(|i| {
        let (mut rng, mut bets) =
            (Rng::seeded(i * 13 + 7), BoundedMeans::new(Claim::Harm, Better::Higher, 0.0, 64).unwrap());
        for _ in 0..5 {
            let a: Vec<f64> = (0..100).map(|_| score(&mut rng)).collect();
            let b: Vec<f64> = (0..900).map(|_| score(&mut rng)).collect();
            bets.update(&a, &b).unwrap();
        }
        bets.p_value() <= 0.05
    });
    assert!(fired.count() <= 2);
}
