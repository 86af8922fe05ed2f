//! Who gets which arm, and why: tables.

use serde_json::json;

use super::{assigned, check, splitter};
use crate::{Arm, Cause, Draws, Point, Route, Standing, Weight};

/// At 50 %: `u1` lies low, `u2` high (see the golden vectors).
const LOW: &[u8] = b"user-0";
const HIGH: &[u8] = b"user-1";

#[test]
fn the_golden_users_lie_where_the_tables_need_them() {
    let half = Weight::from_ppm(500_000).expect("a weight");
    assert!(half.holds_from_bottom(Point::of("ranker/1", LOW)));
    assert!(!half.holds_from_bottom(Point::of("ranker/1", HIGH)));
}

#[test]
fn keys_are_found_wherever_the_policy_says() {
    let keys = |key: serde_json::Value| json!({"assignment": {"mode": "sticky", "salt": "ranker/1", "keys": [key], "no_key": "stable"}});
    let canary = Some((Arm::Canary, Cause::Weight));
    let none = Some((Arm::Stable, Cause::NoKey));
    let cookie = keys(json!({"cookie": "uid"}));
    let query = keys(json!({"query": "user"}));
    check(json!({}), &[("x-user-id", LOW)], canary);
    check(json!({}), &[("x-user-id", HIGH)], Some((Arm::Stable, Cause::Weight)));
    check(cookie.clone(), &[("cookie", b"a=1; uid=user-0; b=2")], canary);
    check(cookie.clone(), &[("cookie", b"uid=\"user-0\"")], canary);
    check(cookie.clone(), &[("cookie", b"xuid=user-0; uidx=user-0")], none);
    check(cookie.clone(), &[("cookie", b"uid=")], none);
    check(cookie.clone(), &[("cookie", b"uid")], none);
    check(cookie.clone(), &[("cookie", b"uid=; uid=user-0")], canary);
    // Two lines of one request, as Envoy hands them over; a value with a comma is none.
    check(cookie.clone(), &[("cookie", b"a=1; b=2,uid=user-0")], canary);
    check(cookie.clone(), &[("cookie", b"uid=user-0; a=1,uid=user-1")], canary);
    check(cookie, &[("cookie", b"\xff\xfe;;;=;uid=user-0")], canary);
    check(query.clone(), &[(":path", b"/p?user=user-0")], canary);
    check(query.clone(), &[(":path", b"/p?a=b&user=user-0&user=user-1")], canary);
    check(query.clone(), &[(":path", b"/user=user-0")], none);
    check(query, &[(":path", b"/p?superuser=user-0")], none);
    check(keys(json!({"header": "x-user-id"})), &[("x-user-id", b"")], none);
}

#[test]
fn keys_are_tried_in_order() {
    let with = json!({"assignment": {"mode": "sticky", "salt": "ranker/1", "no_key": "stable",
        "keys": [{"header": "x-user-id"}, {"cookie": "uid"}]}});
    check(with.clone(), &[("x-user-id", LOW), ("cookie", b"uid=user-1")], Some((Arm::Canary, Cause::Weight)));
    check(with, &[("cookie", b"uid=user-0")], Some((Arm::Canary, Cause::Weight)));
}

#[test]
fn any_bytes_are_a_key() {
    let splitter = splitter(json!({}));
    for value in [&b"a\xff\xfeb"[..], &[0x41; 65_536], b"\0"] {
        let first = assigned(&splitter, &[("x-user-id", value)]).expect("owned");
        assert_eq!(first.cause, Cause::Weight);
        assert_eq!(Some(first), assigned(&splitter, &[("x-user-id", value)]), "the same again");
    }
}

#[test]
fn without_a_key_the_policy_decides_and_it_is_counted_apart() {
    let random = |weight: u32| json!({"arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": weight}}});
    check(random(1_000_000), &[], Some((Arm::Canary, Cause::NoKey)));
    check(random(0), &[], Some((Arm::Stable, Cause::NoKey)));
}

