//! What is counted of the confidence in a response, and which of it the client sees?

use split::Confidence;

use crate::{ConfidenceScale, What};

/// Who gave the confidence that the client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfidenceSource {
    /// The model, in its response header.
    Model,
    /// The rollout, for the version as a whole.
    Rollout,
}

impl ConfidenceSource {
    /// As it stands in the source header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Rollout => "rollout",
        }
    }
}

/// The confidence of one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfidenceReading<'r> {
    /// What is counted of it; `None`: nothing.
    pub counted: Option<What>,
    /// The value that the client sees, and its source; `None`: both headers are removed, so that the client never sees one
    /// that the model wrote there.
    pub shown: Option<(&'r [u8], ConfidenceSource)>,
}

/// What is counted of a confidence that stands in an answer's body; `None` as value: something that is no finite number. As
/// in [`ConfidenceReading::of`], only a valid value of a request assigned by the present weights is counted.
pub fn scored(rules: &Confidence, value: Option<f64>, is_evidence: bool, draw: u64) -> Option<What> {
    let point = value.and_then(|value| ConfidenceScale::new(rules.min, rules.max)?.point(value, draw));
    match point {
        Some(point) => is_evidence.then_some(What::Confidence(point)),
        None => Some(What::ConfidenceInvalid),
    }
}

impl<'r> ConfidenceReading<'r> {
    /// Reads the model's header (`model`, as it came). A value that is no number between the limits of `rules` is counted
    /// as invalid and not shown. Where the model gives no valid value the rollout's own for that version (`fallback`) is
    /// shown, and never counted.
    ///
    /// `is_evidence`: was the request assigned by the present weights? Only then is a valid value counted. `draw` gives
    /// the random bits by which a value between two points is rounded; it is asked for valid numbers alone.
    pub fn of(
        rules: &Confidence,
        model: Option<&'r [u8]>,
        fallback: Option<&'r str>,
        is_evidence: bool,
        draw: impl FnOnce() -> u64,
    ) -> Self {
        let point = model.and_then(|value| {
            let value: f64 = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
            ConfidenceScale::new(rules.min, rules.max)?.point(value, draw())
        });
        let counted = match point {
            Some(point) => is_evidence.then_some(What::Confidence(point)),
            None => model.map(|_| What::ConfidenceInvalid),
        };
        let shown = match (model.filter(|_| point.is_some()), fallback) {
            (Some(value), _) => Some((value.trim_ascii(), ConfidenceSource::Model)),
            (None, Some(value)) => Some((value.as_bytes(), ConfidenceSource::Rollout)),
            (None, None) => None,
        };
        Self { counted, shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Option<What> = Some(What::Confidence(32));
    const INVALID: Option<What> = Some(What::ConfidenceInvalid);

    #[track_caller]
    fn check(
        model: Option<&str>,
        fallback: Option<&str>,
        is_evidence: bool,
        counted: Option<What>,
        shown: Option<(&str, ConfidenceSource)>,
    ) {
        let rules = Confidence {
            from_header: Some("x-model-confidence".to_owned()),
            header: "x-serin-confidence".to_owned(),
            source_header: "x-serin-confidence-source".to_owned(),
            min: 0.0,
            max: 63.0,
        };
        let model = model.map(str::as_bytes);
        let reading = ConfidenceReading::of(&rules, model, fallback, is_evidence, || 0);
        let shown = shown.map(|(value, source)| (value.as_bytes(), source));
        assert_eq!(reading, ConfidenceReading { counted, shown });
    }

    #[test]
    fn a_valid_value_is_counted_as_evidence_and_shown() {
        use ConfidenceSource::{Model, Rollout};
        check(Some("32"), None, true, HALF, Some(("32", Model)));
        check(Some(" 3.2e1\t"), None, true, HALF, Some(("3.2e1", Model)));
        // Of an override, a cohort, or weights that are past.
        check(Some("32"), None, false, None, Some(("32", Model)));
        check(Some("0"), Some("0.9"), true, Some(What::Confidence(0)), Some(("0", Model)));
        check(None, Some("0.9"), true, None, Some(("0.9", Rollout)));
        check(None, None, true, None, None);
    }

    #[test]
    fn an_invalid_value_is_counted_as_such_and_never_shown() {
        for value in ["", "high", "NaN", "inf", "-1", "64", "1,5", "0x20", "32 33"] {
            check(Some(value), None, true, INVALID, None);
            check(Some(value), None, false, INVALID, None);
            check(Some(value), Some("0.9"), true, INVALID, Some(("0.9", ConfidenceSource::Rollout)));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_invalid() {
        let rules = Confidence {
            from_header: None,
            header: String::new(),
            source_header: String::new(),
            min: 0.0,
            max: 1.0,
        };
        let reading = ConfidenceReading::of(&rules, Some(&[0xff, b'1']), None, true, || 0);
        assert_eq!(reading, ConfidenceReading { counted: INVALID, shown: None });
        // Limits without room between them are no scale.
        let rules = Confidence { max: 0.0, ..rules };
        let reading = ConfidenceReading::of(&rules, Some(b"0"), None, true, || 0);
        assert_eq!(reading, ConfidenceReading { counted: INVALID, shown: None });
    }

    #[test]
    fn a_value_in_a_body_is_counted_as_one_in_a_header_is() {
        let rules = Confidence {
            from_header: None,
            header: String::new(),
            source_header: String::new(),
            min: 0.0,
            max: 63.0,
        };
        assert_eq!(scored(&rules, Some(32.0), true, 0), HALF);
        assert_eq!(scored(&rules, Some(32.0), false, 0), None, "of weights that are past");
        for value in [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1.0), Some(64.0)] {
            assert_eq!(scored(&rules, value, true, 0), INVALID, "{value:?}");
        }
    }

    #[test]
    fn chance_is_drawn_for_numbers_alone() {
        let rules = Confidence {
            from_header: None,
            header: String::new(),
            source_header: String::new(),
            min: 0.0,
            max: 1.0,
        };
        for value in [None, Some(b"high".as_slice())] {
            ConfidenceReading::of(&rules, value, None, true, || panic!("nothing is rounded"));
        }
    }
}
