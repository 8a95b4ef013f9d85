//! Where exports may go (contract 3.4): components are compared, not letters, and links count as what they
//! lead to.

use crate::config;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// A directory that may be exported to, as the file system was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// An allowed directory, without links.
    pub root: PathBuf,
    /// The way from there: plain components, of which the last may not exist. None of those that do is a link.
    pub below: PathBuf,
}

impl Place {
    /// The whole path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.below)
    }
}

/// Why a path may not be exported to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not lead into an allowed directory.
    Outside,
    /// It leads to something else than a directory.
    NoDirectory,
}

impl Refusal {
    /// The text that the client reads.
    #[must_use]
    pub fn about(self, path: &str) -> String {
        match self {
            Self::Outside => format!("Path '{path}' is not an allowed export path"),
            Self::NoDirectory => format!("Path '{path}' must be a directory path"),
        }
    }
}

/// Where a path leads to now; asks the file system on a thread that may wait.
///
/// # Errors
/// Why it may not be exported to.
pub async fn find(path: &str, settings: &config::Exports) -> Result<Place, Refusal> {
    let (path, allowed) = (PathBuf::from(path), settings.allowed_paths.to_vec());
    let found = tokio::task::spawn_blocking(move || find_now(&path, &allowed)).await;
    found.unwrap_or(Err(Refusal::Outside))
}

/// The same, on this thread.
///
/// # Errors
/// Why it may not be exported to.
pub fn find_now(path: &Path, allowed: &[PathBuf]) -> Result<Place, Refusal> {
    let (real, rest) = deepest(path)?;
    let whole = real.join(rest);
    let roots = allowed.iter().filter_map(|root| root.canonicalize().ok());
    let place = roots.into_iter().find_map(|root| {
        let below = whole.strip_prefix(&root).ok()?.to_owned();
        Some(Place { root, below })
    });
    let place = place.ok_or(Refusal::Outside)?;
    if real.is_dir() && place.root.is_dir() {
        Ok(place)
    } else {
        Err(Refusal::NoDirectory)
    }
}

/// The deepest part of a path that exists, without links, and the rest of it.
fn deepest(path: &Path) -> Result<(PathBuf, &Path), Refusal> {
    if !path.is_absolute() {
        return Err(Refusal::Outside);
    }
    for part in path.ancestors() {
        match part.canonicalize() {
            Ok(real) => {
                let rest = path.strip_prefix(part).unwrap_or(Path::new(""));
                let is_plain = rest.components().all(|c| matches!(c, Component::Normal(_)));
                return if is_plain {
                    Ok((real, rest))
                } else {
                    Err(Refusal::Outside)
                };
            }
            // A link to nothing is something.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if part.symlink_metadata().is_ok() {
                    return Err(Refusal::Outside);
                }
            }
            // A file is in the way: one of the parts above is it.
            Err(error) if error.kind() == ErrorKind::NotADirectory => {}
            Err(_) => return Err(Refusal::Outside),
        }
    }
    Err(Refusal::Outside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_leads_where_its_links_lead() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let at = |name: &str| base.join(name);
        std::fs::create_dir_all(at("x/deep")).unwrap();
        std::fs::create_dir_all(at("xfoo")).unwrap();
        std::fs::write(at("x/file"), "").unwrap();
        symlink(at("xfoo"), at("x/out")).unwrap();
        symlink(at("x/deep"), at("in")).unwrap();
        symlink(at("nowhere"), at("x/dangling")).unwrap();
        let allowed = [at("x"), at("missing")];
        let find = |name: &str| find_now(&at(name), &allowed);
        for (name, below) in [
            ("x", ""),
            ("x/deep", "deep"),
            ("x/new/er", "new/er"),
            ("in/new", "deep/new"),
            ("x/deep/../new", "new"),
            ("x/./new//er/", "new/er"),
        ] {
            let place = find(name).unwrap();
            assert_eq!((place.root, place.below), (at("x"), below.into()), "{name}");
        }
        for name in [
            "xfoo",
            "xfoo/new",
            "x/out",
            "x/out/new",
            "x/new/../../xfoo",
            "x/new/../er",
            "x/dangling",
            "x/dangling/new",
            "missing/new",
        ] {
            assert_eq!(find(name), Err(Refusal::Outside), "{name}");
        }
        for name in ["x/file", "x/file/new"] {
            assert_eq!(find(name), Err(Refusal::NoDirectory), "{name}");
        }
        assert_eq!(find_now(Path::new("x"), &allowed), Err(Refusal::Outside));
        assert_eq!(find_now(&at("x"), &[]), Err(Refusal::Outside));
    }
}
