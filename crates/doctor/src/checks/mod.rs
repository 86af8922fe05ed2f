//! The checks. Each says what it found; an error is why it could not look.

mod controller;
mod figures;
mod filter;
mod path;
mod routes;

use crate::report::Found;
use crate::snapshot::Snapshot;

type Check = fn(&Snapshot, &mut Found) -> Result<(), String>;

/// All of them, by the name they have in a report.
pub const ALL: [(&str, Check); 18] = [
    ("kinds", filter::kinds),
    ("plugin", filter::present),
    ("module", filter::module),
    ("policy", filter::policy),
    ("one filter", path::one_filter),
    ("pods that decide", path::pods),
    ("early removal", path::early_removal),
    ("lease's way", path::egress),
    ("labels of counters", path::tags),
    ("routes", routes::routes),
    ("subsets", routes::subsets),
    ("controller", controller::controller),
    ("rights", controller::rights),
    ("versions", controller::versions),
    ("proxies", figures::proxies),
    ("controller's figures", figures::controller),
    ("prometheus", figures::prometheus),
    ("clocks", figures::clocks),
];

/// What was found, why it matters, what mends it.
fn say(what: impl Into<String>, why: &str, mend: impl Into<String>) -> [String; 3] {
    [what.into(), why.to_owned(), mend.into()]
}
