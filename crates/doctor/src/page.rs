//! A page of metrics, as far as it is asked here.

/// A page of metrics for Prometheus, as text.
#[derive(Clone, Debug, Default)]
pub struct Page(pub String);

/// One line of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'p> {
    labels: &'p str,
    /// Its value.
    pub value: f64,
}

impl Page {
    /// The samples of a metric.
    pub fn samples(&self, name: &str) -> impl Iterator<Item = Sample<'_>> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once('}')?,
                None => ("", rest),
            };
            let value = value.strip_prefix(' ')?.split(' ').next()?;
            Some(Sample { labels, value: value.parse().ok()? })
        })
    }

    /// Some sample's value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.samples(name).next().map(|sample| sample.value)
    }

    /// Is this metric on the page, be it without samples?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let typed = |line: &str| line.strip_prefix("# TYPE ")?.split(' ').next().map(|typed| typed == name);
        self.samples(name).next().is_some() || self.0.lines().any(|line| typed(line) == Some(true))
    }

    /// Is there any sample at all? A page of another kind has none.
    #[must_use]
    pub fn is_of_metrics(&self) -> bool {
        self.0.lines().any(|line| {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
            name.starts_with(|c: char| c.is_ascii_alphabetic()) && name != line && value.is_some()
        })
    }

    /// Is there a counter of ours whose labels are part of its name?
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.0.lines().any(|line| line.starts_with(tally::PREFIX) && line.contains("_total_rollout___"))
    }
}

impl Sample<'_> {
    /// What a label says, as far as it holds no quotes.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        let start =
            self.labels.split(',').find_map(|label| label.trim().strip_prefix(name)?.strip_prefix("=\""));
        start.map(|value| value.trim_end_matches('"')).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read() {
        let page = Page(
            "# HELP a b\na 1\na_b 2\na{x=\"y\",z=\"w\"} 3 99\nserin_finished_total_rollout___r___ 4\n"
                .to_owned(),
        );
        let found: Vec<_> =
            page.samples("a").map(|sample| (sample.label("z").to_owned(), sample.value)).collect();
        assert_eq!(found, [(String::new(), 1.0), ("w".to_owned(), 3.0)]);
        assert_eq!((page.value("a_b"), page.value("b")), (Some(2.0), None));
        assert!(page.is_flat());
        assert!(page.has("a_b") && !page.has("b") && Page("# TYPE b gauge\n".to_owned()).has("b"));
        assert!(page.is_of_metrics());
        for other in ["", "<html>hello 5</html>", "{\"code\": 5\n}", "404 page not found"] {
            assert!(!Page(other.to_owned()).is_of_metrics(), "{other}");
        }
        assert!(!Page("serin_finished_total{rollout=\"r\"} 4\n".to_owned()).is_flat());
    }
}
