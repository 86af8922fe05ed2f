//! The objects by which istiod takes the policy to the proxies.

use istio::{Plugin, Standing};
use tally::metric;

use super::page::{Metric, Page};

pub fn put(page: &mut Page, plugins: &[Plugin]) {
    type Kind = for<'a> fn(&'a mut Page, &'static str, &'static str) -> &'a mut Metric;
    type Of = fn(&Standing) -> u64;
    let metrics: [(&str, Kind, &str, Of); 5] = [
        (metric::PLUGIN_GENERATION, Page::gauge, "the generation that stands in the plugin", |standing| {
            standing.generation
        }),
        (metric::PLUGIN_FAILING, Page::gauge, "1 while the plugin cannot be read or written", |standing| {
            standing.error.is_some().into()
        }),
        (metric::PLUGIN_WRITES_TOTAL, Page::counter, "policies written into the plugin", |standing| {
            standing.written
        }),
        (
            metric::PLUGIN_REPAIRS_TOTAL,
            Page::counter,
            "policies that somebody else changed in the plugin, put right",
            |standing| standing.repaired,
        ),
        (
            metric::PLUGIN_FAILURES_TOTAL,
            Page::counter,
            "times the plugin could not be read or written",
            |standing| standing.failed,
        ),
    ];
    // Without Istio there is nothing to tell of.
    if plugins.is_empty() {
        return;
    }
    for (name, kind, help, of) in metrics {
        let metric = kind(page, name, help);
        for plugin in plugins {
            #[allow(clippy::cast_precision_loss)] // counts
            metric.set(&[("plugin", &plugin.place().to_string())], of(&plugin.standing()) as f64);
        }
    }
}
