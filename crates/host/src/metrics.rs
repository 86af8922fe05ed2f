//! Envoy's statistics as a filter sees them: one store per process, which outlives every VM.

use std::collections::BTreeMap;

use crate::abi::{MetricKind, Status};

/// All metrics of a process. Names are as the filter defined them; Envoy's admin page shows them
/// with the prefix `wasmcustom.`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    indices: BTreeMap<(MetricKind, String), usize>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: MetricKind,
    name: String,
    value: u64,
    samples: Vec<u64>,
}

impl Metrics {
    /// A counter's value; 0 when it was never defined.
    pub fn counter(&self, name: &str) -> u64 {
        self.value(MetricKind::Counter, name).unwrap_or(0)
    }

    /// A gauge's value, if it was defined.
    pub fn gauge(&self, name: &str) -> Option<u64> {
        self.value(MetricKind::Gauge, name)
    }

    /// What was recorded in a histogram, in order, as exact values (Envoy keeps bins of about 1 %).
    pub fn histogram(&self, name: &str) -> &[u64] {
        self.entry(MetricKind::Histogram, name).map(|entry| entry.samples.as_slice()).unwrap_or_default()
    }

    /// Every counter above 0 with its value: Envoy's `/stats?usedonly`.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let used = |entry: &&Entry| entry.kind == MetricKind::Counter && entry.value > 0;
        self.entries.iter().filter(used).map(|entry| (entry.name.clone(), entry.value)).collect()
    }

    /// Every gauge with its value.
    pub fn gauges(&self) -> BTreeMap<String, u64> {
        let gauges = self.entries.iter().filter(|entry| entry.kind == MetricKind::Gauge);
        gauges.map(|entry| (entry.name.clone(), entry.value)).collect()
    }

    /// How far each counter moved since `earlier`; those that did not move are left out.
    pub fn counters_since(&self, earlier: &Metrics) -> BTreeMap<String, u64> {
        let moved = self.counters().into_iter().map(|(name, value)| {
            let before = earlier.counter(&name);
            (name, value.saturating_sub(before))
        });
        moved.filter(|(_, by)| *by > 0).collect()
    }

    /// How many metrics of any kind exist: what the filter costs Envoy's memory for good.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no metric was ever defined.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&self, kind: MetricKind, name: &str) -> Option<&Entry> {
        self.entries.get(*self.indices.get(&(kind, name.to_owned()))?)
    }

    fn value(&self, kind: MetricKind, name: &str) -> Option<u64> {
        self.entry(kind, name).map(|entry| entry.value)
    }

    /// The same kind and name is the same metric, from whichever VM it is defined.
    pub(crate) fn define(&mut self, kind: MetricKind, name: String) -> u32 {
        let next = self.entries.len();
        let index = *self.indices.entry((kind, name.clone())).or_insert(next);
        if index == next {
            self.entries.push(Entry { kind, name, value: 0, samples: Vec::new() });
        }
        // As in Envoy the two low bits are the kind.
        u32::try_from(index << 2).unwrap_or(u32::MAX) | kind as u32
    }

    fn by_id(&mut self, id: u32) -> Result<&mut Entry, Status> {
        usize::try_from(id >> 2).ok().and_then(|index| self.entries.get_mut(index)).ok_or(Status::NotFound)
    }

    pub(crate) fn increment(&mut self, id: u32, offset: i64) -> Result<(), Status> {
        let entry = self.by_id(id)?;
        match entry.kind {
            // Envoy refuses 0 as well.
            MetricKind::Counter if offset <= 0 => Err(Status::BadArgument),
            MetricKind::Counter | MetricKind::Gauge => {
                entry.value = entry.value.wrapping_add_signed(offset);
                Ok(())
            }
            MetricKind::Histogram => Err(Status::BadArgument),
        }
    }

    pub(crate) fn record(&mut self, id: u32, value: u64) -> Result<(), Status> {
        let entry = self.by_id(id)?;
        match entry.kind {
            MetricKind::Counter => entry.value = entry.value.wrapping_add(value),
            MetricKind::Gauge => entry.value = value,
            MetricKind::Histogram => entry.samples.push(value),
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, id: u32) -> Result<u64, Status> {
        let entry = self.by_id(id)?;
        match entry.kind {
            MetricKind::Counter | MetricKind::Gauge => Ok(entry.value),
            MetricKind::Histogram => Err(Status::BadArgument),
        }
    }
}
