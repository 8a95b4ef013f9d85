//! HTTP Basic: argon2id off the async threads, verified credentials remembered briefly.

use super::Actor;
use super::verify::Memory;
use crate::error::ApiError;
use actix_web::http::header::HeaderValue;
use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_common::config::Api;
use millrace_common::db::Db;
use millrace_common::error::Error;
use millrace_common::models::account::Account;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Verified credentials that are remembered at most.
const REMEMBERED: u64 = 10_000;

/// A name and a password, as sent.
pub struct Pair {
    username: String,
    password: String,
}

impl Pair {
    /// The name.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }
}

/// Reads `Basic <base64 of name:password>`; `None` for any other scheme.
#[must_use]
pub fn read_header(value: &HeaderValue) -> Option<Pair> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Pair {
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

/// Hashes a password with argon2id and a random salt.
///
/// # Errors
/// Only where the system gives no randomness.
pub fn hash_password(password: &str) -> Result<String, argon2::password_hash::Error> {
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes())?;
    Ok(hash.to_string())
}

/// Verifications at the same time: each takes 19 MiB and a core.
const AT_A_TIME: usize = 2;

/// Longest wait for one's turn: guesses come in any number.
const PATIENCE: Duration = Duration::from_secs(5);

/// Verified against when the name is unknown, so that time does not tell which names exist. Whether it fits
/// does not matter.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$67+qv4E50Cs6t4c34erbrA$gXsxjO9+khKOiN+VhilkL2eL7CxhBcTBFXnEnDjT3DM";

/// Why there is no account for credentials.
enum Refusal {
    /// They are wrong, or the account is not active.
    Wrong,
    /// Nobody can tell now.
    Error(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

/// Verifies credentials.
#[derive(Clone)]
pub struct Credentials {
    remembered: Cache<[u8; 32], Actor>,
    /// Keys of the cache are useless outside this process.
    key: [u8; 32],
    verifying: Arc<Semaphore>,
    memory: Memory,
}

impl Credentials {
    /// An empty memory.
    #[must_use]
    pub fn new(settings: &Api) -> Self {
        Self {
            remembered: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(Duration::from_secs(settings.credential_cache_seconds))
                .build(),
            key: Sha256::digest(uuid::Uuid::new_v4().as_bytes()).into(),
            verifying: Arc::new(Semaphore::new(AT_A_TIME)),
            memory: Memory::default(),
        }
    }

    fn cache_key(&self, pair: &Pair) -> [u8; 32] {
        // Lengths keep ("a", "bc") and ("ab", "c") apart; the key in front and behind keeps digests
        // from being extended.
        Sha256::new()
            .chain_update(self.key)
            .chain_update(pair.username.len().to_be_bytes())
            .chain_update(&pair.username)
            .chain_update(&pair.password)
            .chain_update(self.key)
            .finalize()
            .into()
    }

    /// The account of these credentials; `None` where they are wrong or the account is not active.
    ///
    /// # Errors
    /// 503 when the database cannot be asked.
    pub async fn verify(&self, db: &Db, pair: Pair) -> Result<Option<Actor>, ApiError> {
        if pair.username.contains('\0') {
            return Ok(None);
        }
        let key = self.cache_key(&pair);
        // Requests that come together with the same credentials are verified once.
        let found = self.remembered.try_get_with(key, self.look_up(db, pair));
        match found.await {
            Ok(actor) => Ok(Some(actor)),
            Err(refusal) => match Arc::try_unwrap(refusal) {
                Ok(Refusal::Error(error)) => Err(error),
                Err(shared) if matches!(*shared, Refusal::Error(_)) => Err(Error::Unavailable {
                    what: "database",
                    source: "asked by another request with the same credentials".into(),
                }
                .into()),
                _ => Ok(None),
            },
        }
    }

    async fn look_up(&self, db: &Db, pair: Pair) -> Result<Actor, Refusal> {
        let account = {
            let mut conn = db.get().await.map_err(ApiError::from)?;
            Account::by_name(&mut conn, &pair.username)
                .await
                .map_err(ApiError::from)?
        };
        let hash = account
            .as_ref()
            .map_or_else(|| DUMMY.to_owned(), |a| a.password.clone());
        let fits = self.fits(pair.password, hash).await?;
        let account = account.filter(|a| fits && a.is_active);
        account.ok_or(Refusal::Wrong).map(|a| Actor {
            id: a.id,
            is_superuser: a.is_superuser,
        })
    }

    async fn fits(&self, password: String, hash: String) -> Result<bool, ApiError> {
        let turn = Arc::clone(&self.verifying).acquire_owned();
        let turn = tokio::time::timeout(PATIENCE, turn)
            .await
            .map_err(|elapsed| Error::Unavailable {
                what: "the verification of passwords",
                source: elapsed.into(),
            })?
            .map_err(ApiError::internal)?;
        let memory = self.memory.clone();
        actix_web::rt::task::spawn_blocking(move || {
            // Held to the end, also when the client does not wait for it.
            let _turn = turn;
            memory.verify(&password, &hash)
        })
        .await
        .map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_basic_credentials_are_read() {
        let read = |text: &str| {
            read_header(&HeaderValue::from_str(text).unwrap()).map(|p| (p.username, p.password))
        };
        assert_eq!(
            read(&format!("Basic {}", STANDARD.encode("admin:pass:word"))),
            Some(("admin".into(), "pass:word".into()))
        );
        for bad in ["Bearer x", "Basic", "Basic !!!", "Basic YWRtaW4="] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_unknown_name_takes_as_long_as_a_known_one() {
        let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(DUMMY), cost(&hash_password("any").unwrap()));
    }

    #[test]
    fn a_hash_is_argon2id_and_salted() {
        let (one, other) = (hash_password("x").unwrap(), hash_password("x").unwrap());
        assert!(one.starts_with("$argon2id$"));
        assert_ne!(one, other);
    }
}
