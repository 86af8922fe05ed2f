//! Cells of the tables: shares with intervals, delays.

use benches::wilson;

/// Detection times of many streams: seconds, or `None` when never.
pub struct Cell {
    pub times: Vec<Option<u32>>,
}

impl Cell {
    pub fn share(&self) -> f64 {
        self.times.iter().flatten().count() as f64 / self.times.len() as f64
    }

    /// `1.35 % [0.93, 1.96]`: Wilson's 95 % interval.
    pub fn level(&self) -> String {
        let (lo, hi) = wilson(self.times.iter().flatten().count(), self.times.len());
        format!("{:.2} % [{:.2}, {:.2}]", 100.0 * self.share(), 100.0 * lo, 100.0 * hi)
    }

    /// `median / p90 s`, with the share found unless it is above 99.5 %.
    pub fn delay(&self) -> String {
        let mut sorted: Vec<u32> = self.times.iter().map(|t| t.unwrap_or(u32::MAX)).collect();
        sorted.sort_unstable();
        let at = |q: f64| {
            let place = (q * (sorted.len() - 1) as f64).round() as usize;
            if sorted[place] == u32::MAX { "-".to_owned() } else { sorted[place].to_string() }
        };
        let share = self.share();
        let found = if share > 0.995 { String::new() } else { format!("{:.0} %, ", 100.0 * share) };
        format!("{found}{} / {}", at(0.5), at(0.9))
    }
}

/// Prints a Markdown table row.
pub fn row(cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    println!("| {} |", cells.join(" | "));
}

pub fn head(cells: &[&str]) {
    row(cells.iter().map(|c| (*c).to_owned()));
    row(cells.iter().map(|_| "---".to_owned()));
}
