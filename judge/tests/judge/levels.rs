//! Quick level checks: few streams here, thousands in the example `bench`. Seeds are fixed.

use judge::anytime::{
    Better, BoundedMeans, Claim, EProcess, Guardrail, NormalMixture, QuantileRatio, RateRatio, Restart,
    SampleRatio, ScoreStratum, Stratum, TailRatio, TailStratum, Trials,
};

struct Rng(u64);

impl Rng {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn binomial(&mut self, n: u64, p: f64) -> u64 {
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
        let (mut rng, mut process) = (Rng(i * 7919 + 1), new());
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

#[test]
fn restarts_keep_the_level() {
    let new = || Restart::new(RateRatio::harm(1.0).unwrap(), 0.5, 12, 15).unwrap();
    let level = level(400, new, errors(1.0));
    assert!(level <= ALLOWED, "{level}");
}

#[test]
fn pooled_ramp_fails_the_same_check() {
    let fired = (0..200u64).filter(|i| {
        let (mut rng, mut total, mut max) = (Rng(i * 31 + 5), Stratum::default(), 0f64);
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
        let (mut rng, mut process) = (Rng(i * 97 + 3), quantile());
        (0..40).for_each(|_| process.update(&latency(&mut rng)));
        process.p_value() <= 0.05
    });
    assert!(fired.count() <= 2);
}

#[test]
fn no_bet_is_needed() {
    let power = |bets: &[f64]| {
        let mut process = QuantileRatio::with_bets(0.9, 0, Claim::Harm, bets.to_vec()).unwrap();
        let mut rng = Rng(11);
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
            (Rng(i * 13 + 7), BoundedMeans::new(Claim::Harm, Better::Higher, 0.0, 64).unwrap());
        for _ in 0..5 {
            let a: Vec<f64> = (0..100).map(|_| score(&mut rng)).collect();
            let b: Vec<f64> = (0..900).map(|_| score(&mut rng)).collect();
            bets.update(&a, &b).unwrap();
        }
        bets.p_value() <= 0.05
    });
    assert!(fired.count() <= 2);
}
