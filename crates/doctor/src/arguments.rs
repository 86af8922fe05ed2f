//! What a workload starts `serin run` with: words of its command, and variables.

use serde_json::Value;

use crate::snapshot::{items, text};

/// What a container that runs `serin run` is given.
#[derive(Clone, Debug)]
pub struct Arguments {
    words: Vec<String>,
    /// Names and values; a value that stands elsewhere (`valueFrom`) is not known.
    variables: Vec<(String, Option<String>)>,
    /// Are more variables taken from ConfigMaps or Secrets, whose names are not known?
    pub more: bool,
}

impl Arguments {
    /// Those of a Deployment or StatefulSet; `None`: it does not run `serin run`.
    #[must_use]
    pub fn of(workload: &Value) -> Option<Self> {
        items(workload, "/spec/template/spec/containers").find_map(|container| {
            let all = items(container, "/command").chain(items(container, "/args")).filter_map(Value::as_str);
            // A shell has the whole command in one word.
            let words: Vec<String> = all
                .flat_map(|word| match word.contains("serin run ") {
                    true => word.split_whitespace().map(str::to_owned).collect(),
                    false => vec![word.to_owned()],
                })
                .collect();
            let variables: Vec<(String, Option<String>)> = items(container, "/env")
                .map(|one| {
                    (
                        text(one, "/name").to_owned(),
                        one.get("value").and_then(Value::as_str).map(str::to_owned),
                    )
                })
                .collect();
            let is_serin = |word: &str| word.rsplit('/').next() == Some("serin");
            let runs = words.iter().any(|word| word.starts_with("--ecds"))
                || words
                    .windows(2)
                    .any(|two| matches!(two, [program, verb] if is_serin(program.as_str()) && verb == "run"))
                || words.first().is_some_and(|word| word == "run")
                    && variables.iter().any(|(name, _)| name.starts_with("SERIN_"));
            let more = items(container, "/envFrom").next().is_some();
            runs.then_some(Self { words, variables, more })
        })
    }

    /// The values of an argument such as `--prometheus`, each that commas part. As `serin run` reads them: as a word, in two words, or,
    /// where there is none, by the variable.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        let mut found: Vec<&str> =
            self.words.iter().filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')).collect();
        found.extend(self.words.windows(2).filter_map(|two| match two {
            [word, value] if word == name => Some(value.as_str()),
            _ => None,
        }));
        if found.is_empty() {
            found.extend(self.variable(name).and_then(Option::as_deref));
        }
        found.into_iter().flat_map(|value| value.split(',')).filter(|value| !value.is_empty()).collect()
    }

    /// Is it given, even where its value is not known?
    #[must_use]
    pub fn gives(&self, name: &str) -> bool {
        !self.values(name).is_empty() || self.hides(name)
    }

    /// Is it given by a variable whose value stands elsewhere?
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        matches!(self.variable(name), Some(None))
    }

    fn variable(&self, name: &str) -> Option<&Option<String>> {
        let variable = match name {
            "--prometheus" => "SERIN_PROMETHEUS_URL".to_owned(),
            name => format!("SERIN_{}", name.trim_start_matches('-').replace('-', "_").to_uppercase()),
        };
        self.variables.iter().find(|(name, _)| *name == variable).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_argument_is_read_as_the_program_reads_it() {
        let of = |container: Value| {
            Arguments::of(&json!({"spec": {"template": {"spec": {"containers": [container]}}}}))
        };
        let plugin = |container: Value| of(container).map(|found| found.values("--istio-plugin").join(" "));
        for container in [
            json!({"args": ["--ecds=x", "--istio-plugin=a/b,c/d"]}),
            json!({"command": ["serin", "run"], "args": ["--istio-plugin", "a/b", "--istio-plugin", "c/d"]}),
            json!({"command": ["/usr/bin/serin", "run"], "env": [{"name": "SERIN_ISTIO_PLUGIN", "value": "a/b,c/d"}]}),
            json!({"args": ["run"], "env": [{"name": "SERIN_ISTIO_PLUGIN", "value": "a/b,c/d"}]}),
            json!({"command": ["sh", "-c", "exec serin run --istio-plugin a/b,c/d"]}),
        ] {
            assert_eq!(plugin(container.clone()).as_deref(), Some("a/b c/d"), "{container}");
        }
        assert_eq!(plugin(json!({"args": ["serve"]})), None);
        let hidden = json!({"args": ["--ecds=x"], "env": [{"name": "SERIN_PROMETHEUS_URL", "valueFrom": {"secretKeyRef": {}}}]});
        let hidden = of(hidden).unwrap();
        assert!(hidden.gives("--prometheus") && hidden.values("--prometheus").is_empty());
        assert!(!hidden.gives("--proxy-metrics"));
    }
}
