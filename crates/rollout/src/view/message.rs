//! A run in one English sentence.

use manifest::{Percent, Span};

use crate::{Answer, AttentionKind, HandBackProgress, Pause, Phase, State, Verdict, WarmingUp};

impl State {
    /// One English sentence: why it is where it is, what comes next, and what it lacks.
    #[must_use]
    pub fn message(&self) -> String {
        let mut message = self.place();
        for found in self.attention() {
            // How many proxies follow stands in it already.
            let said = matches!(found.kind.known(), Some(AttentionKind::NoProxies | AttentionKind::Quorum));
            if !said && !message.contains(&found.text) {
                message.push_str("; ");
                message.push_str(&found.text);
            }
        }
        message
    }

    fn place(&self) -> String {
        let (canary, weight) = (&self.plan.canary, self.weight());
        match &self.phase {
            Phase::Pending { started_by: None } => "not begun".to_owned(),
            Phase::Pending { started_by: Some(_) } if self.asks().is_some() => {
                "nobody is exposed; its proxies follow, and its turn has not come".to_owned()
            }
            Phase::Pending { started_by: Some(_) } if self.window().is_err() => {
                let why = self.window().err().map(|closed| closed.why);
                format!("nobody is exposed: {}", why.unwrap_or_default())
            }
            Phase::Pending { started_by: Some(_) } if self.preparing().is_some() => {
                format!("nobody is exposed: {}", self.preparing().unwrap_or_default())
            }
            Phase::Pending { started_by: Some(_) } if self.unseen_since().is_some() => {
                format!(
                    "nobody is exposed; waits for a look at its proxies' counters: {}",
                    self.what_is_unseen()
                )
            }
            Phase::Pending { started_by: Some(_) } => {
                format!("nobody is exposed; waits for a quorum of proxies to take weight 0 ({})", self.acks())
            }
            Phase::Progressing | Phase::Promoting => self.stage_message(),
            Phase::Paused(why) => format!("paused at {weight}: {}", self.pause_message(why)),
            Phase::HandBack(HandBackProgress::Asked { failed: Some(reason), .. }) => {
                format!(
                    "the hand-back failed: {reason}; put {canary} behind the stable route and promote, or resume to ask again"
                )
            }
            Phase::HandBack(HandBackProgress::Asked { reported, .. }) => {
                let reported = reported.as_ref().map(|reported| format!(": {reported}")).unwrap_or_default();
                format!("{canary} bore all traffic; waits until stable serves it{reported}")
            }
            Phase::HandBack(HandBackProgress::Lowering { .. }) => {
                format!("stable serves {canary}; the canary's weight goes back to 0, now {weight}")
            }
            Phase::Succeeded if self.plan.returning.is_some() => {
                format!("went back from {} to {canary}: stable serves it", self.plan.stable)
            }
            Phase::Succeeded => {
                let watch =
                    self.watching.as_deref().map(|watching| format!("; {}", self.watch_message(watching)));
                format!("{canary} is promoted: stable serves it{}", watch.unwrap_or_default())
            }
            Phase::RolledBack => {
                let reason = self.rollback.as_ref().map_or("", |rollback| rollback.reason.as_str());
                let on_the_way = if self.ramp().is_some() {
                    format!(" (on the way, now {weight})")
                } else {
                    String::new()
                };
                format!("rolled back to {}{on_the_way}: {reason}", self.stable_version)
            }
        }
    }

    /// What the canary lacks before its first request, once the proxies follow.
    fn preparing(&self) -> Option<String> {
        self.publication.as_ref()?.quorum_age_ms?;
        if let Some(call) = self.ending.calls.iter().find(|call| call.failures == 0) {
            let (run, versions) = (call.request.run, call.request.versions.join(", "));
            return Some(format!("the hook after run {run} is to answer first: {versions} can be deleted"));
        }
        match &self.warming {
            Some(WarmingUp::Failed { reason }) => {
                Some(format!("the warm-up failed: {reason}; resume to try again, or abort"))
            }
            Some(WarmingUp::Asked) => Some("the canary is being warmed".to_owned()),
            _ => self.endpoints_for(self.next_seen()).err(),
        }
    }

