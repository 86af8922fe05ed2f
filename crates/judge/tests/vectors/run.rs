//! Runs the cases of a vector file: reads inputs, calls the judge, compares with the expectation.

use judge::anytime::{
    Claim, RateRatio, Stratum, dirichlet_multinomial_log_e, e_bh, hr_dkw_radius, normal_mixture_log_e,
};
use judge::classical::{
    Alternative, KsMethod, Method, ShiftRoot, bootstrap_mean_diff_ci, cosine_similarity, fisher_exact,
    hodges_lehmann_ci, js_divergence, ks_2samp, mann_whitney_u, psi, two_proportion_z, welch_t,
};
use judge::multiplicity::{Adjust, adjust_p};
use judge::power::{Sided, power_two_means, sample_size_two_means, sample_size_two_proportions};
use judge::special::log_sum_exp;
use serde_json::{Map, Value, json};

mod kayenta_cases;

type Checked<T> = Result<T, String>;

/// What one file gave.
pub struct Outcome {
    pub passed: usize,
    pub failures: Vec<String>,
}

/// Runs every case of a file's text.
pub fn check_file(text: &str) -> Checked<Outcome> {
    let cases: Vec<Value> =
        serde_json::from_str(text).map_err(|e| format!("not a JSON list of cases: {e}"))?;
    let mut outcome = Outcome { passed: 0, failures: vec![] };
    for case in &cases {
        let name = case.get("name").and_then(Value::as_str).unwrap_or("(no name)");
        match check_case(case) {
            Ok(()) => outcome.passed += 1,
            Err(reason) => outcome.failures.push(format!("{name}: {reason}")),
        }
    }
    Ok(outcome)
}

fn check_case(case: &Value) -> Checked<()> {
    let field = |name: &str| case.get(name).ok_or_else(|| format!("case has no `{name}`"));
    let function = field("fn")?.as_str().ok_or("`fn` is not a string")?;
    let input = Input(field("input")?.as_object().ok_or("`input` is not an object")?);
    let tolerance = field("tol")?.as_f64().unwrap_or(0.0);
    let got = compute(function, &input)?;
    let mut tolerance = Tolerance { absolute: tolerance, deviation: tolerance };
    // The reference adds random noise of relative size 1e-5 to two constant arms; the format grants 1e-4 for
    // them, here relative to ratios above 1, for so is the noise.
    if function == "kayenta_classify" && input.constant("control") && input.constant("experiment") {
        let want = case.pointer("/expect/deviation").and_then(Value::as_f64).unwrap_or(1.0);
        tolerance.deviation = tolerance.deviation.max(1e-4 * want.abs().max(1.0));
    }
    compare("", &got, field("expect")?, &tolerance)
}

struct Tolerance {
    absolute: f64,
    deviation: f64,
}

fn compare(path: &str, got: &Value, want: &Value, tolerance: &Tolerance) -> Checked<()> {
    match (got, want) {
        (Value::Object(got), Value::Object(want)) => {
            for (key, want) in want {
                let got = got.get(key).ok_or_else(|| format!("{path}{key} is not computed"))?;
                compare(&format!("{path}{key} "), got, want, tolerance)?;
            }
            Ok(())
        }
        (Value::Array(got), Value::Array(want)) => {
            if got.len() != want.len() {
                return Err(format!("{path}has {} entries, expected {}", got.len(), want.len()));
            }
            for (index, (got, want)) in got.iter().zip(want).enumerate() {
                compare(&format!("{path}[{index}] "), got, want, tolerance)?;
            }
            Ok(())
        }
        _ => {
            let equal = match (number(got), number(want)) {
                (Some(a), Some(b)) => close(path.trim(), a, b, tolerance),
                _ => got == want,
            };
            if equal { Ok(()) } else { Err(format!("{path}is {got}, expected {want}")) }
        }
    }
}

