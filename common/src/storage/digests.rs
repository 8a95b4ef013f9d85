//! The digests of a file, computed while it passes by.

use crate::error::Error;
use md5::Md5;
use serde::Serialize;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use std::collections::BTreeMap;

/// The algorithms that an artifact may have a digest of, in the order in which answers list them.
pub const ALGORITHMS: [&str; 6] = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

/// True for what a SHA-256 digest looks like, in lower-case hex.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Lower-case hex digests by algorithm. SHA-256 is always there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Digests(BTreeMap<&'static str, String>);

impl Digests {
    /// The digest by this algorithm, where it was computed.
    #[must_use]
    pub fn get(&self, algorithm: &str) -> Option<&str> {
        self.0.get(algorithm).map(String::as_str)
    }

    /// The SHA-256 digest, which names a file in its domain.
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.get("sha256").unwrap_or_default()
    }
}

enum Hasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    fn new(algorithm: &str) -> Option<Self> {
        Some(match algorithm {
            "md5" => Self::Md5(Md5::new()),
            "sha1" => Self::Sha1(Sha1::new()),
            "sha224" => Self::Sha224(Sha224::new()),
            "sha256" => Self::Sha256(Sha256::new()),
            "sha384" => Self::Sha384(Sha384::new()),
            "sha512" => Self::Sha512(Sha512::new()),
            _ => return None,
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(h) => h.update(bytes),
            Self::Sha1(h) => h.update(bytes),
            Self::Sha224(h) => h.update(bytes),
            Self::Sha256(h) => h.update(bytes),
            Self::Sha384(h) => h.update(bytes),
            Self::Sha512(h) => h.update(bytes),
        }
    }

    fn finish(self) -> (&'static str, String) {
        match self {
            Self::Md5(h) => ("md5", hex::encode(h.finalize())),
            Self::Sha1(h) => ("sha1", hex::encode(h.finalize())),
            Self::Sha224(h) => ("sha224", hex::encode(h.finalize())),
            Self::Sha256(h) => ("sha256", hex::encode(h.finalize())),
            Self::Sha384(h) => ("sha384", hex::encode(h.finalize())),
            Self::Sha512(h) => ("sha512", hex::encode(h.finalize())),
        }
    }
}

/// Computes several digests in one pass. Blocking work: run it off the async threads.
pub struct Hashers(Vec<Hasher>);

impl Hashers {
    /// Hashers for these algorithms; SHA-256 must be one of them.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `storage.checksums`.
    pub fn new(algorithms: &[String]) -> Result<Self, Error> {
        let refuse = |message: String| Error::invalid("storage.checksums", message);
        if !algorithms.iter().any(|name| name == "sha256") {
            return Err(refuse("must hold sha256".into()));
        }
        let mut names: Vec<_> = algorithms.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .map(|name| Hasher::new(name).ok_or_else(|| refuse(format!("`{name}` is not known"))))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        // Piece by piece, so that a piece is read from memory once and from the cache after that.
        for piece in bytes.chunks(16 * 1024) {
            self.0.iter_mut().for_each(|hasher| hasher.update(piece));
        }
    }

    /// The digests of all bytes.
    #[must_use]
    pub fn finish(self) -> Digests {
        Digests(self.0.into_iter().map(Hasher::finish).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_gives_its_known_digest() {
        let all: Vec<_> = ALGORITHMS.iter().map(ToString::to_string).collect();
        let mut hashers = Hashers::new(&all).unwrap();
        hashers.update(b"a");
        hashers.update(b"bc");
        let digests = hashers.finish();
        assert_eq!(digests.get("md5"), Some("900150983cd24fb0d6963f7d28e17f72"));
        assert_eq!(
            digests.get("sha1"),
            Some("a9993e364706816aba3e25717850c26c9cd0d89d")
        );
        assert_eq!(
            digests.sha256(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        for name in ALGORITHMS {
            assert!(digests.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn sha256_is_demanded_and_unknown_names_are_refused() {
        assert!(Hashers::new(&["sha512".into()]).is_err());
        assert!(Hashers::new(&["sha256".into(), "crc32".into()]).is_err());
    }
}