    fn stage_message(&self) -> String {
        let weight = self.weight();
        let at = match &self.plan.returning {
            Some(returning) => format!("goes back from {} to {}, {weight}", returning.from, self.plan.canary),
            None => format!("stage {} of {} at {weight}", self.stage + 1, self.plan.stages.len()),
        };
        let Some((planned, stage)) = self.plan.stages.get(self.stage).zip(self.stages.last()) else {
            return at;
        };
        if stage.acknowledged.is_none() {
            return format!("{at}: waits for a quorum of proxies ({})", self.acks());
        }
        let open: Vec<&str> = stage
            .gates
            .iter()
            .filter(|verdict| verdict.holds())
            .map(|verdict| verdict.name.as_str())
            .collect();
        if self.asks().is_some() {
            return format!("{at}: complete, waits for the others of its fleet");
        }
        let of_rivals = self.rivals_open();
        let open: Vec<&str> = open.into_iter().chain(of_rivals.iter().map(String::as_str)).collect();
        let at = match self.plan.rivals().next() {
            Some(_) if self.least_ppm() == self.weights.canary_ppm && self.share_range().is_none() => {
                format!("{at} each for {}", self.names_in())
            }
            Some(_) => {
                let (stage, count) = (self.stage + 1, self.plan.stages.len());
                format!("stage {stage} of {count}, {}", self.shares_in())
            }
            None => at,
        };
        if open.is_empty() && stage.baked_ms >= planned.bake_ms && self.must_choose() {
            return format!("{at}: all gates pass, waits for a clear winner");
        }
        let next = match self.next_stage().and_then(|next| self.plan.stages.get(next)) {
            Some(next) if next.shadow_ppm > 0 => {
                format!("a shadow of {} next", Percent::from_ppm(next.shadow_ppm))
            }
            Some(next) => format!("{} next", Percent::from_ppm(next.weight_ppm)),
            None => "hand-back next".to_owned(),
        };
        let left = planned.bake_ms.saturating_sub(stage.baked_ms);
        let unguarded = self.unguarded().filter(|_| open.is_empty() && left == 0);
        if let Some(guardrail) = unguarded {
            return format!("{at}: baked, waits for {guardrail}; {next}");
        }
        match (left, open.as_slice()) {
            (0, []) => match self
                .window()
                .map_err(|closed| closed.why)
                .and_then(|()| self.endpoints_for(self.next_seen()))
            {
                Ok(()) => format!("{at}: complete, {next}"),
                Err(why) => format!("{at}: complete, {next}; {why}"),
            },
            (0, open) => {
                format!("{at}: baked, waits for proof of {}; {next}{}", open.join(", "), self.why_unproven())
            }
            (left, []) => format!("{at}: all gates pass, bakes for {} more; {next}", seconds(left)),
            (left, open) => {
                format!(
                    "{at}: bakes for {} more, waits for proof of {}; {next}{}",
                    seconds(left),
                    open.join(", "),
                    self.why_unproven()
                )
            }
        }
    }

    /// Why what is counted now proves nothing, if it does not.
    fn why_unproven(&self) -> String {
        let faults = self.faults().into_iter().map(|fault| format!(" ({fault})"));
        let unproven = self.unproven.as_deref().map(|why| format!(" (no proof meanwhile: {why})"));
        faults.chain(unproven).collect()
    }

    fn pause_message(&self, why: &Pause) -> String {
        match why {
            Pause::Approval => "the stage is complete and awaits a person's yes (approve)".to_owned(),
            Pause::Choice => format!("{} await a person's choice (promote --arm)", self.names_in()),
            Pause::Gate { gate } | Pause::Marginal { gate } => {
                // Of several challengers, whichever stopped it.
                let rivals = self.arms.rivals.values().map(|rival| &rival.gates);
                let all = self.stages.last().map(|stage| &stage.gates).into_iter().chain(rivals).flatten();
                let stops = |verdict: &&Verdict| {
                    verdict.name == *gate && matches!(verdict.answer, Answer::Fail | Answer::Marginal)
                };
                let verdict = all.clone().find(stops).or_else(|| all.clone().find(|v| v.name == *gate));
                let why = verdict.map_or("", |verdict| verdict.why.as_str());
                format!(
                    "gate {gate}: {why} (resume to measure again, promote to go on in spite of it, or abort)"
                )
            }
            Pause::Quorum => {
                format!("too few proxies took the weights ({}); goes on when a quorum has", self.acks())
            }
            Pause::Deadline => {
                "the deadline came before the evidence (resume for more time, promote without it, or abort)"
                    .to_owned()
            }
            Pause::NoData => "no trustworthy counts arrive; goes on when they do".to_owned(),
            Pause::Unread { gate } => {
                let why = self.unread().map_or_else(|| format!("gate {gate}"), |(_, _, why)| why);
                format!(
                    "{why}; goes on when it can be read (or resume to wait on, promote to go on without it, or abort)"
                )
            }
            Pause::Endpoints => match self.endpoints_for(self.next_seen().max(self.weights.canary_ppm)) {
                Err(why) => format!("{why}; goes on when it has them"),
                Ok(()) => "the canary lacked ready endpoints; goes on".to_owned(),
            },
            Pause::Human { who } => format!("stopped by {who} (resume)"),
        }
    }

    fn acks(&self) -> String {
        let Some(publication) = &self.publication else { return "nothing was published".to_owned() };
        let acks = &publication.acks;
        if acks.connected == 0 {
            return "no Envoy is connected".to_owned();
        }
        let missing = if acks.missing.is_empty() {
            String::new()
        } else {
            format!(", missing: {}", acks.missing.join(", "))
        };
        format!("{} of {}{missing}", acks.acknowledged, acks.connected)
    }
}

/// A time for people, to the second.
fn seconds(ms: u64) -> Span {
    Span::from_ms(ms.div_ceil(1_000) * 1_000)
}
