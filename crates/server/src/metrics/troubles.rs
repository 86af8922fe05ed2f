//! Proxies that do not do what all should.

use scrape::{Trouble, TroubleKind};
use tally::metric;

use super::page::Page;

/// So many are named; where it is more than these, it is not about single ones.
const NAMED: usize = 100;

#[allow(clippy::cast_precision_loss)] // a few thousand
pub fn put(page: &mut Page, troubles: &[Trouble]) {
    let counts = page.gauge(
        metric::PROXIES_IN_TROUBLE,
        "proxies whose page cannot be read (silent), that show no filter (no_filter), whose filter refused a policy \
         (refuses), or that run an older one for long (lags)",
    );
    for kind in TroubleKind::ALL {
        let n = troubles.iter().filter(|trouble| trouble.kind == kind).count();
        counts.set(&[("kind", kind.word())], n as f64);
    }
    let named = page.gauge(metric::PROXY_TROUBLE, "1 for each of them by name, for the first 100");
    for trouble in troubles.iter().take(NAMED) {
        named.set(&[("proxy", &trouble.proxy), ("kind", trouble.kind.word())], 1.0);
    }
}
