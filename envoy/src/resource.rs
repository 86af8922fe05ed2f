use std::ops::Range;
use std::path::{Path, PathBuf};

use envoy_types::{
    pb::{
        envoy::{
            config::core::v3::{
                AsyncDataSource, BackoffStrategy, DataSource, TypedExtensionConfig, async_data_source,
                data_source,
            },
            extensions::{
                filters::http::wasm::v3::Wasm,
                wasm::v3::{FailurePolicy, PluginConfig, ReloadConfig, VmConfig, plugin_config::Vm},
            },
        },
        google::protobuf::{Any, BoolValue, Duration, StringValue},
    },
    util::pack_any,
};
use serde_json::{Value, json};

/// The name of the ECDS resource, the plugin, its root context and its VM.
pub const NAME: &str = "serin";

pub(crate) const WASM_URL: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
pub(crate) const EXTENSION_URL: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
const STRING_URL: &str = "type.googleapis.com/google.protobuf.StringValue";
const RUNTIME: &str = "envoy.wasm.runtime.v8";

/// A trapped VM comes back at the next request, but at most this often.
const RELOAD_INTERVAL_S: i64 = 1;

/// Where Envoy finds the filter's code.
///
/// There is no remote form: Envoy lets requests through unfiltered while it fetches, and calls the fetch unstable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WasmCode {
    /// A file, by the path that Envoy sees; it must be there before a push names it.
    Local(PathBuf),
}

impl WasmCode {
    fn path(&self) -> &Path {
        match self {
            Self::Local(path) => path,
        }
    }
}

/// The filter as Envoy is told of it: everything but the policy.
///
/// Everything here but the policy must be equal in the bootstrap's default and in every push: Envoy keeps the VM, and
/// with it the shared data that remembers the lease, only while code and VM configuration stay the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Where the code is.
    pub wasm: WasmCode,
    /// May the filter hold a response's headers back until it has seen the body?
    pub body_before_headers: bool,
}

impl Resource {
    /// The filter in a file, headers never held back.
    #[must_use]
    pub fn local(path: impl Into<PathBuf>) -> Self {
        Self { wasm: WasmCode::Local(path.into()), body_before_headers: false }
    }

    /// As protobuf, for the wire; see [`distinct`].
    pub(crate) fn to_any(&self, policy: &str) -> Any {
        let code = DataSource {
            specifier: Some(data_source::Specifier::Filename(
                self.wasm.path().to_string_lossy().into_owned(),
            )),
            ..DataSource::default()
        };
        let vm = VmConfig {
            vm_id: NAME.to_owned(),
            runtime: RUNTIME.to_owned(),
            code: Some(AsyncDataSource { specifier: Some(async_data_source::Specifier::Local(code)) }),
            ..VmConfig::default()
        };
        let backoff = BackoffStrategy {
            base_interval: Some(Duration { seconds: RELOAD_INTERVAL_S, nanos: 0 }),
            max_interval: None,
        };
        let plugin = PluginConfig {
            name: NAME.to_owned(),
            root_id: NAME.to_owned(),
            vm: Some(Vm::VmConfig(vm)),
            configuration: (!policy.is_empty()).then(|| pack_any(StringValue { value: policy.to_owned() })),
            failure_policy: FailurePolicy::FailReload.into(),
            reload_config: Some(ReloadConfig { backoff: Some(backoff) }),
            allow_on_headers_stop_iteration: self.body_before_headers.then_some(BoolValue { value: true }),
            ..PluginConfig::default()
        };
        pack_any(TypedExtensionConfig {
            name: NAME.to_owned(),
            typed_config: Some(pack_any(Wasm { config: Some(plugin) })),
        })
    }

