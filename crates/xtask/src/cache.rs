//! The cache: what was downloaded or built once and outlives `target`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{say, var};

/// A folder for tools: `SERIN_CACHE`, else `serin` in the user's cache folder.
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Opens the cache and makes its folder where it is missing.
    pub fn open() -> Result<Self> {
        let dir = place(
            var("SERIN_CACHE").map(PathBuf::from),
            var("XDG_CACHE_HOME").map(PathBuf::from),
            var("HOME").map(PathBuf::from),
        )
        .context("no place for the cache: set SERIN_CACHE to a folder (HOME and XDG_CACHE_HOME are unset)")?;
        let dir = std::path::absolute(&dir).with_context(|| format!("{} is no path", dir.display()))?;
        fs::create_dir_all(&dir).with_context(|| {
            format!("cannot make the cache folder {}: set SERIN_CACHE to a writable one", dir.display())
        })?;
        Ok(Self { dir })
    }

    /// The path of an entry, there or not.
    pub fn entry(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The folder `name`, filled by `fill` when it is not there yet. It appears whole or not at all, and two
    /// processes asking at once fill it once: the second waits for the first.
    pub fn folder(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let whole = self.entry(name);
        if whole.is_dir() {
            return Ok(whole);
        }
        let lock =
            File::create(self.entry(&format!("{name}.lock"))).context("cannot write to the cache folder")?;
        if lock.try_lock().is_err() {
            say(format!("waiting for another process that is preparing {}", whole.display()));
            lock.lock().context("cannot lock the cache entry")?;
        }
        if whole.is_dir() {
            return Ok(whole);
        }
        let part = self.entry(&format!("{name}.part"));
        remove(&part)?;
        fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        fill(&part)?;
        fs::rename(&part, &whole).with_context(|| format!("cannot rename {} into place", part.display()))?;
        Ok(whole)
    }
}

/// Removes a folder and what is in it, if it is there.
pub fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}: remove it by hand", dir.display()))
        }
        _ => Ok(()),
    }
}

fn place(serin: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    serin.or_else(|| xdg.map(|dir| dir.join("serin"))).or_else(|| home.map(|dir| dir.join(".cache/serin")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(serin: &str, xdg: &str, home: &str, expected: &str) {
        let path = |text: &str| Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty());
        assert_eq!(place(path(serin), path(xdg), path(home)), path(expected));
    }

    #[test]
    fn the_most_particular_variable_wins() {
        check("/a", "/b", "/c", "/a");
        check("", "/b", "/c", "/b/serin");
        check("", "", "/c", "/c/.cache/serin");
        check("", "", "", "");
    }

    #[test]
    fn a_folder_is_whole_or_absent() {
        let dir = std::env::temp_dir().join(format!("serin-cache-test-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let cache = Cache { dir: dir.clone() };
        assert!(
            cache
                .folder("tool", |part| Ok(fs::write(part.join("half"), "")?)
                    .and_then(|()| anyhow::bail!("no")))
                .is_err()
        );
        assert!(!cache.entry("tool").exists());
        let made = cache.folder("tool", |part| {
            assert!(!part.join("half").exists(), "what a failed attempt left is cleared");
            Ok(fs::write(part.join("file"), "")?)
        });
        assert!(made.unwrap().join("file").is_file());
        cache.folder("tool", |_| anyhow::bail!("must not be filled twice")).unwrap();
        remove(&dir).unwrap();
        remove(&dir).unwrap();
    }
}
