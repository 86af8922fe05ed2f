use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::json;

use crate::{
    Documents, NAME, Resource, Version,
    clock::first_mark,
    resource::{EXTENSION_URL, distinct},
};

/// The policy as a file in a directory that Envoy watches, for meshes of one machine.
///
/// Envoy notices a rename into the directory and nothing else, so each write goes to a file beside it first. Nobody
/// acknowledges a file: whether it is in force is read back from Envoy ([`crate::stats::Snapshot::accepted`]).
#[derive(Clone, Debug)]
pub struct EcdsFile {
    directory: PathBuf,
    resource: Resource,
    incarnation: Arc<AtomicU64>,
}

/// The policy could not be put in place.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot write the policy to {path}: {source}; the directory must exist and be writable by this process"
)]
pub struct FileError {
    path: PathBuf,
    source: io::Error,
}

impl EcdsFile {
    /// Writes nothing yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, resource: Resource, incarnation: u64) -> Self {
        Self { directory: directory.into(), resource, incarnation: Arc::new(AtomicU64::new(incarnation)) }
    }

    /// The file that Envoy reads; the same name [`crate::Bootstrap`] gives it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        path_in(&self.directory)
    }

    /// What is written from now on is of another incarnation: its text must say so.
    pub fn begin_incarnation(&self, incarnation: u64) {
        self.incarnation.store(incarnation, Ordering::SeqCst);
    }

    /// Writes a pass-through policy of generation 0 unless a file is there: Envoy does not start without one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn prepare(&self) -> Result<(), FileError> {
        self.prepare_one().await?;
        for region in self.regions().await? {
            Self { directory: self.directory.join(region), ..self.clone() }.prepare_one().await?;
        }
        Ok(())
    }

    async fn prepare_one(&self) -> Result<(), FileError> {
        match tokio::fs::try_exists(self.path()).await {
            Ok(true) => Ok(()),
            _ => self.write(0, "").await,
        }
    }

    /// Puts each region's policy in place of the one before: that of a region into the subdirectory of its name, where
    /// there is one, the common one here.
    ///
    /// # Errors
    /// When a file cannot be written or renamed; those written before then stand.
    pub async fn write_all(&self, generation: u64, documents: &Documents) -> Result<(), FileError> {
        self.write(generation, &documents.common).await?;
        for region in self.regions().await? {
            let there = Self { directory: self.directory.join(&region), ..self.clone() };
            there.write(generation, documents.of(&region)).await?;
        }
        Ok(())
    }

    /// The names of the subdirectories.
    async fn regions(&self) -> Result<Vec<String>, FileError> {
        let failed = |source| FileError { path: self.directory.clone(), source };
        let mut entries = tokio::fs::read_dir(&self.directory).await.map_err(failed)?;
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let directory = entry.file_type().await.is_ok_and(|kind| kind.is_dir());
            names.extend(entry.file_name().into_string().ok().filter(|_| directory));
        }
        Ok(names)
    }

    /// Puts a policy in place of the one before; Envoy sees either whole.
    ///
    /// # Errors
    /// When the file cannot be written or renamed; the one before then stands.
    pub async fn write(&self, generation: u64, policy: &str) -> Result<(), FileError> {
        let path = self.path();
        let beside = self.directory.join(format!("{NAME}.json.tmp"));
        let text = self.render(generation, policy);
        tokio::fs::write(&beside, text).await.map_err(|source| FileError { path: beside.clone(), source })?;
        tokio::fs::rename(&beside, &path).await.map_err(|source| FileError { path, source })
    }

    fn render(&self, generation: u64, policy: &str) -> String {
        let version = Version { incarnation: self.incarnation.load(Ordering::SeqCst), generation };
        let resource = json!({"@type": EXTENSION_URL, "name": NAME, "typed_config": self.resource.to_json(&distinct(policy, first_mark()))});
        json!({"version_info": version.to_string(), "resources": [resource]}).to_string()
    }
}

pub(crate) fn path_in(directory: &Path) -> PathBuf {
    directory.join(format!("{NAME}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_replaces_the_file_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = EcdsFile::new(directory.path(), Resource::local("/f.wasm"), 5);
        file.prepare().await.unwrap();
        let read = || -> serde_json::Value {
            serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap()
        };
        assert_eq!(read()["version_info"], "5-0");
        assert_eq!(
            read()["resources"][0]["typed_config"]["config"]["configuration"],
            serde_json::Value::Null
        );

        file.write(7, r#"{"generation":7}"#).await.unwrap();
        file.prepare().await.unwrap();
        let got = read();
        assert_eq!(got["version_info"], "5-7");
        let text = got["resources"][0]["typed_config"]["config"]["configuration"]["value"].as_str().unwrap();
        assert_eq!(text.trim_end(), r#"{"generation":7}"#);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_region_with_a_directory_of_its_own_is_told_its_own() {
        let directory = tempfile::tempdir().unwrap();
        for region in ["eu", "us"] {
            std::fs::create_dir(directory.path().join(region)).unwrap();
        }
        let file = EcdsFile::new(directory.path(), Resource::local("/f.wasm"), 5);
        file.prepare().await.unwrap();
        let regions =
            [("eu", "of eu"), ("asia", "of asia")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        let documents = Documents { common: "of all".to_owned(), regions: regions.into() };
        file.write_all(3, &documents).await.unwrap();
        for (place, told) in [("", "of all"), ("eu", "of eu"), ("us", "of all")] {
            let text = std::fs::read_to_string(path_in(&directory.path().join(place))).unwrap();
            assert!(text.contains(told) && text.contains("5-3"), "{place}: {text}");
        }
        assert!(!directory.path().join("asia").exists());
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let file = EcdsFile::new("/nonexistent/here", Resource::local("/f.wasm"), 5);
        let error = file.write(1, "").await.unwrap_err().to_string();
        assert!(error.contains("/nonexistent/here/serin.json.tmp"), "{error}");
        assert!(error.contains("must exist"), "{error}");
    }
}
