//! Whether something may be done to the reader's machine that needs root: asked at a terminal, said elsewhere.

use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Write};

use crate::process::{say, var};

/// Who has a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// The reader has said yes to all (`--yes`, `SERIN_YES=1`).
    Given,
    /// Somebody sits at a terminal and is asked.
    Ask,
    /// Nobody does: a script or a pipeline goes on, and what is done is written down.
    Unattended,
}

impl Consent {
    /// Of this process; `yes`: it was said on the command line.
    pub fn here(yes: bool) -> Self {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self::of(yes || var("SERIN_YES").is_some_and(|said| said != "0"), terminal)
    }

    const fn of(yes: bool, terminal: bool) -> Self {
        match (yes, terminal) {
            (true, _) => Self::Given,
            (false, true) => Self::Ask,
            (false, false) => Self::Unattended,
        }
    }

    /// Whether to go on; asks where somebody can answer.
    pub fn given(self, question: &str) -> bool {
        self.answered(question, &mut std::io::stdin().lock(), &mut std::io::stderr())
    }

    fn answered(self, question: &str, from: &mut impl BufRead, to: &mut impl Write) -> bool {
        if self != Self::Ask {
            return true;
        }
        // A terminal that is gone cannot agree either.
        if write!(to, "{question} [Y/n] ").and_then(|()| to.flush()).is_err() {
            return false;
        }
        let mut answer = String::new();
        match from.read_line(&mut answer) {
            Ok(read) if read > 0 => matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"),
            _ => {
                say("");
                false
            }
        }
    }
}

/// Takes `--yes` out of what is passed on to another command; what stands behind `--` is not ours.
pub fn taken_out(args: &[OsString]) -> (bool, Vec<OsString>) {
    let ours = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let is_yes = |(at, arg): &(usize, &OsString)| *at < ours && *arg == "--yes";
    let rest = args.iter().enumerate().filter(|known| !is_yes(known)).map(|(_, arg)| arg.clone()).collect();
    (args.iter().enumerate().any(|known| is_yes(&known)), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked, and what comes of the answer.
    #[track_caller]
    fn check(consent: Consent, answer: &str, expected: (bool, &str)) {
        let mut asked = Vec::new();
        let given = consent.answered("Install it?", &mut answer.as_bytes(), &mut asked);
        assert_eq!((given, String::from_utf8(asked).unwrap().as_str()), expected, "{consent:?} {answer:?}");
    }

    #[test]
    fn a_terminal_is_asked_and_a_pipeline_goes_on() {
        let asked = "Install it? [Y/n] ";
        for yes in ["\n", "y\n", "Y\n", "yes\n", " Yes \n"] {
            check(Consent::Ask, yes, (true, asked));
        }
        for no in ["n\n", "no\n", "what?\n", ""] {
            check(Consent::Ask, no, (false, asked));
        }
        check(Consent::Given, "n\n", (true, ""));
        check(Consent::Unattended, "n\n", (true, ""));
        assert_eq!(
            [(true, true), (true, false), (false, true), (false, false)]
                .map(|(yes, at)| Consent::of(yes, at)),
            [Consent::Given, Consent::Given, Consent::Ask, Consent::Unattended]
        );
    }

    #[track_caller]
    fn check_args(args: &[&str], yes: bool, rest: &[&str]) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let rest: Vec<OsString> = rest.iter().map(OsString::from).collect();
        assert_eq!(taken_out(&args), (yes, rest));
    }

    #[test]
    fn yes_is_ours_until_two_dashes() {
        check_args(&["--scenario", "good"], false, &["--scenario", "good"]);
        check_args(&["--yes", "--scenario", "good"], true, &["--scenario", "good"]);
        check_args(&["-p", "split", "--yes"], true, &["-p", "split"]);
        check_args(&["-p", "split", "--", "--yes"], false, &["-p", "split", "--", "--yes"]);
    }
}
