//! Events: what `kubectl describe` shows.

use kube::api::DynamicObject;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::news::News;
use super::watch::resource;

/// So many wait at most; more are not told. They are for people, and the status says how it stands.
const WAITING: usize = 256;

/// An Event's note may have 1,024 bytes.
const LONGEST: usize = 1_000;

/// Tells of news, and never waits.
#[derive(Debug)]
pub struct Announcer(mpsc::Sender<(Event, k8s_openapi::api::core::v1::ObjectReference)>);

impl Announcer {
    pub fn new(client: Client) -> Self {
        let (sender, mut waiting) = mpsc::channel(WAITING);
        let reporter = Reporter { controller: "serin".to_owned(), instance: None };
        tokio::spawn(async move {
            let recorder = Recorder::new(client, reporter);
            while let Some((event, of)) = waiting.recv().await {
                match timeout(Duration::from_secs(5), recorder.publish(&event, &of)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!("an Event cannot be written: {error}"),
                    Err(_) => tracing::debug!("an Event cannot be written: the API server does not answer"),
                }
            }
        });
        Self(sender)
    }

    /// Has one written, if there is room.
    pub fn announce(&self, object: &DynamicObject, news: News) {
        let News { reason, warning, text } = news;
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(shortened(text)),
            action: reason.to_owned(),
            secondary: None,
        };
        let _ = self.0.try_send((event, object.object_ref(&resource())));
    }
}

fn shortened(text: String) -> String {
    if text.len() <= LONGEST {
        return text;
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).map(|kept| format!("{kept}…")).unwrap_or_default()
}
