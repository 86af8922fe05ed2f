//! From the policy as written to the policy as meant: everything is checked here, once, so that a request checks
//! nothing.

mod answers;
mod arms;

use std::fmt;

pub use answers::Answers;

use crate::Weight;
use crate::assign::{Assigner, Cohort, Plan, Role, Splitter};
use crate::key::Place;
use crate::pattern::Pattern;
use crate::policy::{self, Policy};
use crate::rule::{Condition, Rule, Scope, Test};

/// What is wrong with a policy, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The field, as a path from the document's root.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub remedy: &'static str,
    /// A short word for counters.
    pub reason: &'static str,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.problem, self.remedy)
    }
}

impl std::error::Error for PolicyError {}

fn error(
    reason: &'static str,
    field: impl Into<String>,
    problem: impl Into<String>,
    remedy: &'static str,
) -> PolicyError {
    PolicyError { field: field.into(), problem: problem.into(), remedy, reason }
}

/// Where confidence is read and shown, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Confidence {
    /// The model's response header; `None`: it is the score in the answer's body.
    pub from_header: Option<String>,
    /// The response header it is shown in.
    pub header: String,
    /// The response header that names its source.
    pub source_header: String,
    /// The least value.
    pub min: f64,
    /// The largest value, above `min`.
    pub max: f64,
}

impl Splitter {
    /// Checks a policy and makes it ready to run.
    ///
    /// # Errors
    /// The first thing that is wrong, with the path of the field.
    pub fn compile(policy: &Policy) -> Result<Self, PolicyError> {
        if policy.schema != policy::SCHEMA {
            return Err(error(
                "schema",
                "schema",
                format!("this filter reads schema {}, not {}", policy::SCHEMA, policy.schema),
                "let the controller and the filter be of one release",
            ));
        }
        if let Some(lease) = &policy.lease {
            check_lease(lease)?;
        }
        let plans = policy
            .rollouts
            .iter()
            .enumerate()
            .map(|(index, rollout)| plan(&format!("rollouts[{index}]"), rollout))
            .collect::<Result<Vec<_>, _>>()?;
        for (index, rollout) in policy.rollouts.iter().enumerate() {
            if policy.rollouts.iter().take(index).any(|earlier| earlier.name == rollout.name) {
                return Err(error(
                    "duplicate",
                    format!("rollouts[{index}].name"),
                    format!("{:?} is there twice", rollout.name),
                    "give every rollout a name of its own",
                ));
            }
        }
        Ok(Self {
            incarnation: policy.incarnation,
            generation: policy.generation,
            lease: policy.lease.clone(),
            plans,
        })
    }
}

fn ages(field: &str, count: Option<&policy::Count>) -> Result<Vec<u32>, PolicyError> {
    let ages = count.map(|count| count.ages_ms.clone()).unwrap_or_default();
    let remedy = "name up to 6 ages, each from 1 to 3600000 ms";
    if ages.len() > policy::MOST_AGES {
        return Err(error("ages", field, format!("has {} ages", ages.len()), remedy));
    }
    if let Some(age) = ages.iter().find(|age| !(1..=3_600_000).contains(*age)) {
        return Err(error("ages", field, format!("{age} ms is none"), remedy));
    }
    Ok(ages)
}

fn check_lease(lease: &policy::Lease) -> Result<(), PolicyError> {
    for (field, value) in
        [("cluster", &lease.cluster), ("authority", &lease.authority), ("path", &lease.path)]
    {
        if value.is_empty() {
            return Err(error(
                "lease",
                format!("lease.{field}"),
                "is empty",
                "name where the controller answers",
            ));
        }
    }
    if lease.interval_ms < 100 {
        return Err(error("lease", "lease.interval_ms", "is below 100", "ask at most ten times a second"));
    }
    if lease.ttl_ms <= lease.interval_ms {
        return Err(error(
            "lease",
            "lease.ttl_ms",
            "is not above interval_ms",
            "let a lease outlive a few questions, for instance five",
        ));
    }
    Ok(())
}

