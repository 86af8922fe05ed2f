use std::sync::{Arc, Mutex};

use manifest::{HandBackHow, HookHow, Plan, ReadyWorkloads, WorkloadChange};
use rollout::{HandBackRequest, HookCallRequest, PostRunHook};

use crate::{Call, Calling, Cluster, Counting, DeployHook, Hooks, Programs};

/// A cluster that notes what it is told.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Vec<String>>>);

struct Note(Noted, String);

impl DeployHook for Note {
    fn call<'a>(&'a self, call: &'a Call) -> Calling<'a> {
        let note = format!("{} within {} s", self.1, call.timeout.as_secs());
        self.0.0.lock().expect("not poisoned").push(note);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Cluster for Noted {
    fn may_change(&self, namespace: &str) -> Result<(), String> {
        if namespace == "models" { Ok(()) } else { Err(format!("not in {namespace}")) }
    }

    fn change(&self, change: &WorkloadChange, from: &[String], to: &str) -> Box<dyn DeployHook> {
        Box::new(Note(self.clone(), format!("{} from {} to {to:?}", change.words(), from.join(" "))))
    }

    fn ready<'a>(&'a self, _: &'a ReadyWorkloads, _: &'a [String]) -> Counting<'a> {
        Box::pin(std::future::ready(Err("nobody".to_owned())))
    }
}

fn plan(namespace: &str) -> Plan {
    let text = format!(
        "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: ranker, namespace: {namespace}}}\nspec:\n  \
         stable: {{version: v1}}\n  canary: {{version: v2}}\n  \
         handBack: {{kubernetes: {{deployment: ranker, image: 'r:{{{{version}}}}', timeout: 7m}}}}\n  \
         keepWarm: {{kubernetes: {{deployment: kept, image: 'r:{{{{version}}}}', replicas: 0}}}}\n"
    );
    manifest::load(&text).unwrap_or_else(|problems| panic!("{problems}")).plan
}

#[test]
fn changes_are_allowed_by_namespace_and_by_nobody_without_a_cluster() {
    let without = Hooks::of(Programs::default());
    let within = Hooks::of(Programs::default()).within(Arc::new(Noted::default()));
    assert_eq!(within.allow(&plan("models")), Ok(()));
    let refused = within.allow(&plan("payments")).expect_err("not there");
    assert_eq!(
        refused,
        "spec.handBack.kubernetes: not in payments\nspec.keepWarm.kubernetes: not in payments"
    );
    let refused = without.allow(&plan("models")).expect_err("no cluster");
    assert!(refused.contains("spec.handBack.kubernetes: this controller knows no Kubernetes"), "{refused}");
}

#[tokio::test]
async fn each_change_goes_from_what_is_there_to_what_belongs_there() {
    let noted = Noted::default();
    let hooks = Hooks::of(Programs::default()).within(Arc::new(noted.clone()));
    let plan = plan("models");
    let request = |how: HandBackHow| HandBackRequest {
        rollout: "ranker".to_owned(),
        from: "v1".to_owned(),
        to: "v2".to_owned(),
        keep_ms: None,
        how,
    };
    assert_eq!(hooks.hand_back(&request(plan.hand_back.how.clone()), "key").await, Ok(true));
    let called = |duty: PostRunHook, how: &HookHow, next: Option<&str>| HookCallRequest {
        rollout: "ranker".to_owned(),
        run: 1,
        duty,
        versions: vec!["v1".to_owned()],
        stable: "v2".to_owned(),
        next: next.map(str::to_owned),
        keep_ms: None,
        how: how.clone(),
    };
    let keep = plan.keep_warm.and_then(|keep| keep.hook).expect("a hook");
    let scale = plan.after.succeeded.expect("a hook");
    for request in [
        called(PostRunHook::Keep, &keep, None),
        called(PostRunHook::Succeeded, &scale, None),
        // What is on trial next runs there by now.
        called(PostRunHook::Succeeded, &scale, Some("v3")),
    ] {
        assert_eq!(hooks.after(&request, "key").await, Ok(()));
    }
    assert_eq!(
        *noted.0.lock().expect("not poisoned"),
        [
            "Deployment models/ranker from v1 to \"v2\" within 420 s",
            "Deployment models/kept from v2 to \"v1\" within 600 s",
            "Deployment models/kept from v1 to \"\" within 600 s",
        ]
    );
    // A run may be older than what the controller allows now.
    let elsewhere = Hooks::of(Programs::default());
    let error =
        elsewhere.after(&called(PostRunHook::Keep, &keep, None), "key").await.expect_err("no cluster");
    assert!(error.contains("knows no Kubernetes"), "{error}");
}