fn close(field: &str, got: f64, want: f64, tolerance: &Tolerance) -> bool {
    let absolute = if field == "deviation" { tolerance.deviation } else { tolerance.absolute };
    let relative = if field == "p" { 1e-6 * want.abs() } else { 0.0 };
    got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= absolute.max(relative)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) if s == "inf" => Some(f64::INFINITY),
        Value::String(s) if s == "-inf" => Some(f64::NEG_INFINITY),
        Value::String(s) if s == "nan" => Some(f64::NAN),
        _ => None,
    }
}

fn wire(value: f64) -> Value {
    if value.is_nan() {
        Value::Null
    } else if value.is_infinite() {
        json!(if value > 0.0 { "inf" } else { "-inf" })
    } else {
        json!(value)
    }
}

struct Input<'a>(&'a Map<String, Value>);

impl Input<'_> {
    fn get(&self, name: &str) -> Checked<&Value> {
        self.0.get(name).ok_or_else(|| format!("input has no `{name}`"))
    }

    fn number(&self, name: &str) -> Checked<f64> {
        number(self.get(name)?).ok_or_else(|| format!("`{name}` is not a number"))
    }

    fn number_or(&self, name: &str, default: f64) -> Checked<f64> {
        if self.0.contains_key(name) { self.number(name) } else { Ok(default) }
    }

    fn count(&self, name: &str) -> Checked<u64> {
        whole(self.number(name)?)
    }

    fn text(&self, name: &str) -> Checked<&str> {
        self.get(name)?.as_str().ok_or_else(|| format!("`{name}` is not a string"))
    }

    fn flag_or(&self, name: &str, default: bool) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(default)
    }

    fn list(&self, name: &str) -> Checked<Vec<f64>> {
        numbers(self.get(name)?).ok_or_else(|| format!("`{name}` is not a list of numbers"))
    }

    fn counts(&self, name: &str) -> Checked<Vec<u64>> {
        self.list(name)?.into_iter().map(whole).collect()
    }

    fn alternative(&self) -> Checked<Alternative> {
        match self.0.get("alternative").and_then(Value::as_str).unwrap_or("two-sided") {
            "two-sided" => Ok(Alternative::TwoSided),
            "less" => Ok(Alternative::Less),
            "greater" => Ok(Alternative::Greater),
            other => Err(format!("unknown alternative {other}")),
        }
    }

    fn sided(&self) -> Checked<Sided> {
        if self.number_or("sided", 2.0)? == 1.0 { Ok(Sided::One) } else { Ok(Sided::Two) }
    }

    fn constant(&self, name: &str) -> bool {
        let values = self.list(name).unwrap_or_default();
        let first = values.first().copied();
        first.is_some() && values.iter().all(|v| Some(*v) == first)
    }
}

fn whole(value: f64) -> Checked<u64> {
    if value >= 0.0 && value.fract() == 0.0 {
        Ok(value as u64)
    } else {
        Err(format!("{value} is not a count"))
    }
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    let entry = |v: &Value| if v.is_null() { Some(f64::NAN) } else { number(v) };
    value.as_array()?.iter().map(entry).collect()
}

fn compute(function: &str, input: &Input) -> Checked<Value> {
    match function {
        "mann_whitney_u" | "hodges_lehmann_ci" | "welch_t" | "ks_2samp" | "bootstrap_mean_diff_ci" => {
            two_samples(function, input)
        }
        "two_proportion_z" | "fisher_exact" => proportions(function, input),
        "adjust_p" | "e_bh" => multiplicity(function, input),
        "sample_size_two_proportions" | "sample_size_two_means" | "power_two_means" => {
            planning(function, input)
        }
        "psi" | "js_divergence" | "cosine_similarity" => distances(function, input),
        "rate_ratio_e" | "normal_mixture_log_e" | "dirichlet_multinomial_e" | "hr_dkw_radius" => {
            sequential(function, input)
        }
        "kayenta_outliers" | "kayenta_cles" | "kayenta_classify" | "kayenta_score" | "kayenta_intervals" => {
            kayenta_cases::kayenta(function, input)
        }
        other => Err(format!("unknown fn {other}")),
    }
}

