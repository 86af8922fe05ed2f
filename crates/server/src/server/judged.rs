//! For tools that move traffic or release versions themselves and ask whether they may: Argo Rollouts' web metric, Flagger's
//! webhooks.

use api::{Judged, Judgement, JudgementQuery, PhaseName, Refusal};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::{Answer, Api, shown};
use controller::health::ENGINE_SILENT_MS;

/// A verdict, also while there is none: "not yet" is an answer, not an error.
pub async fn verdict(
    State(api): State<Api>,
    Path(name): Path<String>,
    query: Result<Query<JudgementQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return Answer::<Judgement>(Err(Refusal::Invalid(error.body_text()))).into_response(),
    };
    match judgement(&api, &name, &query) {
        Ok(judgement) => Json(judgement).into_response(),
        Err(refusal) => Answer::<Judgement>(Err(refusal)).into_response(),
    }
}

/// A webhook of Flagger. It takes whatever is not above 202 for a yes and asks again after a 5xx, and its `rollback` means
/// the opposite of the others; so it is 200 where the answer is certainly yes, and 403 for all else.
pub async fn hook(
    State(api): State<Api>,
    Path((name, hook)): Path<(String, String)>,
    query: Result<Query<JudgementQuery>, QueryRejection>,
) -> Response {
    let said = query.map_err(|error| error.body_text()).and_then(|Query(query)| {
        let judgement = judgement(&api, &name, &query).map_err(|refusal| refusal.to_string())?;
        asked(&hook, &judgement, query.version.is_some())
    });
    let (status, text) = match said {
        Ok(why) => (StatusCode::OK, why),
        Err(why) => (StatusCode::FORBIDDEN, why),
    };
    (status, text + "\n").into_response()
}

/// What a judgement means for a hook: `Ok` is yes, with why. `named`: the version is the one that was asked about.
fn asked(hook: &str, judgement: &Judgement, named: bool) -> Result<String, String> {
    let Judgement { verdict, why, version, run, .. } = judgement;
    // What Flagger has begun since is another version, perhaps.
    if !named && hook.starts_with("confirm-") && judgement.phase == PhaseName::Succeeded {
        return Err(format!(
            "run {run} of {version} is over; ask with ?version=, or apply the new version first"
        ));
    }
    let Some(judged) = verdict.known() else { return Err(format!("the verdict {verdict} is not known")) };
    let yes = match hook {
        // Traffic or the promotion waits until the version is proven.
        "confirm-traffic-increase" | "confirm-promotion" => *judged == Judged::Pass,
        // What is counted against the version, or begins it: evidence that is still gathered is no failure.
        "confirm-rollout" | "pre-rollout" | "rollout" => *judged <= Judged::Pending,
        "rollback" => *judged == Judged::Fail,
        other => {
            return Err(format!(
                "{other:?} is no hook that asks; there are confirm-rollout, pre-rollout, rollout, \
                 confirm-traffic-increase, confirm-promotion and rollback"
            ));
        }
    };
    let text = format!("{version} {verdict}: {why}");
    if yes { Ok(text) } else { Err(text) }
}

/// What was known before the engine stopped is no verdict.
fn judgement(api: &Api, name: &str, query: &JudgementQuery) -> Result<Judgement, Refusal> {
    let silent_ms = api.lease.silent_ms();
    if silent_ms > ENGINE_SILENT_MS {
        let text =
            format!("the engine has not come round for {} s; see the controller's log", silent_ms / 1_000);
        return Err(Refusal::Failed(text));
    }
    Ok(shown(api, name)?.judgement(query.version.as_deref()))
}
