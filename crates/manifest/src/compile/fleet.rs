//! From one document to the members of a fleet: each is a rollout by itself, of the same stages.

use super::{Check, arms, bandit, compile};
use crate::fleet::{After, HowMany, Member, Terms};
use crate::plan::Plan;
use crate::preset;
use crate::problem::{Problem, Problems};
use crate::series::{LIMIT, series};
use crate::typed::{
    Guardrail, Hook, KubernetesHandBack, KubernetesKeepWarm, KubernetesReady, Model, Regions, Rollout,
    RolloutSpec,
};

/// A fleet, member by member.
pub(crate) struct Fleet {
    /// Region by region, in the order of the waves; in a region model by model.
    pub(crate) members: Vec<Compiled>,
    /// What is allowed and probably not wished of them as a whole.
    pub(crate) warnings: Vec<Problem>,
}

/// One member: as it would have been typed by itself, and as meant.
pub(crate) struct Compiled {
    pub(crate) typed: Rollout,
    pub(crate) plan: Plan,
    model: Option<usize>,
}

impl Compiled {
    /// Where a field of the member stands in the user's text.
    pub(crate) fn place(&self, whole: &Rollout, field: &str) -> String {
        place(self.model, whole, &self.typed, field)
    }
}

/// Everybody's region, where there are none.
const EVERYWHERE: &[Option<&str>] = &[None];

/// The members of a document that names models or regions; `None` when it names neither.
pub(crate) fn fleet(rollout: &Rollout) -> Option<Result<Fleet, Problems>> {
    let spec = &rollout.spec;
    if spec.models.is_empty() && spec.regions.is_none() {
        return None;
    }
    let mut check = Check::default();
    check.label("metadata.name", &rollout.metadata.name);
    arms::no_fleet(&mut check, spec);
    bandit::no_fleet(&mut check, spec);
    models(&mut check, spec);
    let terms = spec.regions.as_ref().map(|regions| terms(&mut check, spec, regions));
    let mut found = check.problems;
    let waves: Vec<Vec<Option<&str>>> = match &spec.regions {
        Some(regions) => {
            regions.waves.iter().map(|wave| wave.iter().map(|name| Some(name.as_str())).collect()).collect()
        }
        None => vec![EVERYWHERE.to_vec()],
    };
    let mut members = Vec::new();
    for (wave, regions) in waves.iter().enumerate() {
        for region in regions {
            for model in indices(spec.models.len()) {
                let typed = member(rollout, model, *region);
                let place = Member {
                    fleet: rollout.metadata.name.clone(),
                    model: model.and_then(|at| spec.models.get(at)).map(|model| model.name.clone()),
                    region: region.map(str::to_owned),
                    wave,
                    terms: terms.unwrap_or_default(),
                };
                match compile(&typed) {
                    Ok(plan) => {
                        let plan = Plan { member: Some(place), ..plan };
                        members.push(Compiled { typed, plan, model });
                    }
                    Err(problems) => found.extend(problems.0.into_iter().filter_map(|problem| {
                        // Names are checked above, as they were written.
                        let field = super::fleet::place(model, rollout, &typed, &problem.field);
                        (field != "metadata.name").then_some(Problem { field, ..problem })
                    })),
                }
            }
        }
    }
    if found.is_empty() {
        share_alpha(&mut members);
        found.extend(same_requests(&members));
    }
    // What every member says is said once.
    let mut said: Vec<Problem> = Vec::new();
    for problem in found {
        if !said.contains(&problem) {
            said.push(problem);
        }
    }
    if !said.is_empty() {
        return Some(Err(Problems(said)));
    }
    let warnings = warnings(spec, &members);
    Some(Ok(Fleet { members, warnings }))
}

/// Every model's index, or nobody's once.
fn indices(n: usize) -> Vec<Option<usize>> {
    if n == 0 { vec![None] } else { (0..n).map(Some).collect() }
}

fn models(check: &mut Check, spec: &RolloutSpec) {
    for (index, model) in spec.models.iter().enumerate() {
        let at = format!("spec.models[{index}].name");
        check.label(&at, &model.name);
        if spec.models.iter().take(index).any(|before| before.name == model.name) {
            check.refuse(at, format!("{:?} stands there twice", model.name), "rename one");
        }
        for (list, names) in [
            ("gates", model.gates.iter().map(|gate| &gate.name).collect::<Vec<_>>()),
            ("guardrails", model.guardrails.iter().map(|guardrail| &guardrail.name).collect()),
        ] {
            for (at, name) in names.iter().enumerate() {
                if names.iter().take(at).any(|before| before == name) {
                    let field = format!("spec.models[{index}].{list}[{at}].name");
                    check.refuse(field, format!("{name:?} stands there twice"), "rename one");
                }
            }
        }
    }
}

