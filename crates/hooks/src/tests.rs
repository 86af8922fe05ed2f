use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use super::*;

fn plan(more: &str) -> Plan {
    let text = format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: ranker}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n{more}"
    );
    manifest::load(&text).unwrap_or_else(|problems| panic!("{problems}")).plan
}

const HOOKS: [&str; 5] = [
    "  handBack: {hook: {command: [deploy, stable]}}\n",
    "  warmUpHook: {command: [deploy]}\n",
    "  keepWarm: {for: 1m, hook: {command: [deploy]}}\n",
    "  after: {succeeded: {command: [deploy]}}\n",
    "  after: {rolledBack: {command: [deploy]}}\n",
];

fn programs(named: &[&str]) -> Programs {
    Programs::named(named.iter().map(|&name| name.to_owned()).collect(), Vec::new())
}

#[test]
fn only_named_programs_are_hooks_wherever_the_hook_stands() {
    for more in HOOKS {
        let plan = plan(more);
        for (named, allowed) in [
            (&[][..], false),
            (&["deploy"], true),
            (&["/bin/sh", "deploy"], true),
            (&["/usr/bin/deploy"], false),
            (&["*"], true),
        ] {
            let said = programs(named).allow_plan(&plan);
            assert_eq!(said.is_ok(), allowed, "{more} {named:?}: {said:?}");
            if let Err(why) = said {
                assert!(why.contains("--hook-command") && why.contains(".command: \"deploy\""), "{why}");
            }
        }
    }
    let url = plan("  handBack: {hook: {url: 'http://deploy'}}\n");
    assert_eq!(Programs::default().allow_plan(&url), Ok(()));
}

#[test]
fn only_named_hosts_are_called_wherever_the_url_stands() {
    let named = Hosts::new("--hook-host", vec!["deploy".parse().expect("a host")]);
    let hooks = Hooks::new(Arc::new(RootCertStore::empty()), named, Programs::default()).expect("a client");
    for (field, more) in [
        ("handBack.hook.url", "  handBack: {hook: {url: 'URL'}}\n"),
        ("handBack.endpoints[1]", "  handBack: {endpoints: ['http://deploy/a', 'URL'], jsonPointer: /v}\n"),
        ("warmUpHook.url", "  warmUpHook: {url: 'URL'}\n"),
        ("warmUpHook.requests.url", "  warmUpHook: {requests: {url: 'URL', count: 2}}\n"),
        ("keepWarm.hook.url", "  keepWarm: {for: 1m, hook: {url: 'URL'}}\n"),
        ("keepWarm.endpoints[0]", "  keepWarm: {for: 1m, endpoints: ['URL'], jsonPointer: /v}\n"),
        ("after.succeeded.url", "  after: {succeeded: {url: 'URL'}}\n"),
        ("after.rolledBack.url", "  after: {rolledBack: {url: 'URL'}}\n"),
    ] {
        assert_eq!(hooks.allow(&plan(&more.replace("URL", "http://deploy/x"))), Ok(()), "{field}");
        let why = hooks.allow(&plan(&more.replace("URL", "http://elsewhere/x"))).expect_err(field);
        assert!(
            why.contains(&format!("spec.{field}: ")) && why.contains("--hook-host names deploy"),
            "{why}"
        );
    }
}

fn call(timeout_ms: u64) -> Call {
    Call {
        body: json!({}),
        variables: vec![("SERIN_KEY", "k".to_owned())],
        key: Some("k".to_owned()),
        timeout: Duration::from_millis(timeout_ms),
    }
}

async fn run(hooks: &Hooks, words: &[&str], timeout_ms: u64) -> Result<(), String> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    hooks.program(&words).call(&call(timeout_ms)).await
}

/// It is not enough to ask when a rollout is applied.
#[tokio::test]
async fn what_may_not_be_run_is_not_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = dir.path().join("made");
    for (named, runs) in [("true", false), ("touch", true)] {
        let done = run(&Hooks::of(programs(&[named])), &["touch", &made.display().to_string()], 10_000).await;
        assert_eq!((done.is_ok(), made.exists()), (runs, runs), "{named}: {done:?}");
    }
}

/// Whoever may have a program run must not learn from it what the controller was started with.
#[tokio::test]
async fn a_program_is_given_few_of_the_controllers_variables() {
    // CARGO_PKG_NAME and its like are there whenever a test runs.
    for (given, script) in [
        (
            &[][..],
            "test -n \"$PATH\" && test \"$SERIN_KEY\" = k && test -z \"$CARGO_PKG_NAME$CARGO_MANIFEST_DIR\"",
        ),
        (&["CARGO_PKG_NAME"], "test \"$CARGO_PKG_NAME\" = hooks && test -z \"$CARGO_MANIFEST_DIR\""),
    ] {
        let given = given.iter().map(|&name: &&str| name.to_owned()).collect();
        let hooks = Hooks::of(Programs::named(vec!["sh".to_owned()], given));
        assert_eq!(run(&hooks, &["sh", "-c", script], 10_000).await, Ok(()), "{script}");
    }
}

