//! What is asked again under the same key is answered as it was the first time, and not done again.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use api::{EXPECT_HEADER, KEY_HEADER, Refusal, USER_HEADER, Verb, path};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

use super::done;
use super::people::LONGEST_KEY;

/// Answers that are kept; older ones make room. What was done to a run is known by its own state for longer.
const KEPT: usize = 1_024;

/// Longer answers are given and not kept.
const LONGEST_KEPT: usize = 64 * 1024;

/// Larger requests and answers carry no key.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Status, content type and body; `None`: the outcome is unknown.
type Answered = Option<(StatusCode, Option<header::HeaderValue>, Bytes)>;
type Answering = Shared<BoxFuture<'static, Answered>>;

/// The answers under keys.
#[derive(Clone, Default)]
pub struct IdempotentAnswers(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// By key: what was asked, and its answer.
    by_key: BTreeMap<String, (u64, Answering)>,
    /// The keys, the oldest first.
    order: VecDeque<String>,
}

impl Known {
    fn keep(&mut self, key: String, asked: u64, answering: Answering) {
        self.by_key.insert(key.clone(), (asked, answering));
        self.order.push_back(key);
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.by_key.remove(&oldest);
            }
        }
    }

    fn forget(&mut self, key: &str) {
        self.by_key.remove(key);
        self.order.retain(|known| known != key);
    }
}

/// Does a request that carries a key once.
pub async fn once(State(answers): State<IdempotentAnswers>, request: Request, next: Next) -> Response {
    // Figures and what registries send are no acts of a person: there are many, and each stands for itself.
    let last = request.uri().path().rsplit('/').next().unwrap_or_default();
    let figures = [path::FIGURES, path::WEBHOOK].contains(&last);
    let acts = !figures && [Method::POST, Method::DELETE].contains(request.method());
    let Some(key) = request.headers().get(KEY_HEADER).filter(|_| acts) else {
        return next.run(request).await;
    };
    // Taking traffic back is never held up, not even by a wrong key.
    let back = last == Verb::Abort.as_str();
    let key = key.to_str().map(str::trim).unwrap_or_default().to_owned();
    let fits = !key.is_empty() && key.len() <= LONGEST_KEY;
    if back && !fits {
        return next.run(request).await;
    }
    if !fits {
        let why = format!("{KEY_HEADER}: give 1 to {LONGEST_KEY} visible ASCII characters");
        return done(Err(Refusal::Invalid(why))).into_response();
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        let why = format!("the request is above {MOST_BYTES} bytes, or broke off");
        return done(Err(Refusal::Invalid(why))).into_response();
    };
    let mut hasher = DefaultHasher::new();
    (parts.method.as_str(), parts.uri.to_string(), &body[..]).hash(&mut hasher);
    for name in [USER_HEADER, EXPECT_HEADER] {
        parts.headers.get(name).map(header::HeaderValue::as_bytes).hash(&mut hasher);
    }
    let asked = hasher.finish();
    let answering = {
        let mut known = answers.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.by_key.get(&key) {
            // Taking back is done as often as it is asked for; the engine knows whether there is anything to do.
            Some((before, answering)) if back && (*before != asked || answering.peek().is_some()) => None,
            Some((before, _)) if *before != asked => {
                let why =
                    format!("{KEY_HEADER}: {key:?} was used for another request; give this one its own");
                return done(Err(Refusal::Invalid(why))).into_response();
            }
            Some((_, answering)) => Some(answering.clone()),
            None => {
                // It goes on when the client goes away, which may ask again.
                let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
                let running = tokio::spawn(answer(next.clone().run(request)));
                let answering = running.map(|answered| answered.ok().flatten()).boxed().shared();
                known.keep(key.clone(), asked, answering.clone());
                Some(answering)
            }
        }
    };
    let Some(answering) = answering else {
        return next.run(Request::from_parts(parts, Body::from(body))).await;
    };
    let answered = answering.await;
    // What failed or was refused may be tried again under its key: the reason may have gone.
    let keeps =
        |(status, _, body): &(StatusCode, _, Bytes)| status.is_success() && body.len() <= LONGEST_KEPT;
    if !answered.as_ref().is_some_and(keeps) {
        answers.0.lock().unwrap_or_else(PoisonError::into_inner).forget(&key);
    }
    match answered {
        Some((status, Some(form), body)) => (status, [(header::CONTENT_TYPE, form)], body).into_response(),
        Some((status, None, body)) => (status, body).into_response(),
        None => done(Err(Refusal::Failed("the request broke off".to_owned()))).into_response(),
    }
}

