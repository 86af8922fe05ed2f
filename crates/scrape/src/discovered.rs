//! What one discovery has found, and what of it is news.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::discovery::{Discovery, Found, Proxy};

/// A discovery, and what it found last.
pub struct Discovered {
    /// Where all of them are, as its operator says.
    pub region: Option<String>,
    pub by: Arc<dyn Discovery>,
    asked: Option<Instant>,
    /// Is an answer awaited?
    awaits: bool,
    known: Arc<BTreeMap<String, Proxy>>,
    /// Those that a resolver names no longer; they may answer.
    unnamed: BTreeSet<String>,
    trouble: Option<String>,
}

/// What is new.
#[derive(Debug, Default)]
pub struct News {
    /// Those to be read from now on, and those that are read and go on being.
    pub come: Vec<(String, Proxy)>,
    /// Of these, those that take the name of another.
    pub renewed: BTreeSet<String>,
    /// Those whose end is announced.
    pub leave: Vec<String>,
    /// Those that are not there any more.
    pub gone: Vec<String>,
    /// Those that are not named any more, and may be there.
    pub unnamed: Vec<String>,
}

impl Discovered {
    pub fn new(region: Option<String>, by: Arc<dyn Discovery>) -> Self {
        let (known, unnamed) = (Arc::default(), BTreeSet::new());
        Self { region, by, asked: None, awaits: false, known, unnamed, trouble: None }
    }

    /// Whom to ask, if it is time to.
    pub fn due(&mut self) -> Option<Arc<dyn Discovery>> {
        let due = !self.awaits && self.asked.is_none_or(|at| at.elapsed() >= self.by.every());
        due.then(|| {
            (self.asked, self.awaits) = (Some(Instant::now()), true);
            self.by.clone()
        })
    }

    /// Takes an answer: what is new, and why it is not known who is there.
    pub fn settle(&mut self, found: Result<Found, String>) -> (News, Option<String>) {
        self.awaits = false;
        let mut news = News::default();
        let Found { proxies, complete, trouble } = match found {
            Ok(found) => found,
            Err(why) => {
                self.say(Some(why.clone()));
                return (news, Some(why));
            }
        };
        self.say(trouble.clone());
        // A watch gives the same thing again and again.
        if Arc::ptr_eq(&self.known, &proxies) {
            return (news, trouble);
        }
        for (name, proxy) in proxies.iter() {
            self.unnamed.remove(name);
            match self.known.get(name) {
                Some(before) if before.identity == proxy.identity && before.page == proxy.page => {
                    if proxy.leaving {
                        news.leave.push(name.clone());
                    } else {
                        news.come.push((name.clone(), proxy.clone()));
                    }
                }
                // Whoever was on its way out before it was ever read is not begun with.
                None if proxy.leaving => {}
                before => {
                    if before.is_some() {
                        news.renewed.insert(name.clone());
                    }
                    news.come.push((name.clone(), proxy.clone()));
                }
            }
        }
        let absent = self.known.keys().filter(|name| !proxies.contains_key(*name)).cloned();
        if complete {
            news.gone.extend(absent);
        } else {
            news.unnamed.extend(absent);
            self.unnamed.extend(news.unnamed.iter().cloned());
        }
        self.known = proxies;
        (news, trouble)
    }

    /// Is it one of these?
    pub fn knows(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// Was it said of this one that its end has come?
    pub fn announced(&mut self, name: &str) -> bool {
        self.unnamed.remove(name);
        self.known.get(name).is_some_and(|proxy| proxy.leaving)
    }

    /// Is nobody of it read? `read`: is this one?
    pub fn nobody(&self, read: impl Fn(&str) -> bool) -> bool {
        !self.known.keys().chain(&self.unnamed).any(|name| read(name))
    }

    /// Why it is not known who is there, with the region it is about.
    pub fn trouble(&self) -> Option<(Option<String>, String)> {
        // Where nobody is read at all, that is said as what these proxies lack.
        let why = self.trouble.clone().filter(|_| !self.known.is_empty())?;
        Some((self.region.clone(), why))
    }

    fn say(&mut self, trouble: Option<String>) {
        if self.trouble != trouble {
            match &trouble {
                Some(why) => tracing::warn!("{why}"),
                None => tracing::info!("{}: it is known again who is there", self.by.told()),
            }
            self.trouble = trouble;
        }
    }
}

#[cfg(test)]
#[path = "discovered_tests.rs"]
mod tests;
