//! How often the filter called the host, by callback and function: the figure that tells what a request costs.

use std::collections::BTreeMap;
use std::fmt;

use crate::abi::Callback;

/// Counted calls from the filter into the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCalls(BTreeMap<(Callback, &'static str), u64>);

impl HostCalls {
    pub(crate) fn add(&mut self, callback: Callback, function: &'static str) {
        *self.0.entry((callback, function)).or_default() += 1;
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Calls of one host function, from any callback.
    pub fn of(&self, function: &str) -> u64 {
        self.0.iter().filter(|((_, name), _)| *name == function).map(|(_, count)| count).sum()
    }

    /// Calls made within one callback.
    pub fn within(&self, callback: Callback) -> u64 {
        self.0.iter().filter(|((within, _), _)| *within == callback).map(|(_, count)| count).sum()
    }

    /// Calls by host function, callbacks added together.
    pub fn by_function(&self) -> BTreeMap<&'static str, u64> {
        let mut totals = BTreeMap::new();
        for ((_, function), count) in &self.0 {
            *totals.entry(*function).or_default() += count;
        }
        totals
    }

    /// Each callback and function with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Callback, &'static str, u64)> {
        self.0.iter().map(|((callback, function), count)| (*callback, *function, *count))
    }

    /// What was called since `earlier` was taken.
    pub fn since(&self, earlier: &HostCalls) -> HostCalls {
        let fresh =
            self.0.iter().map(|(key, count)| (*key, count - earlier.0.get(key).copied().unwrap_or(0)));
        HostCalls(fresh.filter(|(_, count)| *count > 0).collect())
    }
}

impl fmt::Display for HostCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (callback, function, count) in self.iter() {
            writeln!(f, "{callback:26} {function:36} {count:>3}")?;
        }
        write!(f, "{:63} {:>3}", "total", self.total())
    }
}
