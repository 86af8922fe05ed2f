//! The plan for people.

use super::Answer;

pub fn text(answer: &Answer) -> String {
    let mut out = format!(
        "{} requests a second; {:.3} % is to be told from {:.3} % with power {:.0} % at one-sided alpha {:.4}",
        number(answer.requests_per_second),
        100.0 * answer.harmed,
        100.0 * answer.baseline,
        100.0 * answer.power,
        answer.alpha
    );
    out += &if answer.margin > 1.0 {
        format!(",\nand no harm beyond {}x is to be proven", number(answer.margin))
    } else {
        format!(",\nand no fall below {}x is to be proven", number(answer.margin))
    };
    out += "; watched all the time\n\n";
    let users = answer.stages.iter().any(|s| s.exposed_users.is_some());
    let cost = answer.total_cost > 0.0;
    out += "weight  one look  find harm  prove none   stable's    bake  exposed  extra events";
    out += if users { "    users" } else { "" };
    out += if cost { "      cost\n" } else { "\n" };
    for stage in &answer.stages {
        out += &format!(
            "{:>6}  {:>8}  {:>9}  {:>10}  {:>9}  {:>6}  {:>7}  {:>12}",
            format!("{}%", number(100.0 * stage.weight)),
            count(stage.fixed_samples),
            count(stage.samples_harm),
            count(stage.samples_no_harm),
            count(stage.samples_stable),
            time(stage.bake_seconds),
            count(stage.exposed_requests),
            count(stage.extra_events)
        );
        if let Some(users) = stage.exposed_users {
            out += &format!("  {:>7}", count(users));
        }
        if cost {
            out += &format!("  {:>8.2}", stage.cost);
        }
        out += "\n";
    }
    out += &format!(
        "\n{} in all, {} requests answered by the canary",
        time(answer.total_seconds),
        count(answer.total_exposed_requests)
    );
    if cost {
        out += &format!(", cost {:.2}", answer.total_cost);
    }
    out += "; a stage ends when its evidence is there, usually sooner\n";
    if answer.too_little_traffic {
        out += "TOO LITTLE TRAFFIC: a stage needs more than a day\n";
    }
    out += "\n";
    for line in &answer.advice {
        out += &format!("- {line}\n");
    }
    out
}

/// A count for people: 850, 12.9k, 3.2M.
pub fn count(value: f64) -> String {
    let value = value.ceil();
    match value {
        v if v < 10_000.0 => format!("{v:.0}"),
        v if v < 1e6 => format!("{:.1}k", v / 1e3),
        v if v < 1e9 => format!("{:.1}M", v / 1e6),
        v => format!("{:.1}G", v / 1e9),
    }
}

/// A time for people, to two units: 45s, 8m30s, 3h10m, 12d4h.
pub fn time(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and is positive
    let seconds = seconds.ceil() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two =
        |a: u64, x: &str, b: u64, y: &str| if b == 0 { format!("{a}{x}") } else { format!("{a}{x}{b}{y}") };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => two(minutes, "m", seconds % 60, "s"),
        (0, _, _) => two(hours, "h", minutes, "m"),
        _ => two(days, "d", hours, "h"),
    }
}

/// A number without a binary tail.
pub fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
