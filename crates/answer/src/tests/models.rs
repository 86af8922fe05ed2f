//! Whole answers and streams as model servers send them, format by format.

use serde_json::json;

use super::{check_json, check_stream, streamed};
use crate::{Finish, Observed, Unseen};

fn whole(tokens_in: u64, tokens_out: u64, finish: Finish) -> Observed {
    Observed {
        tokens_in: Some(tokens_in),
        tokens_out: Some(tokens_out),
        finish: Some(finish),
        ..Observed::default()
    }
}

#[test]
fn openai_whole() {
    let openai = || json!({"format": "openai"});
    let check = |body: &str, expected| check_json(openai(), body, expected);
    // Chat: `usage` with the details of reasoning tokens, which are part of the output.
    check(
        r#"{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"completion_tokens_details":{"reasoning_tokens":4}}}"#,
        whole(19, 10, Finish::Stop),
    );
    check(
        r#"{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":8,"completion_tokens":3}}"#,
        whole(8, 3, Finish::ToolCalls),
    );
    check(
        r#"{"choices":[{"message":{"content":null,"refusal":"I'm sorry, I can't help with that."},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":9}}"#,
        Observed { is_refusal: true, ..whole(8, 9, Finish::Stop) },
    );
    // All tokens went into thinking: nothing for the user.
    check(
        r#"{"choices":[{"message":{"content":"","reasoning_content":"hm, let me see"},"finish_reason":"length"}],"usage":{"prompt_tokens":8,"completion_tokens":9}}"#,
        Observed { is_empty: true, ..whole(8, 9, Finish::Length) },
    );
    // Completions.
    check(
        r#"{"object":"text_completion","choices":[{"text":" a time","index":0,"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#,
        whole(5, 7, Finish::Length),
    );
    // Responses: `completed` of a call is a call; `incomplete` says why.
    check(
        r#"{"object":"response","status":"completed","error":null,"incomplete_details":null,"output":[{"type":"reasoning","summary":[]},{"type":"message","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":64}}}"#,
        whole(36, 87, Finish::Stop),
    );
    check(
        r#"{"object":"response","status":"completed","error":null,"output":[{"type":"function_call","name":"f","arguments":"{}"}],"usage":{"input_tokens":3,"output_tokens":8}}"#,
        whole(3, 8, Finish::ToolCalls),
    );
    check(
        r#"{"object":"response","status":"incomplete","error":null,"incomplete_details":{"reason":"max_output_tokens"},"output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":3,"output_tokens":8}}"#,
        whole(3, 8, Finish::Length),
    );
    // Embeddings have no reason to stop.
    check(
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.0023,-0.009]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
        Observed { tokens_in: Some(8), ..Observed::default() },
    );
    // Errors under a status of success.
    let failed = Observed { failed: true, ..Observed::default() };
    check(r#"{"error":{"message":"overloaded","type":"server_error","code":null}}"#, failed);
    check(r#"{"object":"error","message":"no","type":"BadRequestError","code":400,"choices":[]}"#, failed);
    // Nothing of the format.
    let other = Observed { unseen: Some(Unseen::OtherType), ..Observed::default() };
    check(r#"{"hello":"world"}"#, other);
    check("oh no", other);
}

#[test]
fn openai_streams() {
    let check = |body: &str, expected| check_stream("openai", body, expected);
    // `stream_options.include_usage`: the last chunk has no choices.
    check(
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"He\"},\"finish_reason\":null}],\"usage\":null}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n\
         data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12}}\n\n\
         data: [DONE]\n\n",
        streamed(Some(9), Some(12), Some(Finish::Stop)),
    );
    // Azure: filter results first, without choices; comments keep the connection open; no usage, so events are counted.
    check(
        "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n\
         : OPENROUTER PROCESSING\n\n\
         data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"index\":0}]}\n\n\
         data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"index\":0}]}\n\n\
         data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"content_filter\",\"index\":0}]}\n\n\
         data: [DONE]\n\n",
        Observed { is_counted: true, ..streamed(None, Some(2), Some(Finish::ContentFilter)) },
    );
    // vLLM: `choices` of the usage chunk may be null, and a reasoning model thinks first.
    check(
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n\
         data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n\
         data: {\"choices\":null,\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n",
        streamed(Some(2), Some(3), Some(Finish::Stop)),
    );
    // Servers that fill in zeros.
    check(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\ndata: [DONE]\n\n",
        Observed { is_counted: true, ..streamed(Some(0), Some(1), Some(Finish::Stop)) },
    );
    // A tool call's first part is a first token.
    check(
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n\
         data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n",
        Observed { is_counted: true, ..streamed(None, Some(1), Some(Finish::ToolCalls)) },
    );
    // llama.cpp: timings in place of usage, and no last blank line.
    check(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
         data: {\"choices\":[{\"finish_reason\":\"length\",\"delta\":{}}],\"timings\":{\"prompt_n\":16,\"predicted_n\":4}}\n\ndata: [DONE]",
        streamed(Some(16), Some(4), Some(Finish::Length)),
    );
    let broken = Observed { is_broken: true, ..streamed(None, None, None) };
    // Neither a reason nor `[DONE]`.
    check(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
        Observed { is_counted: true, tokens_out: Some(1), ..broken },
    );
    // vLLM: an error, and `[DONE]` all the same.
    check(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"EngineDeadError\",\"code\":500}}\n\ndata: [DONE]\n\n",
        Observed { is_counted: true, tokens_out: Some(1), ..broken },
    );
    let untimed = Observed { is_streamed: true, ..Observed::default() };
    check("error: {\"code\":500,\"message\":\"slot\"}\n\n", Observed { is_broken: true, ..untimed });
    check("", Observed { is_broken: true, ..untimed });
    // vLLM again: what failed before its first token may end as if nothing were wrong.
    check("data: [DONE]\n\n", Observed { is_empty: true, ..untimed });
    check("data: {\"choices\":[{\"delta\":{\"con", Observed { is_broken: true, ..untimed });
}

#[test]
fn openai_responses_streams() {
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let created =
        event("response.created", r#","response":{"status":"in_progress","output":[],"error":null}"#);
    let delta = event("response.output_text.delta", r#","item_id":"m","delta":"Hi","logprobs":[]"#);
    let completed = event(
        "response.completed",
        r#","response":{"status":"completed","error":null,"output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":37,"output_tokens":11}}"#,
    );
    let check = |body: &str, expected| check_stream("openai", body, expected);
    check(
        &format!("{created}{delta}{}{completed}", event("response.output_text.done", r#","text":"Hi""#)),
        streamed(Some(37), Some(11), Some(Finish::Stop)),
    );
    // By the type alone, wherever it stands.
    check(
        &format!("data: {{\"delta\":\"Hi\",\"type\":\"response.output_text.delta\"}}\n\n{completed}"),
        streamed(Some(37), Some(11), Some(Finish::Stop)),
    );
    check(
        &format!("{created}{delta}"),
        Observed { is_broken: true, is_counted: true, ..streamed(None, Some(1), None) },
    );
    check(
        &format!(
            "{created}{}",
            event("response.failed", r#","response":{"status":"failed","error":{"code":"server_error"}}"#)
        ),
        Observed { is_streamed: true, is_broken: true, ..Observed::default() },
    );
    check(
        &format!(
            "{}{}",
            event("response.refusal.delta", r#","delta":"I cannot""#),
            event(
                "response.completed",
                r#","response":{"status":"completed","usage":{"input_tokens":3,"output_tokens":2}}"#
            )
        ),
        Observed { is_refusal: true, ..streamed(Some(3), Some(2), Some(Finish::Stop)) },
    );
}

#[test]
fn anthropic() {
    let check = |body: &str, expected| check_json(json!({"format": "anthropic"}), body, expected);
    // What was read from a cache is part of the prompt.
    check(
        r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"cache_creation_input_tokens":287,"cache_read_input_tokens":30433,"output_tokens":67}}"#,
        whole(30721, 67, Finish::Stop),
    );
    check(
        r#"{"type":"message","content":[],"stop_reason":"refusal","usage":{"input_tokens":5,"output_tokens":1}}"#,
        Observed { is_refusal: true, ..whole(5, 1, Finish::ContentFilter) },
    );
    check(
        r#"{"type":"message","content":[{"type":"tool_use","id":"t","name":"f","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":5,"output_tokens":1}}"#,
        whole(5, 1, Finish::ToolCalls),
    );
    check(
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        Observed { failed: true, ..Observed::default() },
    );

    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\": \"{kind}\"{rest}}}\n\n");
    let start = event(
        "message_start",
        r#", "message": {"type": "message", "content": [], "stop_reason": null, "usage": {"input_tokens": 25, "output_tokens": 1}}"#,
    );
    let text = event("content_block_start", r#", "index": 0, "content_block": {"type": "text", "text": ""}"#);
    let delta =
        event("content_block_delta", r#", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}"#);
    let end = |reason: &str| {
        let delta = event(
            "message_delta",
            &format!(r#", "delta": {{"stop_reason": "{reason}"}}, "usage": {{"output_tokens": 15}}"#),
        );
        format!("{delta}{}", event("message_stop", ""))
    };
    let ping = event("ping", "");
    let check = |body: &str, expected| check_stream("anthropic", body, expected);
    check(
        &format!("{start}{text}{ping}{delta}{}", end("end_turn")),
        streamed(Some(25), Some(15), Some(Finish::Stop)),
    );
    check(
        &format!("{start}{text}{}", end("end_turn")),
        Observed {
            is_empty: true,
            first_token_ms: None,
            last_token_ms: None,
            ..streamed(Some(25), Some(15), Some(Finish::Stop))
        },
    );
    check(
        &format!(
            "{start}{text}{delta}{}",
            event("error", r#", "error": {"type": "overloaded_error", "message": "Overloaded"}"#)
        ),
        // One token at the start is not the model's last word.
        Observed { is_broken: true, is_counted: true, ..streamed(Some(25), Some(1), None) },
    );
    let tool = event(
        "content_block_start",
        r#", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}"#,
    );
    check(
        &format!("{start}{tool}{}", end("tool_use")),
        streamed(Some(25), Some(15), Some(Finish::ToolCalls)),
    );
    check(
        &format!("{start}{text}{delta}{}", end("refusal")),
        Observed { is_refusal: true, ..streamed(Some(25), Some(15), Some(Finish::ContentFilter)) },
    );
}

#[test]
fn generate() {
    let check = |body: &str, expected| check_json(json!({"format": "generate"}), body, expected);
    let plain = Observed::default();
    check(r#"{"model_name":"m","model_version":"1","text_output":"hello"}"#, plain);
    check(r#"{"model_name":"m","model_version":"1","text_output":""}"#, Observed { is_empty: true, ..plain });
    check(r#"{"error":"in ensemble 'e', failed to decode"}"#, Observed { failed: true, ..plain });
    let tgi = r#"{"generated_text":"hello","details":{"finish_reason":"eos_token","generated_tokens":3,"prefill":[],"tokens":[]}}"#;
    let seen = Observed { tokens_out: Some(3), finish: Some(Finish::Stop), ..plain };
    check(tgi, seen);
    check(&format!("[{tgi}]"), seen);
    check(
        r#"{"content":"hi","stop":true,"tokens_predicted":2,"tokens_evaluated":9,"stop_type":"limit"}"#,
        whole(9, 2, Finish::Length),
    );

    let check = |body: &str, expected| check_stream("generate", body, expected);
    // Triton says nothing at the end.
    check(
        "data: {\"model_name\":\"m\",\"text_output\":\"a\"}\n\ndata: {\"model_name\":\"m\",\"text_output\":\"b\"}\n\n",
        Observed { is_counted: true, ..streamed(None, Some(2), None) },
    );
    check(
        "data: {\"text_output\":\"a\"}\n\ndata: {\"error\":\"out of memory\"}\n\n",
        Observed { is_broken: true, is_counted: true, ..streamed(None, Some(1), None) },
    );
    let token = "data:{\"index\":1,\"token\":{\"id\":1,\"text\":\"a\",\"logprob\":-0.1,\"special\":false},\"generated_text\":null,\"details\":null}\n\n";
    let last = "data:{\"index\":2,\"token\":{\"id\":2,\"text\":\"</s>\",\"logprob\":-0.1,\"special\":true},\"generated_text\":\"a\",\"details\":{\"finish_reason\":\"length\",\"generated_tokens\":2,\"input_length\":4}}\n\n";
    check(&format!("{token}{last}"), streamed(Some(4), Some(2), Some(Finish::Length)));
    check(token, Observed { is_broken: true, is_counted: true, ..streamed(None, Some(1), None) });
    check(
        "data: {\"content\":\" the\",\"stop\":false,\"tokens_predicted\":1,\"tokens_evaluated\":16}\n\n\
         data: {\"content\":\"\",\"stop\":true,\"tokens_predicted\":4,\"tokens_evaluated\":16,\"stop_type\":\"word\"}\n\n",
        streamed(Some(16), Some(4), Some(Finish::Stop)),
    );
}

#[test]
fn kserve() {
    let check = |body: &str, expected| check_json(json!({"format": "kserve"}), body, expected);
    let plain = Observed::default();
    check(r#"{"predictions":[1,0]}"#, plain);
    check(r#"{"predictions":[[0.1,0.9]]}"#, plain);
    check(r#"{"predictions":[]}"#, Observed { is_empty: true, ..plain });
    check(
        r#"{"model_name":"m","id":"1","outputs":[{"name":"o","shape":[1],"datatype":"FP32","data":[0.9]}]}"#,
        plain,
    );
    check(r#"{"model_name":"m","outputs":[]}"#, Observed { is_empty: true, ..plain });
    check(r#"{"error":"model not ready"}"#, Observed { failed: true, ..plain });
}

#[test]
fn json_where_json_was_asked_for() {
    let chat = |content: &str| {
        format!(
            "{{\"choices\":[{{\"message\":{{\"content\":{}}},\"finish_reason\":\"stop\"}}]}}",
            serde_json::to_string(content).expect("text")
        )
    };
    let finish = Some(Finish::Stop);
    let good = Observed { finish, ..Observed::default() };
    let bad = Observed { is_invalid_json: true, ..good };
    let openai = || json!({"format": "openai", "expects_json": true});
    for (content, expected) in [
        (r#"{"colour": "gr\u00fcn", "n": [1, 2.5e3]}"#, good),
        (" 12 \n", good),
        ("```json\n{}\n```", bad),
        ("Sure! {}", bad),
        (r#"{"a": 1"#, bad),
        (r#"{"a": NaN}"#, bad),
    ] {
        check_json(openai(), &chat(content), expected);
    }
    // Spread over a stream, an escape cut in two.
    let delta = |text: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{}}}}}]}}\n\n",
            serde_json::to_string(text).expect("text")
        )
    };
    let end =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let stream = |parts: &[&str]| parts.iter().map(|part| delta(part)).collect::<String>() + end;
    let seen = Observed { is_counted: true, ..streamed(None, Some(3), finish) };
    let compiled = super::rules(openai());
    super::check(&compiled, "text/event-stream", stream(&["{\"a\": \"\\", "n\"", "}"]).as_bytes(), seen);
    let bad = Observed { is_invalid_json: true, ..seen };
    super::check(&compiled, "text/event-stream", stream(&["{\"a\"", ": ", ","]).as_bytes(), bad);
    // Of several choices, none is checked: which text is whose is known too late.
    let two = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}}]}\n\n".to_owned()
        + &stream(&["{", "}"]);
    super::check(&compiled, "text/event-stream", two.as_bytes(), seen);
}
