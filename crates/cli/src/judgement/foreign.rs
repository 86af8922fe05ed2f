//! Kayenta's JSON files: what decides is read strictly, and what decides nothing is left aside and named, whatever it is.

use anyhow::{Result, anyhow, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What Kayenta writes under a name that decides nothing here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Number,
    List,
    Object,
}

/// The names of an object.
pub struct Shape {
    /// Those that decide something; `null` is as if one were absent, as it is for Kayenta.
    pub decides: &'static [&'static str],
    /// Those known to decide nothing.
    pub aside: &'static [(&'static str, Form)],
}

/// How alike an unknown name may be to one that decides before it is taken for a misspelling of it: above `id` or
/// `metricsAccountName`, below `group` or `lifetimeMins`.
const ALIKE: f64 = 0.6;

/// Separates what decides from the rest.
#[derive(Default)]
pub struct IgnoredFields {
    aside: Vec<String>,
}

impl IgnoredFields {
    /// Leaves in an object only what decides; what is no object is left for [`strict`] to refuse.
    pub fn keep(&mut self, value: &mut Value, path: &str, shape: &Shape) -> Result<()> {
        let Value::Object(object) = value else { return Ok(()) };
        for (name, value) in std::mem::take(object) {
            let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if shape.decides.contains(&name.as_str()) {
                if value.is_null() {
                    self.aside.push(format!("{at} (null)"));
                } else {
                    object.insert(name, value);
                }
            } else if let Some((_, form)) = shape.aside.iter().find(|(known, _)| *known == name) {
                if form_of(&value) != Some(*form) {
                    self.aside.push(format!("{at} ({})", kind(&value)));
                }
            } else if let Some(meant) = meant(&name, shape.decides) {
                bail!(
                    "{at} is unknown, and `{name}` looks like `{meant}`, which decides; correct it, or remove it"
                );
            } else {
                self.aside.push(at);
            }
        }
        Ok(())
    }

    /// Leaves out every `null` below a value of which all decides.
    pub fn without_nulls(&mut self, value: &mut Value, path: &str) {
        if let Value::Object(object) = value {
            for (name, value) in std::mem::take(object) {
                let at = format!("{path}.{name}");
                if value.is_null() {
                    self.aside.push(format!("{at} (null)"));
                } else {
                    let mut value = value;
                    self.without_nulls(&mut value, &at);
                    object.insert(name, value);
                }
            }
        }
    }

    /// What was left aside, in one sentence.
    pub fn note(&self, file: &str) -> Option<String> {
        let names = self.aside.join(", ");
        (!self.aside.is_empty()).then(|| format!("{file}: left aside, since it decides nothing: {names}"))
    }
}

fn meant(name: &str, decides: &[&'static str]) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(&lower, &known.to_lowercase());
    decides.iter().copied().find(|known| alike(known) >= ALIKE)
}

const fn form_of(value: &Value) -> Option<Form> {
    match value {
        Value::String(_) => Some(Form::Text),
        Value::Number(_) => Some(Form::Number),
        Value::Array(_) => Some(Form::List),
        Value::Object(_) => Some(Form::Object),
        Value::Null | Value::Bool(_) => None,
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A file that holds one JSON object.
pub fn one_object(file: &str, text: &str) -> Result<Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value =
        serde_json::from_str(text).map_err(|error| anyhow!("{file}: {error}; give one JSON object"))?;
    if !value.is_object() {
        bail!("{file} holds {}; give one JSON object", kind(&value));
    }
    Ok(value)
}

/// The two halves of an ad-hoc request: the configuration, and what is to be done with it (`executionRequest`, or
/// what stands beside the configuration). `None`: the object is not one.
pub fn unwrapped(value: &mut Value) -> Option<[Value; 2]> {
    let object = value.as_object_mut()?;
    let config = object.remove("canaryConfig")?;
    let request = object.remove("executionRequest").filter(|request| !request.is_null());
    Some([config, request.unwrap_or_else(|| Value::Object(std::mem::take(object)))])
}

/// Reads what decides; `path` is where it stands in the file.
pub fn strict<T: DeserializeOwned>(file: &str, path: &str, value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let inside = error.path().to_string();
        let at = [path, &inside].into_iter().filter(|part| !part.is_empty() && *part != ".");
        let at = at.collect::<Vec<_>>().join(".");
        let at = if at.is_empty() { at } else { format!("{at}: ") };
        anyhow!(
            "{file}: {at}{}; correct it: what decides is read strictly, where Kayenta would take a default or fail",
            error.inner()
        )
    })
}
