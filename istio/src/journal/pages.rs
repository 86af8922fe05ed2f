//! Rows in pages: a page is never changed, and of a row that stands in several the latest page's holds.
//!
//! A change is one new page. What is left of small old pages moves into it when there are too many, so that few are to be
//! read and no row is written again and again.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows by key; `None`: there is none any more, whatever an earlier page says.
pub type Rows = BTreeMap<String, Option<Arc<str>>>;

/// So many pages are left alone.
const PAGES: usize = 12;
/// With more than that, so many stay.
const LEFT: usize = 6;

/// A page as it is known here.
#[derive(Clone, Debug)]
pub struct Page<N> {
    /// Under which it is kept.
    pub name: N,
    pub rows: Rows,
}

/// A page to be written, and which of the present ones are not needed after it, by their places.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub rows: Rows,
    pub dropped: Vec<usize>,
}

/// What a change makes of the pages.
pub fn plan<N>(pages: &[Page<N>], changes: Rows) -> Plan {
    let mut rows = changes;
    let live: Vec<usize> = (0..pages.len()).map(|place| live(pages, place, &rows)).collect();
    let mut dropped: Vec<usize> = (0..pages.len()).filter(|place| live.get(*place) == Some(&0)).collect();
    let mut rest: Vec<usize> = (0..pages.len()).filter(|place| !dropped.contains(place)).collect();
    if rest.len() >= PAGES {
        rest.sort_by_key(|place| live.get(*place).copied().unwrap_or_default());
        for place in rest.iter().take(rest.len().saturating_sub(LEFT)).copied() {
            let moved: Rows = living(pages, place, &rows).collect();
            dropped.push(place);
            rows.extend(moved);
        }
        dropped.sort_unstable();
    }
    let elsewhere = |key: &String| {
        let mut others = pages.iter().enumerate().filter(|(place, _)| !dropped.contains(place));
        others.any(|(_, page)| page.rows.contains_key(key))
    };
    rows.retain(|key, row| row.is_some() || elsewhere(key));
    Plan { rows, dropped }
}

/// All rows there are.
pub fn rows<N>(pages: &[Page<N>]) -> Rows {
    let mut rows = Rows::new();
    for page in pages {
        rows.extend(page.rows.iter().map(|(key, row)| (key.clone(), row.clone())));
    }
    rows.retain(|_, row| row.is_some());
    rows
}

/// The rows of a page that hold beside the later pages and what is written now.
fn living<'a, N>(
    pages: &'a [Page<N>],
    place: usize,
    now: &'a Rows,
) -> impl Iterator<Item = (String, Option<Arc<str>>)> + 'a {
    let (earlier, from) = pages.split_at(place.min(pages.len()));
    let (page, later) = from.split_first().map_or((None, from), |(page, later)| (Some(page), later));
    let rows = page.into_iter().flat_map(|page| &page.rows);
    rows.filter(move |(key, row)| {
        let holds = !now.contains_key(*key) && later.iter().all(|page| !page.rows.contains_key(*key));
        holds && (row.is_some() || earlier.iter().any(|page| page.rows.contains_key(*key)))
    })
    .map(|(key, row)| (key.clone(), row.clone()))
}

/// In bytes; 0: nothing of it holds.
fn live<N>(pages: &[Page<N>], place: usize, now: &Rows) -> usize {
    living(pages, place, now).map(|(key, row)| key.len() + row.map_or(1, |row| row.len())).sum()
}

#[cfg(test)]
mod tests {
    use judge::random::SplitMix64;

    use super::*;

    /// Whatever is written in whatever order: what is read is what was written last, and pages stay few.
    #[test]
    fn what_is_read_is_what_was_written_last() {
        for seed in 1..40_u64 {
            let mut chance = SplitMix64::seeded(seed);
            let mut next = |below: u64| chance.below(below);
            let (mut pages, mut model): (Vec<Page<u64>>, Rows) = (Vec::new(), Rows::new());
            for turn in 0..300 {
                let mut changes = Rows::new();
                for _ in 0..=next(4) {
                    let key = format!("rollout[{}]", next(30));
                    let row =
                        (next(5) > 0).then(|| Arc::from(format!("{turn}{}", "x".repeat(next(200) as usize))));
                    changes.insert(key, row);
                }
                for (key, row) in &changes {
                    match row {
                        Some(row) => model.insert(key.clone(), Some(row.clone())),
                        None => model.remove(key),
                    };
                }
                let plan = plan(&pages, changes);
                for place in plan.dropped.iter().rev() {
                    pages.remove(*place);
                }
                pages.push(Page { name: turn, rows: plan.rows });
                assert_eq!(rows(&pages), model, "seed {seed}, turn {turn}");
                assert!(pages.len() <= PAGES + 1, "seed {seed}: {} pages", pages.len());
            }
            let stale = |page: &Page<u64>| page.rows.values().filter(|row| row.is_none()).count();
            assert!(pages.iter().map(stale).sum::<usize>() <= 30, "what is gone is not kept for ever");
        }
    }
}
