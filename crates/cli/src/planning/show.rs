//! The plan for people.

use notation::{count, decimal, duration, percent};

use super::Answer;
use crate::table::{Side, lines};

pub fn text(answer: &Answer) -> String {
    let mut out = format!(
        "{} requests a second; {} is to be told from {} with power {} at one-sided alpha {:.4}",
        decimal(answer.requests_per_second, 4),
        percent(answer.harmed, 3),
        percent(answer.baseline, 3),
        percent(answer.power, 0),
        answer.alpha
    );
    out += &if answer.margin > 1.0 {
        format!(",\nand no harm beyond {}x is to be proven", decimal(answer.margin, 4))
    } else {
        format!(",\nand no fall below {}x is to be proven", decimal(answer.margin, 4))
    };
    out += "; watched all the time\n\n";
    let users = answer.stages.iter().any(|s| s.exposed_users.is_some());
    let cost = answer.total_cost > 0.0;
    out += &stages(answer, users, cost);
    out += &format!(
        "\n{} in all, {} requests answered by the canary",
        duration(answer.total_seconds),
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

/// A line for each stage.
fn stages(answer: &Answer, users: bool, cost: bool) -> String {
    let mut head =
        vec!["weight", "one look", "find harm", "prove none", "stable's", "bake", "exposed", "extra events"];
    head.extend(users.then_some("users"));
    head.extend(cost.then_some("cost"));
    let sides = vec![Side::Right; head.len()];
    let rows = answer.stages.iter().map(|stage| {
        let mut row = vec![
            format!("{}%", decimal(100.0 * stage.weight, 4)),
            count(stage.fixed_samples),
            count(stage.samples_harm),
            count(stage.samples_no_harm),
            count(stage.samples_stable),
            duration(stage.bake_seconds),
            count(stage.exposed_requests),
            count(stage.extra_events),
        ];
        row.extend(users.then(|| stage.exposed_users.map(count).unwrap_or_default()));
        row.extend(cost.then(|| format!("{:.2}", stage.cost)));
        row
    });
    let head = head.into_iter().map(str::to_owned).collect();
    lines(&sides, [head].into_iter().chain(rows))
}
