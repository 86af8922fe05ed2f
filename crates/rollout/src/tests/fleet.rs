//! Runs that belong together, told second by second.

mod property;

use std::collections::BTreeMap;

use manifest::load;

use super::story::human;
use crate::fleet::{self, MemberOutcome};
use crate::{
    Acks, Admission, Bins, Counts, Effect, Endpoint, Event, Interval, Now, Pause, Phase, PhaseName, State,
};

const STAGES: &str = "
  stages:
    - {weight: 10%, bake: 3s, deadline: 30s}
    - {weight: 50%, bake: 3s, deadline: 30s}
    - {weight: 100%, bake: 3s, deadline: 30s}
  gates: [{name: errors, metric: error_rate, max: 10%, minSamples: 5}]
  guardrails: [{name: errors-limit, metric: error_rate, max: 20%}]
  noData: {after: 5s, action: hold}
  acknowledge: {timeout: 5s}
  handBack: {hook: {url: 'http://deploy'}, endpoints: ['http://stable'], step: 1s}
";
const MODELS: &str = "
  models:
    - {name: retrieval, match: {pathPrefix: /retrieve}}
    - {name: ranking, match: {pathPrefix: /rank}}
";

/// A fleet, and a mesh that serves it.
#[derive(Clone)]
struct Tale {
    ms: u64,
    members: BTreeMap<String, State>,
    effects: Vec<(String, Effect)>,
    /// Members whose canary answers errors only.
    bad: Vec<&'static str>,
    /// Members whose counts do not arrive.
    blind: Vec<&'static str>,
    /// Members whose proxies do not follow.
    deaf: Vec<&'static str>,
    deploys: bool,
}

impl Tale {
    fn of(lines: &str) -> Self {
        let text = format!(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: f}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n{}{lines}",
            STAGES.trim_start_matches('\n')
        );
        let loaded = load(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let state =
            |plan: &manifest::Plan| (plan.name.clone(), State::new(plan.clone(), 1, 0, Now::at_ms(0)));
        let mut tale = Self {
            ms: 0,
            members: loaded.plans().iter().map(state).collect(),
            effects: Vec::new(),
            bad: Vec::new(),
            blind: Vec::new(),
            deaf: Vec::new(),
            deploys: true,
        };
        let start = (0..tale.members.len()).map(|index| (index, Event::Start(human()))).collect();
        tale.take(start);
        tale
    }

    fn states(&self) -> Vec<&State> {
        self.members.values().collect()
    }

    fn take(&mut self, events: Vec<(usize, Event)>) -> Vec<MemberOutcome> {
        let moved = fleet::step(&self.states(), events, Now::at_ms(self.ms));
        let names: Vec<String> = self.members.keys().cloned().collect();
        for one in &moved {
            let name = &names[one.index];
            self.effects.extend(one.effects.iter().map(|effect| (name.clone(), effect.clone())));
            self.members.insert(name.clone(), one.state.clone());
        }
        moved
    }

    fn act(&mut self, event: &Event) -> Result<Vec<MemberOutcome>, String> {
        fleet::acts(&self.states(), event).map(|events| self.take(events))
    }

    fn events(&self, index: usize, from_ms: u64) -> Vec<Event> {
        let (name, state) = self.members.iter().nth(index).unwrap();
        let mut events = Vec::new();
        let is = |list: &[&str]| list.iter().any(|part| name.split('.').any(|word| word == *part));
        if let Some(publication) = &state.publication
            && !is(&self.deaf)
        {
            let acks =
                Acks { publication: publication.sent.id, acknowledged: 1, connected: 1, ..Acks::default() };
            events.push(Event::Acks(acks));
        }
        if !is(&self.blind) {
            let canary = u64::from(state.weights.canary_ppm) / 2_000;
            let counts = |n: u64, errors: u64| Counts {
                assigned: n,
                finished: n,
                outcomes: n,
                errors,
                latency: Bins([(tally::latency_bin(50_000_000), n)].into()),
                ..Counts::default()
            };
            events.push(Event::Interval(Box::new(Interval {
                epoch: state.epoch,
                from_ms,
                to_ms: self.ms,
                canary: counts(canary, if is(&self.bad) { canary } else { 0 }),
                stable: counts(500 - canary, 0),
                ..Interval::default()
            })));
        }
        if state.watches_stable() && self.deploys {
            let endpoint = Endpoint { url: "u".to_owned(), version: Some("v2".to_owned()), error: None };
            events.push(Event::StableReports(vec![endpoint]));
        }
        events.push(Event::Tick);
        events
    }

    fn second(&mut self) -> Vec<MemberOutcome> {
        let from_ms = self.ms;
        self.ms += 1_000;
        let mut all = Vec::new();
        for index in 0..self.members.len() {
            for event in self.events(index, from_ms) {
                all.extend(self.take(vec![(index, event)]));
            }
        }
        all
    }

    #[track_caller]
    fn until(&mut self, seconds: u64, what: impl Fn(&Self) -> bool) -> u64 {
        for second in 0..=seconds {
            if what(self) {
                return second;
            }
            self.second();
        }
        panic!("not within {seconds} s: {}\n{:#?}", self.said(), self.phases());
    }

