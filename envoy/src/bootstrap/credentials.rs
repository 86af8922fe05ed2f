//! How a proxy proves to the controller who it is, and knows the controller. The policy holds no secret of it: both clusters
//! that lead to the controller say the token by themselves, whatever is asked on them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Endpoint;

const INJECTOR: &str =
    "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector";
const GENERIC: &str = "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic";
const CODEC: &str = "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/// The token's name among Envoy's secrets.
const NAME: &str = "serin-token";

/// What a proxy shows the controller, and by what it knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `None`: it shows no token.
    pub token: Option<TokenFile>,
    /// `None`: it speaks in the clear.
    pub tls: Option<Authority>,
}

/// A token, in files as Envoy finds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    /// Holds the token and nothing else.
    pub file: PathBuf,
    /// Holds [`TokenFile::secret`]: by it Envoy reads the token again when its file is replaced by a rename. `None`: it
    /// reads it once.
    pub watch: Option<PathBuf>,
}

/// TLS to the controller, in files as Envoy finds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Of those by whose word the controller is who it says (PEM).
    pub ca: PathBuf,
    /// What its certificate is made out to; `None`: the host at which it is asked.
    pub name: Option<String>,
    /// The proxy's own certificate and its key (PEM).
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl TokenFile {
    /// What the file of [`TokenFile::watch`] holds.
    #[must_use]
    pub fn secret(&self) -> Value {
        let mut secret = self.named();
        if let Some(fields) = secret.as_object_mut() {
            fields.insert("@type".to_owned(), json!(SECRET));
        }
        json!({"resources": [secret]})
    }

    fn named(&self) -> Value {
        json!({"name": NAME, "generic_secret": {"secret": {"filename": text(&self.file)}}})
    }

    fn reference(&self) -> Value {
        let Some(watch) = &self.watch else { return json!({"name": NAME}) };
        let directory = self.file.parent().unwrap_or_else(|| Path::new("/"));
        let source = json!({"path": text(watch), "watched_directory": {"path": text(directory)}});
        json!({"name": NAME, "sds_config": {"resource_api_version": "V3", "path_config_source": source}})
    }
}

impl Credentials {
    /// Paths that Envoy must be able to read, each with what it is.
    pub(super) fn paths(&self) -> Vec<(&'static str, &PathBuf)> {
        let token = self.token.iter().flat_map(|token| [Some(&token.file), token.watch.as_ref()]);
        let mut paths: Vec<_> = token.flatten().map(|path| ("the token's file", path)).collect();
        if let Some(tls) = &self.tls {
            paths.push(("the authorities' file", &tls.ca));
            paths.extend(tls.certificate.iter().flat_map(|(certificate, key)| {
                [("the certificate's file", certificate), ("the key's file", key)]
            }));
        }
        paths
    }

    /// Secrets that stand in the bootstrap by name; their values do not.
    pub(super) fn secrets(&self) -> Vec<Value> {
        self.token.iter().filter(|token| token.watch.is_none()).map(TokenFile::named).collect()
    }

    /// The filters on the way to the controller; none: nothing is said.
    pub(super) fn filters(&self) -> Option<Value> {
        let token = self.token.as_ref()?;
        Some(json!([
            {"name": "envoy.filters.http.credential_injector", "typed_config": {
                "@type": INJECTOR,
                "overwrite": true,
                "credential": {"name": "envoy.http.injected_credentials.generic", "typed_config": {
                    "@type": GENERIC, "credential": token.reference(), "header_value_prefix": "Bearer ",
                }},
            }},
            {"name": "envoy.filters.http.upstream_codec", "typed_config": {"@type": CODEC}},
        ]))
    }

    /// How the controller is talked to at this address.
    pub(super) fn transport(&self, controller: &Endpoint) -> Option<Value> {
        let tls = self.tls.as_ref()?;
        let name = tls.name.as_deref().unwrap_or_else(|| controller.host());
        let kind = if name.parse::<std::net::IpAddr>().is_ok() { "IP_ADDRESS" } else { "DNS" };
        let mut common = json!({"validation_context": {
            "trusted_ca": {"filename": text(&tls.ca)},
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
        }});
        if let (Some((certificate, key)), Some(fields)) = (&tls.certificate, common.as_object_mut()) {
            let own = json!([{"certificate_chain": {"filename": text(certificate)}, "private_key": {"filename": text(key)}}]);
            fields.insert("tls_certificates".to_owned(), own);
        }
        let mut context = json!({"@type": TLS, "common_tls_context": common});
        if let (true, Some(fields)) = (kind == "DNS", context.as_object_mut()) {
            fields.insert("sni".to_owned(), json!(name));
        }
        Some(json!({"name": "envoy.transport_sockets.tls", "typed_config": context}))
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
