//! Which worlds were asked for: those made of counts, or those of requests.

use std::str::FromStr;

use anyhow::{Result, bail};
use simulate::{CanaryHealth, NAMED, Named};

/// What is not as it should be while the canary is as good as stable; counts are made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing
    None,
    /// Both versions fail more for two of every twenty minutes
    Bursts,
    /// Requests of one user go together: tried with the request and with the user as unit
    Users,
    /// A proxy reports late and with gaps, and takes new weights late
    SlowProxy,
    /// The canary begins slow: tried with a warm-up and without
    ColdStart,
}

/// One word after `--world`.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// Which there are.
    List,
    /// A world of counts.
    Counts(Trouble),
    /// A world of requests.
    Requests(&'static Named),
}

/// All of them together.
#[derive(Debug)]
pub enum Worlds {
    List,
    Counts(Vec<Trouble>),
    Requests(Vec<&'static Named>),
}

const TROUBLES: [(&str, Trouble, &str); 5] = [
    ("none", Trouble::None, "nothing happens"),
    ("bursts", Trouble::Bursts, "both versions fail more for two of every twenty minutes"),
    ("users", Trouble::Users, "requests of one user go together; with the request and with the user as unit"),
    ("slow-proxy", Trouble::SlowProxy, "one of two proxies reports with gaps, and takes new weights late"),
    ("cold-start", Trouble::ColdStart, "the canary begins slow; with a warm-up and without"),
];

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "list" {
            return Ok(Self::List);
        }
        let counts = TROUBLES.iter().find(|(name, ..)| *name == text).map(|(_, trouble, _)| *trouble);
        counts.map(Self::Counts).or_else(|| Named::find(text).map(Self::Requests)).ok_or_else(|| {
            let names: Vec<&str> = TROUBLES.iter().map(|(name, ..)| *name).collect();
            let named: Vec<&str> = NAMED.iter().map(|named| named.name).collect();
            format!(
                "no world is called that; of counts there are {}; of requests {}; list says what they are",
                names.join(", "),
                named.join(", ")
            )
        })
    }
}

impl Worlds {
    /// What was asked for, of one kind.
    pub fn of(asked: &[Asked]) -> Result<Self> {
        let (mut counts, mut requests) = (Vec::new(), Vec::new());
        for one in asked {
            match one {
                Asked::List => return Ok(Self::List),
                Asked::Counts(trouble) => counts.push(*trouble),
                Asked::Requests(named) => requests.push(*named),
            }
        }
        match (counts.is_empty(), requests.is_empty()) {
            (_, true) => Ok(Self::Counts(counts)),
            (true, false) => Ok(Self::Requests(requests)),
            (false, false) => {
                bail!(
                    "--world: worlds of counts and worlds of requests are tried apart; ask for one kind at a time"
                )
            }
        }
    }
}

/// What is true of the canary in a world of requests.
pub const fn truth(named: &Named) -> &'static str {
    match named.truth {
        CanaryHealth::Healthy { .. } => "as good as stable",
        CanaryHealth::Harmful { .. } => "harmful",
        CanaryHealth::Open => "cold at first, then as good as stable",
    }
}

/// All worlds, for people.
pub fn list() -> String {
    let width = NAMED.iter().map(|named| named.name.len()).max().unwrap_or(0);
    let mut out = "worlds made of counts:\n".to_owned();
    for (name, _, about) in TROUBLES {
        out += &format!("  {name:width$}  {about}\n");
    }
    for (title, wrong) in [("worlds of requests", false), ("worlds that are counted wrong on purpose", true)]
    {
        out += &format!("{title}, and what the canary is:\n");
        for named in NAMED.iter().filter(|named| named.wrong == wrong) {
            out += &format!("  {:width$}  {}: {}\n", named.name, truth(named), named.about);
        }
    }
    out
}
