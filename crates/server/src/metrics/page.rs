//! Metrics as they are at one scrape, and how Prometheus reads them.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeMetric as _, GaugeValueEncoder, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::selector::Selector;

/// What the page is.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// All metrics, in the order of the page.
#[derive(Debug, Default)]
pub struct Page(Vec<Metric>);

/// One metric with all its series.
#[derive(Debug)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    series: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// Whole numbers are written as such.
#[derive(Clone, Copy, Debug)]
struct Number(f64);

impl Page {
    /// What goes up and down. A metric without series is on the page too.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> &mut Metric {
        self.metric(name, help, MetricType::Gauge)
    }

    /// What only goes up, from 0 when this controller began; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> &mut Metric {
        self.metric(name, help, MetricType::Counter)
    }

    fn metric(&mut self, name: &'static str, help: &'static str, kind: MetricType) -> &mut Metric {
        self.0.push_mut(Metric { name, help, kind, series: Vec::new() })
    }

    /// The series that are asked for: name, labels and value.
    pub fn select<'a>(
        &'a self,
        selector: &'a Selector,
    ) -> impl Iterator<Item = (&'static str, &'a [(&'static str, String)], f64)> {
        let series = self.0.iter().flat_map(|Metric { name, series, .. }| {
            series.iter().map(|(labels, value)| (*name, labels.as_slice(), *value))
        });
        series.filter(|(name, labels, _)| selector.fits(name, labels))
    }

    /// The text exposition format, version 0.0.4.
    pub fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = prometheus_text::encode(&mut text, &registry);
        text
    }
}

impl Metric {
    /// One series.
    pub fn set(&mut self, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        self.series.push((labels, value));
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Metric { name, help, kind, series } in &self.0 {
            // The format adds `_total` to the names of counters.
            let bare = name.strip_suffix("_total").filter(|_| *kind == MetricType::Counter).unwrap_or(name);
            let mut metric = encoder.encode_descriptor(bare, help, None, *kind)?;
            for (labels, value) in series {
                let one = metric.encode_family(labels)?;
                match kind {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count
                    MetricType::Counter => ConstCounter::new(*value as u64).encode(one)?,
                    _ => ConstGauge::new(Number(*value)).encode(one)?,
                }
            }
        }
        Ok(())
    }
}

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> Result<(), fmt::Error> {
        #[allow(clippy::cast_possible_truncation)] // whole, and far from the ends of i64
        match self.0 {
            whole if whole.fract() == 0.0 && whole.abs() < 9e15 => (whole as i64).encode(encoder),
            other => other.encode(encoder),
        }
    }
}
