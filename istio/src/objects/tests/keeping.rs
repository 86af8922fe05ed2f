//! Objects and controller kept in step, beside an API server that fails as it is told.

use std::time::Duration;

use api::{ObjectView, PhaseName};
use serde_json::json;

use super::super::Patience;
use super::fake::{Fake, PATIENCE, spec, until};
use super::server::ApiServer;

fn condition(server: &ApiServer, namespace: &str, kind: &str) -> Option<(String, String)> {
    let object = server.object(namespace, "ranker")?;
    let all = object["status"]["conditions"].as_array()?;
    let found = all.iter().find(|condition| condition["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("message")))
}

fn is(server: &ApiServer, namespace: &str, kind: &str, status: &str) -> bool {
    condition(server, namespace, kind).is_some_and(|(is, _)| is == status)
}

fn phase(server: &ApiServer) -> Option<String> {
    server.object("models", "ranker")?["status"]["phase"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn what_is_applied_there_is_applied_here_once() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    let client = server.client().await;
    let keeping = fake.keep(client.clone(), "models", PATIENCE);
    server.apply("models", "ranker", &spec("v2"));
    until("the status", || is(&server, "models", "Accepted", "True")).await;
    let object = server.object("models", "ranker").expect("it is there");
    assert_eq!(object["metadata"]["finalizers"], json!(["serin.dev/traffic"]));
    assert_eq!(
        (&object["status"]["weight"], &object["status"]["observedGeneration"]),
        (&json!("5%"), &json!(1))
    );
    assert!(is(&server, "models", "Promoted", "False") && is(&server, "models", "Progressing", "True"));

    // The watch expires, the process begins anew: nothing is asked for twice.
    server.expire();
    fake.change("ranker", |view| view.run.phase = PhaseName::Succeeded.into());
    until("the promotion", || is(&server, "models", "Promoted", "True")).await;
    keeping.abort();
    fake.keep(client, "models", PATIENCE);
    fake.change("ranker", |view| view.run.phase = PhaseName::Paused.into());
    until("the pause", || phase(&server).as_deref() == Some("Paused")).await;
    assert_eq!(fake.asked(), ["apply models v2"]);
    let events = server.events();
    assert!(
        events.contains(&"RolloutStarted".to_owned()) && events.contains(&"Promoted".to_owned()),
        "{events:?}"
    );
}

/// What stands still is written once, whatever is looked at meanwhile.
#[tokio::test]
async fn a_status_that_says_the_same_is_not_written() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    fake.keep(server.client().await, "all", PATIENCE);
    server.apply("models", "ranker", &spec("v2"));
    until("the status", || is(&server, "models", "Accepted", "True")).await;
    until("all of it", || phase(&server).as_deref() == Some("Progressing")).await;
    for _ in 0..50 {
        fake.change("ranker", |view| view.generation = Some(view.generation.unwrap_or(0) + 1));
        tokio::task::yield_now().await;
    }
    fake.change("ranker", |view| view.run.weight_ppm = 100_000);
    until("the weight", || {
        server.object("models", "ranker").is_some_and(|object| object["status"]["weight"] == "10%")
    })
    .await;
    assert_eq!(server.repeated(), 0);
    // By hand: it is put right, and what is not ours stays.
    server.edit("models", "ranker", |object| {
        object["status"]["weight"] = "99%".into();
        object["status"]["journal"] = json!({"of": "another"});
    });
    until("the repair", || {
        server.object("models", "ranker").is_some_and(|object| object["status"]["weight"] == "10%")
    })
    .await;
    assert_eq!(
        server.object("models", "ranker").expect("there")["status"]["journal"],
        json!({"of": "another"})
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_field_and_remedy() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    fake.keep(server.client().await, "models", PATIENCE);
    let mut wrong = spec("v2");
    wrong["stages"] = json!([{"weight": "50%", "bake": "1m"}, {"weight": "10%", "bake": "1m"}]);
    server.apply("models", "ranker", &wrong);
    until("the refusal", || is(&server, "models", "Accepted", "False")).await;
    let (_, message) = condition(&server, "models", "Accepted").expect("it is told");
    assert!(
        message.contains("spec.stages[1].weight") && message.contains("a rollout only goes up"),
        "{message}"
    );
    assert!(!message.contains("line 1"), "{message}");
    let object = server.object("models", "ranker").expect("there");
    assert_eq!(
        (&object["metadata"].get("finalizers"), &object["status"]["phase"]),
        (&None, &json!("Invalid"))
    );
    assert_eq!(fake.asked(), [""; 0]);
    until("the Event", || server.events() == ["Invalid"]).await;

    // Mended, it runs; broken again, what runs goes on.
    server.apply("models", "ranker", &spec("v2"));
    until("the run", || is(&server, "models", "Accepted", "True")).await;
    server.apply("models", "ranker", &wrong);
    until("the refusal", || is(&server, "models", "Accepted", "False")).await;
    until("what runs", || phase(&server).as_deref() == Some("Progressing")).await;
    assert_eq!(fake.asked(), ["apply models v2"]);
}

#[tokio::test]
async fn what_is_deleted_ends_first() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    let client = server.client().await;
    fake.keep(client, "models", PATIENCE);
    server.apply("models", "ranker", &spec("v2"));
    until("the run", || is(&server, "models", "Accepted", "True")).await;
    server.delete("models", "ranker", false);
    until("the end", || server.object("models", "ranker").is_none()).await;
    assert_eq!(fake.asked(), ["apply models v2", "abort ranker", "delete ranker"]);
    assert!(fake.views.borrow().is_empty());

    // Its finalizer taken off by hand, and made again at once as another.
    server.apply("models", "ranker", &spec("v2"));
    until("the run", || is(&server, "models", "Accepted", "True")).await;
    server.delete("models", "ranker", true);
    server.apply("models", "ranker", &spec("v3"));
    until("the other run", || fake.views.borrow().get("ranker").is_some_and(|view| view.run.canary == "v3"))
        .await;
    let asked = fake.asked();
    assert!(asked.contains(&"delete ranker".to_owned()), "{asked:?}");
    until("its status", || {
        server.object("models", "ranker").is_some_and(|object| object["status"]["canary"] == "v3")
    })
    .await;
}

/// Deleted while nobody looked, whatever held it.
#[tokio::test]
async fn what_is_missing_ends_too() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    let client = server.client().await;
    let keeping = fake.keep(client.clone(), "models", PATIENCE);
    server.apply("models", "ranker", &spec("v2"));
    until("the run", || is(&server, "models", "Accepted", "True")).await;
    keeping.abort();
    server.delete("models", "ranker", true);
    // Of another namespace nothing is known, and a person's own is nobody's business here.
    fake.change("elsewhere", |view| {
        let (namespace, name) = ("search".to_owned(), "elsewhere".to_owned());
        view.object = Some(ObjectView { namespace, name, uid: "u".to_owned(), digest: "d".to_owned() });
    });
    fake.change("own", |view| view.run.phase = PhaseName::Progressing.into());
    fake.keep(client, "models", PATIENCE);
    until("the end", || !fake.views.borrow().contains_key("ranker")).await;
    assert!(fake.views.borrow().contains_key("elsewhere") && fake.views.borrow().contains_key("own"));
}

#[tokio::test]
async fn nothing_is_held_for_ever() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    let patience = Patience { end: Duration::from_millis(100), ..PATIENCE };
    fake.keep(server.client().await, "models", patience);
    server.apply("models", "ranker", &spec("v2"));
    until("the run", || is(&server, "models", "Accepted", "True")).await;
    *fake.stuck.lock().expect("not poisoned") = true;
    server.delete("models", "ranker", false);
    until("it was let go of", || server.object("models", "ranker").is_none()).await;
    until("the Event", || server.events().contains(&"LetGo".to_owned())).await;
    // It is ended all the same when that can be done.
    *fake.stuck.lock().expect("not poisoned") = false;
    until("the end", || fake.views.borrow().is_empty()).await;
}

