//! Several versions on trial: each is judged by itself against the same stable, the harmful go alone, one is chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use split::Arm;

use super::{Run, named};
use crate::arms::{ChallengerState, Chosen, DroppedArm};
use crate::{
    Below, Cause, Counts, Effect, Human, Interval, Pause, Phase, RollbackBy, Severity, State, Stratum,
    Verdict,
};
use evidence::{Look, OnMargin, Scope};

impl Run {
    /// Adds what the challengers beside the lead showed.
    pub(super) fn count_rivals(&mut self, interval: &Interval, look: Look) {
        let state = &mut self.state;
        for (arm, rival) in &mut state.arms.rivals {
            let Some(counts) = interval.rivals.get(arm) else { continue };
            state.exposed.requests = state.exposed.requests.saturating_add(counts.assigned);
            state.exposed.errors = state.exposed.errors.saturating_add(counts.errors);
            let others = interval.others.iter().map(|stratum| {
                let canary = stratum.rivals.get(arm).cloned().unwrap_or_default();
                Stratum { canary, rivals: BTreeMap::new(), ..stratum.clone() }
            });
            let of_rival = Interval {
                canary: counts.clone(),
                rivals: BTreeMap::new(),
                others: others.collect(),
                ..interval.clone()
            };
            rival.evidence.observe(&state.plan, &of_rival, look);
        }
        if state.plan.challengers.is_empty() {
            return;
        }
        let lead = state.plan.arm();
        let all: Vec<(Arm, &Counts)> = std::iter::once((lead, &interval.canary))
            .chain(interval.rivals.iter().map(|(arm, counts)| (*arm, counts)))
            .collect();
        for (arm, counts) in &all {
            state.arms.expose(*arm, counts.assigned, counts.errors);
        }
        if let Some(contest) = &mut state.arms.contest
            && let Some(gate) = state.plan.choose.as_ref().and_then(|choose| choose.by.as_ref())
            && !look.warming
        {
            let deff = state.evidence.design_effect_of(&state.plan, gate);
            contest.observe(gate, interval.epoch, &all, look, deff);
        }
    }

    /// Guardrails of the challengers beside the lead.
    pub(super) fn drop_broken_rivals(&mut self) {
        for arm in self.rivals() {
            let broken = self.rival(arm).and_then(|rival| rival.evidence.broken(&self.state.plan));
            if let Some(fired) = broken {
                let name = fired.verdict.name.clone();
                let reason = format!("guardrail {name}: {}", fired.verdict.why);
                self.lose(arm, RollbackBy::Guardrail(name), reason, Some(fired.verdict));
            }
        }
    }

    /// Writes down what the gates of the challengers beside the lead say now, and acts on harm.
    pub(super) fn judge_rivals(&mut self) {
        for arm in self.rivals() {
            let scope = self.state.scope_of(arm);
            let gates = self.state.verdicts_of(arm);
            let plan = &self.state.plan;
            let Some(rival) = self.state.arms.rivals.get_mut(&arm) else { continue };
            rival.gates = gates;
            let Some(fired) = rival.evidence.harm(plan, scope) else { continue };
            match rival.gates.iter_mut().find(|known| known.name == fired.verdict.name) {
                Some(known) => *known = fired.verdict.clone(),
                None => rival.gates.push(fired.verdict.clone()),
            }
            let pauses =
                plan.gates.get(fired.index).is_some_and(|gate| gate.on_fail == manifest::OnFail::Pause);
            let name = fired.verdict.name.clone();
            let reason = format!("gate {name}: {}", fired.verdict.why);
            if pauses {
                self.pause(Pause::Gate { gate: name }, format!("{arm}: {reason}"));
            } else {
                self.lose(arm, RollbackBy::Gate(name), reason, Some(fired.verdict));
            }
        }
        for arm in self.rivals() {
            self.act_on_margin_of(arm);
        }
    }