    /// The filter's typed configuration as JSON, for files; an empty policy is pass-through.
    pub(crate) fn to_json(&self, policy: &str) -> Value {
        let mut plugin = json!({
            "name": NAME,
            "root_id": NAME,
            "failure_policy": "FAIL_RELOAD",
            "reload_config": {"backoff": {"base_interval": format!("{RELOAD_INTERVAL_S}s")}},
            "vm_config": {
                "vm_id": NAME,
                "runtime": RUNTIME,
                "code": {"local": {"filename": self.wasm.path().to_string_lossy()}},
            },
        });
        if let Some(fields) = plugin.as_object_mut() {
            if !policy.is_empty() {
                fields.insert("configuration".to_owned(), json!({"@type": STRING_URL, "value": policy}));
            }
            if self.body_before_headers {
                fields.insert("allow_on_headers_stop_iteration".to_owned(), json!(true));
            }
        }
        json!({"@type": WASM_URL, "config": plugin})
    }
}

/// One policy as it travels to every proxy: made once, and marked for each sending ([`distinct`]).
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    /// The extension with the mark 0.
    extension: Any,
    /// Where in its bytes the mark lies; `None`: pass-through, which bears none.
    mark: Option<Range<usize>>,
}

impl Wire {
    pub(crate) fn new(resource: &Resource, policy: &str) -> Self {
        let extension = resource.to_any(&distinct(policy, 0));
        let blank = [b' '; MARK];
        // After the policy there are some numbers and no text: what is found last is the mark.
        let from = extension.value.windows(MARK).rposition(|bytes| bytes == blank);
        let mark = from.filter(|_| !policy.is_empty()).map(|from| from..from + MARK);
        Self { extension, mark }
    }

    /// As `to_any(&distinct(policy, mark))`, at the price of a copy.
    pub(crate) fn marked(&self, mark: u64) -> Any {
        let mut extension = self.extension.clone();
        let bits = self.mark.clone().and_then(|place| extension.value.get_mut(place));
        for (byte, bit) in bits.into_iter().flatten().zip(bits_of(mark)) {
            *byte = bit;
        }
        extension
    }
}

/// The policy in a text that Envoy has not seen before: white space that JSON ignores, drawn from `mark`.
///
/// Envoy answers for bytes it knows without asking the filter. Bytes equal to the last ones are acknowledged even if
/// those were refused; bytes that once passed the trial skip it, so that an old policy sent again is refused by the
/// workers alone, whereupon Envoy refuses whatever follows until it is restarted. Both seen on 1.40.
pub(crate) fn distinct(policy: &str, mark: u64) -> String {
    if policy.is_empty() {
        return String::new();
    }
    let mut text = String::with_capacity(policy.len() + 1 + MARK);
    text.push_str(policy);
    text.push('\n');
    text.extend(bits_of(mark).map(char::from));
    text
}

/// Bytes of a mark.
const MARK: usize = u64::BITS as usize;

fn bits_of(mark: u64) -> impl Iterator<Item = u8> {
    (0..MARK).map(move |bit| if mark >> bit & 1 == 0 { b' ' } else { b'\t' })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_texts_mean_the_same() {
        let policy = r#"{"schema": 1}"#;
        let (one, other) = (distinct(policy, 1), distinct(policy, 2));
        assert_ne!(one, other);
        for text in [one, other] {
            assert_eq!(
                serde_json::from_str::<Value>(&text).unwrap(),
                serde_json::from_str::<Value>(policy).unwrap()
            );
        }
        assert_eq!(distinct("", 1), "", "pass-through stays so");
    }

    #[test]
    fn what_is_marked_at_each_sending_is_what_is_made_for_it() {
        // A policy that ends as a mark begins, and a path that holds one.
        let blank = " ".repeat(MARK);
        for policy in ["", r#"{"schema": 1}"#, &format!("{{}}{blank}"), &blank] {
            for path in ["/filter.wasm", &format!("/{blank}/filter.wasm")] {
                let resource = Resource::local(path);
                let wire = Wire::new(&resource, policy);
                for mark in [0, 1, 0b1010, u64::MAX, 1 << 63] {
                    assert_eq!(
                        wire.marked(mark),
                        resource.to_any(&distinct(policy, mark)),
                        "{policy:?} {mark}"
                    );
                }
            }
        }
    }
}
