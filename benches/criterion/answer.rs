//! What it costs to read an answer, by its bytes: whole, in chunks of a network's size, and in pieces of a byte; beside what
//! `serde_json` takes to look through the same bytes without keeping any, and to keep them all.

#![allow(clippy::expect_used, missing_docs, reason = "a bench that cannot begin has nothing to say")]

use std::hint::black_box;

use answer::{Compiled, Format, Pointer, Reader, Rules};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::de::IgnoredAny;
use serde_json::Value;

fn rules(format: Format, score: &str) -> Compiled {
    let score = Some(Pointer::parse(score).expect("a pointer"));
    Compiled::compile(&Rules { format, score, ..Rules::default() }).expect("rules within their bounds")
}

/// A thousand predictions with some digits each, as Python writes them.
fn predictions() -> String {
    let one = |at: u32| {
        let score = f64::from(at) / 1_001.3;
        format!("{{\"label\": \"class-{}\", \"score\": {score}}}", at % 7)
    };
    let all: Vec<String> = (0..1_000).map(one).collect();
    format!("{{\"predictions\": [{}]}}", all.join(", "))
}

/// A chat completion of some 20 KB, most of it the model's text.
fn chat() -> String {
    let text = "The quick brown fox jumps over the lazy dog.\\n".repeat(450);
    format!(
        "{{\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":4500}}}}"
    )
}

/// The same as a stream of 500 events.
fn events() -> String {
    let event = "data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1694268190,\"model\":\"m\",\
                 \"choices\":[{\"index\":0,\"delta\":{\"content\":\" fox\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
    event.repeat(500) + "data: [DONE]\n\n"
}

fn answers(criterion: &mut Criterion) {
    let cases = [
        ("predictions", rules(Format::Json, "/predictions/0/score"), predictions(), "application/json"),
        ("chat", rules(Format::OpenAi, "/choices/0/logprobs/content/0/logprob"), chat(), "application/json"),
        (
            "events",
            rules(Format::OpenAi, "/choices/0/logprobs/content/0/logprob"),
            events(),
            "text/event-stream",
        ),
    ];
    for (name, rules, body, content_type) in &cases {
        let mut group = criterion.benchmark_group(format!("answer/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        for (cut, length) in [("whole", usize::MAX), ("chunks of 4 KiB", 4_096), ("single bytes", 1)] {
            group.bench_with_input(BenchmarkId::from_parameter(cut), body.as_bytes(), |bencher, body| {
                bencher.iter(|| {
                    let mut reader = Reader::new(rules, Some(content_type.as_bytes()), None);
                    for chunk in body.chunks(length) {
                        reader.chunk(black_box(chunk), 7);
                    }
                    reader.end(true)
                });
            });
        }
        // Of a stream, what a client would parse of each event.
        let documents: Vec<&str> = match *content_type {
            "text/event-stream" => body
                .lines()
                .filter_map(|line| line.strip_prefix("data: ").filter(|data| data.starts_with('{')))
                .collect(),
            _ => vec![body],
        };
        group.bench_function("serde_json, looking through", |bencher| {
            bencher.iter(|| {
                for document in &documents {
                    serde_json::from_str::<IgnoredAny>(black_box(document)).expect("JSON");
                }
            });
        });
        group.bench_function("serde_json, keeping", |bencher| {
            bencher.iter(|| {
                for document in &documents {
                    black_box(serde_json::from_str::<Value>(black_box(document)).expect("JSON"));
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, answers);
criterion_main!(benches);
