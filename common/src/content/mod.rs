//! Content types: what a unit of a type holds, and which units may be in one version.
//!
//! A type is described by a definition file in `types/`; a type that makes units has a Rust file too,
//! which implements [`ContentType`], and a line in [`register_all`].

mod definition;
pub mod file;
mod path;

pub use definition::Definition;
pub use path::{check_relative_path, is_canonical};

use crate::db::Conn;
use crate::ids::ContentId;
use crate::repository::NewVersion;
use crate::tasking::TaskError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A type whose units can be made.
pub trait ContentType: 'static {
    /// The definition file.
    const DEFINITION: &'static str;
    /// What is stored of a unit in `content.fields`.
    type Unit: Serialize + DeserializeOwned + Send + Sync;

    /// What tells units of a domain apart.
    fn natural_key(unit: &Self::Unit) -> Vec<&str>;

    /// What must be unique inside one version; empty: nothing.
    fn repo_key(_unit: &Self::Unit) -> Vec<&str> {
        Vec::new()
    }

    /// Checks a version that is about to be completed. Looks only at `added`, a batch of the units
    /// that were asked to be added, against what the version holds.
    ///
    /// # Errors
    /// What the client may read; the version is dropped then.
    fn validate_version(
        _conn: &mut Conn,
        _version: &NewVersion,
        _added: &[ContentId],
    ) -> impl Future<Output = Result<(), TaskError>> + Send {
        std::future::ready(Ok(()))
    }
}

/// The key over some texts. That of a single text is its plain SHA-256, as SQL computes it too.
#[must_use]
pub fn key_of(parts: &[&str]) -> Option<Vec<u8>> {
    match parts {
        [] => None,
        [one] => Some(Sha256::digest(one.as_bytes()).to_vec()),
        parts => {
            let mut hasher = Sha256::new();
            for part in parts {
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part.as_bytes());
            }
            Some(hasher.finalize().to_vec())
        }
    }
}

/// The content types that a process knows, by `pulp_type`.
#[derive(Default)]
pub struct ContentTypes {
    types: BTreeMap<String, Definition>,
}

impl ContentTypes {
    /// Adds a type whose units can be made.
    ///
    /// # Panics
    /// On a definition that cannot be read, or a type that is already there: errors of programming,
    /// found at start.
    pub fn register<T: ContentType>(&mut self) {
        self.insert(Definition::read(T::DEFINITION));
    }

    /// Adds a type that is only described.
    ///
    /// # Panics
    /// As [`ContentTypes::register`].
    pub fn describe(&mut self, definition: &str) {
        self.insert(Definition::read(definition));
    }

    fn insert(&mut self, definition: Definition) {
        let name = definition.pulp_type.clone();
        let earlier = self.types.insert(name.clone(), definition);
        assert!(earlier.is_none(), "content type {name} is registered twice");
    }

    /// The definition of this type.
    #[must_use]
    pub fn get(&self, pulp_type: &str) -> Option<&Definition> {
        self.types.get(pulp_type)
    }

    /// All definitions, by `pulp_type`.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.types.values()
    }
}

/// Checks a batch of added units by the rules of every built-in type that has some.
///
/// # Errors
/// What the client may read.
pub async fn validate_version(
    conn: &mut Conn,
    version: &NewVersion,
    added: &[ContentId],
) -> Result<(), TaskError> {
    file::File::validate_version(conn, version, added).await
}

/// The types whose files may be given up, to be fetched again (contract 1.3).
#[must_use]
pub fn reclaimable() -> Vec<String> {
    let mut types = ContentTypes::default();
    register_all(&mut types);
    types
        .definitions()
        .filter(|definition| !definition.protected_from_reclaim)
        .map(|definition| definition.pulp_type.clone())
        .collect()
}

/// Registers the built-in content types.
pub fn register_all(types: &mut ContentTypes) {
    types.register::<file::File>();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_run_into_each_other() {
        assert_ne!(key_of(&["ab", "c"]), key_of(&["a", "bc"]));
        assert_eq!(key_of(&[]), None);
        assert_eq!(
            hex::encode(key_of(&["abc"]).unwrap()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn the_built_in_types_have_readable_definitions() {
        let mut types = ContentTypes::default();
        register_all(&mut types);
        assert_eq!(types.get("file.file").unwrap().id, "file");
    }
}
