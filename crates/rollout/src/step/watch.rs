//! After the promotion: what the version was is kept, and it is watched that it stays so.
//!
//! Nothing here publishes anything: people are told.

use manifest::Span;

use super::{Run, named};
use crate::watching::News;
use crate::{Counts, HandBackProgress, Human, Interval, Phase, Severity, Watching};

/// People hear of a watch that sees nothing after at least so long: a scrape or two missed needs no notice.
const BLIND_MS: u64 = 300_000;

impl Run {
    /// Adds what the canary showed to its stage: the baseline, should it be promoted. What it shows while stable is
    /// being replaced belongs to the last stage.
    pub(super) fn show(&mut self, interval: &Interval, whole: bool, warming: bool) {
        let lowering = matches!(self.state.phase, Phase::HandBack(HandBackProgress::Lowering { .. }));
        if !whole || warming || lowering || interval.epoch != self.state.epoch || self.state.shadows() {
            return;
        }
        if let Some(stage) = self.state.stages.last_mut() {
            stage.shown.add(&interval.canary);
            stage.shown.groups = None;
        }
    }

    /// What was shown so far was another version's, or is of no use any more.
    pub(super) fn forget_shown(&mut self) {
        self.state.stages.iter_mut().for_each(|stage| stage.shown = Counts::default());
    }

    /// The version is promoted: what it showed is kept, and watched from here on where the plan wants it.
    pub(super) fn begin_watch(&mut self) {
        let baseline = self.state.summed_up();
        if let Some(watch) = self.state.plan.watch.clone() {
            let watching = Watching::new(&self.state, &watch, &baseline);
            let gates: Vec<String> =
                watching.gates.iter().map(|gate| format!("{} {}", gate.limit.name, gate.allowed())).collect();
            let left_out = watching.left_out.iter().map(|gate| format!("; not {}: {}", gate.name, gate.why));
            let lasts = match watch.for_ms {
                Some(ms) => format!("for {}", Span::from_ms(ms)),
                None => "until the next run".to_owned(),
            };
            let gates = if gates.is_empty() { "nothing".to_owned() } else { gates.join(", ") };
            let what = format!("Watch {} {lasts}: {gates}{}", baseline.version, left_out.collect::<String>());
            self.state.watching = Some(Box::new(watching));
            self.record(what);
        }
        self.state.baseline = Some(Box::new(baseline));
        self.forget_shown();
    }

    /// Holds what stable shows to what the baseline allows.
    pub(super) fn watch(&mut self, interval: &Interval) {
        let state = &mut self.state;
        if interval.gap.is_some() || interval.epoch != state.epoch || state.watched().is_none() {
            return;
        }
        let Some(watching) = state.watching.as_mut().filter(|watching| watching.paused_by.is_none()) else {
            return;
        };
        // An A/A check moves a part of stable's requests to its twin, which the same endpoints serve.
        let mut stable = interval.stable.clone();
        stable.add(&interval.baseline);
        let ms = interval.to_ms.saturating_sub(interval.from_ms);
        let news = watching.observe(&state.plan, &stable, ms, self.now, state.age_ms);
        self.forget("watch-blind");
        for news in news {
            self.tell(news);
        }
    }

    fn tell(&mut self, news: News) {
        let (name, version) = (self.state.plan.name.clone(), self.state.stable_version.clone());
        match news {
            News::Drifts { gate, why } => {
                self.record(format!("Drift of {version}: gate {gate}: {why}"));
                self.forget(&format!("recovered/{gate}"));
                let text = format!("{name}: {version} has drifted since it was promoted: gate {gate}: {why}");
                self.notify(Severity::Warning, &format!("drift/{gate}"), text);
            }
            News::Recovers { gate, why } => {
                self.record(format!("Drift of {version} is over: gate {gate}: {why}"));
                self.forget(&format!("drift/{gate}"));
                let text = format!("{name}: the drift of {version} is over: gate {gate}: {why}");
                self.notify(Severity::Info, &format!("recovered/{gate}"), text);
            }
        }
    }

    /// Does whatever the watch owes by now.
    pub(super) fn settle_watch(&mut self) {
        let state = &self.state;
        let (Some(watching), Some(watch)) = (state.watched(), &state.plan.watch) else { return };
        let watched_ms = state.age_ms.saturating_sub(watching.since_age_ms);
        if let Some(ms) = watch.for_ms.filter(|ms| watched_ms >= *ms) {
            return self.end_watch(&format!("after {}", Span::from_ms(ms)));
        }
        let silent_ms = state.age_ms.saturating_sub(watching.counts_age_ms);
        if watching.paused_by.is_none() && silent_ms >= state.plan.no_data.after_ms.max(BLIND_MS) {
            let (name, version) = (&state.plan.name, &state.stable_version);
            let text = format!(
                "{name}: the watch sees nothing of {version}: no trustworthy counts for {}",
                Span::from_ms(silent_ms / 1_000 * 1_000)
            );
            self.notify(Severity::Warning, "watch-blind", text);
        }
    }

    /// The watch is over; why, in a few words.
    pub(super) fn end_watch(&mut self, why: &str) {
        let now = self.now;
        if self.state.watched().is_none() {
            return;
        }
        let Some(watching) = &mut self.state.watching else { return };
        let drifting: Vec<&str> = watching.drifting().map(|gate| gate.limit.name.as_str()).collect();
        let how = match (&watching.paused_by, drifting.is_empty()) {
            (Some(who), _) => format!("it was paused by {who}"),
            (None, true) => "within its limits".to_owned(),
            (None, false) => format!("with drift of {}", drifting.join(", ")),
        };
        watching.end(now, self.state.age_ms, why.to_owned());
        let version = self.state.stable_version.clone();
        self.record(format!("The watch over {version} ends {why}, {how}"));
    }

    /// A person wants to hear nothing of it, or to hear of it again.
    pub(super) fn pause_watch(&mut self, human: &Human) {
        if self.state.watched().is_none_or(|watching| watching.paused_by.is_some()) {
            return;
        }
        if let Some(watching) = &mut self.state.watching {
            watching.paused_by = Some(human.who.clone());
        }
        self.record(format!("The watch is paused by {}", named(human)));
    }

    /// Counts from here on; drift that is still there is told again.
    pub(super) fn resume_watch(&mut self, human: &Human) {
        if self.state.watched().is_none_or(|watching| watching.paused_by.is_none()) {
            return;
        }
        let state = &mut self.state;
        let mut gates = Vec::new();
        if let Some(watching) = &mut state.watching {
            watching.paused_by = None;
            watching.begin_anew(&state.plan, state.age_ms);
            gates.extend(watching.gates.iter().map(|gate| gate.limit.name.clone()));
        }
        for gate in gates {
            self.forget(&format!("drift/{gate}"));
        }
        self.forget("watch-blind");
        self.record(format!("The watch goes on for {}", named(human)));
    }
}
