//! Trouble that both versions share, that one has alone, and that the canary may have caused.

use super::{CALM, HARMFUL, Named, PROMOTED};
use crate::requests::world::{Incident, RequestWorld};

const fn incident(from_s: f64, for_s: f64, errors: [f64; 2]) -> Incident {
    Incident { from_s, for_s, errors, ..Incident::NONE }
}

pub(super) const ERRORS: Named = Named {
    name: "shared-errors",
    about: "from the third minute on, for two minutes, 20 % of the requests of both versions fail",
    truth: PROMOTED,
    seconds: 5_400,
    change: |world| world.incident = incident(180.0, 120.0, [0.2, 0.2]),
    ..CALM
};

pub(super) const ERRORS_AT_HALF: Named = Named {
    name: "shared-errors-at-half",
    about: "the same in the 20th minute, when the canary has half of the traffic",
    change: |world| world.incident = incident(1_200.0, 120.0, [0.2, 0.2]),
    ..ERRORS
};

pub(super) const OUTAGE: Named = Named {
    name: "shared-outage",
    about: "every request fails for a minute, whichever version it goes to",
    change: |world| world.incident = incident(180.0, 60.0, [1.0, 1.0]),
    ..ERRORS
};

pub(super) const BURSTS: Named = Named {
    name: "shared-bursts",
    about: "20 % of the requests of both versions fail for half a minute of every five",
    change: |world| world.incident = Incident { every_s: 300.0, ..incident(180.0, 30.0, [0.2, 0.2]) },
    ..ERRORS
};

/// A limit on answer times beside the default gates.
const TIMES: &str = "guardrails: [{name: slow, metric: latency_p99, max: 1s}]\n";

pub(super) const SLOW: Named = Named {
    name: "shared-slow",
    about: "all answers take twenty times as long for two minutes, as on a machine that is busy; p99 is limited to a second",
    spec: TIMES,
    change: slow,
    ..ERRORS
};

fn slow(world: &mut RequestWorld) {
    world.incident = Incident { slow_by: [20.0, 20.0], ..incident(180.0, 120.0, [0.0, 0.0]) };
}

pub(super) const STABLE_ALONE: Named = Named {
    name: "incident-of-stable",
    about: "20 % of stable's requests fail for two minutes, and none of the canary's beside the usual",
    change: |world| world.incident = incident(180.0, 120.0, [0.2, 0.0]),
    ..ERRORS
};

pub(super) const CANARY_ALONE: Named = Named {
    name: "incident-of-the-canary",
    about: "20 % of the canary's requests fail for two minutes, and none of stable's beside the usual",
    truth: HARMFUL,
    change: |world| world.incident = incident(180.0, 120.0, [0.0, 0.2]),
    ..ERRORS
};

pub(super) const CANARY_TWICE: Named = Named {
    name: "shared-errors-canary-twice",
    about: "for two minutes 20 % of stable's requests fail and 40 % of the canary's",
    truth: HARMFUL,
    change: |world| world.incident = incident(180.0, 120.0, [0.2, 0.4]),
    ..ERRORS
};

pub(super) const CANARY_STAYS: Named = Named {
    name: "shared-errors-canary-stays",
    about: "the canary fails 10 % of requests all the time, and stable as well for its first ten minutes",
    truth: HARMFUL,
    change: |world| {
        world.answers.errors = 0.001;
        world.canary.errors = 100.0;
        world.incident = incident(0.0, 600.0, [0.1, 0.0]);
    },
    ..ERRORS
};

pub(super) const FOR_EVER: Named = Named {
    name: "caused-by-the-canary",
    about: "a minute after its first request 20 % of all requests fail, of both versions, for as long as it is there",
    truth: HARMFUL,
    change: |world| world.incident = incident(60.0, f64::INFINITY, [0.2, 0.2]),
    ..ERRORS
};

pub(super) const HIDDEN_BY_RETRIES: Named = Named {
    name: "hidden-by-retries",
    about: "one in five of the canary's first tries fails at once, and the second one is answered",
    truth: HARMFUL,
    change: |world| world.canary.retried = 0.2,
    ..ERRORS
};

/// What is tried again as soon as it is slow: how often follows from how busy the machine is.
pub(super) const RETRIES_BUSY: Named = Named {
    name: "retries-busy",
    about: "the proxy tries again after 250 ms; for half a minute of every five both versions take eight times as long, on a busy machine, and the canary a tenth more",
    change: |world| {
        world.answers.try_s = 0.25;
        let bursts = Incident { every_s: 300.0, ..incident(60.0, 30.0, [0.0, 0.0]) };
        world.incident = Incident { slow_by: [8.0, 8.8], ..bursts };
    },
    ..ERRORS
};

pub(super) const RETRIES_OFTEN: Named = Named {
    name: "retries-often",
    about: "the proxy tries again after 100 ms, which one in eight requests takes by nature; the canary's take a twentieth longer",
    change: |world| (world.answers.try_s, world.canary.times) = (0.1, 1.05),
    ..ERRORS
};