    fn act_on_margin_of(&mut self, arm: Arm) {
        let baked_ms = self.state.scope().baked_ms;
        let state = &mut self.state;
        let Some(rival) = state.arms.rivals.get_mut(&arm) else { return };
        let found = rival.evidence.on_margin(&state.plan, &rival.gates, baked_ms);
        rival.reanalyzed |= found.iter().any(|(_, what)| matches!(what, OnMargin::Again(_)));
        for (gate, what) in found {
            self.bear(gate, what, &format!("{arm}: "));
        }
    }

    /// A stage begins for the challengers beside the lead too.
    pub(super) fn begin_stage_of_rivals(&mut self) {
        for arm in self.rivals() {
            if let Some(rival) = self.state.arms.rivals.get_mut(&arm) {
                rival.evidence.begin_stage();
                rival.reanalyzed = false;
            }
            let gates = self.state.verdicts_of(arm);
            if let Some(rival) = self.state.arms.rivals.get_mut(&arm) {
                rival.gates = gates;
            }
        }
    }

    /// A named person goes on in spite of a failed gate.
    pub(super) fn forgive(&mut self, gate: &str) {
        let state = &mut self.state;
        state.evidence.forgive(gate, &state.plan);
        if let Some(alone) = &mut state.alone {
            alone.forgive(&state.plan, gate);
        }
        for rival in state.arms.rivals.values_mut() {
            rival.evidence.forgive(gate, &state.plan);
        }
    }

    /// A challenger is harmful: it goes alone while others are in, and the last one takes the run with it.
    pub(super) fn lose(&mut self, arm: Arm, by: RollbackBy, reason: String, verdict: Option<Verdict>) {
        if self.state.plan.rivals().next().is_none() {
            return self.roll_back(by, reason);
        }
        let version = self.state.plan.version_of(arm).unwrap_or_default().to_owned();
        self.leave_out(arm, Some(by), reason.clone(), verdict);
        let left: Vec<String> = self.state.plan.arms_in().map(|arm| arm.to_string()).collect();
        self.record(format!("Drop {version} ({arm}): {reason}; {} go on", left.join(", ")));
        self.publish_without_the_lost(Cause::Drop { arm });
        // Leases end it at proxies that a slow push has not reached.
        self.effects.push(Effect::Revoke { below: Below::LastPublished });
        let text = format!("{}: {version} ({arm}) was dropped: {reason}", self.state.plan.name);
        self.notify(Severity::Critical, &format!("dropped/{arm}"), text);
    }

    /// Out for the rest of the run. When it was the lead, the next one's evidence becomes the run's.
    fn leave_out(&mut self, arm: Arm, by: Option<RollbackBy>, reason: String, verdict: Option<Verdict>) {
        let state = &mut self.state;
        let was_lead = arm == state.plan.arm();
        let version = state.plan.version_of(arm).unwrap_or_default().to_owned();
        let shares = state.shares();
        let stage_gates = state.stages.last().map(|stage| stage.gates.clone()).unwrap_or_default();
        let (mut verdicts, guardrails) = if was_lead {
            (stage_gates, state.evidence.guardrail_verdicts(&state.plan, state.scope()))
        } else {
            let gone = state.arms.rivals.remove(&arm).unwrap_or_default();
            (gone.gates, gone.evidence.guardrail_verdicts(&state.plan, state.scope()))
        };
        verdicts.extend(guardrails);
        if let Some(verdict) = verdict {
            verdicts.retain(|known| known.name != verdict.name);
            verdicts.push(verdict);
        }
        Arc::make_mut(&mut state.plan).leave_out(arm);
        if was_lead {
            self.set_lead(self.state.plan.arm(), None);
        }
        let state = &mut self.state;
        if let Some(contest) = &mut state.arms.contest {
            contest.leave(arm);
        }
        if let Some(bandit) = &mut state.bandit {
            bandit.leave(arm);
        }
        state.set_shares(&shares);
        state.arms.out.push(DroppedArm { arm, version, at: self.now, by, reason, verdicts });
    }

