//! What the terminal shows while a rollout runs.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use notation::seconds;

use super::story::State;

/// Lines that stay, and on a terminal a few below them that change.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    live: Option<ProgressBar>,
    last_plain: Option<Instant>,
}

/// Without a terminal the state is written this often.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// Live lines when both outputs are terminals and `headless` is not asked for.
    pub fn new(headless: bool) -> Self {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let live = (terminal && !headless).then(|| {
            let bar = ProgressBar::new_spinner();
            // The template is a constant of the right form.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { started: Instant::now(), live, last_plain: None }
    }

    /// A line that stays, with the time since the start.
    pub fn event(&self, text: &str) {
        let at = seconds(self.started.elapsed().as_secs_f64());
        self.line(&format!("[{at:>8}] {text}"));
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        match &self.live {
            Some(bar) => bar.suspend(|| print(text)),
            None => print(text),
        }
    }

    /// The state as it is now: on a terminal in place of the last one, else in one line every five seconds.
    pub fn state(&mut self, state: &State) {
        let State { place, gates, awaited } = state;
        if let Some(bar) = &self.live {
            let lines: Vec<&str> =
                [place].into_iter().chain(gates).chain([awaited]).map(String::as_str).collect();
            bar.set_message(lines.join("\n    "));
        } else if self.last_plain.is_none_or(|last| last.elapsed() >= PLAIN_EVERY) {
            self.last_plain = Some(Instant::now());
            self.event(&format!("{place}. {awaited}"));
        }
    }

    /// Takes the live lines away.
    pub fn finish(&mut self) {
        if let Some(bar) = self.live.take() {
            bar.finish_and_clear();
        }
    }
}

fn print(text: &str) {
    // A reader that has gone away must not end the run before its children are stopped.
    let _unread = writeln!(std::io::stdout(), "{text}");
}
