//! Who sends the n-th request.

use rand_distr::{Distribution, Zipf};

use crate::chance;

/// A population of users.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Users {
    /// How many there are; at least 1.
    pub count: u32,
    /// How often each of them comes.
    pub popularity: Popularity,
}

/// How requests are spread over users.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Popularity {
    /// All come equally often.
    Uniform,
    /// The k-th most active user comes in proportion to k^-exponent.
    Zipf(f64),
}

impl Users {
    /// The user of request `n`, from 0; follows from the seed and `n` alone.
    pub fn of(&self, seed: u64, n: u64) -> u32 {
        let name = format!("user of {n}");
        let count = self.count.max(1);
        let uniform = || (chance::unit(chance::hash(seed, &name)) * f64::from(count)) as u32;
        match self.popularity {
            Popularity::Uniform => uniform(),
            Popularity::Zipf(exponent) => Zipf::new(f64::from(count), exponent)
                // Ranks count from 1. An exponent no distribution exists for means no preference.
                .map_or_else(
                    |_| uniform(),
                    |zipf| zipf.sample(&mut chance::generator(seed, &name)) as u32 - 1,
                ),
        }
    }

    /// What `x-user-id` says of a user.
    pub fn id(user: u32) -> String {
        format!("user-{user}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn visits(popularity: Popularity) -> HashMap<u32, u32> {
        let users = Users { count: 1_000, popularity };
        let mut visits = HashMap::new();
        for n in 0..50_000 {
            *visits.entry(users.of(9, n)).or_insert(0) += 1;
        }
        visits
    }

    #[test]
    fn everyone_comes_and_some_come_more_often() {
        let uniform = visits(Popularity::Uniform);
        assert_eq!(uniform.len(), 1_000);
        assert!(uniform.keys().all(|user| *user < 1_000));
        assert!(uniform.values().all(|visits| (15..=100).contains(visits)));

        let zipf = visits(Popularity::Zipf(0.6));
        assert!(zipf.keys().all(|user| *user < 1_000));
        // 1 / sum of k^-0.6 over 1..=1000 is 2.6 % of 50,000.
        assert!((1_100..=1_500).contains(&zipf[&0]), "{}", zipf[&0]);
        assert!(zipf[&0] > 10 * zipf.get(&900).copied().unwrap_or(0));
    }

    #[test]
    fn the_same_seed_brings_the_same_users() {
        let users = Users { count: 20_000, popularity: Popularity::Zipf(0.6) };
        let first = |seed| (0..100).map(|n| users.of(seed, n)).collect::<Vec<_>>();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }
}
