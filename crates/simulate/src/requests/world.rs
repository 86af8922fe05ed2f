//! What a world of requests is made of: figures only, no behaviour.

/// A world: how clients ask, how versions answer, and what the proxies between them do.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestWorld {
    /// Requests a second, on average.
    pub rate: f64,
    /// By which part of it the rate swings over an hour.
    pub swing: f64,
    /// How both versions answer.
    pub answers: Answers,
    /// Who asks.
    pub clients: Clients,
    /// What the versions run on.
    pub pods: Pods,
    /// The proxies, whose shares make up all traffic.
    pub proxies: Vec<Proxy>,
    /// How the canary differs.
    pub canary: CanaryDifference,
    /// Trouble for a time.
    pub incident: Incident,
    /// How is counted.
    pub counting: Counting,
}

/// How versions answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answers {
    /// The median time to the first byte, in seconds; times are lognormal.
    pub median_s: f64,
    /// The standard deviation of their logarithm.
    pub sigma: f64,
    /// In so many first seconds ...
    pub slow_until_s: f64,
    /// ... all times are that many times as long.
    pub slow_by: f64,
    /// The share of errors that are answered as soon as anything is.
    pub errors: f64,
    /// Are those connections that break at once, rather than answers?
    pub resets: bool,
    /// The share of requests that run into the proxy's timeout.
    pub timeouts: f64,
    /// That timeout, in seconds.
    pub timeout_s: f64,
    /// The share whose first try hangs, and whose second one, two seconds later, is answered.
    pub retries: f64,
    /// How long the proxy waits for a first try before it makes another, in seconds; infinite: it makes none.
    pub try_s: f64,
    /// The share of answers that go on for long after their first byte.
    pub streams: f64,
    /// How long on average, in seconds.
    pub stream_s: f64,
    /// The share that the proxy answers by itself (redirects, preflights).
    pub local: f64,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clients {
    /// The share of clients that leave ...
    pub impatient: f64,
    /// ... after so many seconds without an answer.
    pub patience_s: f64,
    /// Users, whose requests go together where assignment is sticky.
    pub users: u64,
    /// Heavy users ...
    pub heavy: u32,
    /// ... each with this share of the traffic ...
    pub heavy_share: f64,
    /// ... and this share of errors.
    pub heavy_errors: f64,
}

/// What versions run on: stable on a fixed number of pods, the canary on as many as its weight asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pods {
    /// Those of stable, and of a canary with all traffic.
    pub n: u32,
    /// Each stands still once in so many seconds on average; 0: never ...
    pub stall_every_s: f64,
    /// ... for so long.
    pub stall_s: f64,
    /// Each is started anew once in so many seconds on average; 0: never ...
    pub restart_every_s: f64,
    /// ... and breaks every connection for so long.
    pub restart_s: f64,
    /// A new pod answers that many times as slowly ...
    pub cold: f64,
    /// ... for so many seconds.
    pub cold_s: f64,
}

/// One proxy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proxy {
    /// Its share of the traffic.
    pub share: f64,
    /// It takes weights so many seconds after they were published ...
    pub lag_s: f64,
    /// ... and none above the first: that of nobody.
    pub never_rises: bool,
    /// ... and none after so many seconds.
    pub deaf_from_s: f64,
    /// Its requests' share of errors, where it is not that of all.
    pub errors: Option<f64>,
    /// It does not answer its readers for so many seconds ...
    pub silent_s: f64,
    /// ... of every so many; 0: it always does.
    pub silent_every_s: f64,
    /// It is started anew once in so many seconds on average; 0: never.
    pub restart_every_s: f64,
    /// Parts of what is read are of a moment before the rest.
    pub torn: bool,
    /// The share of looks it misses, to tell all at the next one.
    pub late: f64,
}

