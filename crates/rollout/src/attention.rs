//! Why a run needs a person's attention: what holds it, blinds it or refuses it; shown in its message, in the list, in a
//! metric.

use manifest::Span;
use serde::{Deserialize, Serialize};

use crate::{Answer, OpenEnum, Phase, State};

/// Proxies and counters come and go for a moment and need no attention for so long, in milliseconds.
const A_MOMENT_MS: u64 = 10_000;

/// A rollout that gets no request for so long is reported, in milliseconds.
const NO_REQUESTS_MS: u64 = 60_000;

/// One reason why a rollout needs attention, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttentionView {
    /// What it is.
    pub kind: OpenEnum<AttentionKind>,
    /// One clause, with addresses, names and errors.
    pub text: String,
}

/// What wants attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKind {
    /// No Envoy is connected.
    NoProxies,
    /// Too few proxies took the weights.
    Quorum,
    /// Counters of some or all proxies cannot be read.
    NoMetrics,
    /// Proxies take the weights and their counters are not read, or what is read runs without the filter.
    Unread,
    /// No request matches.
    NoRequests,
    /// A gate or guardrail cannot be evaluated.
    GateError,
    /// A limit is broken by both versions alike, or by stable.
    SharedIncident,
}

impl State {
    /// All that holds, blinds or refuses it now, worst first; nothing when it is over.
    #[must_use]
    pub fn attention(&self) -> Vec<AttentionView> {
        if self.is_over() || self.phase == (Phase::Pending { started_by: None }) {
            return Vec::new();
        }
        let found = [
            (AttentionKind::NoProxies, self.without_proxies()),
            (AttentionKind::NoMetrics, self.without_metrics()),
            (AttentionKind::Unread, Some(self.sight.coverage.unread.clone()).filter(|text| !text.is_empty())),
            (AttentionKind::Quorum, self.without_quorum()),
            (AttentionKind::NoRequests, self.without_requests()),
            (AttentionKind::GateError, self.in_error()),
            (AttentionKind::SharedIncident, self.incident.as_deref().map(|incident| incident.text.clone())),
        ];
        let found = found
            .into_iter()
            .filter_map(|(kind, text)| Some(AttentionView { kind: kind.into(), text: text? }));
        found.collect()
    }

    fn without_proxies(&self) -> Option<String> {
        let sent = self.publication.as_deref()?;
        let waits_ms = self.age_ms.saturating_sub(sent.sent_age_ms);
        (sent.acks.connected == 0 && waits_ms >= A_MOMENT_MS)
            .then(|| "no Envoy is connected to the controller's ECDS address".to_owned())
    }

    fn without_quorum(&self) -> Option<String> {
        let sent = self.publication.as_deref().filter(|sent| sent.quorum_age_ms.is_none())?;
        let waits_ms = self.age_ms.saturating_sub(sent.sent_age_ms);
        if sent.acks.connected == 0 || waits_ms < A_MOMENT_MS {
            return None;
        }
        let quorum = notation::percent(self.plan.acknowledge.quorum, 1);
        let (acks, mut text) = (&sent.acks, String::new());
        if !acks.missing.is_empty() {
            text = format!("; missing: {}", acks.missing.join(", "));
        }
        let refused = acks.refused.iter().map(|one| format!("; {} refused: {}", one.node, one.reason));
        Some(format!(
            "{} of {} proxies took the weights, {quorum} must{text}{}",
            acks.acknowledged,
            acks.connected,
            refused.collect::<String>()
        ))
    }

    fn without_metrics(&self) -> Option<String> {
        let begun = self.publication.as_deref()?.quorum_age_ms?;
        let seen = self.sight.whole_age_ms.unwrap_or(0).max(begun);
        // Looks may be rare, as those by way of Prometheus are: one that is not due yet is not missing.
        let moment_ms = self.coverage.look_ms().saturating_mul(2).clamp(A_MOMENT_MS, NO_REQUESTS_MS);
        let lacks = self.age_ms.saturating_sub(seen) >= moment_ms || self.sight.unseen_ms >= moment_ms;
        lacks.then(|| self.what_is_unseen())
    }

    fn without_requests(&self) -> Option<String> {
        let since = self.raised_age_ms.or(self.exposed_age_ms).filter(|_| self.measures())?;
        let since = self.sight.requests_age_ms.unwrap_or(0).max(since);
        let ms = self.age_ms.saturating_sub(since);
        // Where nothing is seen, it is unknown.
        (ms >= NO_REQUESTS_MS && self.sight.unseen_ms < A_MOMENT_MS).then(|| {
            format!(
                "no request has matched for {}: compare spec.match with what the proxies get",
                Span::from_ms(ms / 1_000 * 1_000)
            )
        })
    }

    fn in_error(&self) -> Option<String> {
        let gates = self.stages.last().into_iter().flat_map(|stage| &stage.gates);
        let rails = self.evidence.guardrail_verdicts(&self.plan, self.scope());
        let all =
            gates.map(|verdict| ("gate", verdict)).chain(rails.iter().map(|verdict| ("guardrail", verdict)));
        let found: Vec<String> = all
            .filter(|(_, verdict)| verdict.answer == Answer::Error)
            .map(|(what, verdict)| format!("{what} {} {}", verdict.name, verdict.why))
            .collect();
        (!found.is_empty()).then(|| found.join("; "))
    }
}
