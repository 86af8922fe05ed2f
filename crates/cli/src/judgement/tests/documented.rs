//! What docs/judging.md shows of the files in examples/ is what they give.

use super::*;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A command of the documentation and what it shows below it.
fn shown(documentation: &str) -> Vec<(String, String)> {
    let blocks = documentation.split("```console\n$ ").skip(1).filter_map(|block| block.split("```").next());
    blocks
        .map(|block| {
            let lines: Vec<&str> = block.lines().collect();
            let command = 1 + lines.iter().take_while(|line| line.ends_with('\\')).count();
            let words = lines[..command].join(" ").replace('\\', " ");
            (words, lines[command..].join("\n"))
        })
        .collect()
}

#[test]
fn examples_print_what_is_shown() {
    let documentation = std::fs::read_to_string(format!("{ROOT}/docs/judging.md")).unwrap();
    let mut checked = 0;
    for (command, output) in shown(&documentation) {
        if !command.contains(" examples/") {
            continue;
        }
        let line = command.replace(" examples/", &format!(" {ROOT}/examples/"));
        let mut words = line.split_whitespace().skip(1).peekable();
        let judgement = match words.peek() {
            Some(&"judge") => judgement(&Line::try_parse_from(words).unwrap().options).unwrap(),
            Some(&"compare") => compare::documented(words),
            _ => continue,
        };
        // All but the judge's version, which changes with every release.
        let without = |text: &str| -> Vec<String> {
            text.trim_end().lines().filter(|line| !line.starts_with("judge: ")).map(str::to_owned).collect()
        };
        assert_eq!(without(&judgement.text), without(&output), "{command} now gives:\n{}", judgement.text);
        checked += 1;
    }
    assert_eq!(checked, 3, "docs/judging.md shows three commands on files of examples/");
}
