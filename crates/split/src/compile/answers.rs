//! What is read in the bodies of answers, checked.

use super::{PolicyError, error};
use crate::policy::{MOST_OPEN, Rollout};

/// What is read in the bodies of answers.
#[derive(Clone, Debug)]
pub struct Answers {
    /// What is looked for; it reads something.
    pub read: answer::Compiled,
    /// So many answers are read at once by one worker of Envoy.
    pub max_open: u32,
    written: answer::Rules,
}

impl PartialEq for Answers {
    fn eq(&self, other: &Self) -> bool {
        (&self.written, self.max_open) == (&other.written, other.max_open)
    }
}

pub(super) fn answers(at: &str, rollout: &Rollout) -> Result<Option<Answers>, PolicyError> {
    let Some(written) = &rollout.answer else {
        return match &rollout.confidence {
            Some(confidence) if confidence.from_header.is_none() => Err(no_score(at)),
            _ => Ok(None),
        };
    };
    let read = answer::Compiled::compile(&written.read).map_err(|wrong| {
        error("answer", format!("{at}.answer.read.{}", wrong.field), wrong.reason, "keep to the bounds")
    })?;
    if !read.reads_bodies() {
        return Err(error(
            "answer",
            format!("{at}.answer.read.format"),
            "is none, so nothing would be read",
            "name the format of the answers, such as json, or leave `answer` out",
        ));
    }
    if !(1..=MOST_OPEN).contains(&written.max_open) {
        return Err(error(
            "answer",
            format!("{at}.answer.max_open"),
            format!("{} is no bound", written.max_open),
            "read from 1 to 10000 answers at once in one worker of Envoy",
        ));
    }
    let from_body = rollout.confidence.as_ref().is_some_and(|confidence| confidence.from_header.is_none());
    if from_body && written.read.score.is_none() {
        return Err(no_score(at));
    }
    Ok(Some(Answers { read, max_open: written.max_open, written: written.read.clone() }))
}

fn no_score(at: &str) -> PolicyError {
    error(
        "confidence",
        format!("{at}.confidence.from_header"),
        "is absent, and no score is read in the body",
        "name the header that carries it, or say in answer.read.score where it stands in the body",
    )
}
