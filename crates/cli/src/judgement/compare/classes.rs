//! How predicted and true classes are spelled: alike, or the comparison says nothing.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

type Classes = BTreeSet<String>;

/// Are some classes 0 and 1, and the others false and true?
pub fn are_digits_and_words(classes: &Classes) -> bool {
    let has = |known: [&str; 2]| known.iter().any(|class| classes.contains(*class));
    has(["0", "1"])
        && has(["false", "true"])
        && classes.iter().all(|class| ["0", "1", "false", "true"].contains(&class.as_str()))
}

/// `true` as 1 and `false` as 0.
pub fn digit(class: String) -> String {
    match class.as_str() {
        "true" => "1".to_owned(),
        "false" => "0".to_owned(),
        _ => class,
    }
}

/// Refuses predictions that cannot be right, whatever the model does: their classes are spelled as no true one is.
pub fn check(predicted: [(&str, &Classes); 2], truth: &Classes) -> Result<()> {
    let [(_, baseline), (_, canary)] = predicted;
    let both: Classes = baseline.union(canary).cloned().collect();
    let digits = both.union(truth).all(|class| class == "0" || class == "1");
    if both.is_empty() || truth.is_empty() || digits {
        return Ok(());
    }
    for ((file, own), other) in predicted.into_iter().zip([canary, baseline]) {
        // A version that is always wrong predicts classes that the labels or the other version know.
        let known: Classes = truth.union(other).cloned().collect();
        let apart = own.is_disjoint(&known) || both.is_disjoint(truth);
        let folded = |class: &String| class.trim().to_lowercase();
        let by_case = own
            .difference(truth)
            .find(|class| truth.difference(own).any(|known| folded(known) == folded(class)));
        if own.is_empty() || !(apart || by_case.is_some()) {
            continue;
        }
        bail!(
            "{file} predicts {} and the true labels are {}; spell the classes of both alike{}",
            some(own),
            some(truth),
            by_case.filter(|_| !apart).map_or(String::new(), |class| format!(" ({class:?} is no label)"))
        );
    }
    Ok(())
}

/// The first few.
pub fn some(classes: &Classes) -> String {
    let first: Vec<&str> = classes.iter().take(8).map(String::as_str).collect();
    let more = if classes.len() > first.len() { ", ..." } else { "" };
    format!("{}{more}", first.join(", "))
}
