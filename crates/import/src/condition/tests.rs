use super::*;

/// Written as `0.1..5`, with `?` for what no data does (`?+` passes, `?-` does not), `!` for a look into an empty list.
fn said(text: &str, negated: bool) -> String {
    match read(text).and_then(|expr| meaning(&expr, negated)) {
        Err(why) => format!("error: {why}"),
        Ok(meaning) => {
            let bound = |bound: Option<f64>| bound.map_or(String::new(), |bound| bound.to_string());
            let mut parts: Vec<String> = meaning
                .ranges
                .iter()
                .map(|(path, range)| format!("{}{}..{}", path.join("/"), bound(range.min), bound(range.max)))
                .collect();
            parts.extend(meaning.always.map(|always| always.to_string()));
            parts.extend(meaning.every.map(|every| if every { "every" } else { "any" }.to_owned()));
            parts.extend(meaning.no_data.map(|passes| if passes { "?+" } else { "?-" }.to_owned()));
            parts.extend(meaning.indexed.then(|| "!".to_owned()));
            parts.join(" ")
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(said(text, false), expected, "{text}");
}

#[test]
fn limits_are_read() {
    check("result[0] < 0.01", "..0.01 !");
    check("result >= 0.95", "0.95..");
    check("0.95 <= result[0]", "0.95.. !");
    check("result[0] > 0.9 && result[0] < 1.1", "0.9..1.1 !");
    check("result == 1", "1..1");
    check("asFloat(result) <= 1e-3", "..0.001");
    check("result[0]<100*2", "..200 !");
    check("!(result[0] > 5)", "..5 !");
    check("result[0] < 5 || result[0] < 7", "..7 !");
    check("(result[0] > -1) and not (result[0] >= 3)", "-1..3 !");
    check("result.success_percent > 0.95", "success_percent0.95..");
    check("result.data[0].value < 5 && result.ok >= 1", "data/0/value..5 ok1..");
    assert_eq!(said("result[0] >= 0.05", true), "..0.05 !");
    assert_eq!(said("result[0] > 5 || result[0] < 1", true), "1..5 !");
}

#[test]
fn what_no_data_does_is_read() {
    check("isNaN(result[0]) || result[0] < 5", "..5 ?+ !");
    check("len(result) == 0 || result[0] >= 0.9", "0.9.. ?+");
    check("len(result) > 0 && result[0] < 5", "..5 ?-");
    check("!isNaN(result) && result < 5", "..5 ?-");
    check("default(result, 0) < 0.05", "..0.05 ?+");
    check("default(result, 1) < 0.05", "..0.05 ?-");
    check("len(result) == 0 ? true : result[0] < 5", "..5 ?+");
    check("all(result, # < 5)", "..5 every ?+");
    check("all(result, {# > 0.5})", "0.5.. every ?+");
    check("any(result, # < 5)", "..5 any ?-");
    assert_eq!(said("any(result, # > 5)", true), "..5 every ?+");
}

#[test]
fn what_is_not_understood_is_said() {
    check("true", "true");
    check("result == \"ok\"", "error: it compares with the text \"ok\", and Serin reads numbers");
    check("result", "error: it asks whether the result is true, and not which number it is");
    check("result[0] != 0", "error: every number but 0 would pass");
    for odd in [
        "",
        "(",
        "result[0] <",
        "result[0] < 5 5",
        "foo",
        "foo(",
        "result.",
        "result[",
        "result < 1/0",
        "@",
        "\"x",
        "é",
        ".",
        "result[0] < 1 || result[0] > 5",
        "result.a < 1 || result.b < 2",
        "a ? b",
        "-result < 5",
        "1..2 < result",
    ] {
        assert!(said(odd, false).starts_with("error"), "{odd}: {}", said(odd, false));
        assert!(said(odd, true).starts_with("error") || odd.contains("||"), "{odd}: {}", said(odd, true));
    }
    let deep = format!("{}1 < result{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(said(&deep, false).contains("too deep"));
}