fn terms(check: &mut Check, spec: &RolloutSpec, regions: &Regions) -> Terms {
    let at = "spec.regions";
    let mut names: Vec<&str> = Vec::new();
    if regions.waves.is_empty() {
        check.refuse(
            format!("{at}.waves"),
            "there is no wave",
            "list the regions, such as [[eu-west], [us-east]]",
        );
    }
    for (wave, members) in regions.waves.iter().enumerate() {
        if members.is_empty() {
            check.refuse(
                format!("{at}.waves[{wave}]"),
                "no region is in it",
                "name one, or leave the wave out",
            );
        }
        for (index, name) in members.iter().enumerate() {
            let field = format!("{at}.waves[{wave}][{index}]");
            check.label(&field, name);
            if names.contains(&name.as_str()) {
                check.refuse(field, format!("{name:?} stands there twice"), "name every region once");
            }
            names.push(name);
        }
    }
    let length = |model: Option<&Model>, region: &str| {
        rollout_name("", model.map(|model| model.name.as_str()), Some(region)).len()
    };
    let longest = names.iter().flat_map(|region| {
        let models = indices(spec.models.len()).into_iter();
        models.map(|model| length(model.and_then(|at| spec.models.get(at)), region))
    });
    // The label check of each member would say so too, of a name nobody wrote.
    if longest.max().is_some_and(|length| length > 50) {
        let remedy = "shorten the models' and regions' names to 50 characters together";
        check.refuse(format!("{at}.waves"), "the names become too long for a counter's label", remedy);
    }
    let stages = spec.stages.as_ref().map(Vec::len);
    if let (Some(After::Stage(stage)), Some(stages)) = (regions.after, stages)
        && usize::try_from(stage).is_ok_and(|stage| stage > stages)
    {
        let remedy = "name an earlier stage, or write proven or succeeded";
        check.refuse(format!("{at}.after"), format!("there are {stages} stages"), remedy);
    }
    for (field, how_many) in [("abort", regions.abort), ("advance", regions.advance)] {
        if let Some(HowMany::Least(least)) = how_many
            && usize::try_from(least).is_ok_and(|least| least > names.len())
        {
            let what = format!("{least} is more than the {} regions there are", names.len());
            check.refuse(format!("{at}.{field}"), what, "write `all`, or a smaller number");
        }
    }
    Terms {
        abort: regions.abort.unwrap_or(HowMany::Any),
        advance: regions.advance.unwrap_or(HowMany::All),
        after: regions.after.unwrap_or_default(),
        soak_ms: super::span(regions.soak, 0),
    }
}

fn rollout_name(fleet: &str, model: Option<&str>, region: Option<&str>) -> String {
    [Some(fleet), model, region].into_iter().flatten().collect::<Vec<_>>().join(".")
}

/// A member as it would be typed by itself.
fn member(whole: &Rollout, index: Option<usize>, region: Option<&str>) -> Rollout {
    let mut typed = whole.clone();
    let spec = &mut typed.spec;
    // Said once, of the whole.
    (spec.models, spec.regions, spec.bandit) = (Vec::new(), None, None);
    let model = index.and_then(|index| whole.spec.models.get(index));
    let name = rollout_name(&whole.metadata.name, model.map(|model| model.name.as_str()), region);
    // The same people are in the same arm of every model, and in every region.
    let salt = format!("{}/{}", whole.metadata.name, whole.spec.canary.version);
    spec.assignment.get_or_insert_default().salt.get_or_insert(salt);
    if let (Some(model), Some(index)) = (model, index) {
        of_model(spec, &whole.spec, model, index);
    }
    let fill = |text: &mut String, fleet: bool| {
        if fleet {
            *text = text.replace("{{rollout}}", &whole.metadata.name);
        }
        if let Some(model) = model {
            *text = text.replace("{{model}}", &model.name);
        }
        if let Some(region) = region {
            *text = text.replace("{{region}}", region);
        }
    };
    for gate in &mut spec.gates {
        // A gate of all models is asked under the name of the whole; one region's is asked under its own.
        let of_whole = whole.spec.gates.iter().any(|known| known.name == gate.name && known.source.is_some());
        if let Some(source) = &mut gate.source {
            source.texts_mut().into_iter().for_each(|text| fill(text, of_whole && model.is_some()));
        }
    }
    for guardrail in &mut spec.guardrails {
        let known = |known: &Guardrail| known.name == guardrail.name && known.source.is_some();
        let of_whole = whole.spec.guardrails.iter().any(known);
        if let Some(source) = &mut guardrail.source {
            source.texts_mut().into_iter().for_each(|text| fill(text, of_whole && model.is_some()));
        }
    }
    let hand_back = spec.hand_back.iter_mut().map(|it| (&mut it.hook, &mut it.endpoints));
    let keep_warm = spec.keep_warm.iter_mut().map(|it| (&mut it.hook, &mut it.endpoints));
    let mut hooks: Vec<&mut Hook> = Vec::new();
    for (hook, endpoints) in hand_back.chain(keep_warm) {
        endpoints.iter_mut().for_each(|text| fill(text, false));
        hooks.extend(hook.as_mut());
    }
    hooks.extend(spec.after.iter_mut().flat_map(|it| it.succeeded.iter_mut().chain(&mut it.rolled_back)));
    for Hook { url, command } in hooks {
        url.iter_mut().for_each(|text| fill(text, false));
        command.iter_mut().flatten().for_each(|text| fill(text, false));
    }
    let changed = spec.hand_back.iter_mut().filter_map(|it| it.kubernetes.as_mut());
    let changed = changed.flat_map(KubernetesHandBack::texts_mut);
    let kept = spec.keep_warm.iter_mut().filter_map(|it| it.kubernetes.as_mut());
    let kept = kept.flat_map(KubernetesKeepWarm::texts_mut);
    let ready = spec.ready.iter_mut().filter_map(|it| it.kubernetes.as_mut());
    let ready = ready.flat_map(KubernetesReady::texts_mut);
    changed.chain(kept).chain(ready).for_each(|text| fill(text, false));
    typed.metadata.name = name;
    typed
}