fn text(error: judge::JudgeError) -> String {
    error.to_string()
}

fn two_samples(function: &str, input: &Input) -> Checked<Value> {
    let (x, y) = (input.list("x")?, input.list("y")?);
    let exact = || Ok::<bool, String>(input.text("method")? == "exact");
    Ok(match function {
        "mann_whitney_u" => {
            let continuity = input.flag_or("continuity", true);
            let method = if exact()? { Method::Exact } else { Method::Asymptotic { continuity } };
            let r = mann_whitney_u(&x, &y, input.alternative()?, method).map_err(text)?;
            json!({"u1": r.u1, "p": r.p})
        }
        "hodges_lehmann_ci" => {
            let method = if exact()? { ShiftRoot::Exact } else { ShiftRoot::Asymptotic };
            let r = hodges_lehmann_ci(&x, &y, input.number("conf_level")?, method).map_err(text)?;
            json!({"estimate": r.estimate, "lo": r.lo, "hi": r.hi})
        }
        "welch_t" => {
            let r = welch_t(&x, &y, input.alternative()?).map_err(text)?;
            let (lo, hi) = r.ci95;
            json!({"t": r.t, "df": r.df, "p": r.p, "ci95_lo": lo, "ci95_hi": hi})
        }
        "ks_2samp" => {
            let method = if exact()? { KsMethod::Exact } else { KsMethod::Asymptotic };
            let r = ks_2samp(&x, &y, input.alternative()?, method).map_err(text)?;
            json!({"d": r.d, "p": r.p})
        }
        _ => {
            let resamples = input.number_or("n_resamples", 10_000.0)? as u32;
            let level = input.number("conf_level")?;
            let (lo, hi) = bootstrap_mean_diff_ci(&x, &y, level, resamples, 1).map_err(text)?;
            json!({"lo": lo, "hi": hi})
        }
    })
}

fn proportions(function: &str, input: &Input) -> Checked<Value> {
    let alternative = input.alternative()?;
    if function == "two_proportion_z" {
        let (k1, n1) = (input.count("k1")?, input.count("n1")?);
        let (k2, n2) = (input.count("k2")?, input.count("n2")?);
        let pooled = input.flag_or("pooled", true);
        let r = two_proportion_z(k1, n1, k2, n2, alternative, pooled).map_err(text)?;
        return Ok(json!({"z": r.z, "p": r.p}));
    }
    let rows = input.get("table")?.as_array().ok_or("`table` is not a list")?;
    let cells: Vec<u64> =
        rows.iter().flat_map(|row| numbers(row).unwrap_or_default()).map(whole).collect::<Checked<_>>()?;
    let [a, b, c, d] = cells[..] else { return Err("`table` is not 2 x 2".to_owned()) };
    Ok(json!({"p": fisher_exact([[a, b], [c, d]], alternative).map_err(text)?}))
}

fn multiplicity(function: &str, input: &Input) -> Checked<Value> {
    if function == "e_bh" {
        let rejected = e_bh(&input.list("e")?, input.number("alpha")?).map_err(text)?;
        return Ok(json!({"rejected": rejected}));
    }
    let method = match input.text("method")? {
        "bonferroni" => Adjust::Bonferroni,
        "holm" => Adjust::Holm,
        "bh" => Adjust::BenjaminiHochberg,
        other => return Err(format!("unknown method {other}")),
    };
    Ok(json!({"adjusted": adjust_p(&input.list("p")?, method).map_err(text)?}))
}

