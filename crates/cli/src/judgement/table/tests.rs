use super::*;

#[track_caller]
fn refused(text: &str, column: &str, parts: &[&str]) {
    let error = match Table::parse("x.csv", text) {
        Ok(table) => table.column(column).expect_err("accepted").to_string(),
        Err(error) => error.to_string(),
    };
    for part in parts {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn bad_input_names_file_line_column_and_remedy() {
    refused("", "a", &["x.csv is empty", "header"]);
    refused("a,b\n", "a", &["no rows"]);
    refused("1,2\n3,4\n", "a", &["x.csv:1", "header"]);
    refused("a,a\n1,2\n", "a", &["x.csv:1", "two columns", "rename"]);
    refused("a,\n1,2\n", "a", &["x.csv:1", "column 2 has no name"]);
    refused("a,,b\n1,2,3\n", "a", &["x.csv:1", "column 2 has no name"]);
    refused("a,b\n1,2\n3\n", "a", &["x.csv:3", "1 cells under 2 columns"]);
    refused("a\n1\nfast\n", "a", &["x.csv:3", "\"a\"", "\"fast\"", "number"]);
    refused("a\n1\ninf\n", "a", &["x.csv:3", "\"inf\"", "largest number"]);
    refused("a\n1\n", "b", &["no column \"b\"", "it has: a"]);
    refused("[1]", "a", &["one JSON array", "jq"]);
    refused("{\"a\":1}\n{\"a\":\n", "a", &["x.csv:2", "one whole JSON object per line"]);
    refused("{\"a\":1}\n{\"a\":\"x\"}\n", "a", &["x.csv:2", "\"a\"", "\"x\""]);
    refused("{\"a\":1}\n{\"a\":-Infinity}\n", "a", &["x.csv:2", "\"-Infinity\"", "empty"]);
    refused("{\"a\":1}\n{\"a\":Nan}\n", "a", &["x.csv:2", "JSON"]);
    refused("a\n1\n12.3 ms\n", "a", &["x.csv:3", "\"12.3 ms\"", "without unit"]);
    refused("a\n1\n5%\n", "a", &["x.csv:3", "\"5%\""]);
    refused("a\n1\n-\n", "a", &["x.csv:3", "\"-\"", "leave it empty"]);
    refused("a\n1\n#REF!\n", "a", &["x.csv:3", "\"#REF!\""]);
    // Line numbers count what stands before the header.
    refused("sep=;\na;b\n1;2\n3;x\n", "b", &["x.csv:4", "\"x\""]);
}

#[test]
fn what_cannot_be_told_is_refused() {
    // Nothing in the whole column.
    refused("a,b\n,1\nNA,2\n", "a", &["x.csv", "\"a\"", "no value in any of its 2 rows", "another column"]);
    refused("{\"a\":null,\"b\":1}\n{\"a\":NaN}\n", "a", &["no value in any of its 2 rows"]);
    // Yes and no among numbers.
    refused("a\nTrue\n3.5\n", "a", &["x.csv:3", "\"True\" and \"3.5\"", "only true and false"]);
    refused("a\n2\nno\n", "a", &["x.csv:3", "\"no\" and \"2\""]);
    // Thousands or decimals?
    refused("a,b\n\"1,234\",2\n\"5,678\",2\n", "a", &["x.csv:2", "\"1,234\"", "cannot be told"]);
    refused("a\tb\n1,234\t2\n", "a", &["x.csv:2", "\"1,234\""]);
    refused("a;b\n1,5;2\n2.5;2\n", "a", &["x.csv:3", "\"1,5\" and \"2.5\"", "one decimal mark"]);
    refused("a;b\n1,5;2.5\n", "b", &["x.csv:2", "\"b\"", "\"2.5\"", "\"a\" has decimal commas"]);
    refused("a;b\n1.234,5;2\n", "a", &["x.csv:2", "\"1.234,5\"", "thousands"]);
    refused("a\n12,5\n13,5\n", "a", &["x.csv:2", "2 cells under 1 columns", "sep=;"]);
    // Two dividers that both fit.
    refused("a;b,c\n1;2,3\n", "a", &["x.csv:1", "comma", "semicolon", "sep=;"]);
}

#[track_caller]
fn read(text: &str, column: &str, expected: &[f64]) {
    let values = Table::parse("x", text).unwrap().column(column).unwrap();
    let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    assert!(values.len() == expected.len() && values.iter().zip(expected).all(same), "{values:?}");
}

const NAN: f64 = f64::NAN;

#[test]
fn both_forms_are_read() {
    read("a,b\n1,x\n2.5,y\n", "a", &[1.0, 2.5]);
    read("a,b\n1,\n2, 7 \n3,NaN\n", "b", &[NAN, 7.0, NAN]);
    read("\u{feff}a\r\n1e-3\r\n", "a", &[1e-3]);
    read("{\"a\":1}\n\n{\"b\":2,\"a\":null}\n{\"a\":true}\n", "a", &[1.0, NAN, 1.0]);
    read("{\"a\":1}\n{\"b\":2,\"a\":3}\n", "b", &[NAN, 2.0]);
}

#[test]
fn yes_and_no_are_read() {
    for (yes, no) in
        [("true", "false"), ("True", "False"), ("TRUE", "FALSE"), ("T", "F"), ("t", "f"), ("yes", "No")]
    {
        read(&format!("ok\n{yes}\n{no}\n"), "ok", &[1.0, 0.0]);
        read(&format!("{{\"ok\":\"{yes}\"}}\n{{\"ok\":\"{no}\"}}\n"), "ok", &[1.0, 0.0]);
    }
    // pandas makes numbers or objects of a column with gaps.
    read("ok\n1.0\n\n0.0\n", "ok", &[1.0, 0.0]);
    read("ok,n\nTrue,1\n,2\nFalse,3\n1,4\n", "ok", &[1.0, NAN, 0.0, 1.0]);
}

#[test]
fn nothing_is_written_in_many_ways() {
    for nothing in [
        "", "NaN", "nan", "-nan", "NA", "N/A", "n/a", "<NA>", "null", "NULL", "None", "#N/A", "#NA",
        "#DIV/0!", "\\N", "NaT", "\"\"", "\"NA\"",
    ] {
        read(&format!("a,b\n1,1\n{nothing},2\n"), "a", &[1.0, NAN]);
    }
    read("{\"a\":NaN}\n{\"a\": NaN, \"b\": \"NaN \\\" NaN\"}\n{\"a\":2}\n", "a", &[NAN, NAN, 2.0]);
    read("{\"a\":1,\"b\":Infinity,\"c\":[NaN,1]}\n", "a", &[1.0]);
    read("{\"a\":\"N/A\"}\n{\"a\":\" 2.5 \"}\n{\"a\":\"\"}\n", "a", &[NAN, 2.5, NAN]);
}

#[test]
fn dividers_and_decimal_marks_are_told() {
    read("Time;latency\n2026-01-31T12:00:00+00:00;19.748\n", "latency", &[19.748]);
    read("sep=;\r\nTime;latency\r\n2026-01-31;19.748\r\n", "latency", &[19.748]);
    read("\u{feff}\"sep=;\"\n\"at\";\"ms\"\n\"x\";\"19,5\"\n", "ms", &[19.5]);
    // Three digits after every comma: decimals all the same, where columns are divided by semicolons.
    read("at;ms\nx;19,748\nx;-6,495\nx;1,5e3\nx;7\n", "ms", &[19.748, -6.495, 1500.0, 7.0]);
    read("at\tms\nx\t19,5\n", "ms", &[19.5]);
    read("at\tms\n2026-01-31 12:00\t19.5\n", "ms", &[19.5]);
    read("at|ms\nx|19.5\n", "ms", &[19.5]);
    read("at,ms\n\"a;b\",\"19,748\"\nc,\"0,5\"\n", "ms", &[19.748, 0.5]);
    read("at,ms\n\"a;b\",\"19.5\"\n", "ms", &[19.5]);
    read("a;b,ms\nx;y,1\nz,2\n", "ms", &[1.0, 2.0]);
    // A divider at the end of every line, and an index without a name.
    read("at;ms;\nx;1;\ny;2;\n", "ms", &[1.0, 2.0]);
    read(",ms\n0,1\n1,2\n", "ms", &[1.0, 2.0]);
    read("\"\",\"ms\"\n\"1\",1\n\"2\",NA\n", "ms", &[1.0, NAN]);
}

#[test]
fn labels_have_one_form() {
    let labels = |text: &str| Table::parse("x", text).unwrap().labels("a").unwrap();
    assert_eq!(labels("a,b\n1.0,\n1,\n0.50,\n-3,\n0,\n"), ["1", "1", "0.5", "-3", "0"]);
    assert_eq!(labels("a,b\nTrue,\nTRUE,\nNA,\nnan,\n,\n"), ["true", "true", "NA", "", ""]);
    // What is no number to the one who wrote it stays.
    assert_eq!(labels("a,b\n007,\n12345678901234567890,\n+49,\n"), ["007", "12345678901234567890", "+49"]);
}

#[test]
fn units_are_averaged() {
    let of = |text: &str| Table::parse("x", text).unwrap().by_unit("u");
    let table = of("u;ms;ok;tag\n1;1,5;True;x\n1.0;2,5;False;y\n2;;;\n").unwrap();
    assert_eq!(table.column("ms").unwrap()[0], 2.0);
    assert_eq!(table.column("ok").unwrap()[0], 0.5);
    assert_eq!(table.labels("tag").unwrap(), ["x", ""]);
    assert!(of("u,ms\n1,1\nNA,2\n").err().unwrap().to_string().contains("x:3: column \"u\" is empty"));
}

#[track_caller]
fn untimely(text: &str, parts: &[&str]) {
    let error = Table::parse("x", text).unwrap().moments("t").unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn moments_are_read() {
    let of = |text: &str| Table::parse("x", text).unwrap().moments("t").unwrap().seconds;
    let noon = 1_769_860_800.0;
    assert_eq!(of("t\n2026-01-31T12:00:00Z\n2026-01-31T13:00:00.5+01:00\n"), [noon, noon + 0.5]);
    assert_eq!(of("t\n1769860800\n1769860801\n"), [noon, noon + 1.0]);
    assert_eq!(of("{\"t\":1769860800000000}\n{\"t\":\"1769860801000000\"}\n"), [noon, noon + 1.0]);
    untimely("t\n1769860801\n1769860800\n", &["x:3: column \"t\" goes back in time", "sort"]);
    untimely("t\nnoon\n", &["x:2: column \"t\"", "\"noon\"", "2026-01-31T12:00:00Z"]);
    let remedy = "give 2026-01-31T12:00:00Z, or a number since 1970";
    untimely("t\n2026-02-31T12:00:00Z\n", &["x:2: column \"t\"", "2026-02-31", "no time", remedy]);
    untimely("t\n2026-02-31 12:00\n", &["x:2: column \"t\"", "2026-02-31", "no time", remedy]);
    untimely("t\n2026-01-31T25:99:00Z\n", &["x:2: column \"t\"", "25:99", "no time", remedy]);
    untimely("t\n2026-01-31 25:99\n", &["x:2: column \"t\"", "25:99", "no time", remedy]);
    untimely("t,u\n1769860800,1\n,1\n", &["x:3", "\"\"", "no time"]);
    untimely("t\n46053.5\n", &["x:2", "46053.5", "from 1990 to 2099", "microseconds"]);
    untimely("t\n2026-01-31 12:00:00\n2026-01-31 12:01:00Z\n", &["x:3", "names no zone", "+01:00"]);
}
