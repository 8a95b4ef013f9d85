//! Content types: what a unit of a type holds, and which units may be in one version.
//!
//! A type is described by a definition file in `types/`; a type that makes units has a Rust file too,
//! which implements [`ContentType`] and [`FromFile`], and a line in [`register_all`]. What a process knows is one set,
//! [`ContentTypes`]: nothing else lists types.

mod definition;
pub mod file;
mod path;
mod registry;
pub mod rpm;
mod unit;

pub use definition::{Definition, IMPORTED, SearchIndex};
pub use path::{check_relative_path, is_canonical};
pub use registry::ContentTypes;
pub use unit::{FromFile, NewUnit, StoredFile, UnitKind};

use crate::db::Conn;
use crate::ids::ContentId;
use crate::repository::NewVersion;
use crate::tasking::TaskError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

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
    /// that were asked to be added, against what the version holds. Its row may not be there yet: memberships go by its
    /// repository and number. May run twice, and in the transaction that ends the task, with plans that are kept; keep it short.
    ///
    /// # Errors
    /// What the client may read; nothing of the version is left then.
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

/// Registers the built-in content types.
pub fn register_all(types: &mut ContentTypes) {
    types.register_from_file::<file::File>();
    types.register_from_file::<rpm::Rpm>();
    rpm::DESCRIBED.iter().for_each(|one| types.describe(one));
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
}