async fn answer(response: impl Future<Output = Response>) -> Answered {
    let (parts, body) = response.await.into_parts();
    let body = to_bytes(body, MOST_BYTES).await.ok()?;
    Some((parts.status, parts.headers.get(header::CONTENT_TYPE).cloned(), body))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering};
    use std::time::Duration;

    use axum::routing::{get, post};
    use axum::{Router, middleware};
    use tower::ServiceExt as _;

    use super::*;

    /// A door behind which every request is counted, and answered with its number and the status it asks for.
    fn door() -> (Router, Arc<AtomicU16>) {
        let done = Arc::new(AtomicU16::new(0));
        let count = done.clone();
        let act = move |body: String| {
            let count = count.clone();
            async move {
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                let status = body.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
                (status.unwrap_or(StatusCode::OK), [("content-type", "text/x")], number.to_string())
            }
        };
        let router = Router::new()
            .route("/promote", post(act.clone()))
            .route("/abort", post(act.clone()))
            .route("/metrics", post(act.clone()))
            .route("/seen", get(act))
            .layer(middleware::from_fn_with_state(IdempotentAnswers::default(), once));
        (router, done)
    }

    async fn ask(door: &Router, path: &str, key: &str, body: &str) -> (u16, String) {
        let method = if path == "/seen" { Method::GET } else { Method::POST };
        let request = Request::builder().method(method).uri(path).header(USER_HEADER, "anna");
        let request = if key.is_empty() { request } else { request.header(KEY_HEADER, key) };
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let answer = door.clone().oneshot(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), MOST_BYTES).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn what_is_asked_again_under_its_key_is_answered_as_the_first_was() {
        let (door, done) = door();
        let first = (200, "1".to_owned());
        let at_once = futures::future::join_all((0..8).map(|_| ask(&door, "/promote", "k1", "go"))).await;
        assert!(at_once.iter().all(|answer| *answer == first), "{at_once:?}");
        assert_eq!((ask(&door, "/promote", "k1", "go").await, done.load(Ordering::SeqCst)), (first, 1));
        // What was refused or failed may be tried again.
        assert_eq!(ask(&door, "/promote", "k2", "409").await, (409, "2".to_owned()));
        assert_eq!(ask(&door, "/promote", "k2", "409").await, (409, "3".to_owned()));
        assert_eq!(ask(&door, "/promote", "k3", "500").await, (500, "4".to_owned()));
        // Another request under the same key is a mistake, unless it takes traffic back.
        let (status, why) = ask(&door, "/promote", "k1", "other").await;
        assert!(status == 422 && why.contains("used for another request"), "{status} {why}");
        // Taking back is done as often as it is asked for.
        assert_eq!(ask(&door, "/abort", "k1", "").await, (200, "5".to_owned()));
        // Without a key, and what is no act, each is its own.
        assert_eq!(ask(&door, "/promote", "", "go").await, (200, "6".to_owned()));
        assert_eq!(ask(&door, "/metrics", "k4", "go").await, (200, "7".to_owned()));
        assert_eq!(ask(&door, "/metrics", "k4", "go").await, (200, "8".to_owned()));
        assert_eq!(ask(&door, "/seen", "k4", "").await, (200, "9".to_owned()));
        let long = "k".repeat(LONGEST_KEY + 1);
        assert_eq!(ask(&door, "/promote", &long, "go").await.0, 422);
        assert_eq!(ask(&door, "/abort", &long, "go").await.0, 200);
    }

    #[tokio::test]
    async fn what_a_client_did_not_wait_for_is_done_once_all_the_same() {
        let (door, done) = door();
        let gone = tokio::time::timeout(Duration::from_millis(1), ask(&door, "/promote", "k", "go")).await;
        let answer = ask(&door, "/promote", "k", "go").await;
        assert_eq!((answer, done.load(Ordering::SeqCst)), ((200, "1".to_owned()), 1), "{gone:?}");
    }

    #[test]
    fn old_answers_make_room() {
        let mut known = Known::default();
        let answering = || futures::future::ready(None).boxed().shared();
        (0..KEPT + 5).for_each(|n| known.keep(n.to_string(), 0, answering()));
        assert_eq!((known.by_key.len(), known.order.len()), (KEPT, KEPT));
        assert!(!known.by_key.contains_key("4") && known.by_key.contains_key("5"));
        known.forget("5");
        assert_eq!((known.by_key.len(), known.order.len()), (KEPT - 1, KEPT - 1));
    }
}
