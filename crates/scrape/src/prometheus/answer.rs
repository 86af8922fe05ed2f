//! An answer of Prometheus' API, read series by series: that of a large fleet is never in memory as a whole but for its
//! text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One series: its labels in their order, and its samples as they were scraped, the oldest first.
#[derive(Debug, Deserialize)]
pub struct Series<'t> {
    #[serde(borrow, default)]
    pub metric: Labels<'t>,
    /// Of a matrix: seconds since 1970, and a number as text, since JSON knows no NaN.
    #[serde(borrow, default)]
    pub values: Vec<(f64, Text<'t>)>,
}

/// Labels of a series.
#[derive(Debug, Default)]
pub struct Labels<'t>(pub Vec<(Text<'t>, Text<'t>)>);

/// A text, of the answer where it can be.
#[derive(Clone, Debug)]
pub struct Text<'t>(pub Cow<'t, str>);

impl Labels<'_> {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.0 == name).map(|(_, value)| value.0.as_ref())
    }
}

/// All of an answer but its series.
#[derive(Debug, Default)]
struct Head {
    status: String,
    kind: String,
    error: String,
    warning: Option<String>,
    partial: bool,
}

/// Reads an answer to a query and gives each series to `take`.
///
/// # Errors
/// When it is none, or refuses the query, or tells part of the truth only: its end of the sentence.
pub fn read(body: &[u8], mut take: impl FnMut(Series<'_>)) -> Result<(), String> {
    let mut from = serde_json::Deserializer::from_slice(body);
    let head = Top(&mut take).deserialize(&mut from).and_then(|head| from.end().map(|()| head));
    let head = head.map_err(|error| format!("answered what no Prometheus answers: {error}"))?;
    if head.status != "success" {
        return Err(format!("refused the query: {}: {}", head.kind, head.error));
    }
    if head.partial {
        return Err("answered with part of the data alone (isPartial)".to_owned());
    }
    match head.warning {
        Some(warning) => Err(format!("does not vouch for its answer: {warning}")),
        None => Ok(()),
    }
}

type Take<'f> = dyn for<'t> FnMut(Series<'t>) + 'f;

struct Top<'f, 'g>(&'f mut Take<'g>);
struct Data<'f, 'g>(&'f mut Take<'g>);
struct Elements<'f, 'g>(&'f mut Take<'g>);

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = Head;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Head, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = Head;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer with a status")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Head, M::Error> {
        let mut head = Head::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "data" => map.next_value_seed(Data(&mut *self.0))?,
                "status" => head.status = map.next_value()?,
                "errorType" => head.kind = map.next_value::<Option<String>>()?.unwrap_or_default(),
                "error" => head.error = map.next_value::<Option<String>>()?.unwrap_or_default(),
                "warnings" => {
                    let warnings = map.next_value::<Option<Vec<String>>>()?.unwrap_or_default();
                    // A note about style is none about truth.
                    head.warning = warnings.into_iter().find(|text| !text.starts_with("PromQL info"));
                }
                "isPartial" | "partial" => {
                    head.partial |= map.next_value::<Option<bool>>()?.unwrap_or(false);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if head.status.is_empty() {
            return Err(M::Error::custom("it has no status"));
        }
        Ok(head)
    }
}

impl<'de> DeserializeSeed<'de> for Data<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Data<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data with a result")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "result" => map.next_value_seed(Elements(&mut *self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        while let Some(series) = seq.next_element::<Series<'de>>()? {
            (self.0)(series);
        }
        Ok(())
    }
}

impl<'de: 't, 't> Deserialize<'de> for Labels<'t> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(Text<'de>, Text<'de>)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut pairs = Vec::with_capacity(16);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        from.deserialize_map(Pairs).map(Self)
    }
}

impl<'de: 't, 't> Deserialize<'de> for Text<'t> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> Visitor<'de> for Borrowed {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<usize, &str>) {
        let mut samples = 0;
        let said = read(text.as_bytes(), |series| samples += series.values.len());
        match (said, want) {
            (Ok(()), Ok(n)) => assert_eq!(samples, n, "{text}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (said, want) => panic!("{said:?} instead of {want:?}: {text}"),
        }
    }

    #[test]
    fn part_of_the_truth_is_an_error() {
        let data = r#""data":{"resultType":"matrix","result":[{"metric":{"__name__":"a","x":"q\"q"},"values":[[1.5,"2"],[3,"4"]]}]}"#;
        check(&format!(r#"{{"status":"success",{data}}}"#), Ok(2));
        check(
            &format!(r#"{{"status":"success",{data},"infos":["x"],"warnings":["PromQL info: a"]}}"#),
            Ok(2),
        );
        check(&format!(r#"{{"status":"success","isPartial":true,{data}}}"#), Err("isPartial"));
        check(&format!(r#"{{"status":"success",{data},"warnings":["no store"]}}"#), Err("no store"));
        check(
            r#"{"status":"error","errorType":"bad_data","error":"parse","data":null}"#,
            Err("bad_data: parse"),
        );
        check(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, Ok(0));
        for text in
            ["", "{}", "<html>", "[]", r#"{"status":"success","data":{"result":[{"values":[[1,2]]}]}}"#]
        {
            check(text, Err("no Prometheus"));
        }
    }
}