#[tokio::test]
async fn two_of_one_name_are_not_mixed() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    fake.keep(server.client().await, "all", PATIENCE);
    server.apply("models", "ranker", &spec("v2"));
    until("the first", || is(&server, "models", "Accepted", "True")).await;
    server.apply("search", "ranker", &spec("v9"));
    until("the refusal", || is(&server, "search", "Accepted", "False")).await;
    let (_, message) = condition(&server, "search", "Accepted").expect("it is told");
    assert!(message.contains("another name"), "{message}");
    let object = server.object("search", "ranker").expect("there");
    assert!(object["status"].get("weight").is_none(), "it shows what is not its own: {object}");
    // Deleting the second takes nothing from the first.
    server.delete("search", "ranker", false);
    until("it is gone", || server.object("search", "ranker").is_none()).await;
    assert_eq!(fake.views.borrow().get("ranker").map(|view| view.run.canary.clone()).as_deref(), Some("v2"));
    // Its turn comes when the first is gone.
    server.apply("search", "ranker", &spec("v9"));
    until("the refusal", || is(&server, "search", "Accepted", "False")).await;
    server.delete("models", "ranker", false);
    until("its turn", || is(&server, "search", "Accepted", "True")).await;
}

#[tokio::test]
async fn an_api_server_in_trouble_is_asked_again() {
    for code in [409, 500, 403, 429] {
        let (server, fake) = (ApiServer::new(), Fake::new());
        fake.keep(server.client().await, "models", PATIENCE);
        server.fail(code, 5);
        server.apply("models", "ranker", &spec("v2"));
        until("the status", || is(&server, "models", "Accepted", "True")).await;
        assert_eq!(fake.asked(), ["apply models v2"], "{code}");
    }
}

/// What is refused because of what runs is what is wanted still.
#[tokio::test]
async fn what_is_refused_for_now_begins_when_it_may() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    fake.keep(server.client().await, "models", PATIENCE);
    server.apply("models", "ranker", &spec("v2"));
    until("the run", || is(&server, "models", "Accepted", "True")).await;
    server.apply("models", "ranker", &spec("v3"));
    until("the refusal", || is(&server, "models", "Accepted", "False")).await;
    fake.change("ranker", |view| view.run.phase = PhaseName::Succeeded.into());
    // The old run's promotion is not that of what is applied now.
    until("the next", || fake.views.borrow().get("ranker").is_some_and(|view| view.run.canary == "v3")).await;
    until("accepted", || is(&server, "models", "Accepted", "True")).await;
    assert!(is(&server, "models", "Promoted", "False"));
}