fn planning(function: &str, input: &Input) -> Checked<Value> {
    let (alpha, ratio) = (input.number("alpha")?, input.number_or("ratio", 1.0)?);
    let sided = input.sided()?;
    Ok(match function {
        "sample_size_two_proportions" => {
            let (p1, p2) = (input.number("p1")?, input.number("p2")?);
            let power = input.number("power")?;
            let n1 = sample_size_two_proportions(p1, p2, alpha, power, ratio, sided).map_err(text)?;
            json!({"n1": n1, "n2": n1 * ratio})
        }
        "sample_size_two_means" => {
            let (d, power) = (input.number("effect_size")?, input.number("power")?);
            let n1 = sample_size_two_means(d, alpha, power, ratio, sided).map_err(text)?;
            json!({"n1": n1, "n2": n1 * ratio})
        }
        _ => {
            let (d, n1) = (input.number("effect_size")?, input.number("n1")?);
            json!({"power": power_two_means(d, alpha, n1, ratio, sided).map_err(text)?})
        }
    })
}

fn distances(function: &str, input: &Input) -> Checked<Value> {
    Ok(match function {
        "psi" => {
            let (expected, actual) = (input.list("expected")?, input.list("actual")?);
            json!({"psi": psi(&expected, &actual, input.number("eps")?).map_err(text)?})
        }
        "js_divergence" => {
            let (p, q) = (input.list("p")?, input.list("q")?);
            let r = js_divergence(&p, &q, input.number("base")?).map_err(text)?;
            json!({"distance": r.distance, "divergence": r.divergence})
        }
        _ => {
            let (a, b) = (input.list("a")?, input.list("b")?);
            json!({"similarity": cosine_similarity(&a, &b).map_err(text)?})
        }
    })
}

fn sequential(function: &str, input: &Input) -> Checked<Value> {
    Ok(match function {
        "rate_ratio_e" => json!({"log_e": rate_ratio(input)?}),
        "normal_mixture_log_e" => {
            let one_sided = input.text("sided")? == "one";
            let (tau, s, i) = (input.number("tau")?, input.number("s")?, input.number("i")?);
            json!({"log_e": normal_mixture_log_e(tau, s, i, one_sided).map_err(text)?})
        }
        "dirichlet_multinomial_e" => {
            let (prior, theta0) = (input.list("prior")?, input.list("theta0")?);
            let counts = input.counts("counts")?;
            json!({"log_e": dirichlet_multinomial_log_e(&counts, &prior, &theta0).map_err(text)?})
        }
        _ => {
            let radius = hr_dkw_radius(input.count("t")?, input.number("alpha")?).map_err(text)?;
            json!({"radius": radius})
        }
    })
}

/// Grid points above r are evidence of harm, those below of no harm; a grid on both sides is their sum.
fn rate_ratio(input: &Input) -> Checked<Vec<f64>> {
    let (r, grid, prior) = (input.number("r")?, input.list("grid")?, input.list("prior")?);
    let mut processes = vec![];
    for (claim, above) in [(Claim::Harm, true), (Claim::NoHarm, false)] {
        let pairs = grid.iter().zip(&prior).filter(|(lambda, _)| (**lambda >= r) == above);
        let (grid, prior): (Vec<f64>, Vec<f64>) = pairs.map(|(a, b)| (*a, *b)).unzip();
        if !grid.is_empty() {
            processes.push(RateRatio::with_grid(r, claim, grid, &prior).map_err(text)?);
        }
    }
    let intervals = input.get("intervals")?.as_array().ok_or("`intervals` is not a list")?;
    let mut log_e = vec![];
    for interval in intervals {
        let counts = numbers(interval).unwrap_or_default();
        let counts: Vec<u64> = counts.into_iter().map(whole).collect::<Checked<_>>()?;
        let [n1, k1, n0, k0] = counts[..] else {
            return Err("an interval is not [n1, k1, n0, k0]".to_owned());
        };
        for process in &mut processes {
            process.update(Stratum::new(n1, k1, n0, k0)).map_err(text)?;
        }
        log_e.push(log_sum_exp(processes.iter().map(RateRatio::log_e)));
    }
    Ok(log_e)
}
