//! Several replicas at one Lease.

use axum::http::Method;

use super::*;
use crate::api_server::{ApiServer, Fault};

const PATIENCE: Patience = Patience {
    duration: Duration::from_secs(2),
    sure: Duration::from_millis(1_500),
    look: Duration::from_millis(50),
    answer: Duration::from_millis(500),
    grace: Duration::from_secs(4),
};

struct One {
    standing: watch::Receiver<Standing>,
    hold: Hold,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

async fn replica(server: &ApiServer, identity: &str) -> One {
    let lease = "serin-system/serin".parse().expect("a name");
    let own = Replica { identity: identity.to_owned(), address: format!("http://{identity}:7070") };
    let election = Election::new(server.client().await, &lease, own, PATIENCE);
    let (stop, stopped) = watch::channel(false);
    let (standing, hold) = (election.standing(), election.hold());
    One { standing, hold, stop, task: tokio::spawn(election.run(stopped)) }
}

impl One {
    async fn until(&mut self, what: &str, is: impl FnMut(&Standing) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(60), self.standing.wait_for(is)).await;
        assert!(matches!(waited, Ok(Ok(_))), "{what} did not come: {:?}", waited.map(|_| ()));
    }

    async fn leads(&mut self) {
        self.until("the lead", |standing| standing.leads).await;
    }

    async fn follows(&mut self, identity: &str) {
        let address = format!("http://{identity}:7070");
        self.until("a leader", |standing| {
            let of = |leader: &Replica| leader.identity == identity && leader.address == address;
            !standing.leads && standing.leader.as_ref().is_some_and(of)
        })
        .await;
    }

    async fn is_over(&self) {
        tokio::time::timeout(Duration::from_secs(60), self.hold.over()).await.expect("it is over");
        assert!(!self.hold.is_sure());
    }
}

#[tokio::test]
async fn one_leads_and_when_it_is_gone_another_does() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a").await;
    a.leads().await;
    let mut b = replica(&server, "b").await;
    b.follows("a").await;
    assert!(a.standing.borrow().is_current(&PATIENCE) && !b.hold.is_sure());
    // As by SIGKILL: nobody gives anything back.
    a.task.abort();
    b.leads().await;
    assert!(b.standing.borrow().transitions == 1 && b.hold.is_sure());
}

#[tokio::test]
async fn who_ends_orderly_gives_it_back() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a").await;
    a.leads().await;
    a.stop.send_replace(true);
    a.is_over().await;
    let lease = server.object("leases/serin").expect("a Lease");
    assert!(lease["spec"]["holderIdentity"].is_null(), "{lease}");
    let mut b = replica(&server, "b").await;
    b.leads().await;
}

/// It comes back when another has it, as a process does that was stopped, or a machine that slept.
#[tokio::test]
async fn who_was_deposed_meanwhile_finds_out() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a").await;
    a.leads().await;
    server.edit("leases/serin", |lease| {
        lease["spec"]["holderIdentity"] = "b".into();
        lease["spec"]["leaseTransitions"] = 1.into();
    });
    a.is_over().await;
    assert!(!a.standing.borrow().leads);
}

/// A moment that is written in a Lease moves nobody: clocks may be set.
#[tokio::test]
async fn moments_in_a_lease_mean_nothing() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a").await;
    a.leads().await;
    let mut b = replica(&server, "b").await;
    b.follows("a").await;
    a.task.abort();
    server.edit("leases/serin", |lease| lease["spec"]["renewTime"] = "2100-01-01T00:00:00.000000Z".into());
    b.leads().await;
}

#[tokio::test]
async fn what_the_api_server_does_not_answer_for_a_while_costs_no_lead() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a").await;
    a.leads().await;
    for fault in [Fault::Status(500), Fault::Status(429), Fault::Silent, Fault::Lost] {
        let before = a.standing.borrow().renewed;
        server.fail(Method::PUT, "leases", fault, 1);
        a.until("a renewal", |standing| standing.leads && standing.renewed > before).await;
        server.mend();
    }
    assert_eq!(a.standing.borrow().transitions, 0, "nobody else had it");
}

#[tokio::test]
async fn without_the_api_server_it_is_sure_of_nothing_and_then_gives_up() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a").await;
    a.leads().await;
    server.fail(Method::GET, "leases", Fault::Silent, usize::MAX);
    let unsure = async {
        while a.hold.is_sure() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), unsure).await.expect("sure of nothing");
    a.is_over().await;
}

#[test]
fn a_lease_is_named() {
    for (text, taken) in [
        ("serin-system/serin", true),
        ("serin", false),
        ("eu=serin-system/serin", false),
        ("a/B", false),
        ("", false),
    ] {
        let read = text.parse::<LeaseName>();
        assert_eq!(read.is_ok(), taken, "{text}");
        if let Err(error) = read {
            assert!(error.contains("NAMESPACE/NAME"), "{error}");
        }
    }
}