fn of_model(spec: &mut RolloutSpec, whole: &RolloutSpec, model: &Model, index: usize) {
    macro_rules! own {
        ($($field:ident),*) => { $( if model.$field.is_some() { spec.$field.clone_from(&model.$field); } )* };
    }
    own!(scope, routing, confidence, answer, error_classes, overdue_after, hand_back, keep_warm, after);
    if let Some(version) = &model.stable {
        spec.stable.clone_from(version);
    }
    if let Some(version) = &model.canary {
        spec.canary.clone_from(version);
    }
    // A source measures the whole, so it is asked once: all members pass together and fall together, so it does not
    // matter which of them holds it.
    let (of_whole, of_each): (Vec<_>, Vec<_>) =
        whole.gates.iter().cloned().partition(|gate| gate.source.is_some());
    let own = preset::join_gates(of_each, model.gates.clone());
    let (rails_of_whole, rails_of_each): (Vec<_>, Vec<_>) =
        whole.guardrails.iter().cloned().partition(|guardrail| guardrail.source.is_some());
    spec.guardrails = preset::join_guardrails(rails_of_each, model.guardrails.clone());
    let none_of_its_own = own.is_empty() && spec.guardrails.is_empty();
    if own.is_empty() && !of_whole.is_empty() || none_of_its_own && !rails_of_whole.is_empty() {
        // A gate of the whole stands beside what each model must prove, not in its place.
        spec.preset.get_or_insert_with(|| preset::DEFAULT.to_owned());
    }
    let inherited = preset::find(spec.preset.as_deref().unwrap_or(preset::DEFAULT));
    let lacks = |name: &String| {
        let here = own.iter().chain(of_whole.iter().filter(|_| index == 0)).any(|gate| gate.name == *name);
        let inherited = inherited.iter().flat_map(|preset| &preset.gates).any(|gate| gate.name == *name);
        let elsewhere = of_whole.iter().chain(whole.models.iter().flat_map(|model| &model.gates));
        !here && !inherited && elsewhere.into_iter().any(|gate| gate.name == *name)
    };
    for stage in spec.stages.iter_mut().flatten() {
        if let Some(names) = &mut stage.gates {
            names.retain(|name| !lacks(name));
        }
    }
    // What is named to be watched is watched in the models that have it.
    if let Some(watch) = &mut spec.watch {
        let named = !watch.gates.is_empty();
        watch.gates.retain(|gate| !lacks(&gate.name));
        if named && watch.gates.is_empty() {
            spec.watch = None;
        }
    }
    spec.gates = own;
    if index == 0 {
        spec.gates.extend(of_whole);
        spec.guardrails.extend(rails_of_whole);
    }
}

