//! What was measured, look by look; later minute by minute. Counts are added up when they are thinned, never dropped.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rollout::{Counts, Event, Group, Interval, Reading, State};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use split::Arm;

use super::Store;

/// From form 5 to form 6.
pub(super) const MIGRATION_6: &str = "
    -- All looks at a run between two writes, or all minutes of some of them: deflated JSON.
    CREATE TABLE measured (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, run INTEGER NOT NULL, from_ms INTEGER NOT NULL,
        to_ms INTEGER NOT NULL, thinned INTEGER NOT NULL, looks BLOB NOT NULL
    ) STRICT;
    CREATE INDEX measured_of_run ON measured (name, run);
    CREATE INDEX measured_fresh ON measured (to_ms) WHERE thinned = 0;
";

/// Single samples are kept for this long.
const FINE_MS: u64 = 3_600_000;

/// What is older is thinned in batches of this length: the longer, the better they compress.
const BATCH_MS: u64 = 600_000;

const MINUTE_MS: u64 = 60_000;

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)] // nearly all are counts
pub enum Sample {
    /// Counters.
    Counts(Counted),
    /// A figure of the user's own.
    Reading(Read),
}

/// What the counters said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// The stage, from 1.
    pub stage: usize,
    /// The canary's weight, in parts per million.
    pub weight_ppm: u32,
    /// How many samples are added up here; stored and exported under the name of earlier releases.
    #[serde(rename = "looks")]
    pub samples: u32,
    /// What was counted.
    pub interval: Interval,
}

/// A reading of a source, or a pushed figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Read {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The stage, from 1.
    pub stage: usize,
    /// The figures.
    pub reading: Reading,
}

impl Sample {
    /// What an event measured of a run that has begun and is not over: what is watched after it is summed up in its
    /// state, and would fill the disk as long as it goes on.
    #[must_use]
    pub fn of(state: &State, event: &Event, unix_ms: u64) -> Option<Self> {
        let stage = state.stages.len();
        match event {
            _ if stage == 0 || state.is_over() => None,
            Event::Interval(interval) => {
                let (weight_ppm, interval) = (state.weights.canary_ppm, Interval::clone(interval));
                Some(Self::Counts(Counted { stage, weight_ppm, samples: 1, interval }))
            }
            Event::Reading(reading) => {
                Some(Self::Reading(Read { at_ms: unix_ms, stage, reading: reading.clone() }))
            }
            _ => None,
        }
    }

    /// When it begins, in milliseconds since 1970.
    #[must_use]
    pub const fn begins_ms(&self) -> u64 {
        match self {
            Self::Counts(counted) => counted.interval.from_ms,
            Self::Reading(read) => read.at_ms,
        }
    }

    const fn ends_ms(&self) -> u64 {
        match self {
            Self::Counts(counted) => counted.interval.to_ms,
            Self::Reading(read) => read.at_ms,
        }
    }
}

/// Adds one row with all these samples.
pub(super) fn add(
    change: &Transaction<'_>,
    name: &str,
    run: u64,
    samples: &[Sample],
    thinned: bool,
) -> Result<()> {
    let Some(from_ms) = samples.iter().map(Sample::begins_ms).min() else { return Ok(()) };
    let to_ms = samples.iter().map(Sample::ends_ms).max().unwrap_or(from_ms);
    change
        .prepare_cached(
            "INSERT INTO measured (name, run, from_ms, to_ms, thinned, looks) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            name,
            i64::try_from(run)?,
            i64::try_from(from_ms)?,
            i64::try_from(to_ms)?,
            thinned,
            pack(samples)?
        ])?;
    Ok(())
}

fn pack(samples: &[Sample]) -> Result<Vec<u8>> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&serde_json::to_vec(samples)?)?;
    Ok(packed.finish()?)
}

pub(super) fn unpack(packed: &[u8]) -> Result<Vec<Sample>> {
    let mut text = Vec::new();
    DeflateDecoder::new(packed).read_to_end(&mut text).context("stored measurements are damaged")?;
    serde_json::from_slice(&text).context("stored measurements cannot be read; use the serin that wrote them")
}

