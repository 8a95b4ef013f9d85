//! Names of files in the store.

use diesel_derive_newtype::DieselNewType;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// The name of a file in the store: `artifact/<2 hex>/<upload uuid>`. Never used twice, so a late or
/// repeated delete can only hit a file that nobody needs.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DieselNewType,
)]
#[serde(transparent)]
pub struct StorageKey(String);

/// What `object_store` adds to the name of a file that it writes: the number of its attempt, and a key has one only.
const STAGED: &str = "#1";

impl StorageKey {
    /// A key that no file has had.
    #[must_use]
    pub fn new() -> Self {
        // Random rather than by time: the first digits spread the files over the directories.
        Self::of(Uuid::new_v4())
    }

    /// So many keys that no file has had, in one directory: one flush makes all names in it durable.
    #[must_use]
    pub fn many(count: usize) -> Vec<Self> {
        let directory: u8 = rand::random();
        let next = || {
            let mut id = Uuid::new_v4().into_bytes();
            if let Some(first) = id.first_mut() {
                *first = directory;
            }
            Self::of(Uuid::from_bytes(id))
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    fn of(id: Uuid) -> Self {
        let id = id.to_string();
        let directory: String = id.chars().take(2).collect();
        Self(format!("artifact/{directory}/{id}"))
    }

    /// Reads what a file is called; `None`: no key is.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (directory, id) = name.strip_prefix("artifact/")?.split_once('/')?;
        let parsed = Uuid::try_parse(id).ok()?;
        (id == parsed.to_string() && directory.len() == 2 && id.starts_with(directory))
            .then(|| Self(name.to_owned()))
    }

    /// The key whose file is called that, or is about to become it; `None`: no key's is.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        Self::parse(name.strip_suffix(STAGED).unwrap_or(name))
    }

    /// What its file is called while a local store writes it; a process that is killed leaves that behind.
    #[must_use]
    pub fn staged(&self) -> String {
        format!("{self}{STAGED}")
    }

    /// As text, relative to the root of the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for StorageKey {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_spread_over_directories_and_never_equal() {
        let key = StorageKey::new();
        let parts: Vec<_> = key.as_str().split('/').collect();
        assert_eq!(parts[0], "artifact");
        assert!(parts[2].starts_with(parts[1]) && parts[1].len() == 2);
        assert_ne!(key, StorageKey::new());
    }

    #[test]
    fn keys_that_come_together_share_a_directory_and_are_never_equal() {
        let keys: BTreeSet<_> = StorageKey::many(100).into_iter().collect();
        assert_eq!(keys.len(), 100);
        let directory = |key: &StorageKey| key.as_str().rsplit_once('/').unwrap().0.to_owned();
        assert_eq!(keys.iter().map(directory).collect::<BTreeSet<_>>().len(), 1);
        assert!(
            keys.iter()
                .all(|key| StorageKey::parse(key.as_str()).as_ref() == Some(key))
        );
    }

    #[test]
    fn only_a_key_is_read_as_one() {
        let key = StorageKey::new();
        assert_eq!(StorageKey::parse(key.as_str()), Some(key.clone()));
        for bad in [
            "",
            "artifact",
            "artifact/ab",
            "artifact/ab/notes.txt",
            "artifact/zz/5a2e1c9e-0000-4000-8000-000000000000",
            "artifact/5a/5A2E1C9E-0000-4000-8000-000000000000",
            "artifact/5a/5a2e1c9e000040008000000000000000",
            "elsewhere/5a/5a2e1c9e-0000-4000-8000-000000000000",
            &format!("{key}#1"),
            &format!("/{key}"),
        ] {
            assert_eq!(StorageKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_is_its_key_s_or_what_is_about_to_become_it() {
        let key = StorageKey::new();
        assert_eq!(StorageKey::of_file(key.as_str()), Some(key.clone()));
        assert_eq!(StorageKey::of_file(&key.staged()), Some(key.clone()));
        for other in ["#", "#2", "#1x", "#1#1", "1"] {
            assert_eq!(
                StorageKey::of_file(&format!("{key}{other}")),
                None,
                "{other}"
            );
        }
    }
}