/// Waits until a process is gone; a zombie is.
async fn is_gone(id: &str) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// The ids that a script has written down, a line each.
async fn ids(file: &std::path::Path, count: usize) -> Vec<String> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        let ids: Vec<String> =
            std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect();
        if ids.len() >= count {
            return ids;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} holds no {count} lines", file.display());
}

/// A shell, its child and the child's child, none of which ends by itself; all are deaf to a polite request.
fn deaf(file: &std::path::Path) -> String {
    let file = file.display();
    format!(
        "trap '' TERM; echo $$ >> {file}; echo begun; (trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >> {file}; while :; do sleep 1; done') & wait; while :; do sleep 1; done"
    )
}

#[tokio::test]
async fn a_program_that_does_not_end_is_ended_with_its_children_and_theirs() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ids");
    let error = run(&Hooks::any(), &["sh", "-c", &deaf(&file)], 1_000).await.expect_err("it never ends");
    assert!(error.contains("ended with all that it had started: begun"), "{error}");
    for id in ids(&file, 2).await {
        assert!(is_gone(&id).await, "{id} lives");
    }
}

/// Sessions of their own, orphans, and an environment that was cleared: each leaves the group.
fn scattered(file: &std::path::Path) -> String {
    let file = file.display();
    let one = format!("echo $$ >> {file}; while :; do sleep 1; done");
    let write = |name: &str| format!("cat > {file}.{name} <<'END'\n{one}\nEND\n");
    format!(
        "{}setsid sh {file}.own & (setsid sh {file}.own &) ; setsid env -i sh {file}.own & (setsid setsid sh {file}.own & exit 0); while :; do sleep 1; done",
        write("own")
    )
}

#[tokio::test]
async fn who_left_the_group_is_ended_too() {
    for stops in [false, true] {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("ids");
        let script = scattered(&file);
        // What is not of this call is nobody's business.
        let mut other = std::process::Command::new("sleep").arg("600").spawn().expect("a process");
        let begun = tokio::spawn(async move {
            run(&Hooks::any(), &["sh", "-c", &script], if stops { 60_000 } else { 10_000 }).await
        });
        let ids = ids(&file, 4).await;
        if stops {
            begun.abort();
        } else {
            begun.await.expect("no panic").expect_err("it never ends");
        }
        for id in ids {
            assert!(is_gone(&id).await, "{id} lives");
        }
        assert_eq!(other.try_wait().expect("known"), None, "it lives");
        other.kill().expect("ended");
        let _ = other.wait();
    }
}

#[tokio::test]
async fn a_stop_that_waited_long_enough_ends_all_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ids");
    let script = deaf(&file);
    let running = tokio::spawn(async move { run(&Hooks::any(), &["sh", "-c", &script], 60_000).await });
    let ids = ids(&file, 2).await;
    running.abort();
    for id in ids {
        assert!(is_gone(&id).await, "{id} lives");
    }
}

/// Another controller leads by now, and this process becomes another one, which no destructor sees.
#[tokio::test]
async fn who_is_deposed_leaves_no_program_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ids");
    let script = deaf(&file);
    let hooks = Hooks::any();
    let called = hooks.clone();
    hooks.spawn(async move {
        let _ = run(&called, &["sh", "-c", &script], 60_000).await;
    });
    let ids = ids(&file, 2).await;
    hooks.end().await;
    for id in ids {
        assert!(is_gone(&id).await, "{id} lives");
    }
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    hooks.spawn(async move {
        let _ = tell.send(());
    });
    assert!(told.await.is_err(), "nothing begins any more");
}

