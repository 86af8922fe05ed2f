use std::fmt;

use split::{Arm, Cause, GROUPS};

use crate::{ConfidenceScale, LATENCY_BINS, PREFIX};

/// Every tag a name of ours can carry: what a bootstrap or Istio's `extraStatTags` must know.
pub const TAGS: [&str; 9] =
    ["rollout", "version", "arm", "cause", "class", "bin", "group", "event", "reason"];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Answered, below 400.
    Ok,
    /// 4xx other than 429: the client's doing, unless the rollout says otherwise.
    ClientError,
    /// 429.
    TooMany,
    /// 5xx.
    ServerError,
    /// Not answered in time.
    Timeout,
    /// The connection to the model broke.
    Reset,
    /// gRPC answered with a status that is the server's fault.
    GrpcError,
    /// Became another protocol (101): neither good nor bad.
    Upgrade,
    /// The client went away first: no outcome.
    Gone,
}

impl Class {
    /// Every class, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::ClientError,
        Self::TooMany,
        Self::ServerError,
        Self::Timeout,
        Self::Reset,
        Self::GrpcError,
        Self::Upgrade,
        Self::Gone,
    ];

    /// The class as it stands in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::TooMany => "too_many",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::GrpcError => "grpc_error",
            Self::Upgrade => "upgrade",
            Self::Gone => "gone",
        }
    }

    /// Is it the model's failure?
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(self, Self::TooMany | Self::ServerError | Self::Timeout | Self::Reset | Self::GrpcError)
    }

    /// Does it say anything about the model?
    #[must_use]
    pub const fn is_outcome(self) -> bool {
        !matches!(self, Self::Gone | Self::Upgrade)
    }
}

/// What is counted per group of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupEvent {
    /// Requests with an outcome.
    Finished,
    /// Those that failed.
    Error,
}

impl GroupEvent {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Error => "error",
        }
    }
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// Requests given an arm.
    Assigned(Cause),
    /// Requests that ended.
    Finished(Cause, Class),
    /// Requests assigned by weight whose latency fell in the bin.
    Latency(u16),
    /// Answers whose confidence fell in the bin.
    Confidence(u16),
    /// The sum of confidences, in steps ([`ConfidenceScale`]).
    ConfidenceSum,
    /// The sum of their squares, in squared steps.
    ConfidenceSquares,
    /// Answers whose confidence was no number or out of range.
    ConfidenceInvalid,
    /// Stable's outcomes in one group of users.
    Group(u8, GroupEvent),
}

/// One counter: a rollout, a version, an arm, and what is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The rollout's name.
    pub rollout: String,
    /// The version that served.
    pub version: String,
    /// The arm.
    pub arm: Arm,
    /// What is counted.
    pub what: What,
}

impl fmt::Display for Series {
    /// The name as it is defined in Envoy, without Envoy's `wasmcustom.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Assigned(_) => "assigned",
            What::Finished(..) => "finished",
            What::Latency(_) => "latency",
            What::Confidence(_) => "confidence",
            What::ConfidenceSum => "confidence_sum",
            What::ConfidenceSquares => "confidence_squares",
            What::ConfidenceInvalid => "confidence_invalid",
            What::Group(..) => "group",
        };
        write!(f, "{PREFIX}{what}_total.")?;
        tag(f, "rollout", &self.rollout)?;
        tag(f, "version", &self.version)?;
        tag(f, "arm", self.arm.as_str())?;
        match self.what {
            What::Assigned(cause) => tag(f, "cause", cause.as_str()),
            What::Finished(cause, class) => {
                tag(f, "cause", cause.as_str())?;
                tag(f, "class", class.as_str())
            }
            What::Latency(bin) | What::Confidence(bin) => tag(f, "bin", &bin.to_string()),
            What::Group(group, event) => {
                tag(f, "group", &group.to_string())?;
                tag(f, "event", event.as_str())
            }
            What::ConfidenceSum | What::ConfidenceSquares | What::ConfidenceInvalid => Ok(()),
        }
    }
}

fn tag(f: &mut impl fmt::Write, name: &str, value: &str) -> fmt::Result {
    write!(f, "{name}=.={value};.;")
}

impl Series {
    /// Reads a name as Envoy's admin endpoint shows it, with or without `wasmcustom.`; `None` when it is not one of
    /// our counters.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.strip_prefix("wasmcustom.").unwrap_or(name).strip_prefix(PREFIX)?;
        let (what, tags) = name.split_once("_total.")?;
        let tags = Tags(tags);
        let cause = || tags.parse("cause", Cause::parse);
        let bin = |bins: u16| tags.parse("bin", |text| text.parse().ok().filter(|bin| *bin < bins));
        let what = match what {
            "assigned" => What::Assigned(cause()?),
            "finished" => What::Finished(
                cause()?,
                tags.parse("class", |text| Class::ALL.into_iter().find(|class| class.as_str() == text))?,
            ),
            "latency" => What::Latency(bin(LATENCY_BINS)?),
            "confidence" => What::Confidence(bin(ConfidenceScale::BINS)?),
            "confidence_sum" => What::ConfidenceSum,
            "confidence_squares" => What::ConfidenceSquares,
            "confidence_invalid" => What::ConfidenceInvalid,
            "group" => What::Group(
                tags.parse("group", |text| text.parse().ok().filter(|group| *group < GROUPS))?,
                tags.parse("event", |text| {
                    [GroupEvent::Finished, GroupEvent::Error].into_iter().find(|event| event.as_str() == text)
                })?,
            ),
            _ => return None,
        };
        Some(Self {
            rollout: tags.get("rollout")?.to_owned(),
            version: tags.get("version")?.to_owned(),
            arm: tags.parse("arm", Arm::parse)?,
            what,
        })
    }
}

/// The tags of a name, in the order they stand in.
struct Tags<'n>(&'n str);

impl<'n> Tags<'n> {
    fn get(&self, name: &str) -> Option<&'n str> {
        self.0.split(";.;").find_map(|tag| tag.strip_prefix(name)?.strip_prefix("=.="))
    }

    fn parse<T>(&self, name: &str, read: impl FnOnce(&'n str) -> Option<T>) -> Option<T> {
        self.get(name).and_then(read)
    }
}

/// The counter of policies that were refused, by reason.
#[must_use]
pub fn policy_refused(reason: &str) -> String {
    format!("{PREFIX}policy_refused_total.reason=.={reason};.;")
}

/// A gauge or histogram that belongs to one rollout, or to none.
#[must_use]
pub fn gauge(what: &str, tags: &[(&str, &str)]) -> String {
    let mut name = format!("{PREFIX}{what}");
    for (index, (key, value)) in tags.iter().enumerate() {
        if index == 0 {
            name.push('.');
        }
        // Writing to a String does not fail.
        let _ = tag(&mut name, key, value);
    }
    name
}