    fn phases(&self) -> BTreeMap<&str, (PhaseName, u32, usize)> {
        let seen = |state: &State| (state.phase.name(), state.weights.canary_ppm, state.stages.len());
        self.members.iter().map(|(name, state)| (name.as_str(), seen(state))).collect()
    }

    fn weight(&self, name: &str) -> u32 {
        self.members[name].weights.canary_ppm
    }

    fn phase(&self) -> PhaseName {
        fleet::phase(&self.states())
    }

    fn said(&self) -> String {
        fleet::view("f", &self.states()).message
    }
}

const WAVES: &str = "  regions: {waves: [[eu], [us, asia]], soak: 20s}\n";

#[test]
fn models_go_up_together_and_are_handed_back_together() {
    let mut tale = Tale::of(MODELS);
    tale.blind = vec!["ranking"];
    tale.until(10, |tale| tale.members["f.retrieval"].asks() == Some(1));
    for _ in 0..3 {
        tale.second();
        assert_eq!(tale.weight("f.retrieval"), 100_000, "it waits for the other");
    }
    assert!(tale.said().contains("f.ranking"), "{}", tale.said());
    tale.blind.clear();
    let mut last = (0, 0);
    while tale.phase() != PhaseName::Succeeded {
        tale.second();
        let now = (tale.weight("f.retrieval"), tale.weight("f.ranking"));
        assert!(now.0 == now.1 || now < last, "{now:?}: raised together");
        last = now;
        assert!(tale.ms < 200_000, "{:?}", tale.phases());
    }
    assert!(tale.members.values().all(|state| state.stable_version == "v2"));
    // The same verdict as anywhere: each stage was left because its own gates passed.
    for state in tale.members.values() {
        assert_eq!(state.stages.len(), 3);
        assert!(state.stages.iter().all(|stage| stage.overridden_by.is_none()));
    }
}

#[test]
fn the_harm_of_one_model_takes_all_back_in_the_same_step() {
    let mut tale = Tale::of(MODELS);
    tale.until(30, |tale| tale.weight("f.ranking") == 500_000);
    tale.bad = vec!["ranking"];
    tale.effects.clear();
    loop {
        let moved = tale.second();
        let back = |one: &&MemberOutcome| one.state.phase == Phase::RolledBack;
        if let Some(first) = moved.iter().find(back) {
            let step: Vec<_> = moved.iter().filter(|one| one.state.last == first.state.last).collect();
            assert!(step.iter().filter(|one| back(one)).count() >= 2, "{:?}", tale.phases());
            break;
        }
        assert!(tale.ms < 60_000, "{:?}", tale.phases());
    }
    assert!(tale.members.values().all(|state| state.weights.canary_ppm == 0));
    let reason = &tale.members["f.retrieval"].rollback.as_ref().unwrap().reason;
    assert!(reason.starts_with("f.ranking went back: guardrail") || reason.contains("gate"), "{reason}");
    assert!(tale.said().contains("f.ranking"), "{}", tale.said());
    assert_eq!(tale.phase(), PhaseName::RolledBack);
}

#[test]
fn a_wave_begins_when_the_one_before_has_proven_itself_and_soaked() {
    let mut tale = Tale::of(WAVES);
    tale.until(60, |tale| tale.members["f.eu"].asks() == Some(3));
    assert_eq!((tale.weight("f.eu"), tale.weight("f.us"), tale.weight("f.asia")), (1_000_000, 0, 0));
    let proven = tale.ms;
    tale.until(40, |tale| tale.weight("f.us") > 0);
    assert!(tale.ms - proven >= 19_000, "{}", tale.ms - proven);
    assert_eq!(tale.weight("f.asia"), 100_000, "the regions of a wave go together");
    // Nothing is handed back before the last wave is there too.
    tale.until(60, |tale| tale.members["f.us"].stages.len() == 3);
    assert_eq!(tale.weight("f.eu"), 1_000_000);
    tale.until(60, |tale| tale.phase() == PhaseName::Succeeded);
}

#[test]
fn any_region_that_derails_takes_all_back_even_those_before_it() {
    let mut tale = Tale::of(WAVES);
    tale.until(90, |tale| tale.weight("f.us") > 0);
    tale.bad = vec!["us"];
    tale.until(20, |tale| tale.phase() == PhaseName::RolledBack);
    assert!(tale.members.values().all(|state| state.weights.canary_ppm == 0), "{:?}", tale.phases());
}

#[test]
fn with_a_quorum_a_region_goes_back_alone_until_enough_have() {
    let lines = "  regions: {waves: [[eu, us, asia]], abort: 2, advance: 2}\n";
    let mut tale = Tale::of(lines);
    tale.until(20, |tale| tale.weight("f.us") == 500_000);
    tale.bad = vec!["us"];
    tale.until(20, |tale| tale.members["f.us"].phase == Phase::RolledBack);
    assert_ne!(tale.phase(), PhaseName::RolledBack);
    let mut alone = tale.clone();
    alone.until(60, |tale| tale.phase() == PhaseName::Succeeded);
    assert!(alone.said().contains("without f.us"), "{}", alone.said());
    tale.bad = vec!["us", "asia"];
    tale.until(20, |tale| tale.phase() == PhaseName::RolledBack);
    assert_eq!(tale.weight("f.eu"), 0);
}