fn plan(at: &str, rollout: &policy::Rollout) -> Result<Plan, PolicyError> {
    let arms = arms::arms(&format!("{at}.arms"), &rollout.arms)?;
    let role = match &rollout.role {
        policy::Role::Decide => Role::Decide,
        policy::Role::Follow { peers } if peers.is_empty() => {
            return Err(error(
                "role",
                format!("{at}.role.follow.peers"),
                "is empty, so no hop would be believed",
                "name the deciding proxies' identities, or \"*\" where only they can connect",
            ));
        }
        policy::Role::Follow { peers } => Role::Follow { peers: peers.clone() },
    };
    Ok(Plan {
        name: id(&format!("{at}.name"), &rollout.name)?,
        epoch: rollout.epoch,
        scope: scope(&format!("{at}.match"), rollout.scope.as_ref())?,
        role,
        header: header(&format!("{at}.header"), &rollout.header)?,
        version_header: header(&format!("{at}.version_header"), &rollout.version_header)?,
        hold_without_lease: rollout.on_lease_expired == policy::OnLeaseExpired::Hold,
        assigner: assigner(&format!("{at}.assignment"), &rollout.assignment)?,
        arms,
        overrides: rollout
            .overrides
            .iter()
            .enumerate()
            .map(|(i, o)| {
                let arm = arms::named(&format!("{at}.overrides[{i}].arm"), o.arm, &rollout.arms)?;
                Ok((rule(&format!("{at}.overrides[{i}].when"), &o.when)?, arm))
            })
            .collect::<Result<_, PolicyError>>()?,
        cohorts: rollout
            .cohorts
            .iter()
            .enumerate()
            .map(|(i, cohort)| {
                id(&format!("{at}.cohorts[{i}].name"), &cohort.name)?;
                let weight = weight(&format!("{at}.cohorts[{i}].weight_ppm"), cohort.weight_ppm)?;
                let arm = arms::challenger(&format!("{at}.cohorts[{i}].arm"), cohort.arm, &rollout.arms)?;
                let rule = rule(&format!("{at}.cohorts[{i}].when"), &cohort.when)?;
                Ok(Cohort { rule, weight, arm })
            })
            .collect::<Result<_, PolicyError>>()?,
        confidence: rollout
            .confidence
            .as_ref()
            .map(|c| confidence(&format!("{at}.confidence"), c))
            .transpose()?,
        shadow: rollout.shadow.as_ref().map_or(Ok(Weight::NONE), |shadow| {
            weight(&format!("{at}.shadow.weight_ppm"), shadow.weight_ppm)
        })?,
        count_groups: rollout.count.as_ref().is_some_and(|count| count.groups),
        ages_ms: ages(&format!("{at}.count.ages_ms"), rollout.count.as_ref())?,
        answers: answers::answers(at, rollout)?,
    })
}

fn weight(at: &str, ppm: u32) -> Result<Weight, PolicyError> {
    Weight::from_ppm(ppm).ok_or_else(|| {
        error("weight", at, format!("{ppm} is more than the whole"), "give parts per million, 0 to 1000000")
    })
}

/// Names and versions become label values inside Envoy's stat names, so their letters are few.
fn id(at: &str, text: &str) -> Result<String, PolicyError> {
    let fits = !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(error(
            "name",
            at,
            format!("{text:?} cannot be a label"),
            "use 1 to 63 letters, digits, dots, dashes and underscores",
        ))
    }
}

fn header(at: &str, text: &str) -> Result<String, PolicyError> {
    let fits = !text.is_empty()
        && text.len() <= 128
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(error(
            "header",
            at,
            format!("{text:?} is not a header name as Envoy keeps it"),
            "use lower-case letters, digits and dashes",
        ))
    }
}

fn text(reason: &'static str, at: &str, text: &str, remedy: &'static str) -> Result<String, PolicyError> {
    if text.is_empty() { Err(error(reason, at, "is empty", remedy)) } else { Ok(text.to_owned()) }
}

fn scope(at: &str, scope: Option<&policy::Match>) -> Result<Scope, PolicyError> {
    let Some(scope) = scope else { return Ok(Scope::default()) };
    if let Some(prefix) = &scope.path_prefix
        && !prefix.starts_with('/')
    {
        return Err(error(
            "match",
            format!("{at}.path_prefix"),
            "does not start with /",
            "write it as in /v1/rank",
        ));
    }
    for (i, name) in scope.authority.iter().enumerate() {
        if name.is_empty() || (name.contains(':') && !name.starts_with('[')) {
            return Err(error(
                "match",
                format!("{at}.authority[{i}]"),
                format!("{name:?} is not a bare host name"),
                "leave the port out; ports have a field of their own",
            ));
        }
    }
    Ok(Scope {
        authority: scope.authority.iter().map(|name| name.to_ascii_lowercase()).collect(),
        path_prefix: scope.path_prefix.clone(),
        port: scope.port,
        direction: scope.direction.map(|direction| match direction {
            policy::Direction::Inbound => "inbound",
            policy::Direction::Outbound => "outbound",
            policy::Direction::Unspecified => "unspecified",
        }),
    })
}