    /// The evidence of a challenger becomes the run's; `former` stays in beside it.
    fn set_lead(&mut self, arm: Arm, former: Option<Arm>) {
        let state = &mut self.state;
        let Some(next) = state.arms.rivals.remove(&arm) else { return };
        let evidence = std::mem::replace(&mut state.evidence, next.evidence);
        let gates = match state.stages.last_mut() {
            Some(stage) => std::mem::replace(&mut stage.gates, next.gates),
            None => next.gates,
        };
        if let Some(former) = former {
            state.arms.rivals.insert(former, ChallengerState { evidence, gates, reanalyzed: false });
        }
        Arc::make_mut(&mut state.plan).set_lead(arm);
        self.forget_shown();
    }

    fn publish_without_the_lost(&mut self, cause: Cause) {
        // What was left out has no weight by now, and nothing else has changed.
        let weights = self.state.weights;
        self.publish(weights, cause);
    }

    /// All gates of the stage have passed for everybody who is in, and one must be chosen before it goes on.
    pub(super) fn settle_choice(&mut self) {
        let Some(choose) = self.state.plan.choose.clone() else { return };
        let Some(gate) = choose.by else {
            let text = format!("{} passed; a person chooses (promote --arm)", self.state.names_in());
            return self.pause(Pause::Choice, text);
        };
        let Some(contest) = &self.state.arms.contest else { return };
        let standing = contest.standing(&gate);
        if let Some(winner) = contest.winner(self.state.plan.challengers.len(), choose.alpha) {
            self.choose(
                winner,
                format!("proven best: {standing}"),
                Cause::Verdict { stage: self.state.stage },
            );
            return;
        }
        let spent = self.state.stages.last().map_or(0, |stage| stage.spent_ms);
        if self.state.plan.stages.get(self.state.stage).is_some_and(|stage| spent >= stage.deadline_ms) {
            self.pause(
                Pause::Choice,
                format!("no clear winner: {standing}; a person chooses (promote --arm)"),
            );
        }
    }

    /// One goes on alone; the others are left out.
    fn choose(&mut self, winner: Arm, why: String, cause: Cause) {
        let former = self.state.plan.arm();
        if winner != former {
            let shares = self.state.shares();
            self.set_lead(winner, Some(former));
            self.state.set_shares(&shares);
        }
        let losers = self.rivals();
        let version = self.state.plan.canary.clone();
        for loser in losers {
            self.leave_out(loser, None, format!("{version} ({winner}) was chosen"), None);
        }
        self.state.arms.contest = None;
        self.state.arms.chosen = Some(Chosen { arm: winner, at: self.now, why: why.clone() });
        self.record(format!("Choose {version} ({winner}): {why}"));
        let text = format!("{}: {version} ({winner}) goes on alone: {why}", self.state.plan.name);
        self.notify(Severity::Info, "chosen", text);
        self.publish_without_the_lost(cause);
    }

    /// A person takes one out.
    pub(super) fn drop_by(&mut self, arm: Arm, human: &Human) {
        let live = matches!(self.state.phase, Phase::Progressing | Phase::Promoting | Phase::Paused(_));
        if live && self.state.plan.arms_in().any(|known| known == arm) {
            let reason = format!("dropped by {}", named(human));
            self.lose(arm, RollbackBy::Human(human.who.clone()), reason, None);
        }
    }

    /// A person chooses one, which goes to the next stage alone.
    pub(super) fn choose_by(&mut self, arm: Arm, human: &Human) {
        let event = crate::Event::Choose { arm, human: human.clone() };
        let live = matches!(self.state.phase, Phase::Progressing | Phase::Paused(_));
        if !live || self.state.allows(&event).is_err() {
            return;
        }
        if self.state.plan.rivals().next().is_none() {
            return self.promote(human);
        }
        // As it stood: the choice itself is a publication that is on its way.
        let past = self.state.held_back_from(arm);
        let cause = Cause::Human { who: human.who.clone() };
        self.choose(arm, format!("chosen by {}", named(human)), cause);
        if self.state.reaches_somebody(self.state.next_seen()).is_ok() {
            self.promote_past(human, past);
        }
    }

