//! The checks. Each says what it found; an error is why it could not look.

mod controller;
mod figures;
mod filter;
mod path;
mod routes;

use crate::arguments::Arguments;
use crate::report::Found;
use crate::snapshot::{Part, Snapshot, labels_of, name_of, text};

type Check = fn(&Snapshot, &mut Found) -> Result<(), String>;

/// All of them, by the name they have in a report, and the part by which one may be left out.
pub const ALL: [(&str, Option<Part>, Check); 18] = [
    ("kinds", None, filter::kinds),
    ("plugin", None, filter::present),
    ("module", None, filter::module),
    ("policy", None, filter::policy),
    ("one filter", None, path::one_filter),
    ("pods that decide", None, path::pods),
    ("early removal", None, path::early_removal),
    ("lease's way", None, path::egress),
    ("labels of counters", None, path::tags),
    ("routes", None, routes::routes),
    ("subsets", None, routes::subsets),
    ("controller", None, controller::controller),
    ("rights", Some(Part::Rights), controller::rights),
    ("versions", Some(Part::Versions), controller::versions),
    ("proxies", Some(Part::Proxies), figures::proxies),
    ("controller's figures", Some(Part::Controller), figures::controller),
    ("prometheus", Some(Part::Prometheus), figures::prometheus),
    ("clocks", None, figures::clocks),
];

/// What was found, why it matters, what mends it.
fn say(what: impl Into<String>, why: &str, mend: impl Into<String>) -> [String; 3] {
    [what.into(), why.to_owned(), mend.into()]
}

/// The controller's workload as kubectl calls it, after its namespace: `deployment/serin`; a StatefulSet where there are several.
fn workload(snapshot: &Snapshot) -> String {
    let own = |kind| {
        let all = snapshot.objects_in(kind, &snapshot.namespace).ok()?;
        let mut ours = all.filter(|one| Arguments::of(one).is_some());
        Some(format!("{}/{}", kind.to_lowercase(), name_of(ours.next()?)))
    };
    own("Deployment").or_else(|| own("StatefulSet")).unwrap_or_else(|| "deployment/serin".to_owned())
}

/// Changes the release that installed the controller, by this.
fn helm(snapshot: &Snapshot, by: &str) -> String {
    let own = ["Deployment", "StatefulSet"].into_iter().find_map(|kind| {
        let mut all = snapshot.objects_in(kind, &snapshot.namespace).ok()?;
        all.find(|one| Arguments::of(one).is_some())
    });
    let release = own.map_or("", |one| text(labels_of(one), "/app.kubernetes.io~1instance"));
    let release = if release.is_empty() { "serin" } else { release };
    format!("helm upgrade {release} istio/chart --namespace {} --reuse-values {by}", snapshot.namespace)
}
