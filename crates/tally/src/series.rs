use std::fmt;

use split::{Arm, Cause, GROUPS};

use crate::answers::{AnswerClass, Finish, OTHER_PREDICTION};
use crate::metric::filter;
use crate::{ConfidenceScale, LATENCY_BINS, PREFIX, Slot, TOKEN_POINTS};

/// Every tag a name of ours can carry: what a bootstrap or Istio's `extraStatTags` must know.
pub const TAGS: [&str; 12] = [
    "rollout", "version", "arm", "cause", "class", "slot", "age", "progress", "bin", "group", "event",
    "reason",
];

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
    /// The client went away first, or broke the protocol: no outcome.
    Gone,
    /// The proxy answered by itself (a redirect route, a rate limit, a denial): no model was asked, so it is no
    /// outcome.
    Local,
    /// The version's cluster took no more requests (a circuit breaker): no model was asked, so it is the outcome of no version; but
    /// of two versions that bear their load equally many are.
    Overflow,
}

impl Class {
    /// Every class, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::ClientError,
        Self::TooMany,
        Self::ServerError,
        Self::Timeout,
        Self::Reset,
        Self::GrpcError,
        Self::Upgrade,
        Self::Gone,
        Self::Local,
        Self::Overflow,
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
            Self::Local => "local",
            Self::Overflow => "overflow",
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
        !matches!(self, Self::Gone | Self::Upgrade | Self::Local | Self::Overflow)
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

/// What has become of a request by the time it reached an age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Progress {
    /// An answer began, or it failed.
    Answered,
    /// Neither: it is overdue, if that age is the limit.
    Waiting,
    /// Its client left without an answer, having waited for the first age at least.
    Left,
    /// Its client left without an answer, sooner than that.
    LeftSoon,
}

impl Progress {
    const ALL: [Self; 4] = [Self::Answered, Self::Waiting, Self::Left, Self::LeftSoon];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Waiting => "waiting",
            Self::Left => "left",
            Self::LeftSoon => "left_soon",
        }
    }
}

/// What a counter counts. Values that belong together are never in two counters of which one is part of the other: a
/// reader sees them while they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// Requests given an arm; with the slot of their weights where those decided.
    Assigned(Cause, Option<Slot>),
    /// Requests that ended; with the slot of the weights by which they were assigned.
    Finished(Cause, Class, Option<Slot>),
    /// Requests assigned by weight that reached an age, by their outcome.
    Aged {
        /// The slot of the weights by which they were assigned.
        slot: Slot,
        /// The age, in milliseconds.
        age_ms: u32,
        /// Their outcome.
        progress: Progress,
    },
    /// Requests assigned by the present weights that took more than one try, however they ended; of those that `Latency` counts.
    Retried,
    /// Requests assigned by the present weights whose latency fell in the bin.
    Latency(u16),
    /// Answers to requests assigned by the present weights whose confidence was rounded to this point
    /// ([`ConfidenceScale`]). The only counter of a confidence: count, sum and squares all follow from it.
    Confidence(u16),
    /// Answers whose confidence was no number or out of range.
    ConfidenceInvalid,
    /// Stable's outcomes in one group of users.
    Group(u8, GroupEvent),
    /// Answers that were looked into, by what they said; each is counted once.
    Answer(AnswerClass),
    /// Answers that predicted the class at this place of the policy's list; [`OTHER_PREDICTION`]: none of the list.
    Predicted(u8),
    /// Answers of language models, by why they ended.
    Finish(Finish),
    /// Requests whose number of input tokens was rounded to this point ([`crate::tokens_at`]).
    InputTokens(u16),
    /// Answers whose number of output tokens was rounded to this point.
    OutputTokens(u16),
    /// Answers whose first token came within the bin, one of every second bin of answer times.
    FirstToken(u16),
    /// Answers of which each token after the first took a time in the bin, on average.
    TokenTime(u16),
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
            What::Assigned(..) => "assigned",
            What::Finished(..) => "finished",
            What::Aged { .. } => "aged",
            What::Retried => "retried",
            What::Latency(_) => "latency",
            What::Confidence(_) => "confidence",
            What::ConfidenceInvalid => "confidence_invalid",
            What::Group(..) => "group",
            What::Answer(_) => "answer",
            What::Predicted(_) => "predicted",
            What::Finish(_) => "finish_reason",
            What::InputTokens(_) => "input_tokens",
            What::OutputTokens(_) => "output_tokens",
            What::FirstToken(_) => "time_to_first_token",
            What::TokenTime(_) => "time_per_output_token",
        };
        write!(f, "{PREFIX}{what}_total.")?;
        tag(f, "rollout", &self.rollout)?;
        tag(f, "version", &self.version)?;
        tag(f, "arm", self.arm.as_str())?;
        match self.what {
            What::Assigned(cause, slot) => {
                tag(f, "cause", cause.as_str())?;
                slot_tag(f, slot)
            }
            What::Finished(cause, class, slot) => {
                tag(f, "cause", cause.as_str())?;
                tag(f, "class", class.as_str())?;
                slot_tag(f, slot)
            }
            What::Aged { slot, age_ms, progress } => {
                slot_tag(f, Some(slot))?;
                tag(f, "age", &age_ms.to_string())?;
                tag(f, "progress", progress.as_str())
            }
            What::Latency(bin)
            | What::Confidence(bin)
            | What::InputTokens(bin)
            | What::OutputTokens(bin)
            | What::FirstToken(bin)
            | What::TokenTime(bin) => tag(f, "bin", &bin.to_string()),
            What::Predicted(place) => tag(f, "bin", &place.to_string()),
            What::Answer(class) => tag(f, "class", class.as_str()),
            What::Finish(finish) => tag(f, "reason", finish.as_str()),
            What::Group(group, event) => {
                tag(f, "group", &group.to_string())?;
                tag(f, "event", event.as_str())
            }
            What::Retried | What::ConfidenceInvalid => Ok(()),
        }
    }
}

