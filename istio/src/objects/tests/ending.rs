//! What an object keeps ends with it, and nothing else does.

use std::sync::Arc;
use std::time::Duration;

use api::{ObjectView, PhaseName, RunView};
use kube::api::DynamicObject;
use serde_json::json;
use tokio::time::Instant;

use super::super::document::document;
use super::super::keep::Patience;
use super::super::known::Known;
use super::super::settle::{Done, Settler, Work};
use super::super::watch::resource;
use super::fake::{Fake, PATIENCE, spec, until};
use super::server::ApiServer;

/// An object that is named like something of another's takes nothing from it, neither when it comes nor when it goes.
#[tokio::test]
async fn a_neighbour_named_like_a_member_is_not_its_keeper() {
    let member: fn(&mut RunView) = |view| view.run.region = Some("eu-west".to_owned());
    let other: fn(&mut RunView) = |_| {};
    // A model of a fleet that is named as an object is.
    let of_itself: fn(&mut RunView) = |view| {
        view.run.model = Some("eu-west".to_owned());
        view.object.get_or_insert_default().name = "ranker.eu-west".to_owned();
    };
    for (what, is) in [("a member", member), ("another's", other), ("a member all the same", of_itself)] {
        let (server, fake) = (ApiServer::new(), Fake::new());
        fake.change("ranker.eu-west", |view| {
            let (namespace, name) = ("models".to_owned(), "ranker".to_owned());
            view.object = Some(ObjectView { namespace, name, uid: "u".to_owned(), digest: "d".to_owned() });
            view.run.phase = PhaseName::Progressing.into();
            is(view);
        });
        // All is listed, and the fleet's object is there: of that nothing ends.
        server.apply("models", "ranker", &spec("v2"));
        fake.keep(server.client().await, "models", PATIENCE);
        server.apply("models", "ranker.eu-west", &spec("v9"));
        until("it is told", || {
            let object = server.object("models", "ranker.eu-west");
            object.is_some_and(|object| object["status"]["conditions"][0]["status"] == "False")
        })
        .await;
        server.delete("models", "ranker.eu-west", false);
        until("it is gone", || server.object("models", "ranker.eu-west").is_none()).await;
        let asked = fake.asked();
        assert!(!asked.iter().any(|asked| !asked.starts_with("apply")), "{what}: {asked:?}");
    }
}

/// A namespace that may not be read, or is not there any more, holds up no other, and nothing of it is believed to be gone.
#[tokio::test]
async fn a_namespace_counts_by_itself() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    server.allow("search", false);
    for (name, namespace) in [("there", "search"), ("missing", "search"), ("left", "models")] {
        fake.change(name, |view| {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            view.object = Some(ObjectView { namespace, name, uid: "u".to_owned(), digest: "d".to_owned() });
            view.run.phase = PhaseName::Succeeded.into();
        });
    }
    server.apply("search", "there", &spec("v2"));
    server.apply("models", "ranker", &spec("v2"));
    fake.keep(server.client().await, "search,models", PATIENCE);
    until("the run", || fake.views.borrow().contains_key("ranker")).await;
    until("what is missing where it can be told", || !fake.views.borrow().contains_key("left")).await;
    server.delete("models", "ranker", false);
    until("the end", || server.object("models", "ranker").is_none()).await;
    assert!(fake.views.borrow().contains_key("there") && fake.views.borrow().contains_key("missing"));
    assert!(!fake.asked().iter().any(|asked| asked.ends_with("there") || asked.ends_with("missing")));
    // The right is given.
    server.allow("search", true);
    until("what is missing there", || !fake.views.borrow().contains_key("missing")).await;
    until("the run there", || fake.asked().contains(&"apply search v2".to_owned())).await;
}

/// Whether it is over is the controller's to say, whatever its phase looks like.
#[tokio::test]
async fn whatever_is_left_of_a_run_ends() {
    for (what, aborts, phase, expected) in [
        ("a run that goes back by steps", 2, PhaseName::Progressing, "apply abort delete abort delete"),
        ("one that was on its way back", 1, PhaseName::RolledBack, "apply abort delete"),
        ("a member's drill", 1, PhaseName::Succeeded, "apply abort delete"),
        ("nothing", 0, PhaseName::Succeeded, "apply abort delete"),
    ] {
        let (server, mut fake) = (ApiServer::new(), Fake::new());
        fake.aborts = aborts;
        fake.keep(server.client().await, "models", PATIENCE);
        server.apply("models", "ranker", &spec("v2"));
        until("the run", || fake.views.borrow().contains_key("ranker")).await;
        fake.change("ranker", |view| view.run.phase = phase.into());
        server.delete("models", "ranker", false);
        until("the end", || server.object("models", "ranker").is_none()).await;
        assert!(fake.views.borrow().is_empty(), "{what}");
        let asked = fake.asked();
        let asked: Vec<&str> = asked.iter().filter_map(|asked| asked.split(' ').next()).collect();
        assert_eq!(asked.join(" "), expected, "{what}");
    }
}