#[test]
fn a_scope_owns_only_what_fits() {
    let authority = json!({"match": {"authority": ["Models.local"]}});
    let owned = Some((Arm::Canary, Cause::Weight));
    let under = json!({"match": {"path_prefix": "/rank"}});
    check(authority.clone(), &[(":authority", b"models.local:8080"), ("x-user-id", LOW)], owned);
    check(authority.clone(), &[(":authority", b"MODELS.LOCAL"), ("x-user-id", LOW)], owned);
    check(authority.clone(), &[(":authority", b"other.local"), ("x-user-id", LOW)], None);
    check(authority, &[("x-user-id", LOW)], None);
    check(json!({"match": {"authority": ["[::1]"]}}), &[(":authority", b"[::1]"), ("x-user-id", LOW)], owned);
    for (path, fits) in
        [("/rank", true), ("/rank/1", true), ("/rank?x", true), ("/ranking", false), ("/", false)]
    {
        check(under.clone(), &[(":path", path.as_bytes()), ("x-user-id", LOW)], owned.filter(|_| fits));
    }
    check(json!({"match": {"path_prefix": "/"}}), &[(":path", b"/x"), ("x-user-id", LOW)], owned);
    check(json!({"match": {"port": 80}}), &[("x-user-id", LOW)], None);
}

#[test]
fn overrides_come_before_cohorts_and_cohorts_before_the_weight() {
    let with = json!({
        "overrides": [{"when": [{"header": "x-force", "exact": "canary"}], "arm": "canary"}],
        "cohorts": [
            {"name": "staff", "when": [{"header": "x-group", "prefix": "staff"}, {"cookie": "uid", "present": true}], "weight_ppm": 1_000_000},
            {"name": "held-out", "when": [{"header": "x-held-out", "present": true}], "weight_ppm": 0},
        ],
    });
    let high = ("x-user-id", HIGH);
    check(
        with.clone(),
        &[high, ("x-force", b"canary"), ("x-held-out", b"1")],
        Some((Arm::Canary, Cause::Override)),
    );
    check(with.clone(), &[high, ("x-force", b"Canary")], Some((Arm::Stable, Cause::Weight)));
    check(
        with.clone(),
        &[high, ("x-group", b"staff-eu"), ("cookie", b"uid=1")],
        Some((Arm::Canary, Cause::Cohort)),
    );
    check(with.clone(), &[high, ("x-group", b"staff-eu")], Some((Arm::Stable, Cause::Weight)));
    check(with, &[("x-user-id", LOW), ("x-held-out", b"1")], Some((Arm::Stable, Cause::Cohort)));
}

#[test]
fn further_arms_are_named_by_overrides_and_cohorts() {
    let with = json!({
        "arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": 0},
            "others": [{"name": "b", "version": "v3", "start_ppm": 0, "weight_ppm": 0}]},
        "overrides": [{"when": [{"header": "x-force", "exact": "b"}], "arm": "b"}],
        "cohorts": [{"name": "staff", "when": [{"header": "x-staff", "present": true}], "weight_ppm": 500_000, "arm": "b"}],
    });
    let b = Arm::parse("b").expect("a name");
    check(with.clone(), &[("x-user-id", HIGH), ("x-force", b"b")], Some((b, Cause::Override)));
    check(with.clone(), &[("x-user-id", LOW), ("x-staff", b"1")], Some((b, Cause::Cohort)));
    check(with.clone(), &[("x-user-id", HIGH), ("x-staff", b"1")], Some((Arm::Stable, Cause::Cohort)));
    let splitter = splitter(with);
    let claim = splitter.rollouts().next().expect("a rollout");
    assert_eq!(
        (claim.version(b), claim.version(Arm::Canary), claim.version(Arm::Baseline)),
        ("v3", "v2", "v1")
    );
}

#[test]
fn a_lost_lease_sends_everybody_to_stable() {
    let arms = json!({"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": 1_000_000}});
    let overrides = json!([{"when": [{"header": "x-user-id", "present": true}], "arm": "canary"}]);
    let headers: &[(&str, &[u8])] = &[("x-user-id", LOW)];
    for (on_lease_expired, standing, arm) in [
        ("stable", Standing::Live, Arm::Canary),
        ("stable", Standing::Expired, Arm::Stable),
        ("stable", Standing::Revoked, Arm::Stable),
        ("hold", Standing::Expired, Arm::Canary),
        ("hold", Standing::Revoked, Arm::Stable),
    ] {
        let splitter =
            splitter(json!({"arms": arms, "overrides": overrides, "on_lease_expired": on_lease_expired}));
        let claim = splitter.claim(&headers).expect("owned");
        let got = claim.assign(&headers, standing, &mut Draws::seeded(0));
        assert_eq!(got.arm, arm, "{on_lease_expired} {standing:?}");
        assert_eq!(got.cause == Cause::Fallback, arm == Arm::Stable);
    }
}