#[tokio::test]
async fn what_a_program_says_is_bounded_and_what_it_leaves_behind_is_not_waited_for() {
    let hooks = Hooks::any();
    let loud = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo; echo the end >&2; exit 3";
    let error = run(&hooks, &["sh", "-c", loud], 60_000).await.expect_err("it fails");
    assert!(error.ends_with("the end") && error.len() < 700, "{} {error}", error.len());
    let begun = Instant::now();
    assert_eq!(run(&hooks, &["sh", "-c", "sleep 30 & exit 0"], 60_000).await, Ok(()));
    let error =
        run(&hooks, &["sh", "-c", "echo no gpu; sleep 30 & exit 4"], 60_000).await.expect_err("it fails");
    assert!(error.contains("no gpu"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let error = run(&hooks, &["/no/such/program"], 1_000).await.expect_err("there is none");
    assert!(error.contains("could not be started"), "{error}");
}

#[tokio::test]
async fn a_stop_waits_for_what_is_under_way_and_begins_nothing() {
    let hooks = Hooks::any();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    hooks.spawn(async move {
        let _ = ended.await;
    });
    hooks.close();
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    hooks.spawn(async move {
        let _ = tell.send(());
    });
    assert!(told.await.is_err(), "nothing begins any more");
    assert!(tokio::time::timeout(Duration::from_millis(20), hooks.idle()).await.is_err());
    end.send(()).expect("it waits");
    tokio::time::timeout(Duration::from_secs(10), hooks.idle()).await.expect("nothing is under way");
}

/// Fails from a request on; counts all. `/moved` leads to `/login`, which succeeds; `/version...` name one.
async fn server(fails_from: u32) -> (String, Arc<AtomicU32>) {
    let seen = Arc::new(AtomicU32::new(0));
    let answer = async move |State(seen): State<Arc<AtomicU32>>, uri: axum::http::Uri| -> Response {
        let at = seen.fetch_add(1, Ordering::Relaxed) + 1;
        match uri.path() {
            "/moved" => {
                (StatusCode::FOUND, [("location", "http://sso.example/login?from=x")]).into_response()
            }
            "/version" => r#"{"version": 2, "a": "v2", "b": [1]}"#.into_response(),
            _ if at >= fails_from => (StatusCode::SERVICE_UNAVAILABLE, "no gpu").into_response(),
            _ => StatusCode::OK.into_response(),
        }
    };
    let router = axum::Router::new().fallback(answer).with_state(seen.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    tokio::spawn(axum::serve(listener, router).into_future());
    (url, seen)
}

async fn check(hook: &str, fails_from: u32, asked: u32, expected: Result<(), &[&str]>) {
    let (server, seen) = server(fails_from).await;
    let hook =
        hook.replace("MOVED", &format!("'{server}/moved'")).replace("URL", &format!("'{server}/warm'"));
    let plan = plan(&format!("  warmUpHook: {hook}\n"));
    let request = WarmUpRequest {
        rollout: "ranker".to_owned(),
        stable: "v1".to_owned(),
        canary: "v2".to_owned(),
        hook: plan.warm_up_hook.expect("it"),
    };
    match (Hooks::any().warm_up(&request).await, expected) {
        (Ok(()), Ok(())) => {}
        (Err(error), Err(parts)) => {
            for part in parts {
                assert!(error.contains(part), "{part:?} is missing in: {error}");
            }
        }
        (found, expected) => panic!("{hook}: {found:?}, not {expected:?}"),
    }
    assert_eq!(seen.load(Ordering::Relaxed), asked, "{hook}");
}

#[tokio::test]
async fn what_warms_is_done_whole_or_says_where_it_broke() {
    check("{requests: {url: URL, count: 20}}", 100, 20, Ok(())).await;
    check("{requests: {url: URL, count: 3, body: '{\"x\": 1}'}}", 100, 3, Ok(())).await;
    check("{requests: {url: URL, count: 20}}", 4, 4, Err(&["request 4 of 20", "no gpu"])).await;
    check("{requests: {url: 'http://127.0.0.1:1/', count: 2}}", 4, 0, Err(&["request 1 of 2"])).await;
    check("{url: URL}", 100, 1, Ok(())).await;
    check("{url: URL}", 1, 1, Err(&["503", "no gpu"])).await;
    check("{command: [sh, -c, 'test $SERIN_CANARY = v2 && test $SERIN_STABLE = v1']}", 1, 0, Ok(())).await;
    check("{command: [sh, -c, 'echo no gpu >&2; exit 3']}", 1, 0, Err(&["no gpu"])).await;
    check("{command: [sleep, '60'], timeout: 10ms}", 1, 0, Err(&["did not end within"])).await;
}

#[tokio::test]
async fn a_redirect_is_no_success() {
    let parts = ["302", "to http://sso.example/login;", "not followed: write the address it leads to"];
    check("{url: MOVED}", 100, 1, Err(&parts)).await;
    check("{requests: {url: MOVED, count: 3}}", 100, 1, Err(&parts)).await;
}

#[tokio::test]
async fn a_version_is_read_as_a_text_whether_it_is_one_or_a_number() {
    let (server, _) = server(100).await;
    for (path, pointer, expected) in [
        ("/version", "/version", Ok("2")),
        ("/version", "/a", Ok("v2")),
        ("/version", "/b", Err("neither text nor number")),
        ("/version", "/c", Err("has nothing at /c")),
        ("/moved", "/a", Err("302 Found to http://sso.example/login; redirects are not followed")),
        ("/other", "/a", Err("no JSON")),
    ] {
        let place = VersionIn::JsonPointer(pointer.to_owned());
        let seen = Hooks::any().versions(&[format!("{server}{path}")], &place).await;
        match (&seen[..], expected) {
            ([Endpoint { version: Some(version), error: None, .. }], Ok(expected)) => {
                assert_eq!(version, expected)
            }
            ([Endpoint { version: None, error: Some(error), .. }], Err(part)) => {
                assert!(error.contains(part) && error.contains(path), "{part:?} is missing in: {error}");
            }
            _ => panic!("{path} {pointer}: {seen:?}"),
        }
    }
}
