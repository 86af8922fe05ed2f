//! Documents as a person names them: files, folders of them, standard input.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use manifest::Document;

use super::read;

/// Endings of files that a folder is looked through for.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A document, and where it stands.
pub struct Placed {
    /// The file, with the line where it is not the file's only one.
    pub place: String,
    pub document: Document,
}

/// Some files, and those in some folders by name.
pub fn files_of(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for named in named {
        files.extend(if named.is_dir() { within(named)? } else { vec![named.clone()] });
    }
    Ok(files)
}

/// All documents of some files and folders, in this order; in a folder by file name.
pub fn read_documents(named: &[PathBuf]) -> Result<Vec<Placed>> {
    let mut found = Vec::new();
    for named in named {
        let files = if named.is_dir() { within(named)? } else { vec![named.clone()] };
        for file in files {
            let documents = manifest::documents(&read(&file)?);
            if documents.is_empty() && !named.is_dir() {
                bail!("{} holds no document", file.display());
            }
            let several = documents.len() > 1;
            found.extend(documents.into_iter().map(|document| {
                let line = if several { format!(":{}", document.line) } else { String::new() };
                Placed { place: format!("{}{line}", file.display()), document }
            }));
        }
    }
    Ok(found)
}

fn within(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let ending = path.extension().and_then(|ending| ending.to_str());
        if !hidden && path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("{} holds no .yaml, .yml or .json file (folders in it are not looked into)", folder.display());
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_folder_come_by_name_and_documents_as_they_stand() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
        write("b.yml", "name: b\n---\nname: c\n");
        write("a.yaml", "name: a\n");
        write("d.json", "{\"name\": \"d\"}");
        write("empty.yaml", "# later\n");
        write(".hidden.yaml", "name: x\n");
        write("notes.md", "name: y\n");
        let named = |named: &[PathBuf]| -> Vec<String> {
            let placed = read_documents(named).expect("documents").into_iter();
            placed.map(|one| one.place.replace(&format!("{}/", dir.path().display()), "")).collect()
        };
        assert_eq!(named(&[dir.path().to_owned()]), ["a.yaml", "b.yml:1", "b.yml:2", "d.json"]);
        assert_eq!(named(&[dir.path().join("d.json"), dir.path().join("a.yaml")]), ["d.json", "a.yaml"]);
        for (wrong, part) in [("none.yaml", "cannot be read"), ("empty.yaml", "holds no document")] {
            let error = read_documents(&[dir.path().join(wrong)]).err().expect("refused");
            assert!(format!("{error:#}").contains(part), "{error:#}");
        }
        let empty = tempfile::tempdir().expect("a folder");
        assert!(
            read_documents(&[empty.path().to_owned()])
                .err()
                .expect("refused")
                .to_string()
                .contains("holds no .yaml")
        );
    }
}
