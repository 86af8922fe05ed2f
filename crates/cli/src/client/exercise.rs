//! What is tried between runs, from the command's side: asked for, followed, and told.

use std::process::ExitCode;

use anyhow::Result;
use api::{Begun, ExerciseKind, OpenEnum, Outcome, RunView, path};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Client, LOOK, refusal, seen};
use crate::args::{ActPrecondition, Output};

/// One kind of exercise, as it is answered.
pub(super) trait Exercise: DeserializeOwned {
    /// Which.
    const WHAT: ExerciseKind;
    /// Where one is asked for, below the rollout.
    const ASKED_AT: &str;
    /// Where they are read, below the rollout.
    const READ_AT: &str;

    fn outcome(&self) -> Option<&OpenEnum<Outcome>>;
    fn message(&self) -> &str;
    /// What it found, line by line.
    fn report(&self) -> String;
}

/// How its end is shown.
pub(super) struct Shown {
    /// Not at all: it is left alone.
    pub detach: bool,
    pub output: Output,
}

/// Asks for an exercise of whatever a name means, and follows it to its end.
pub(super) async fn exercise<T: Exercise>(
    client: &Client,
    name: &str,
    request: &impl Serialize,
    shown: Shown,
) -> Result<ExitCode> {
    let Some(names) = meant(client, name, shown.detach).await? else {
        return Ok(ExitCode::from(1));
    };
    let mut codes = Vec::new();
    for name in names {
        // One that is refused does not keep the others from being tried.
        codes.push(match refusal(one::<T>(client, &name, request, &shown).await)? {
            Ok(code) => code,
            Err(refusal) => {
                eprintln!("{refusal}");
                1
            }
        });
    }
    Ok(ExitCode::from(worst(&codes)))
}

async fn one<T: Exercise>(
    client: &Client,
    name: &str,
    request: &impl Serialize,
    shown: &Shown,
) -> Result<u8> {
    let asking = seen(client, name, &ActPrecondition::default()).await?;
    let Begun { number } = asking.post(&path::of_rollout(name, T::ASKED_AT), request).await?.read()?;
    if shown.detach {
        println!("{name}: {} {number} begun; see: serin get {name}", T::WHAT.words());
        return Ok(0);
    }
    let read_at = path::one_of_rollout(name, T::READ_AT, number);
    let (answer, ended) = follow::<T>(client, &read_at, shown.output).await?;
    match shown.output {
        Output::Json => print!("{}", answer.pretty()?),
        Output::Text => print!("{}", ended.report()),
    }
    Ok(code(ended.outcome()))
}

/// Whom a name means: the members of a fleet, one after the other, since a lease stands for all of a proxy's rollouts;
/// or the rollout itself. `None`, and the person is told: several cannot be begun and left alone.
async fn meant(client: &Client, name: &str, detach: bool) -> Result<Option<Vec<String>>> {
    // Whether there is such a rollout is said by whoever is to begin something on it.
    let run: RunView = match refusal(client.get(&path::rollout(name)).await)? {
        Ok(answer) => answer.read()?,
        Err(_) => RunView::default(),
    };
    let members: Vec<String> = run.members.into_iter().map(|member| member.run.name).collect();
    if members.is_empty() {
        return Ok(Some(vec![name.to_owned()]));
    }
    if detach {
        let members = members.join(", ");
        eprintln!(
            "{name} is several, one tried after the other; leave out --detach, or name one of them: {members}"
        );
        return Ok(None);
    }
    Ok(Some(members))
}

/// Of several exit codes: failed before undecided before passed.
fn worst(codes: &[u8]) -> u8 {
    [1, 2].into_iter().find(|code| codes.contains(code)).unwrap_or(0)
}

/// Looks until it is over, and says on standard error how far it is.
async fn follow<T: Exercise>(client: &Client, path: &str, output: Output) -> Result<(Answer, T)> {
    let mut seen = String::new();
    loop {
        let answer = client.get(path).await?;
        let view: T = answer.read()?;
        if view.outcome().is_some() {
            return Ok((answer, view));
        }
        if view.message() != seen && output == Output::Text {
            eprintln!("{}", view.message());
            view.message().clone_into(&mut seen);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// 0 passed, 1 failed, 2 neither.
fn code(outcome: Option<&OpenEnum<Outcome>>) -> u8 {
    match outcome.and_then(OpenEnum::known) {
        Some(Outcome::Passed) => 0,
        Some(Outcome::Failed) => 1,
        _ => 2,
    }
}

/// "passed", or that it is not over.
pub(super) fn so_far<T: Serialize>(word: Option<&OpenEnum<T>>) -> String {
    word.map_or_else(|| "under way".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_comes_before_undecided_before_passed() {
        for (outcome, expected) in
            [(Some(Outcome::Passed), 0), (Some(Outcome::Failed), 1), (Some(Outcome::Cancelled), 2), (None, 2)]
        {
            assert_eq!(code(outcome.map(OpenEnum::from).as_ref()), expected);
        }
        assert_eq!(code(Some(&OpenEnum::Other("later".to_owned()))), 2);
        assert_eq!([worst(&[0, 2, 1]), worst(&[0, 2]), worst(&[0])], [1, 2, 0]);
    }
}
