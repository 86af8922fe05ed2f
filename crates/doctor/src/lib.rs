//! What is wrong with this installation in a mesh, and what mends it?
//!
//! Whoever reads the objects, the proxies' pages and the figures puts them into a [`Snapshot`]; [`examine`] looks at it. What could
//! not be read is said, and never taken for fine.

mod arguments;
mod checks;
mod page;
mod report;
mod snapshot;

#[cfg(test)]
mod tests;

pub use arguments::Arguments;
pub use page::{Page, Sample};
pub use report::{Finding, Report, Severity, Unseen};
pub use snapshot::{Api, Clock, KINDS, Part, Prometheus, Proxy, Read, Right, Sampled, Snapshot};

use report::Found;

/// Looks at all of it.
#[must_use]
pub fn examine(snapshot: &Snapshot) -> Report {
    let mut report = Report::default();
    for (name, part, check) in checks::ALL {
        if part.is_some_and(|part| snapshot.without.contains(&part)) {
            report.left_out.push(name);
            continue;
        }
        let mut found = Found::new(name);
        if let Err(why) = check(snapshot, &mut found) {
            found.unseen(why);
        }
        report.take(found);
    }
    report
}
