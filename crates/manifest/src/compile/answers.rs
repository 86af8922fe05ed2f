//! What is read in the models' answers, and where.

use answer::{Classes, FailedWhen, Format, Pointer, Rules, Scalar};
use split::policy;

use super::Check;
use crate::gate::Metric;
use crate::typed::{self, AnswerFormat, AnswerScalar, RolloutSpec};

/// Answers that one worker of Envoy reads at once, where nobody says.
const MAX_OPEN: u32 = 1_000;

pub(super) fn confidence(check: &mut Check, written: &typed::Confidence) -> policy::Confidence {
    let at = "spec.confidence";
    let range = written.range.unwrap_or(typed::Range { min: 0.0, max: 1.0 });
    if !(range.min.is_finite() && range.max.is_finite() && range.min < range.max) {
        check.refuse(format!("{at}.range"), "it is empty", "write a min below the max");
    }
    match (&written.from_header, &written.from_body) {
        (None, None) => check.refuse(
            at,
            "nothing says where the model's confidence is read",
            "add fromHeader, the response header that carries it, or fromBody, a JSON pointer to it such as \
             /predictions/0/score",
        ),
        (Some(_), Some(_)) => check.refuse(
            format!("{at}.fromBody"),
            "it is read in a header as well",
            "keep one of fromHeader and fromBody",
        ),
        _ => {}
    }
    let header = |check: &mut Check, field: &str, given: &Option<String>, default: &str| {
        check.header(&format!("{at}.{field}"), given.as_deref().unwrap_or(default))
    };
    policy::Confidence {
        from_header: written.from_header.as_ref().map(|name| check.header(&format!("{at}.fromHeader"), name)),
        header: header(check, "header", &written.header, "x-serin-confidence"),
        source_header: header(check, "sourceHeader", &written.source_header, "x-serin-confidence-source"),
        min: range.min,
        max: range.max,
    }
}

/// What is read in bodies; `None`: nothing asks for it.
pub(super) fn answer(check: &mut Check, spec: &RolloutSpec) -> Option<policy::Answer> {
    let at = "spec.answer";
    let from_body = spec.confidence.as_ref().and_then(|confidence| confidence.from_body.as_deref());
    if spec.answer.is_none() && from_body.is_none() {
        return None;
    }
    let written = spec.answer.clone().unwrap_or_default();
    let class = written.class.as_ref().and_then(|class| {
        let pointer = pointer(check, &format!("{at}.class.at"), &class.at)?;
        Some(Classes { at: pointer, names: class.names.clone() })
    });
    let failed_when = written.failed_when.iter().enumerate().filter_map(|(index, failed)| {
        let pointer = pointer(check, &format!("{at}.failedWhen[{index}].at"), &failed.at)?;
        Some(FailedWhen { at: pointer, equals: failed.equals.as_ref().map(scalar) })
    });
    let failed_when = failed_when.collect();
    let read = Rules {
        format: format(written.format.unwrap_or(AnswerFormat::Json)),
        score: from_body.and_then(|text| pointer(check, "spec.confidence.fromBody", text)),
        class,
        failed_when,
        expects_json: written.expects_json.unwrap_or(false),
        max_bytes: written.max_bytes.unwrap_or(answer::DEFAULT_MAX_BYTES),
    };
    if let Err(wrong) = answer::Compiled::compile(&read) {
        let field = wrong.field.replace("failed_when", "failedWhen").replace("max_bytes", "maxBytes");
        check.refuse(format!("{at}.{field}"), "it is out of its bounds", wrong.reason);
    }
    let max_open = written.max_open.unwrap_or(MAX_OPEN);
    if !(1..=policy::MOST_OPEN).contains(&max_open) {
        let remedy = format!("write a number from 1 to {}", policy::MOST_OPEN);
        check.refuse(format!("{at}.maxOpen"), format!("{max_open} is no bound"), remedy);
    }
    Some(policy::Answer { read, max_open })
}

fn pointer(check: &mut Check, field: &str, text: &str) -> Option<Pointer> {
    Pointer::parse(text)
        .map_err(|problem| check.refuse(field, format!("{text:?} is no JSON pointer"), problem))
        .ok()
}

const fn format(written: AnswerFormat) -> Format {
    match written {
        AnswerFormat::Json => Format::Json,
        AnswerFormat::OpenAi => Format::OpenAi,
        AnswerFormat::Anthropic => Format::Anthropic,
        AnswerFormat::KServe => Format::KServe,
        AnswerFormat::Generate => Format::Generate,
    }
}

fn scalar(written: &AnswerScalar) -> Scalar {
    match written {
        AnswerScalar::Bool(value) => Scalar::Bool(*value),
        AnswerScalar::Number(value) => Scalar::Number(*value),
        AnswerScalar::Text(value) => Scalar::Text(value.clone()),
    }
}

/// Tokens and refusals are told of by the formats that have them, and no JSON is missed where none was asked for.
pub(super) fn told_of(check: &mut Check, at: &str, metric: Metric, answer: &typed::Answer) {
    use typed::AnswerFormat::{Anthropic, Generate, OpenAi};
    let tells = matches!(answer.format, Some(OpenAi | Anthropic | Generate));
    let needs = matches!(
        metric,
        Metric::TimeToFirstTokenP95 | Metric::TimePerOutputTokenP95 | Metric::RefusalRate | Metric::EmptyRate
    );
    if needs && !tells {
        let remedy = "set spec.answer.format to openai, anthropic or generate, or leave the gate out";
        let problem = format!("the format of the answers tells nothing of {}", metric.name());
        check.refuse(format!("{at}.metric"), problem, remedy);
    }
    if metric == Metric::InvalidRate && answer.expects_json != Some(true) {
        let remedy = "set spec.answer.expectsJson to true, or leave the gate out";
        check.refuse(format!("{at}.metric"), "nobody asks the models for JSON", remedy);
    }
}