#[test]
fn a_follower_believes_only_whom_it_is_told_to() {
    let follower = |peers: serde_json::Value| {
        splitter(json!({"role": {"follow": {"peers": peers}},
            "arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": 0},
                "others": [{"name": "b", "version": "v3", "start_ppm": 0, "weight_ppm": 0}]}}))
    };
    for (peers, value, arm) in [
        (json!(["*"]), &b"b"[..], Arm::parse("b").expect("a name")),
        (json!(["*"]), b"c", Arm::Stable),
        (json!(["*"]), &b"canary"[..], Arm::Canary),
        (json!(["*"]), b"baseline", Arm::Baseline),
        (json!(["*"]), b"other", Arm::Stable),
        (json!(["*"]), b"\xff", Arm::Stable),
        (json!(["spiffe://mesh/front"]), b"canary", Arm::Stable),
    ] {
        let splitter = follower(peers);
        let headers: &[(&str, &[u8])] = &[("x-serin-arm", value)];
        let claim = splitter.claim(&headers).expect("owned");
        assert!(claim.follows());
        assert_eq!(claim.followed(&headers), Route::Arm(arm));
    }
}

#[test]
fn a_shadow_is_stables_by_weight_and_nobody_elses() {
    let at = |with: serde_json::Value, headers: &[(&str, &[u8])], standing: Standing| {
        let splitter = splitter(with);
        let assignment =
            splitter.claim(&headers).expect("owned").assign(&headers, standing, &mut Draws::seeded(1));
        (assignment.arm, assignment.route().as_str().to_owned())
    };
    let policy = |canary: u32, shadow: u32| {
        json!({"arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": canary}},
            "shadow": {"weight_ppm": shadow},
            "overrides": [{"when": [{"header": "x-force", "exact": "stable"}], "arm": "stable"}],
            "cohorts": [{"name": "staff", "when": [{"header": "x-staff", "present": true}], "weight_ppm": 0}]})
    };
    let user: &[(&str, &[u8])] = &[("x-user-id", b"u1")];
    let forced: &[(&str, &[u8])] = &[("x-user-id", b"u1"), ("x-force", b"stable")];
    let staff: &[(&str, &[u8])] = &[("x-user-id", b"u1"), ("x-staff", b"1")];
    let all = crate::MILLION;
    for (canary, shadow, headers, standing, route) in [
        (0, 0, user, Standing::Live, "stable"),
        (0, all, user, Standing::Live, "shadow"),
        (all, all, user, Standing::Live, "canary"),
        (0, all, forced, Standing::Live, "stable"),
        (0, all, staff, Standing::Live, "stable"),
        (0, all, user, Standing::Expired, "stable"),
        (0, all, user, Standing::Revoked, "stable"),
    ] {
        let (arm, said) = at(policy(canary, shadow), headers, standing);
        assert_eq!(said, route, "canary {canary}, shadow {shadow}, {headers:?}, {standing:?}");
        assert_eq!(arm == Arm::Canary, route == "canary", "stable answers a shadow");
    }
    for (text, route) in
        [("shadow", Some(Route::Shadow)), ("canary", Some(Route::Arm(Arm::Canary))), ("Shadow", None)]
    {
        assert_eq!(Route::parse(text), route);
    }
    assert_eq!(Arm::parse("shadow"), None, "no arm may be called that");
}

#[test]
fn the_first_users_of_the_canary_are_those_it_has_shadowed() {
    let at = |canary: u32, shadow: u32, user: &str| {
        let splitter = splitter(json!({"shadow": {"weight_ppm": shadow},
            "arms": {"stable": {"version": "v1"}, "canary": {"version": "v2", "weight_ppm": canary}}}));
        let headers: &[(&str, &[u8])] = &[("x-user-id", user.as_bytes())];
        assigned(&splitter, headers).expect("owned").route()
    };
    let (mut shadowed, mut canary) = (0, 0);
    for user in (0..2_000).map(|n| format!("u{n}")) {
        let before = at(0, 100_000, &user);
        shadowed += usize::from(before == Route::Shadow);
        if at(50_000, 0, &user) == Route::Arm(Arm::Canary) {
            canary += 1;
            assert_eq!(before, Route::Shadow, "{user}");
        }
    }
    assert!((150..250).contains(&shadowed) && (60..140).contains(&canary), "{shadowed}, {canary}");
}