/// Trouble for a time, of either version or of both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Incident {
    /// In so many seconds ...
    pub from_s: f64,
    /// ... for so many ...
    pub for_s: f64,
    /// ... once in so many; infinite: once.
    pub every_s: f64,
    /// The share of requests that fail beside all others, of stable and of the canary.
    pub errors: [f64; 2],
    /// All answer times, as factors: of stable and of the canary.
    pub slow_by: [f64; 2],
}

impl Incident {
    /// None.
    pub const NONE: Self = Self {
        from_s: f64::INFINITY,
        for_s: 0.0,
        every_s: f64::INFINITY,
        errors: [0.0; 2],
        slow_by: [1.0; 2],
    };

    /// The share of requests that fail and the factor on answer times, at a moment.
    #[must_use]
    pub fn at(&self, now_s: f64, canary: bool) -> (f64, f64) {
        let since_s = now_s - self.from_s;
        let in_turn_s = if self.every_s.is_finite() { since_s.rem_euclid(self.every_s) } else { since_s };
        if since_s < 0.0 || in_turn_s >= self.for_s {
            return (0.0, 1.0);
        }
        let [of_stable, of_canary] = [0, 1].map(|at: usize| {
            (self.errors.get(at).copied().unwrap_or(0.0), self.slow_by.get(at).copied().unwrap_or(1.0))
        });
        if canary { of_canary } else { of_stable }
    }
}

/// How the canary differs from stable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CanaryDifference {
    /// Errors at once, as a factor.
    pub errors: f64,
    /// Timeouts, as a factor.
    pub timeouts: f64,
    /// Answer times, as a factor.
    pub times: f64,
    /// The share of requests that are never answered.
    pub hangs: f64,
    /// The share of answers that break off.
    pub cuts: f64,
    /// The share whose first try fails at once, and whose second one is answered.
    pub retried: f64,
}

/// How is counted: rightly, or wrong on purpose, so that a table of worlds can be seen to fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// As the filter does.
    #[default]
    Right,
    /// What becomes of a request is charged to the weights in force at its end, as earlier builds did.
    AtTheEnd,
    /// Requests whose client left are no requests.
    WithoutLeft,
}

impl CanaryDifference {
    /// In nothing.
    pub const NONE: Self =
        Self { errors: 1.0, timeouts: 1.0, times: 1.0, hangs: 0.0, cuts: 0.0, retried: 0.0 };
}

impl Proxy {
    /// One that does all it should with this share of the traffic.
    #[must_use]
    pub const fn sound(share: f64) -> Self {
        Self {
            share,
            lag_s: 0.0,
            never_rises: false,
            deaf_from_s: f64::INFINITY,
            errors: None,
            silent_s: 0.0,
            silent_every_s: 0.0,
            restart_every_s: 0.0,
            torn: false,
            late: 0.0,
        }
    }
}

impl Default for RequestWorld {
    /// Calm: 100 requests a second, answered in 50 ms by half, 1 % errors at once; two proxies, 20 pods.
    fn default() -> Self {
        Self {
            rate: 100.0,
            swing: 0.0,
            answers: Answers {
                median_s: 0.05,
                sigma: 0.6,
                slow_until_s: 0.0,
                slow_by: 1.0,
                errors: 0.01,
                resets: false,
                timeouts: 0.0,
                timeout_s: 15.0,
                retries: 0.0,
                try_s: f64::INFINITY,
                streams: 0.0,
                stream_s: 20.0,
                local: 0.0,
            },
            clients: Clients {
                impatient: 0.0,
                patience_s: f64::INFINITY,
                users: 100_000,
                heavy: 0,
                heavy_share: 0.0,
                heavy_errors: 0.0,
            },
            pods: Pods {
                n: 20,
                stall_every_s: 0.0,
                stall_s: 0.0,
                restart_every_s: 0.0,
                restart_s: 0.0,
                cold: 1.0,
                cold_s: 0.0,
            },
            proxies: vec![Proxy::sound(0.5), Proxy::sound(0.5)],
            canary: CanaryDifference::NONE,
            incident: Incident::NONE,
            counting: Counting::Right,
        }
    }
}