#[test]
fn a_region_that_cannot_decide_holds_and_does_not_stop_a_quorum() {
    let lines = "  regions: {waves: [[eu, us, asia]], advance: 2}\n";
    let mut tale = Tale::of(lines);
    tale.until(20, |tale| tale.weight("f.asia") == 100_000);
    // A partition: neither counts nor acknowledgements.
    (tale.blind, tale.deaf) = (vec!["asia"], vec!["asia"]);
    tale.until(60, |tale| tale.members["f.eu"].phase == Phase::Succeeded);
    assert_eq!(tale.weight("f.asia"), 0, "nobody has it there, as far as anybody knows");
    (tale.blind, tale.deaf) = (vec![], vec![]);
    if tale.members["f.asia"].phase.name() == PhaseName::Paused {
        tale.act(&Event::Resume(human())).unwrap();
    }
    tale.until(60, |tale| tale.phase() == PhaseName::Succeeded);
}

#[test]
fn a_lost_member_holds_the_others_no_longer_than_its_deadline() {
    for (policy, ends) in [("pause", PhaseName::Paused), ("rollback", PhaseName::RolledBack)] {
        let mut tale = Tale::of(&format!("{MODELS}  onInsufficient: {policy}\n"));
        tale.until(10, |tale| tale.weight("f.ranking") == 100_000);
        tale.blind = vec!["ranking"];
        tale.until(40, |tale| tale.phase() == ends);
        assert!(tale.weight("f.retrieval") <= 100_000);
    }
}

#[test]
fn what_people_do_they_do_to_all() {
    let approval = format!("{MODELS}  windows: {{open: [{{from: '00:00', to: '00:00'}}]}}\n");
    let mut tale = Tale::of(&approval);
    tale.until(20, |tale| tale.weight("f.ranking") == 100_000);
    tale.act(&Event::Pause(human())).unwrap();
    assert_eq!(tale.phase(), PhaseName::Paused);
    for _ in 0..20 {
        tale.second();
    }
    assert_eq!(tale.weight("f.ranking"), 100_000);
    assert!(tale.act(&Event::Approve(human())).unwrap_err().contains("no approval"));
    tale.act(&Event::Resume(human())).unwrap();
    tale.until(20, |tale| tale.weight("f.ranking") == 500_000);
    let reasoned = crate::Human { reason: "seen enough".to_owned(), ..human() };
    tale.act(&Event::Promote(reasoned)).unwrap();
    assert_eq!((tale.weight("f.ranking"), tale.weight("f.retrieval")), (1_000_000, 1_000_000));
    tale.effects.clear();
    tale.act(&Event::Abort(human())).unwrap();
    let published = tale.effects.iter().filter(|(_, effect)| matches!(effect, Effect::Publish(_))).count();
    assert_eq!((tale.phase(), published), (PhaseName::RolledBack, 2));
    assert!(tale.act(&Event::Abort(human())).unwrap_err().contains("over"));
}

#[test]
fn a_promotion_of_the_whole_ends_the_soak_and_a_stop_keeps_the_next_wave_away() {
    let mut tale = Tale::of(WAVES);
    tale.until(60, |tale| tale.members["f.eu"].asks() == Some(3));
    let mut promoted = tale.clone();
    promoted.act(&Event::Promote(human())).unwrap();
    assert_eq!((promoted.weight("f.us"), promoted.weight("f.asia")), (100_000, 100_000));
    tale.act(&Event::Pause(human())).unwrap();
    for _ in 0..60 {
        tale.second();
    }
    assert_eq!(tale.weight("f.us"), 0);
    assert_eq!(tale.members["f.eu"].phase, Phase::Paused(Pause::Human { who: human().who }));
}

#[test]
fn the_same_document_is_nothing_new_and_another_waits_its_turn() {
    let tale = Tale::of(MODELS);
    let plans: Vec<manifest::Plan> =
        tale.members.values().map(|state| manifest::Plan::clone(&state.plan)).collect();
    assert_eq!(fleet::admit(&tale.states(), &plans, false), Admission::Unchanged);
    assert_eq!(fleet::admit(&[], &plans, false), Admission::Begin { run: 1, epoch: 0 });
    match fleet::admit(&tale.states(), &plans[..1], false) {
        Admission::Refused(why) => assert!(why.contains("f is Pending"), "{why}"),
        other => panic!("{other:?}"),
    }
    let mut over = tale.clone();
    over.act(&Event::Abort(human())).unwrap();
    assert!(matches!(fleet::admit(&over.states(), &plans, false), Admission::Refused(_)));
    assert!(matches!(fleet::admit(&over.states(), &plans, true), Admission::Begin { run: 2, .. }));
    assert!(matches!(fleet::admit(&over.states(), &plans[..1], false), Admission::Begin { run: 2, .. }));
}
