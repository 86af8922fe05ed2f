//! Several documents in one text, as YAML divides them.

/// One of the documents of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The line it begins on, from 1.
    pub line: u64,
    /// Its own text.
    pub text: String,
}

/// The documents of a text: a line `---` begins another. Those that hold nothing but comments are left out, and so are
/// directives before such a line (`%YAML 1.2`): they say how to read what a rollout has no use for.
#[must_use]
pub fn documents(text: &str) -> Vec<Document> {
    let mut found = vec![Document { line: 1, text: String::new() }];
    for (line, number) in text.lines().zip(1..) {
        // At the beginning of a line these mean this even in the middle of a text.
        let marker = line.strip_prefix("---").or_else(|| line.strip_prefix("..."));
        match marker.filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            // What stands behind the marker belongs to the document already.
            Some(rest) => found.push(Document { line: number, text: format!("{rest}\n") }),
            None => {
                if let Some(last) = found.last_mut() {
                    last.text.push_str(line);
                    last.text.push('\n');
                }
            }
        }
    }
    // After the last `---` there is nothing a directive could be for: such a line is refused as what it is.
    let last = found.last().map(|document| document.line);
    found.retain(|document| {
        let directive = |line: &str| line.starts_with('%') && Some(document.line) != last;
        let says =
            |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#') && !directive(line);
        document.text.lines().any(says)
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(u64, &str)]) {
        let found = documents(text);
        let found: Vec<_> = found.iter().map(|document| (document.line, document.text.trim())).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_text_is_divided_where_yaml_divides_it() {
        check("", &[]);
        check("# nothing\n---\n\n", &[]);
        check("a: 1", &[(1, "a: 1")]);
        check(
            "a: 1\n---\nb: 2\n--- # the third\nc: 3\n...\n",
            &[(1, "a: 1"), (2, "b: 2"), (4, "# the third\nc: 3")],
        );
        check("---\na: 1\n---\n# none\n---\nb: ---x\n", &[(1, "a: 1"), (5, "b: ---x")]);
        check("--- {a: 1}\r\n---\r\nb: |\r\n  ---\r\n", &[(1, "{a: 1}"), (2, "b: |\n  ---")]);
        check("---x: 1\n", &[(1, "---x: 1")]);
        check("%YAML 1.2\n---\na: 1\n", &[(2, "a: 1")]);
        check(
            "# by a tool\n%YAML 1.2\n%TAG ! tag:x,2026:\n--- {a: 1}\n...\n%YAML 1.1\n---\nb: 2\n",
            &[(4, "{a: 1}"), (7, "b: 2")],
        );
        check("a: 1\n---\n%YAML 1.2\n", &[(1, "a: 1"), (2, "%YAML 1.2")]);
    }

    #[test]
    fn problems_are_told_by_the_line_of_the_whole_text() {
        let minimal = crate::tests::MINIMAL;
        let text = format!("{minimal}---\n{}", minimal.replace("canary:", "canry:"));
        let second = documents(&text).remove(1);
        let problems = crate::load(&second.text).expect_err("a typo").within(&second);
        assert!(problems.to_string().contains("(line 13): spec.canry"), "{problems}");
    }
}
