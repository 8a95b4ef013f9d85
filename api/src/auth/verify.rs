//! Verifying argon2 hashes in memory that is used again and again.
//!
//! A verification takes 7 MiB, with hashes from elsewhere what those say. Freed by one thread, they are of little
//! use to another: the allocator keeps them once a thread, and guesses of passwords would make the process grow.

use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::sync::{Arc, Mutex, PoisonError};

/// Memory of verifications; as many pieces as ever ran at a time.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<Vec<Block>>>>);

impl Memory {
    /// True where the password has this hash. Takes a while: call it off the async threads.
    #[must_use]
    pub fn verify(&self, password: &str, hash: &str) -> bool {
        let mut blocks = self.spare().pop().unwrap_or_default();
        let fits = verify_in(&mut blocks, password, hash).unwrap_or(false);
        self.spare().push(blocks);
        fits
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        // A list of buffers has no state that a panic could leave half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` for a hash that cannot be read.
fn verify_in(blocks: &mut Vec<Block>, password: &str, hash: &str) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    let (salt, expected) = (hash.salt?, hash.hash?);
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map(Version::try_from).transpose().ok()?;
    let params = Params::try_from(&hash).ok()?;
    if blocks.len() < params.block_count() {
        // Nothing is copied: the old piece goes before the new one comes.
        *blocks = Vec::new();
        *blocks = vec![Block::default(); params.block_count()];
    }
    let mut digest = vec![0; expected.len()];
    Argon2::new(algorithm, version.unwrap_or_default(), params)
        .hash_password_into_with_memory(
            password.as_bytes(),
            &salt,
            &mut digest,
            blocks.as_mut_slice(),
        )
        .ok()?;
    // Compared in constant time.
    Some(Output::new(&digest).ok()? == expected)
}

#[cfg(test)]
mod tests {
    use super::super::hash_password;
    use super::*;

    #[test]
    fn only_the_password_fits_and_memory_is_used_again() {
        let memory = Memory::default();
        let (one, other) = (hash_password("one").unwrap(), hash_password("two").unwrap());
        for _ in 0..2 {
            assert!(memory.verify("one", &one));
            assert!(!memory.verify("one", &other));
            assert!(memory.verify("two", &other));
            assert!(!memory.verify("one", "no hash"));
        }
        assert_eq!(memory.spare().len(), 1);
    }

    #[test]
    fn a_hash_with_other_parameters_is_verified_by_those() {
        use argon2::password_hash::PasswordHasher;
        let params = Params::new(64, 3, 2, Some(24)).unwrap();
        let hasher = Argon2::new(Algorithm::Argon2i, Version::V0x10, params);
        let hash: PasswordHash = hasher.hash_password(b"small").unwrap();
        let memory = Memory::default();
        assert!(memory.verify("small", &hash.to_string()));
        assert!(!memory.verify("Small", &hash.to_string()));
    }
}
