//! Secrets the operator offers to rollouts, by name.
//!
//! Whoever writes a rollout may have less right than the controller: a rollout names a secret, and only what lies in
//! the operator's folder, or in variables that begin as the operator said, can be named. Read anew at each question, so
//! that a replaced secret is used at once.

use std::path::PathBuf;

use outbound::Text;

/// A bundle of certificates is some hundred KiB.
const LONGEST: u64 = 1 << 20;

/// What is offered.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// A folder whose files are secrets, `prometheus/token` among them.
    pub dir: Option<PathBuf>,
    /// What variables that are secrets begin with: `prometheus/token` is `{prefix}PROMETHEUS_TOKEN`.
    pub env_prefix: Option<String>,
}

impl Secrets {
    /// Is there exactly one of this name?
    ///
    /// # Errors
    /// When there is none, or two; says what the controller's operator can do.
    pub fn offers(&self, name: &str) -> Result<(), String> {
        let (file, variable) = (self.file(name), self.variable(name));
        let in_file = file.as_ref().is_some_and(|file| file.is_file());
        let in_env = variable.as_ref().is_some_and(|variable| std::env::var_os(variable).is_some());
        match (in_file, in_env) {
            (true, false) | (false, true) => Ok(()),
            (true, true) => Err(format!(
                "the secret {name:?} is offered twice, as a file and as {}; the controller's operator must take one \
                 away",
                variable.unwrap_or_default()
            )),
            (false, false) => {
                let ways: Vec<String> = [
                    self.dir.as_ref().map(|_| "as a file of that name in --secret-dir".to_owned()),
                    variable.map(|variable| format!("as the variable {variable}")),
                ]
                .into_iter()
                .flatten()
                .collect();
                Err(if ways.is_empty() {
                    format!(
                        "the secret {name:?} is not offered: this controller offers none; its operator can start it \
                         with --secret-dir DIR or --secret-env PREFIX"
                    )
                } else {
                    format!(
                        "the secret {name:?} is not offered; the controller's operator can add it {}",
                        ways.join(" or ")
                    )
                })
            }
        }
    }

    /// Its text, without the end of the last line.
    ///
    /// # Errors
    /// When it is not offered, or is no text, empty or too long; says what the controller's operator can do.
    pub async fn read(&self, name: &str) -> Result<Text, String> {
        self.offers(name)?;
        let text = match self.file(name).filter(|file| file.is_file()) {
            Some(file) => {
                let unreadable = |error| format!("the secret {name:?} cannot be read: {error}");
                let length = tokio::fs::metadata(&file).await.map_err(unreadable)?.len();
                if length > LONGEST {
                    return Err(format!("the secret {name:?} is longer than {} KiB", LONGEST >> 10));
                }
                tokio::fs::read_to_string(&file).await.map_err(unreadable)?
            }
            None => std::env::var(self.variable(name).unwrap_or_default())
                .map_err(|_| format!("the secret {name:?} is not text"))?,
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            return Err(format!("the secret {name:?} is empty; its operator must fill it"));
        }
        Ok(Text::new(text.to_owned()))
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        // `manifest` lets no name pass that leads elsewhere; a store may be older than that.
        let inside = name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        self.dir.as_ref().filter(|_| inside).map(|dir| dir.join(name))
    }

    fn variable(&self, name: &str) -> Option<String> {
        let upper = |sign: char| if sign.is_ascii_alphanumeric() { sign.to_ascii_uppercase() } else { '_' };
        self.env_prefix.as_ref().map(|prefix| prefix.chars().chain(name.chars().map(upper)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_offered_can_be_read() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("in/prometheus")).expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
        write("outside", "not for you");
        write("in/token", "abc\n");
        write("in/prometheus/token", " d e \r\n");
        write("in/empty", "\n");
        write("in/.hidden", "x");
        let folder = Secrets { dir: Some(dir.path().join("in")), env_prefix: None };
        let none = Secrets::default();
        // CARGO_PKG_NAME and its like are there whenever a test runs.
        let env = Secrets { dir: None, env_prefix: Some("CARGO_".to_owned()) };
        let both = Secrets { env_prefix: Some("CARGO_PKG_".to_owned()), ..folder.clone() };
        write("in/name", "x");
        for (secrets, name, expected) in [
            (&folder, "token", Ok("abc")),
            (&folder, "prometheus/token", Ok(" d e ")),
            (&folder, "empty", Err("is empty")),
            (&folder, "absent", Err("as a file of that name in --secret-dir")),
            (&folder, "prometheus", Err("not offered")),
            (&folder, ".hidden", Err("not offered")),
            (&folder, "../outside", Err("not offered")),
            (&folder, "prometheus/../../outside", Err("not offered")),
            (&folder, "/etc/hostname", Err("not offered")),
            (&env, "pkg-name", Ok("sources")),
            (&env, "pkg/name", Ok("sources")),
            (&env, "absent", Err("as the variable CARGO_ABSENT")),
            (&both, "name", Err("offered twice")),
            (&none, "token", Err("--secret-dir DIR or --secret-env PREFIX")),
        ] {
            let read = secrets.read(name).await;
            match (&read, expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text.reveal(), expected, "{name}"),
                (Err(error), Err(part)) => {
                    assert!(error.contains(part), "{name}: {part:?} is missing in: {error}")
                }
                _ => panic!("{name}: {read:?}, not {expected:?}"),
            }
            assert_eq!(secrets.offers(name).is_ok(), read.is_ok() || name == "empty", "{name}");
        }
    }
}
