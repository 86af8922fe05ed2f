use manifest::{Loaded, Problems};
use rollout::{Acks, Event, Human, Interval, Now, State, step};

use crate::{Behaviour, Dice};

/// Requests of a look: 100 a second, and `serin run` looks every second.
const REQUESTS: u64 = 100;
const LOOK_MS: u64 = 1_000;

/// A typical run: the default preset's gates and guardrails, and equal versions with 1 % errors.
pub struct Run {
    /// As typed.
    pub spec: String,
    /// Where it is.
    pub state: State,
    dice: Dice,
    behaviour: Behaviour,
    now_ms: u64,
}

impl Run {
    /// Begun and acknowledged by its proxy.
    ///
    /// # Errors
    /// A preset that is none any more.
    pub fn begin() -> Result<Self, Problems> {
        let spec = "apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: ranker}
spec:
  preset: default
  stable: {version: v1}
  canary: {version: v2}
"
        .to_owned();
        let Loaded { plan, .. } = manifest::load(&spec)?;
        let state = State::new(plan, 1, 0, Now::at_ms(0));
        let mut run = Self { spec, state, dice: Dice::seeded(1), behaviour: Behaviour::usual(), now_ms: 0 };
        run.happened(&Event::Start(Human { who: "bench".to_owned(), reason: String::new() }));
        Ok(run)
    }

    /// The present.
    #[must_use]
    pub const fn now(&self) -> Now {
        Now::at_ms(self.now_ms)
    }

    /// What the next look will see.
    pub fn next_look(&mut self) -> Interval {
        let (from_ms, dice) = (self.now_ms, &mut self.dice);
        self.now_ms += LOOK_MS;
        let canary = dice.binomial(REQUESTS, f64::from(self.state.weights.canary_ppm) / 1e6);
        Interval {
            epoch: self.state.epoch,
            from_ms,
            to_ms: self.now_ms,
            canary: self.behaviour.counts(dice, canary, 0.01),
            stable: self.behaviour.counts(dice, REQUESTS - canary, 0.01),
            ..Interval::default()
        }
    }

    /// So many looks, each publication acknowledged at once.
    pub fn look(&mut self, times: usize) {
        for _ in 0..times {
            let waiting = self.state.publication.as_ref().filter(|sent| sent.acks.connected == 0);
            if let Some(publication) = waiting.map(|sent| sent.sent.id) {
                let acks = Acks { publication, acknowledged: 1, connected: 1, ..Acks::default() };
                self.happened(&Event::Acks(acks));
            }
            let look = self.next_look();
            self.happened(&Event::Interval(Box::new(look)));
        }
    }

    fn happened(&mut self, event: &Event) {
        self.state = step(self.state.clone(), event, self.now()).0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_under_way() {
        let mut run = Run::begin().unwrap();
        run.look(120);
        assert_eq!((run.state.phase, run.state.weights.canary_ppm), (rollout::Phase::Progressing, 50_000));
        let gates = &run.state.stages.last().unwrap().gates;
        assert!(!gates.is_empty() && gates.iter().all(|gate| gate.n_canary > 0), "{gates:?}");
    }
}