    /// Is there nothing left to choose between?
    pub(super) fn choice_is_over(&self) -> bool {
        self.state.plan.rivals().next().is_none()
    }

    /// The challengers beside the lead that are in now.
    fn rivals(&self) -> Vec<Arm> {
        self.state.arms.rivals.keys().copied().collect()
    }

    fn rival(&self, arm: Arm) -> Option<&ChallengerState> {
        self.state.arms.rivals.get(&arm)
    }
}

impl State {
    /// Must one be chosen before the next stage?
    pub(crate) fn must_choose(&self) -> bool {
        let beyond = |after: usize| self.next_stage().is_none_or(|next| next > after);
        self.plan.rivals().next().is_some()
            && self.plan.choose.as_ref().is_some_and(|choose| beyond(choose.after))
    }

    /// The largest weight each challenger can have while there are several.
    pub(crate) fn room_ppm(&self) -> Option<u32> {
        self.plan.rivals().next()?;
        let choose = self.plan.choose.as_ref()?;
        self.plan.stages.get(choose.after).map(|stage| stage.weight_ppm)
    }

    /// Have all hard gates of the challengers beside the lead passed?
    pub(crate) fn rivals_proven(&self) -> bool {
        let planned = self.plan.stages.get(self.stage);
        planned.is_some_and(|planned| {
            self.arms.rivals.values().all(|rival| self.all_let_go(planned, &rival.gates))
        })
    }

    /// Gates that are open, of challengers beside the lead: "b: errors".
    pub(crate) fn rivals_open(&self) -> Vec<String> {
        let of = |(arm, rival): (&Arm, &ChallengerState)| {
            let names = rival
                .gates
                .iter()
                .filter(|verdict| verdict.holds())
                .map(|verdict| format!("{arm}: {}", verdict.name));
            names.collect::<Vec<_>>()
        };
        self.arms.rivals.iter().flat_map(of).collect()
    }

    /// "v2 (canary), v3 (b)".
    pub(crate) fn names_in(&self) -> String {
        let name = |arm: Arm| format!("{} ({arm})", self.plan.version_of(arm).unwrap_or_default());
        self.plan.arms_in().map(name).collect::<Vec<_>>().join(", ")
    }

    /// "v2 (canary) at 12%, v3 (b) at 3%".
    pub(crate) fn shares_in(&self) -> String {
        let one = |(arm, ppm): (Arm, u32)| {
            let version = self.plan.version_of(arm).unwrap_or_default();
            format!("{version} ({arm}) at {}", manifest::Percent::from_ppm(ppm))
        };
        self.shares().into_iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Everybody's share who is in.
    fn shares(&self) -> Vec<(Arm, u32)> {
        self.plan.arms_in().map(|arm| (arm, self.plan.share_of(arm, &self.weights))).collect()
    }

    /// The same shares, for whoever is still in, under whatever lead.
    fn set_shares(&mut self, shares: &[(Arm, u32)]) {
        let share = |arm: Arm| shares.iter().find(|(known, _)| *known == arm).map_or(0, |(_, ppm)| *ppm);
        self.weights = self.plan.weights_by(self.weights.targeted, share);
    }

    fn scope_of(&self, arm: Arm) -> Scope {
        let exposed = self.plan.share_of(arm, &self.weights) > 0;
        Scope { exposed, ..self.scope() }
    }

    pub(crate) fn verdicts_of(&self, arm: Arm) -> Vec<Verdict> {
        let gates = self.plan.stages.get(self.stage).map(|stage| stage.gates.as_slice()).unwrap_or_default();
        let Some(rival) = self.arms.rivals.get(&arm) else { return Vec::new() };
        rival.evidence.verdicts(&self.plan, gates, self.scope_of(arm))
    }
}
