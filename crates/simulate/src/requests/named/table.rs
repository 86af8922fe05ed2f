//! The table of worlds.

mod shared;

use super::{CanaryHealth, Named};
use crate::requests::play::Script;
use crate::requests::world::{Counting, Proxy, RequestWorld};

const HEALTHY: CanaryHealth = CanaryHealth::Healthy { promoted: false };
const PROMOTED: CanaryHealth = CanaryHealth::Healthy { promoted: true };
const HARMFUL: CanaryHealth = CanaryHealth::Harmful { found: true };

/// Healthy, for the time the default preset takes.
const CALM: Named = Named {
    name: "calm",
    about: "nothing happens: 100 requests a second, half of them answered in 50 ms, 1 % errors",
    truth: PROMOTED,
    gate: None,
    spec: "",
    seconds: 3_600,
    script: &[],
    wrong: false,
    change: |_| {},
};

/// One stage of 5 % for longer than anybody waits.
const STEADY: &str = "stages: [{weight: 5%, bake: 3h, deadline: 6h}, {weight: 100%, bake: 5m}]\n";
/// Users stay with their version.
const STICKY: &str = "baseline: false
assignment: {mode: sticky, keys: [{header: x-user-id}]}
stages: [{weight: 5%, bake: 3h, deadline: 6h}, {weight: 100%, bake: 5m}]
gates: [{name: errors, metric: error_rate, against: stable, margin: 2x, passBelow: 1%}]
guardrails: [{name: errors-limit, metric: error_rate, max: 5%}]
";
const QUICK: &str = "stages: [{weight: 5%, bake: 1m}, {weight: 25%, bake: 1m}, {weight: 50%, bake: 1m}, {weight: 100%, bake: 1m}]\n";
/// A quorum that one proxy of three cannot stop.
const QUORUM: &str = "acknowledge: {quorum: 60%}
stages: [{weight: 25%, bake: 3h, deadline: 6h}, {weight: 100%, bake: 5m}]
gates: [{name: errors, metric: error_rate, against: stable, margin: 2x, passBelow: 0.01%}]
guardrails: [{name: errors-limit, metric: error_rate, max: 50%}]
";
const HALF: &str = "stages: [{weight: 50%, bake: 10m, deadline: 6h}, {weight: 100%, bake: 5m}]\n";
const HALF_OF_SLOW: &str =
    "stages: [{weight: 50%, bake: 10m, deadline: 6h}, {weight: 100%, bake: 5m}]\noverdueAfter: 30s\n";
/// Only errors, and twice stable's is both the margin and the harm.
const WITHIN_2X: &str = "stages: [{weight: 5%, bake: 3h, deadline: 6h}, {weight: 100%, bake: 5m}]
gates: [{name: errors, metric: error_rate, against: stable, margin: 2x, harm: 2x, passBelow: 0.01%}]
guardrails: [{name: errors-limit, metric: error_rate, max: 50%}]
";
const WITHIN_2X_IN_STEPS: &str = "stages: [{weight: 5%, bake: 20s}, {weight: 25%, bake: 20s}, {weight: 50%, bake: 20s}, {weight: 100%, bake: 5m}]
gates: [{name: errors, metric: error_rate, against: stable, margin: 2x, harm: 2x, passBelow: 0.01%}]
guardrails: [{name: errors-limit, metric: error_rate, max: 50%}]
";

const LOWERED: Script = &[(300_000, 50_000)];

/// Two proxies that do all they should, and a third with troubles of its own.
fn third(change: impl FnOnce(&mut Proxy)) -> Vec<Proxy> {
    let mut third = Proxy::sound(0.1);
    change(&mut third);
    vec![Proxy::sound(0.45), Proxy::sound(0.45), third]
}

/// One of two proxies does something.
fn one_of_two(change: impl FnOnce(&mut Proxy)) -> Vec<Proxy> {
    let mut second = Proxy::sound(0.5);
    change(&mut second);
    vec![Proxy::sound(0.5), second]
}