/// Where a field of a member stands in the user's text.
fn place(index: Option<usize>, whole: &Rollout, member: &Rollout, field: &str) -> String {
    let Some((index, model)) = index.and_then(|index| Some((index, whole.spec.models.get(index)?))) else {
        return field.to_owned();
    };
    let own = |rest: &str| format!("spec.models[{index}].{rest}");
    let listed = |list: &str| -> Option<(usize, String)> {
        let rest = field.strip_prefix("spec.")?.strip_prefix(list)?.strip_prefix('[')?;
        let (at, rest) = rest.split_once(']')?;
        Some((at.parse().ok()?, rest.to_owned()))
    };
    if let Some((at, rest)) = listed("gates") {
        let name = member.spec.gates.get(at).map(|gate| &gate.name);
        let at = |gates: &[crate::typed::Gate]| gates.iter().position(|gate| Some(&gate.name) == name);
        return match (at(&model.gates), at(&whole.spec.gates)) {
            (Some(at), _) => own(&format!("gates[{at}]{rest}")),
            (None, at) => format!("spec.gates[{}]{rest}", at.unwrap_or_default()),
        };
    }
    if let Some((at, rest)) = listed("guardrails") {
        let name = member.spec.guardrails.get(at).map(|guardrail| &guardrail.name);
        let at = |list: &[crate::typed::Guardrail]| list.iter().position(|one| Some(&one.name) == name);
        return match (at(&model.guardrails), at(&whole.spec.guardrails)) {
            (Some(at), _) => own(&format!("guardrails[{at}]{rest}")),
            (None, at) => format!("spec.guardrails[{}]{rest}", at.unwrap_or_default()),
        };
    }
    let written = [
        ("stable", model.stable.is_some()),
        ("canary", model.canary.is_some()),
        ("match", model.scope.is_some()),
        ("routing", model.routing.is_some()),
        ("confidence", model.confidence.is_some()),
        ("answer", model.answer.is_some()),
        ("errorClasses", model.error_classes.is_some()),
        ("overdueAfter", model.overdue_after.is_some()),
        ("handBack", model.hand_back.is_some()),
        ("keepWarm", model.keep_warm.is_some()),
        ("after", model.after.is_some()),
    ];
    let rest = field.strip_prefix("spec.").unwrap_or_default();
    let head = rest.split(['.', '[']).next().unwrap_or_default();
    if written.iter().any(|(name, given)| *given && *name == head) { own(rest) } else { field.to_owned() }
}

/// The harm of one member takes others back with it, so they share the chance of false alarm: the whole keeps what
/// the document states. A pass needs no sharing: all must pass.
fn share_alpha(members: &mut [Compiled]) {
    let together = |plan: &Plan, other: &Plan| match (&plan.member, &other.member) {
        (Some(one), Some(other)) => one.terms.abort == HowMany::Any || one.region == other.region,
        _ => false,
    };
    let counts: Vec<usize> = members
        .iter()
        .map(|one| members.iter().filter(|other| together(&one.plan, &other.plan)).count())
        .collect();
    for (member, n) in members.iter_mut().zip(counts) {
        #[allow(clippy::cast_precision_loss)] // a handful
        let n = n.max(1) as f64;
        member.plan.alpha.gates /= n;
        member.plan.alpha.guardrails /= n;
    }
}

/// The first rollout that fits a request owns it, so two models of the same requests cannot both be served.
fn same_requests(members: &[Compiled]) -> Vec<Problem> {
    let region = |one: &Compiled| one.plan.member.as_ref().and_then(|member| member.region.clone());
    let mut found = Vec::new();
    for (at, one) in members.iter().enumerate() {
        let same = |before: &&Compiled| {
            region(before) == region(one) && before.plan.traffic.scope == one.plan.traffic.scope
        };
        if let (Some(index), true) = (one.model, members.iter().take(at).any(|before| same(&before))) {
            found.push(Problem::error(
                format!("spec.models[{index}].match"),
                "another model owns the same requests",
                "give each model a `match` of its own, such as {pathPrefix: /v1/rank}",
            ));
        }
    }
    found
}

fn warnings(spec: &RolloutSpec, members: &[Compiled]) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(regions) = &spec.regions
        && let Some(HowMany::Least(least)) = regions.advance
    {
        for (wave, regions) in regions.waves.iter().enumerate() {
            if usize::try_from(least).is_ok_and(|least| least > regions.len()) {
                found.push(Problem::warning(
                    format!("spec.regions.waves[{wave}]"),
                    format!("{least} of its {} regions are to agree", regions.len()),
                    "it waits for all of them: write a smaller `advance`, or join waves",
                ));
            }
        }
    }
    let one_region = members.iter().take(spec.models.len().max(1));
    let reach: u32 = one_region.map(|member| series(&member.plan).total()).sum();
    if reach > LIMIT && spec.models.len() > 1 {
        found.push(Problem::warning(
            "spec.models",
            format!("together they can reach {reach} series in each sidecar that serves all of them"),
            "count less where that is much: `baseline: false`, no `confidence`, `assignment: {unit: request}`",
        ));
    }
    found
}