impl Store {
    /// Adds up the samples of one run that are old enough, minute by minute; says whether there was anything to do.
    ///
    /// # Errors
    /// When the disk does not take it, or another serin wrote the samples in a way this one does not read.
    pub fn thin(&mut self, now_ms: u64) -> Result<bool> {
        let (old, fine) = (now_ms.saturating_sub(FINE_MS + BATCH_MS), now_ms.saturating_sub(FINE_MS));
        let next: Option<(String, i64)> = self
            .connection
            .prepare_cached(
                "SELECT name, run FROM measured WHERE thinned = 0 AND to_ms < ? ORDER BY to_ms LIMIT 1",
            )?
            .query_row([i64::try_from(old)?], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((name, run)) = next else { return Ok(false) };
        let mut query = self.connection.prepare_cached(
            "SELECT id, looks FROM measured WHERE name = ? AND run = ? AND thinned = 0 AND to_ms < ? ORDER BY id",
        )?;
        let rows = query.query_map(params![name, run, i64::try_from(fine)?], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        let (mut ids, mut samples) = (Vec::new(), Vec::new());
        for row in rows {
            let (id, packed) = row?;
            ids.push(id);
            samples.extend(unpack(&packed)?);
        }
        drop(query);
        let minutes = by_minute(samples);
        self.write(|change| {
            for id in ids {
                change.prepare_cached("DELETE FROM measured WHERE id = ?")?.execute([id])?;
            }
            add(change, &name, u64::try_from(run)?, &minutes, true)
        })?;
        Ok(true)
    }
}

/// Adds up what belongs to the same minute, stage, weights and gap. Readings are few, and stay.
fn by_minute(samples: Vec<Sample>) -> Vec<Sample> {
    let mut minutes: BTreeMap<_, Counted> = BTreeMap::new();
    let mut all = Vec::new();
    for look in samples {
        let Sample::Counts(counted) = look else {
            all.push(look);
            continue;
        };
        let Counted { stage, weight_ppm, interval, .. } = &counted;
        let key = (interval.from_ms / MINUTE_MS, *stage, *weight_ppm, interval.epoch, interval.gap.clone());
        match minutes.get_mut(&key) {
            Some(sum) => sum.add(counted),
            None => {
                minutes.insert(key, counted);
            }
        }
    }
    all.extend(minutes.into_values().map(Sample::Counts));
    all.sort_by_key(Sample::begins_ms);
    all
}

impl Counted {
    fn add(&mut self, other: Self) {
        let (into, from) = (&mut self.interval, other.interval);
        self.samples = self.samples.saturating_add(other.samples);
        into.from_ms = into.from_ms.min(from.from_ms);
        into.to_ms = into.to_ms.max(from.to_ms);
        for (into, from) in [
            (&mut into.canary, &from.canary),
            (&mut into.stable, &from.stable),
            (&mut into.baseline, &from.baseline),
        ] {
            into.add(from);
            one_each(into);
        }
        add_rivals(&mut into.rivals, from.rivals);
        for other in from.others {
            match into.others.iter_mut().find(|known| known.epoch == other.epoch) {
                Some(known) => {
                    known.canary.add(&other.canary);
                    known.stable.add(&other.stable);
                    known.baseline.add(&other.baseline);
                    add_rivals(&mut known.rivals, other.rivals);
                }
                None => into.others.push(other),
            }
        }
        into.unproven = into.unproven.take().or(from.unproven);
    }
}

fn add_rivals(into: &mut BTreeMap<Arm, Counts>, from: BTreeMap<Arm, Counts>) {
    for (arm, counts) in from {
        into.entry(arm).or_default().add(&counts);
    }
}

/// Counts that were added list a group once for each; afterwards each group is there once.
fn one_each(counts: &mut Counts) {
    let Some(groups) = &mut counts.groups else { return };
    let mut sums: BTreeMap<u16, Group> = BTreeMap::new();
    for group in groups.drain(..) {
        let sum = sums.entry(group.group).or_insert(Group { group: group.group, ..Group::default() });
        sum.finished += group.finished;
        sum.errors += group.errors;
    }
    groups.extend(sums.into_values());
}