fn hang(world: &mut RequestWorld, share: f64, patience_s: f64) {
    world.canary.hangs = share;
    (world.clients.impatient, world.clients.patience_s) = (1.0, patience_s);
}

/// Every world, healthy ones first.
pub const NAMED: &[Named] = &[
    CALM,
    Named {
        name: "diurnal",
        about: "traffic swings by 80 % over an hour",
        change: |world| world.swing = 0.8,
        ..CALM
    },
    Named {
        name: "retries",
        about: "2 % of first tries hang, and the second one is answered",
        change: |world| world.answers.retries = 0.02,
        ..CALM
    },
    Named {
        name: "resets",
        about: "2,000 requests a second, of which 1 % are reset at once",
        truth: HEALTHY,
        spec: QUICK,
        seconds: 320,
        change: |world| (world.rate, world.answers.resets) = (2_000.0, true),
        ..CALM
    },
    Named {
        name: "slow-1s",
        about: "answers take a second by nature, one in eight more than two",
        change: |world| world.answers.median_s = 1.0,
        ..CALM
    },
    Named {
        name: "slow-8s",
        about: "answers take eight seconds by nature, and the proxy waits two minutes",
        truth: HEALTHY,
        change: |world| (world.answers.median_s, world.answers.timeout_s) = (8.0, 120.0),
        ..CALM
    },
    Named {
        name: "streams",
        about: "10 % of answers go on for 20 s, half of them as websockets",
        change: |world| world.answers.streams = 0.1,
        ..CALM
    },
    Named {
        name: "redirects",
        about: "the proxy answers 10 % of requests by itself",
        change: |world| world.answers.local = 0.1,
        ..CALM
    },
    Named {
        name: "leavers",
        about: "clients leave after a second, and answers take 0.3 s: one in 45 is left",
        change: |world| {
            world.answers.median_s = 0.3;
            (world.clients.impatient, world.clients.patience_s) = (1.0, 1.0);
        },
        ..CALM
    },
    Named {
        name: "heavy-users",
        about: "ten sticky users make 0.5 % of the traffic each, with 40 % errors; the others have 0.5 %",
        truth: HEALTHY,
        spec: STICKY,
        seconds: 1_800,
        change: |world| {
            world.answers.errors = 0.005;
            (world.clients.heavy, world.clients.heavy_share, world.clients.heavy_errors) = (10, 0.005, 0.4);
        },
        ..CALM
    },
    Named {
        name: "stalls",
        about: "each pod stands still for a second every ten minutes; 20 of stable, one of the canary, for an hour",
        truth: HEALTHY,
        spec: STEADY,
        change: |world| (world.pods.stall_every_s, world.pods.stall_s) = (600.0, 1.0),
        ..CALM
    },
    Named {
        name: "pod-restarts",
        about: "each pod is restarted every six hours and fails for 3 s; 0.1 % errors otherwise; for an hour",
        truth: HEALTHY,
        spec: STEADY,
        change: |world| {
            world.answers.errors = 0.001;
            (world.pods.restart_every_s, world.pods.restart_s) = (6.0 * 3_600.0, 3.0);
        },
        ..CALM
    },
    Named {
        name: "cold-pods",
        about: "each new pod of the canary is five times as slow for three minutes, and the plan knows no warmUp",
        truth: CanaryHealth::Open,
        change: |world| (world.pods.cold, world.pods.cold_s) = (5.0, 180.0),
        ..CALM
    },
    Named {
        name: "cold-pods-warm-up",
        about: "the same with warmUp: 5m",
        truth: HEALTHY,
        spec: "warmUp: 5m\n",
        change: |world| (world.pods.cold, world.pods.cold_s) = (5.0, 180.0),
        ..CALM
    },
    Named {
        name: "lagging-proxy",
        about: "a proxy with a tenth of the traffic takes weights 20 s late, and has 10 % errors of its own",
        truth: HEALTHY,
        spec: "acknowledge: {quorum: 60%}\n",
        change: |world| {
            world.proxies = third(|proxy| (proxy.lag_s, proxy.errors) = (20.0, Some(0.1)));
        },
        ..CALM
    },
    Named {
        name: "deaf-proxy",
        about: "a proxy with a tenth of the traffic and 30 % errors never sends anything to the canary",
        truth: HEALTHY,
        spec: QUORUM,
        seconds: 1_800,
        change: |world| {
            world.proxies = third(|proxy| (proxy.never_rises, proxy.errors) = (true, Some(0.3)));
        },
        ..CALM
    },
    Named {
        name: "deaf-proxy-lowered",
        about: "the same proxy, with 10 % errors, stays at 25 % when a person sets 5 %",
        truth: HEALTHY,
        spec: QUORUM,
        seconds: 1_800,
        script: LOWERED,
        change: |world| {
            world.proxies = third(|proxy| (proxy.deaf_from_s, proxy.errors) = (200.0, Some(0.1)));
        },
        ..CALM
    },
    Named {
        name: "silent-proxy",
        about: "one of two proxies does not answer its reader for 15 s of every minute",
        change: |world| {
            world.proxies = one_of_two(|proxy| (proxy.silent_s, proxy.silent_every_s) = (15.0, 60.0));
        },
        ..CALM
    },
    Named {
        name: "proxy-restarts",
        about: "one of two proxies is started anew every five minutes",
        change: |world| world.proxies = one_of_two(|proxy| proxy.restart_every_s = 300.0),
        ..CALM
    },
    Named {
        name: "torn-looks",
        about: "what is read of one proxy is of two moments, and one look in ten at the other is missed",
        change: |world| {
            world.proxies = one_of_two(|proxy| proxy.torn = true);
            if let Some(first) = world.proxies.first_mut() {
                first.late = 0.1;
            }
        },
        ..CALM
    },
    Named {
        name: "lowered-2s",
        about: "answers take 2 s by nature, and a person lowers the canary from 50 to 5 %",
        truth: HEALTHY,
        spec: HALF_OF_SLOW,
        seconds: 900,
        script: LOWERED,
        change: |world| world.answers.median_s = 2.0,
        ..CALM
    },
    Named {
        name: "lowered-timeouts",
        about: "0.5 % of requests run into a timeout of 15 s, and a person lowers the canary from 50 to 5 %",
        truth: HEALTHY,
        spec: HALF,
        seconds: 900,
        script: LOWERED,
        change: |world| (world.answers.errors, world.answers.timeouts) = (0.005, 0.005),
        ..CALM
    },
    Named {
        name: "early-slow",
        about: "for the first ten minutes both versions answer ten times as slowly; then all is well",
        seconds: 5_400,
        change: |world| (world.answers.slow_until_s, world.answers.slow_by) = (600.0, 10.0),
        ..CALM
    },
    Named {
        name: "errors-x2",
        about: "the canary has 2 % errors where stable has 1 %",
        truth: HARMFUL,
        gate: Some("errors"),
        change: |world| world.canary.errors = 2.0,
        ..CALM
    },
    Named {
        name: "slower-25",
        about: "every answer of the canary takes 25 % longer: just the margin",
        truth: HARMFUL,
        gate: Some("latency"),
        change: |world| world.canary.times = 1.25,
        ..CALM
    },
    Named {
        name: "slower-50",
        about: "every answer of the canary takes 50 % longer",
        truth: HARMFUL,
        gate: Some("latency"),
        change: |world| world.canary.times = 1.5,
        ..CALM
    },
    Named {
        name: "hangs-20-leave-1s",
        about: "the canary never answers 20 % of requests, whose clients leave after a second",
        truth: HARMFUL,
        gate: Some("overdue"),
        change: |world| hang(world, 0.2, 1.0),
        ..CALM
    },
    Named {
        name: "hangs-50-leave-1s",
        about: "the same with 50 %",
        truth: HARMFUL,
        gate: Some("overdue"),
        change: |world| hang(world, 0.5, 1.0),
        ..CALM
    },
    Named {
        name: "hangs-20-leave-10s",
        about: "the canary never answers 20 % of requests, whose clients leave after ten seconds",
        truth: HARMFUL,
        gate: Some("overdue"),
        change: |world| hang(world, 0.2, 10.0),
        ..CALM
    },
    Named {
        name: "hangs-50-leave-10s",
        about: "the same with 50 %",
        truth: HARMFUL,
        gate: Some("overdue"),
        change: |world| hang(world, 0.5, 10.0),
        ..CALM
    },
    Named {
        name: "cuts",
        about: "3 % of the canary's answers break off",
        truth: HARMFUL,
        gate: Some("errors"),
        change: |world| world.canary.cuts = 0.03,
        ..CALM
    },
    Named {
        name: "timeouts",
        about: "1 % of stable's requests run into a timeout of 15 s, and 2.3 % of the canary's: not within 2x",
        truth: CanaryHealth::Harmful { found: false },
        gate: Some("errors"),
        spec: WITHIN_2X,
        seconds: 160,
        change: |world| {
            (world.rate, world.answers.errors, world.answers.timeouts) = (1_000.0, 0.0, 0.01);
            world.canary.timeouts = 2.3;
        },
        ..CALM
    },
    Named {
        name: "timeouts-in-steps",
        about: "the same with 3 %, up in steps of 20 s",
        truth: CanaryHealth::Harmful { found: false },
        gate: Some("errors"),
        spec: WITHIN_2X_IN_STEPS,
        seconds: 300,
        change: |world| {
            (world.rate, world.answers.errors, world.answers.timeouts) = (1_000.0, 0.0, 0.01);
            world.canary.timeouts = 3.0;
        },
        ..CALM
    },
    Named {
        name: "errors-x2-deaf-proxy",
        about: "the canary has twice stable's errors, and a proxy that never sends it anything has 30 %",
        truth: HARMFUL,
        gate: Some("errors"),
        spec: QUORUM,
        seconds: 1_800,
        change: |world| {
            world.canary.errors = 2.0;
            world.proxies = third(|proxy| (proxy.never_rises, proxy.errors) = (true, Some(0.3)));
        },
        ..CALM
    },
    Named {
        name: "wrong-at-the-end",
        about: "counted wrong on purpose: lowered-timeouts with 2 %, where an end is charged to the weights in force at that time",
        truth: HEALTHY,
        spec: HALF,
        seconds: 900,
        script: LOWERED,
        wrong: true,
        change: |world| {
            (world.answers.errors, world.answers.timeouts) = (0.005, 0.02);
            world.counting = Counting::AtTheEnd;
        },
        ..CALM
    },
    Named {
        name: "wrong-without-left",
        about: "counted wrong on purpose: hangs-20-leave-1s, where a request whose client left is none",
        truth: HARMFUL,
        gate: Some("overdue"),
        wrong: true,
        change: |world| {
            hang(world, 0.2, 1.0);
            world.counting = Counting::WithoutLeft;
        },
        ..CALM
    },
    // At the end: a world's place is its stream of chance.
    shared::ERRORS,
    shared::ERRORS_AT_HALF,
    shared::OUTAGE,
    shared::BURSTS,
    shared::SLOW,
    shared::STABLE_ALONE,
    shared::CANARY_ALONE,
    shared::CANARY_TWICE,
    shared::CANARY_STAYS,
    shared::FOR_EVER,
    shared::RETRIES_BUSY,
    shared::RETRIES_OFTEN,
    shared::HIDDEN_BY_RETRIES,
];
