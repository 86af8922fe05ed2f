//! The objects by which istiod takes the policy to the proxies.

use istio::{Plugin, Standing};

use super::page::{Metric, Page};

pub fn put(page: &mut Page, plugins: &[Plugin]) {
    type Kind = for<'a> fn(&'a mut Page, &'static str, &'static str) -> &'a mut Metric;
    type Of = fn(&Standing) -> u64;
    let metrics: [(&str, Kind, &str, Of); 5] = [
        ("serin_plugin_generation", Page::gauge, "the generation that stands in the plugin", |standing| {
            standing.generation
        }),
        ("serin_plugin_failing", Page::gauge, "1 while the plugin cannot be read or written", |standing| {
            standing.error.is_some().into()
        }),
        ("serin_plugin_writes_total", Page::counter, "policies written into the plugin", |standing| {
            standing.written
        }),
        (
            "serin_plugin_repairs_total",
            Page::counter,
            "policies that somebody else changed in the plugin, put right",
            |standing| standing.repaired,
        ),
        (
            "serin_plugin_failures_total",
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
