//! What people ask a replica that follows is asked of the leader, and its answer is given: whoever comes by a service need
//! not know which of the replicas that is.

use std::time::Duration;

use api::Problem;
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{HOST, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::follow::{Follower, within};

/// Says who asks for somebody else, so that nothing goes round in circles.
const FORWARDED: &str = "serin-forwarded";
/// Says whose answer it is.
const LEADER: &str = "serin-leader";
/// The code of an answer that no leader gave.
const NO_LEADER: &str = "no_leader";

const CONNECTS: Duration = Duration::from_secs(2);
/// The leader's engine answers sooner.
const ANSWERS: Duration = Duration::from_secs(14);

pub async fn forward(State(follower): State<Follower>, mut request: Request) -> Response {
    let Some(leader) = follower.leader() else {
        return refused(
            "no replica leads now; one will within 15 s, if the API server of Kubernetes answers: try again",
        );
    };
    if request.headers().contains_key(FORWARDED) {
        return refused("this replica follows, and whoever asked took it for the leader: try again");
    }
    let gone = || {
        refused(&format!(
            "{} leads and does not answer at {}; another takes over within 15 s: try again",
            leader.identity, leader.address
        ))
    };
    let authority = leader.address.trim_start_matches("http://").to_owned();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(path) = path.parse::<Uri>() else { return gone() };
    *request.uri_mut() = path;
    *request.version_mut() = axum::http::Version::HTTP_11;
    let headers = request.headers_mut();
    // Whom the request meant was looked at here.
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(FORWARDED, HeaderValue::from_static("1"));
    headers.remove("connection");
    let Some(stream) = within(CONNECTS, TcpStream::connect(&authority)).await else { return gone() };
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await
    else {
        return gone();
    };
    tokio::spawn(connection);
    let Ok(Ok(answer)) = tokio::time::timeout(ANSWERS, sender.send_request(request)).await else {
        return gone();
    };
    let mut answer = answer.map(Body::new);
    if let Ok(said) = HeaderValue::from_str(&format!("{} {}", leader.identity, leader.address)) {
        answer.headers_mut().insert(LEADER, said);
    }
    answer
}

fn refused(why: &str) -> Response {
    let problem = Problem { error: why.to_owned(), code: NO_LEADER.to_owned() };
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "2")], Json(problem)).into_response()
}
