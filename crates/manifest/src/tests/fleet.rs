//! Documents of several models and regions.

use super::MINIMAL;
use crate::{HowMany, Source, load};

const MODELS: &str = "  models:
    - {name: retrieval, match: {pathPrefix: /retrieve}, canary: {version: r7}}
    - name: ranking
      match: {pathPrefix: /rank}
      gates: [{name: errors, metric: error_rate, max: 2%}, {name: clicks, source: {push: {}}, min: 0.1}]
";
const REGIONS: &str = "  regions: {waves: [[eu-west], [us-east, us-west]], abort: 2}\n";

fn loaded(lines: &str) -> crate::Loaded {
    let text = format!("{MINIMAL}{lines}");
    load(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

#[track_caller]
fn problems(lines: &str, expected: &[&str]) {
    let text = format!("{MINIMAL}{lines}");
    let said = match load(&text) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.0,
    };
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    assert_eq!(said, expected, "{text}");
}

#[test]
fn a_document_without_models_or_regions_runs_by_itself() {
    let loaded = loaded("");
    assert!(loaded.members.is_empty() && loaded.plan.member.is_none());
    assert_eq!(loaded.plans().len(), 1);
}

#[test]
fn every_model_in_every_region_is_a_member_with_the_same_stages_and_salt() {
    let loaded =
        loaded(&format!("{REGIONS}{MODELS}  assignment: {{mode: sticky, keys: [{{cookie: uid}}]}}\n"));
    let seen: Vec<(&str, &str, usize)> = loaded
        .plans()
        .iter()
        .map(|plan| (plan.name.as_str(), plan.canary.as_str(), plan.member.as_ref().unwrap().wave))
        .collect();
    assert_eq!(
        seen,
        [
            ("ranker.retrieval.eu-west", "r7", 0),
            ("ranker.ranking.eu-west", "v2", 0),
            ("ranker.retrieval.us-east", "r7", 1),
            ("ranker.ranking.us-east", "v2", 1),
            ("ranker.retrieval.us-west", "r7", 1),
            ("ranker.ranking.us-west", "v2", 1),
        ]
    );
    for plan in loaded.plans() {
        assert_eq!(plan.traffic.assignment, loaded.plan.traffic.assignment, "the same people everywhere");
        assert_eq!(plan.stages.len(), loaded.plan.stages.len());
        let member = plan.member.as_ref().unwrap();
        assert_eq!((member.fleet.as_str(), member.terms.abort), ("ranker", HowMany::Least(2)));
        // Two models fall together, and a region does not take the others along.
        assert!((plan.alpha.gates - 0.02).abs() < 1e-12 && (plan.alpha.guardrails - 0.005).abs() < 1e-12);
        assert!((plan.alpha.pass - 0.05).abs() < 1e-12, "all must pass");
    }
}

#[test]
fn gates_of_each_model_gates_of_all_and_gates_of_one() {
    let end_to_end = "{name: end-to-end, source: {prometheus: {url: 'http://p', query: 'q{rollout=\"{{rollout}}\"}'}}, max: 300ms}";
    let staged = "  stages:\n    - {weight: 5%, bake: 1m, gates: [errors, end-to-end, clicks]}\n    - {weight: 100%, bake: 1m}\n";
    let names = |plan: &crate::Plan| plan.gates.iter().map(|gate| gate.name.clone()).collect::<Vec<_>>();
    // With nothing but a gate of the whole the preset's stand.
    let loaded_alone = loaded(
        &format!("{MODELS}  gates: [{end_to_end}]\n")
            .replace(
                "gates: [{name: errors, metric: error_rate, max: 2%}, {name: clicks, source: {push: {}}, min: 0.1}]",
                "owner: me",
            )
            .replace("      owner: me\n", ""),
    );
    assert_eq!(names(&loaded_alone.plans()[0]), ["errors", "latency", "overdue", "end-to-end"]);
    assert_eq!(names(&loaded_alone.plans()[1]), ["errors", "latency", "overdue"]);

    let loaded = loaded(&format!(
        "{staged}{MODELS}  gates: [{{name: errors, metric: error_rate, max: 1%}}, {end_to_end}]\n"
    ));
    let [retrieval, ranking] = loaded.plans() else { panic!("two") };
    assert_eq!(
        (names(retrieval), names(ranking)),
        (vec!["errors".into(), "end-to-end".into()], vec!["errors".into(), "clicks".into()])
    );
    let limit = |plan: &crate::Plan| plan.gates[0].limit.unwrap().pass;
    assert!((limit(retrieval) - 0.01).abs() < 1e-12 && (limit(ranking) - 0.02).abs() < 1e-12);
    assert_eq!((retrieval.stages[0].gates.len(), ranking.stages[0].gates.len()), (2, 2));
    let Some(Source::Prometheus(source)) = retrieval.gates[1].source() else { panic!("prometheus") };
    assert_eq!(source.query, "q{rollout=\"ranker\"}", "asked for the whole");
}

#[test]
fn guardrails_with_a_source_are_asked_for_the_whole_or_for_a_model() {
    let rail = |name: &str| {
        format!(
            "{{name: {name}, source: {{prometheus: {{url: 'http://p', query: 'c{{r=\"{{{{rollout}}}}\",m=\"{{{{model}}}}\"}}'}}}}, max: 2}}"
        )
    };
    let text = format!(
        "  models:
    - {{name: a, match: {{pathPrefix: /a}}, guardrails: [{}]}}
    - {{name: b, match: {{pathPrefix: /b}}}}
  guardrails: [{{name: errors, metric: error_rate, max: 5%}}, {}]\n",
        rail("own"),
        rail("whole").replace(",m=\"{{model}}\"", ""),
    );
    let loaded = loaded(&text);
    let queries = |plan: &crate::Plan| {
        let rails = plan.guardrails.iter().map(|rail| {
            let source = rail.reads.as_ref().map(|reads| &reads.source);
            let query = match source {
                Some(Source::Prometheus(source)) => source.query.clone(),
                _ => String::new(),
            };
            format!("{} {query}", rail.name)
        });
        rails.collect::<Vec<_>>()
    };
    assert_eq!(
        queries(&loaded.plans()[0]),
        ["errors ", "own c{r=\"{{rollout}}\",m=\"a\"}", "whole c{r=\"ranker\"}"]
    );
    assert_eq!(queries(&loaded.plans()[1]), ["errors "]);
}

#[test]
fn what_is_wrong_is_named_where_it_was_written_and_once() {
    problems(
        "  models:\n    - {name: a, match: {pathPrefix: x}}\n    - {name: a, gates: [{name: g, metric: latency_p99, max: 5%}]}\n",
        &[
            "error (line 8): spec.models[0].match.pathPrefix: \"x\" fits no path; begin with '/'",
            "error (line 9): spec.models[1].name: \"a\" stands there twice; rename one",
            "error (line 9): spec.models[1].gates[0].max: 5% is no limit for latency_p99; use a time such as 500ms",
        ],
    );
    problems(
        "  models:\n    - {name: a}\n    - {name: b}\n",
        &[
            "error (line 9): spec.models[1].match: another model owns the same requests; give each model a `match` of its own, such as {pathPrefix: /v1/rank}",
        ],
    );
    problems(
        "  regions: {waves: [[eu, us], [], [eu]], advance: 9, after: never}\n",
        &[
            "error (line 7): spec.regions.after: \"never\" is not proven, succeeded, or the number of a stage such as 2; write it in one of these ways",
        ],
    );
    problems(
        "  regions: {waves: [[eu, us], [], [eu]], advance: 9, after: 5}\n  stages: [{weight: 5%, bake: 1m}, {weight: 100%, bake: 1m}]\n",
        &[
            "error (line 7): spec.regions.waves[1]: no region is in it; name one, or leave the wave out",
            "error (line 7): spec.regions.waves[2][0]: \"eu\" stands there twice; name every region once",
            "error (line 7): spec.regions.after: there are 2 stages; name an earlier stage, or write proven or succeeded",
            "error (line 7): spec.regions.advance: 9 is more than the 3 regions there are; write `all`, or a smaller number",
        ],
    );
    problems(
        "  regions: {waves: []}\n",
        &[
            "error (line 7): spec.regions.waves: there is no wave; list the regions, such as [[eu-west], [us-east]]",
        ],
    );
    problems(
        "  regions: {waves: [[eu], [us, asia]], advance: 2}\n",
        &[
            "warning (line 7): spec.regions.waves[0]: 2 of its 1 regions are to agree; it waits for all of them: write a smaller `advance`, or join waves",
        ],
    );
    // A mistake in what all share is said once.
    problems(
        "  regions: {waves: [[eu], [us]]}\n  warmUp: 1s\n  overdueAfter: 0s\n",
        &["error (line 9): spec.overdueAfter: every request would be overdue; write a time such as 2s"],
    );
}

#[test]
fn how_many_is_how_many_of_those_there_are() {
    for (text, of_three) in [("any", 1), ("all", 3), ("2", 2), ("7", 3)] {
        let how_many: HowMany = text.parse().unwrap();
        assert_eq!((how_many.of(3), how_many.of(0), how_many.to_string().as_str()), (of_three, 0, text));
    }
    assert!("0".parse::<HowMany>().is_err() && "".parse::<HowMany>().is_err());
}
