//! How long the canary still got requests after a rollback was decided, as the proxies tell it.

use api::Latency;
use rollout::State;

use scrape::Increments;

/// A filter writes the time of its last canary request at its next tick: never too early, late by at most this.
const TICK_MS: u64 = 100;

/// What a look at the proxies says of a run; `None`: it was not rolled back, or no proxy ever had a canary request.
pub fn of(state: &State, news: &Increments) -> Option<Latency> {
    let decided_ms = state.rollback.as_ref()?.decided.unix_ms;
    let gauge = tally::last_canary_gauge(&state.plan.name);
    let last_ms = news.gauges.iter().filter_map(|gauges| gauges.get(&gauge)).max()?;
    let to_ms = last_ms.saturating_sub(decided_ms);
    let taken = state.publication.as_ref().is_some_and(|publication| {
        publication.acks.connected > 0 && publication.acks.acknowledged == publication.acks.connected
    });
    Some(Latency {
        from_ms: to_ms.saturating_sub(TICK_MS),
        to_ms,
        complete: taken && news.of(state).gap.is_none() && news.since_ms(state) >= decided_ms + TICK_MS,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rollout::{Event, Human, Now, step};

    use super::*;

    fn state() -> State {
        let plan = manifest::load(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: ranker}\nspec:\n  stable: {version: v1}\n  canary: {version: v2}\n",
        )
        .expect("a rollout")
        .plan;
        let human = || Human { who: "me".into(), reason: String::new() };
        let (state, _) = step(State::new(plan, 1, 0, Now::at_ms(0)), &Event::Start(human()), Now::at_ms(1));
        let (state, _) = step(state, &Event::Abort(human()), Now::at_ms(10_000));
        state
    }

    fn news(from_ms: u64, last: &[u64]) -> Increments {
        let gauge = tally::last_canary_gauge("ranker");
        let gauges = last.iter().map(|last| BTreeMap::from([(gauge.clone(), *last)])).collect();
        Increments { from_ms, to_ms: from_ms + 1_000, gauges, ..Increments::default() }
    }

    #[test]
    fn the_latest_of_all_proxies_counts_and_silence_is_no_answer() {
        let mut state = state();
        assert_eq!(of(&state, &news(11_000, &[])), None);
        let got = of(&state, &news(11_000, &[10_040, 10_250])).expect("known");
        assert_eq!((got.from_ms, got.to_ms, got.complete), (150, 250, false), "nobody has taken it yet");
        if let Some(publication) = &mut state.publication {
            publication.acks.connected = 2;
            publication.acks.acknowledged = 2;
        }
        for (from_ms, last, complete) in
            [(11_000, 10_250, true), (10_050, 10_250, false), (11_000, 9_000, true)]
        {
            let got = of(&state, &news(from_ms, &[last])).expect("known");
            assert_eq!(got.complete, complete, "{from_ms} {last}");
        }
        let gap = Increments { gap: Some("a silent proxy".into()), ..news(11_000, &[10_250]) };
        assert!(!of(&state, &gap).expect("known").complete);
    }
}
