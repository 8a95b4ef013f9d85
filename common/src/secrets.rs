//! Encryption of what must not lie readable in the database: task arguments, later remote credentials.
//!
//! XChaCha20-Poly1305. A token is `v1.<key id>.<base64 of nonce and ciphertext>`; the key id is the
//! start of the key's SHA-256, so several keys may be in use while they are rotated.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const NONCE_BYTES: usize = 24;

/// Why something could not be encrypted or read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No key is configured.
    #[error("no key file: name at least one, with a base64 key of 32 bytes")]
    NoKey,
    /// A key file that cannot be used.
    #[error("{path}: {message}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The key that wrote the token is not among ours.
    #[error("written with a key that is not in secrets.key_files")]
    UnknownKey,
    /// Not a token, or tampered with.
    #[error("not readable")]
    Damaged,
}

/// The keys in use: the first encrypts, all decrypt.
#[derive(Clone)]
pub struct Keyring(Vec<(String, XChaCha20Poly1305)>);

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(id, _)| id))
            .finish()
    }
}

impl Keyring {
    /// Reads the key files.
    ///
    /// # Errors
    /// No file given, or one that does not hold a base64 key of 32 bytes.
    pub fn load(files: &[PathBuf]) -> Result<Self, SecretError> {
        if files.is_empty() {
            return Err(SecretError::NoKey);
        }
        files
            .iter()
            .map(|path| read_key(path))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Encrypts a text into a token.
    ///
    /// # Errors
    /// Only when the cipher refuses the input (larger than 256 GiB).
    pub fn encrypt(&self, plain: &str) -> Result<String, SecretError> {
        let (id, cipher) = self.0.first().ok_or(SecretError::NoKey)?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), plain.as_bytes())
            .map_err(|_cause| SecretError::Damaged)?;
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed);
        Ok(format!("v1.{id}.{}", STANDARD.encode(bytes)))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// The key is not among ours, or the token is damaged.
    pub fn decrypt(&self, token: &str) -> Result<String, SecretError> {
        let (id, text) = token
            .strip_prefix("v1.")
            .and_then(|t| t.split_once('.'))
            .ok_or(SecretError::Damaged)?;
        let (_, cipher) = self
            .0
            .iter()
            .find(|(known, _)| known == id)
            .ok_or(SecretError::UnknownKey)?;
        let bytes = STANDARD
            .decode(text)
            .map_err(|_cause| SecretError::Damaged)?;
        let (nonce, sealed) = bytes
            .split_at_checked(NONCE_BYTES)
            .ok_or(SecretError::Damaged)?;
        let nonce = XNonce::try_from(nonce).map_err(|_cause| SecretError::Damaged)?;
        let plain = cipher
            .decrypt(&nonce, sealed)
            .map_err(|_cause| SecretError::Damaged)?;
        String::from_utf8(plain).map_err(|_cause| SecretError::Damaged)
    }
}

fn read_key(path: &Path) -> Result<(String, XChaCha20Poly1305), SecretError> {
    let bad = |message: String| SecretError::KeyFile {
        path: path.to_owned(),
        message,
    };
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    let key = STANDARD
        .decode(text.trim())
        .map_err(|e| bad(format!("not base64: {e}")))?;
    let cipher = XChaCha20Poly1305::new_from_slice(&key)
        .map_err(|_cause| bad(format!("holds {} bytes instead of 32", key.len())))?;
    let id = hex::encode(Sha256::digest(&key)).chars().take(8).collect();
    Ok((id, cipher))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(folder: &Path, name: &str, fill: u8) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, STANDARD.encode([fill; 32])).unwrap();
        path
    }

    #[test]
    fn an_old_key_still_reads_after_rotation_and_a_lost_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (key(folder.path(), "old", 1), key(folder.path(), "new", 2));
        let token = Keyring::load(std::slice::from_ref(&old))
            .unwrap()
            .encrypt("hush")
            .unwrap();
        assert!(!token.contains("hush"));
        let rotated = Keyring::load(&[new.clone(), old]).unwrap();
        assert_eq!(rotated.decrypt(&token).unwrap(), "hush");
        let lost = Keyring::load(&[new]).unwrap();
        assert!(matches!(lost.decrypt(&token), Err(SecretError::UnknownKey)));
    }

    #[test]
    fn a_damaged_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ring = Keyring::load(&[key(folder.path(), "k", 1)]).unwrap();
        let mut token = ring.encrypt("hush").unwrap();
        token.truncate(token.len() - 6);
        assert!(matches!(ring.decrypt(&token), Err(SecretError::Damaged)));
        assert!(matches!(ring.decrypt("x"), Err(SecretError::Damaged)));
    }

    #[test]
    fn a_start_without_a_key_is_refused() {
        assert!(matches!(Keyring::load(&[]), Err(SecretError::NoKey)));
    }
}