/// An object that went while its turn came begins nothing.
#[tokio::test]
async fn what_is_gone_is_not_begun() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "Rollout", "spec": spec("v2"),
        "metadata": {"name": "ranker", "namespace": "models", "uid": "u1", "resourceVersion": "1"},
    }))
    .expect("an object");
    let work = Work::Apply(Box::new(document(&object).expect("a document")));
    let settler =
        Settler { client: server.client().await, controller: Arc::new(fake.clone()), patience: PATIENCE };
    let done = settler.settle(Arc::new(object), false, work).await;
    assert!(matches!(done, Done::Ended), "{done:?}");
    assert_eq!(fake.asked(), [""; 0]);
}

/// Not for a slow API server, not for other objects, not for what failed before.
#[tokio::test]
async fn the_end_waits_for_nothing() {
    const MANY: usize = 12;
    let long = Duration::from_secs(3600);
    let patience = Patience { answer: long, again: long, ..PATIENCE };
    let name = |index: usize| format!("ranker-{index:02}");
    for silent in [true, false] {
        let (server, fake) = (ApiServer::new(), Fake::new());
        fake.keep(server.client().await, "models", patience);
        for index in 0..MANY {
            server.apply("models", &name(index), &spec("v2"));
        }
        let shows = |name: &str| {
            server.object("models", name).is_some_and(|object| object["status"]["phase"] == "Progressing")
        };
        until("the runs", || (0..MANY).all(|index| shows(&name(index)))).await;
        // Statuses are to be written, and are not.
        let expected = if silent {
            server.silence();
            8
        } else {
            server.fail(500, usize::MAX);
            MANY
        };
        (0..MANY).for_each(|index| fake.change(&name(index), |view| view.run.weight_ppm = 100_000));
        until("writes", || server.unwritten() >= expected).await;
        // One is being written, the other waits for a place.
        for index in [0, MANY - 1] {
            server.delete("models", &name(index), false);
            let ended = format!("delete {}", name(index));
            until(&ended, || fake.asked().contains(&ended)).await;
        }
    }
}

#[tokio::test]
async fn an_object_whose_work_failed_is_worked_on_again() {
    let (server, fake) = (ApiServer::new(), Fake::new());
    fake.keep(server.client().await, "models", PATIENCE);
    *fake.panics.lock().expect("not poisoned") = true;
    server.apply("models", "ranker", &spec("v2"));
    until("the run", || fake.views.borrow().contains_key("ranker")).await;
    *fake.panics.lock().expect("not poisoned") = true;
    server.delete("models", "ranker", false);
    until("the end", || server.object("models", "ranker").is_none()).await;
}

/// Once for each reason, and not at once: a busy API server is no news.
#[tokio::test]
async fn people_are_told_what_keeps_failing() {
    let object = DynamicObject::new("ranker", &resource());
    let mut known = Known::new(object, None);
    let told = ["a", "a", "a", "a", "b", "b"].map(|why| known.fail(why, Instant::now(), &PATIENCE));
    assert_eq!(told, [false, false, true, false, true, false]);

    // And what a role would have to grant.
    let server = ApiServer::new();
    server.apply("models", "ranker", &spec("v2"));
    let object: DynamicObject =
        serde_json::from_value(server.object("models", "ranker").expect("there")).expect("an object");
    server.fail(403, usize::MAX);
    let settler =
        Settler { client: server.client().await, controller: Arc::new(Fake::new()), patience: PATIENCE };
    for (work, right) in [
        (
            Work::Apply(Box::new(document(&object).expect("a document"))),
            "resources: [rollouts] and verbs: [patch]",
        ),
        (Work::Report(Box::default()), "resources: [rollouts/status] and verbs: [patch]"),
    ] {
        match settler.clone().settle(Arc::new(object.clone()), false, work).await {
            Done::Again(why) => assert!(why.contains(right), "{why}"),
            other => panic!("{right}: {other:?}"),
        }
    }
    // What is no refusal is said as it is: a server that fails, and one that is busy for longer than is waited for.
    for (code, words) in [(500, "answers 500 to patch rollouts/status"), (429, "asks to wait longer (429)")] {
        let server = ApiServer::new();
        server.apply("models", "ranker", &spec("v2"));
        server.fail(code, usize::MAX);
        let patience = Patience { answer: Duration::from_millis(400), ..PATIENCE };
        let client = server.client().await;
        let settler = Settler { client, controller: Arc::new(Fake::new()), patience };
        match settler.settle(Arc::new(object.clone()), false, Work::Report(Box::default())).await {
            Done::Again(why) => assert!(why.contains(words), "{why}"),
            other => panic!("{code}: {other:?}"),
        }
    }
}