fn assigner(at: &str, assignment: &policy::Assignment) -> Result<Assigner, PolicyError> {
    const SALT: &str = "give the rollout a salt of its own";
    match assignment {
        policy::Assignment::Random { source: policy::Source::Stream, .. } => Ok(Assigner::Draw),
        policy::Assignment::Random { source: policy::Source::RequestId, salt } => {
            Ok(Assigner::RequestId { salt: text("salt", &format!("{at}.salt"), salt, SALT)? })
        }
        policy::Assignment::Sticky { salt, keys, no_key } => {
            if keys.is_empty() {
                return Err(error(
                    "keys",
                    format!("{at}.keys"),
                    "is empty",
                    "name what identifies a user, or use mode random",
                ));
            }
            let places = keys.iter().enumerate().map(|(i, key)| place(&format!("{at}.keys[{i}]"), key));
            Ok(Assigner::Hash {
                salt: text("salt", &format!("{at}.salt"), salt, SALT)?,
                keys: places.collect::<Result<_, _>>()?,
                draw_without_key: *no_key == policy::NoKey::Random,
            })
        }
    }
}

fn place(at: &str, key: &policy::Key) -> Result<Place, PolicyError> {
    const NAMED: &str = "name the header, cookie or parameter";
    match key {
        policy::Key::Header(name) => Ok(Place::Header(header(&format!("{at}.header"), name)?)),
        policy::Key::Cookie(name) => Ok(Place::Cookie(text("keys", &format!("{at}.cookie"), name, NAMED)?)),
        policy::Key::Query(name) => Ok(Place::Query(text("keys", &format!("{at}.query"), name, NAMED)?)),
        policy::Key::SourceAddress(true) => Ok(Place::SourceAddress),
        policy::Key::SourceAddress(false) => {
            Err(error("keys", format!("{at}.source_address"), "is false", "write true, or leave the key out"))
        }
    }
}

fn rule(at: &str, when: &[policy::Condition]) -> Result<Rule, PolicyError> {
    if when.is_empty() {
        return Err(error(
            "condition",
            at,
            "is empty, so it would hold for everybody",
            "name at least one condition",
        ));
    }
    when.iter()
        .enumerate()
        .map(|(i, c)| condition(&format!("{at}[{i}]"), c))
        .collect::<Result<_, _>>()
        .map(Rule)
}

fn condition(at: &str, condition: &policy::Condition) -> Result<Condition, PolicyError> {
    const PLACE: &str = "name exactly one of header, cookie, query, path: true";
    const TEST: &str = "give exactly one of exact, prefix, regex, present: true";
    let place = match (&condition.header, &condition.cookie, &condition.query, condition.path) {
        (Some(name), None, None, None) => Place::Header(header(&format!("{at}.header"), name)?),
        (None, Some(name), None, None) => {
            Place::Cookie(text("condition", &format!("{at}.cookie"), name, PLACE)?)
        }
        (None, None, Some(name), None) => {
            Place::Query(text("condition", &format!("{at}.query"), name, PLACE)?)
        }
        (None, None, None, Some(true)) => Place::Path,
        _ => return Err(error("condition", at, "does not say where to look", PLACE)),
    };
    let test = match (&condition.exact, &condition.prefix, &condition.regex, condition.present) {
        (Some(exact), None, None, None) => Test::Exact(exact.clone()),
        (None, Some(prefix), None, None) => {
            Test::Prefix(text("condition", &format!("{at}.prefix"), prefix, TEST)?)
        }
        (None, None, Some(regex), None) => Test::Regex(Pattern::new(regex).map_err(|problem| {
            error(
                "regex",
                format!("{at}.regex"),
                format!("{regex:?} {problem}"),
                "write a shorter or plainer one",
            )
        })?),
        (None, None, None, Some(true)) => Test::Present,
        _ => return Err(error("condition", at, "does not say what to look for", TEST)),
    };
    Ok(Condition { place, test })
}

fn confidence(at: &str, c: &policy::Confidence) -> Result<Confidence, PolicyError> {
    if !(c.min.is_finite() && c.max.is_finite() && c.min < c.max) {
        return Err(error(
            "range",
            format!("{at}.max"),
            format!("{} to {} is not a range", c.min, c.max),
            "give the least and the largest value a model may answer",
        ));
    }
    Ok(Confidence {
        from_header: c
            .from_header
            .as_ref()
            .map(|name| header(&format!("{at}.from_header"), name))
            .transpose()?,
        header: header(&format!("{at}.header"), &c.header)?,
        source_header: header(&format!("{at}.source_header"), &c.source_header)?,
        min: c.min,
        max: c.max,
    })
}
