//! What holds of any document: nothing panics, every rollout can be run, every field has a fate.

use proptest::prelude::*;

use super::*;

const TEXTS: [&str; 6] = [
    include_str!("data/002-argo-rollout.yaml"),
    include_str!("data/002-argo-analysistemplate.yaml"),
    include_str!("data/003-argo-rollout.yaml"),
    include_str!("data/003-argo-analysistemplate.yaml"),
    include_str!("data/003-flagger-analysis.yaml"),
    include_str!("data/003-kserve-inferenceservice.yaml"),
];

/// What stands in a value's place.
const ODD: [&str; 16] = [
    "",
    "null",
    "{}",
    "[]",
    "-1",
    "1e99",
    "0",
    "true",
    "\"\"",
    "'{{args.x}}'",
    "[1, {a: b}]",
    "99999999999999999999",
    ".nan",
    "é\u{2028}",
    "\"\\n# x\"",
    "1h1h",
];

/// Leaves of a document that nobody said anything of.
fn forgotten(imported: &Imported, place: &Place<'_>, found: &mut Vec<String>) {
    let said = |note: &&Note| {
        place.path == note.field
            || place.path.strip_prefix(note.field.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    if imported.notes.iter().any(|note| said(&note)) {
        return;
    }
    let below: Vec<Place<'_>> =
        place.items().into_iter().chain(place.fields().into_iter().map(|(_, field)| field)).collect();
    if below.is_empty() && place.text().is_some() {
        found.push(place.path.clone());
    }
    below.iter().for_each(|place| forgotten(imported, place, found));
}

fn holds(text: &str) {
    let imported = made(text);
    let texts = [Text { file: "a.yaml".to_owned(), text: text.to_owned() }];
    let (documents, _) = source::read(&texts);
    for (kind, document) in &documents {
        if !matches!(kind, Kind::Own | Kind::Other) {
            let mut found = Vec::new();
            forgotten(&imported, &document.place(), &mut found);
            assert!(found.is_empty(), "nothing is said of {found:?}");
        }
    }
}

#[test]
fn of_every_field_something_is_said() {
    TEXTS.iter().for_each(|text| holds(text));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Lines lost, doubled, or with another value.
    #[test]
    fn mangled_documents_are_read_or_refused(
        which in 0..TEXTS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, 0..ODD.len()), 1..6),
    ) {
        let mut lines: Vec<String> = TEXTS[which].lines().map(str::to_owned).collect();
        for (at, how, odd) in changes {
            if lines.is_empty() {
                break;
            }
            let at = at.index(lines.len());
            match how {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                _ => {
                    if let Some((name, _)) = lines[at].split_once(": ") {
                        lines[at] = format!("{name}: {}", ODD[odd]);
                    }
                }
            }
        }
        holds(&lines.join("\n"));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z:{}\\[\\] \n&*\"'#|>%-]{0,80}") {
        made(&text);
    }
}
