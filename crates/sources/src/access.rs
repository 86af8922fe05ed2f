//! A source's credentials, certificates and patience, its secrets read: all a question needs beside its URL.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use manifest::Value;
use outbound::header::AUTHORIZATION;
use outbound::{HeaderMap, HeaderName, HeaderValue, Scrub, Terms, Text};

use crate::secrets::Secrets;

/// Readings are minutes apart, so a slow answer is still in time, and none keeps a place for long.
const TIMEOUT: Duration = Duration::from_secs(10);

pub struct Access {
    pub headers: HeaderMap,
    /// `None`: the system's.
    pub tls: Option<Terms>,
    pub timeout: Duration,
    pub scrub: Scrub,
}

/// How long a question may take, from when it is due to the last byte of its answer.
pub fn patience(named: &manifest::Access) -> Duration {
    named.timeout.map_or(TIMEOUT, |timeout| Duration::from_millis(timeout.ms()))
}

impl Access {
    pub async fn read(named: &manifest::Access, secrets: &Secrets) -> Result<Self, String> {
        let mut access =
            Self { headers: HeaderMap::new(), tls: None, timeout: patience(named), scrub: Scrub::default() };
        for (name, value) in &named.headers {
            let text = access.text(value, secrets).await?;
            let header =
                HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"))?;
            access.set(header, &format!("access.headers.{name}"), text.reveal(), value.secret().is_some())?;
        }
        if let Some(basic) = &named.basic {
            let password = access.secret(&basic.password.secret, secrets).await?;
            let pair = BASE64_STANDARD.encode(format!("{}:{}", basic.user, password.reveal()));
            access.scrub.add(&pair);
            access.set(AUTHORIZATION, "access.basic", &format!("Basic {pair}"), true)?;
        }
        if let Some(bearer) = &named.bearer {
            let token = access.secret(&bearer.secret, secrets).await?;
            access.set(AUTHORIZATION, "access.bearer", &format!("Bearer {}", token.reveal().trim()), true)?;
        }
        if let Some(tls) = &named.tls {
            let mut terms = Terms {
                server_name: tls.server_name.clone(),
                skip_verify: tls.insecure_skip_verify,
                ..Terms::default()
            };
            if let Some(ca) = &tls.ca {
                terms.ca = Some(access.text(ca, secrets).await?);
            }
            if let Some((certificate, key)) = tls.certificate.as_ref().zip(tls.key.as_ref()) {
                let certificate = access.text(certificate, secrets).await?;
                terms.certificate = Some((certificate, access.secret(&key.secret, secrets).await?));
            }
            access.tls = Some(terms);
        }
        Ok(access)
    }

    async fn text(&mut self, value: &Value, secrets: &Secrets) -> Result<Text, String> {
        match value {
            Value::Value(text) => Ok(Text::new(text.clone())),
            Value::Secret(name) => self.secret(name, secrets).await,
        }
    }

    async fn secret(&mut self, name: &str, secrets: &Secrets) -> Result<Text, String> {
        let text = secrets.read(name).await?;
        self.scrub.add(text.reveal());
        Ok(text)
    }

    fn set(&mut self, name: HeaderName, field: &str, text: &str, secret: bool) -> Result<(), String> {
        // Says nothing of the value itself.
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| format!("{field} holds signs no HTTP header may hold, such as an end of line"))?;
        value.set_sensitive(secret);
        self.headers.insert(name, value);
        Ok(())
    }
}
