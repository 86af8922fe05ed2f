//! Numbers as people read them.

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share of 1 as percent, with as many digits as tell something: `25 %`, `4.97 %`, `0.1 %`.
pub fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Parts per million as percent.
pub fn weight(ppm: u32) -> String {
    percent_exact(f64::from(ppm) / 1e4)
}

fn percent_exact(percent: f64) -> String {
    format!("{percent} %")
}

/// Milliseconds as seconds: `41.2 s`.
pub fn seconds(ms: f64) -> String {
    format!("{:.1} s", ms / 1000.0)
}

/// A measured value, three significant digits or so: `0.0148`, `20.4`, `1,204`.
pub fn value(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        "0".to_owned()
    } else if magnitude < 0.001 {
        format!("{value:.2e}")
    } else if magnitude < 1.0 {
        format!("{value:.4}")
    } else if magnitude < 1000.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(got: String, expected: &str) {
        assert_eq!(got, expected);
    }

    #[test]
    fn numbers_for_people() {
        check(thousands(0), "0");
        check(thousands(999), "999");
        check(thousands(1_000), "1,000");
        check(thousands(1_234_567), "1,234,567");
        check(percent(0.049_71), "4.97 %");
        check(percent(0.25), "25 %");
        check(percent(0.0), "0 %");
        check(weight(50_000), "5 %");
        check(weight(1), "0.0001 %");
        check(seconds(41_234.0), "41.2 s");
        check(value(0.014_83), "0.0148");
        check(value(20.43), "20.4");
        check(value(0.0), "0");
        check(value(1204.4), "1204");
    }
}