fn slot_tag(f: &mut impl fmt::Write, slot: Option<Slot>) -> fmt::Result {
    slot.map_or(Ok(()), |slot| tag(f, "slot", &slot.to_string()))
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
        Self::of_tags(what, |tag| tags.get(tag))
    }

    /// Reads a counter as Prometheus shows it where its tags are labels: its name without labels
    /// (`serin_assigned_total`), and what each label says; `None` when it is not one of our counters.
    #[must_use]
    pub fn labelled<'l>(name: &str, label: impl Fn(&str) -> Option<&'l str>) -> Option<Self> {
        Self::of_tags(name.strip_prefix(PREFIX)?.strip_suffix("_total")?, label)
    }

    /// `what` as it stands between the prefix and `_total`.
    pub(crate) fn of_tags<'n>(what: &str, tag: impl Fn(&str) -> Option<&'n str>) -> Option<Self> {
        let cause = || Cause::parse(tag("cause")?);
        // Absent is no slot; one that cannot be read is no name of ours.
        let slot = || match tag("slot") {
            None => Some(None),
            Some(text) => Slot::parse(text).map(Some),
        };
        let bin = |bins: u16| tag("bin")?.parse().ok().filter(|bin| *bin < bins);
        let class = |text: &str| Class::ALL.into_iter().find(|class| class.as_str() == text);
        let progress = |text: &str| Progress::ALL.into_iter().find(|progress| progress.as_str() == text);
        let event =
            |text: &str| [GroupEvent::Finished, GroupEvent::Error].into_iter().find(|it| it.as_str() == text);
        let what = match what {
            "assigned" => What::Assigned(cause()?, slot()?),
            "finished" => What::Finished(cause()?, class(tag("class")?)?, slot()?),
            "aged" => What::Aged {
                slot: slot()??,
                age_ms: tag("age")?.parse().ok()?,
                progress: progress(tag("progress")?)?,
            },
            "retried" => What::Retried,
            "latency" => What::Latency(bin(LATENCY_BINS)?),
            "confidence" => What::Confidence(bin(ConfidenceScale::POINTS)?),
            "confidence_invalid" => What::ConfidenceInvalid,
            "group" => What::Group(
                tag("group")?.parse().ok().filter(|group| *group < GROUPS)?,
                event(tag("event")?)?,
            ),
            "answer" => What::Answer(AnswerClass::parse(tag("class")?)?),
            "predicted" => {
                What::Predicted(tag("bin")?.parse().ok().filter(|place| *place <= OTHER_PREDICTION)?)
            }
            "finish_reason" => What::Finish(Finish::parse(tag("reason")?)?),
            "input_tokens" => What::InputTokens(bin(TOKEN_POINTS)?),
            "output_tokens" => What::OutputTokens(bin(TOKEN_POINTS)?),
            "time_to_first_token" => What::FirstToken(bin(LATENCY_BINS)?),
            "time_per_output_token" => What::TokenTime(bin(LATENCY_BINS)?),
            _ => return None,
        };
        Some(Self {
            rollout: tag("rollout")?.to_owned(),
            version: tag("version")?.to_owned(),
            arm: Arm::parse(tag("arm")?)?,
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
}

/// The counter of policies that were refused, by reason.
#[must_use]
pub fn policy_refused(reason: &str) -> String {
    gauge(filter::POLICY_REFUSED_TOTAL, &[("reason", reason)])
}

/// The gauge of the epoch by which a rollout's requests are assigned: what the slots of its counters stand for.
#[must_use]
pub fn epoch_gauge(rollout: &str) -> String {
    gauge(filter::EPOCH, &[("rollout", rollout)])
}

/// The gauge of when the last request was assigned to the canary of a rollout, in milliseconds since 1970.
#[must_use]
pub fn last_canary_gauge(rollout: &str) -> String {
    gauge(filter::LAST_CANARY_ASSIGNED_MS, &[("rollout", rollout)])
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
