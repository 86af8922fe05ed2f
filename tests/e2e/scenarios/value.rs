//! Header values as a scenario writes them.

use serde::Deserialize;
use serde_json::Value;

/// A value's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Bytes(pub Vec<u8>);

/// One value, or several lines under one name.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub struct Lines(pub Vec<Bytes>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hex {
    hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filled {
    #[serde(default)]
    start: String,
    fill: String,
    size: usize,
    #[serde(default)]
    end: String,
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl TryFrom<Value> for Bytes {
    type Error = String;

    // By hand and not as an untagged enum, which would not say which field is wrong.
    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self(text.into_bytes())),
            Value::Object(fields) if fields.contains_key("hex") => {
                let Hex { hex } = read(Value::Object(fields))?;
                Ok(Self(from_hex(&hex).ok_or_else(|| format!("`hex: {hex}` is not pairs of hex digits"))?))
            }
            Value::Object(fields) => {
                let Filled { start, fill, size, end } = read(Value::Object(fields))?;
                let between = size.checked_sub(start.len() + end.len());
                let between = between.filter(|n| *n == 0 || !fill.is_empty());
                let between =
                    between.ok_or_else(|| format!("`size: {size}` cannot hold start, fill and end"))?;
                let mut bytes = start.into_bytes();
                bytes.extend(fill.bytes().cycle().take(between));
                bytes.extend(end.bytes());
                Ok(Self(bytes))
            }
            other => Err(format!(
                "`{other}` is no value: write text (quoted), {{hex: ..}} or {{fill: .., size: ..}}"
            )),
        }
    }
}

impl TryFrom<Value> for Lines {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Array(values) => {
                Ok(Self(values.into_iter().map(Bytes::try_from).collect::<Result<_, _>>()?))
            }
            one => Ok(Self(vec![Bytes::try_from(one)?])),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}
