//! HTTP Basic: argon2id off the async threads, verified credentials remembered briefly.

use super::changes::Changes;
use super::sessions::Sessions;
use super::verify::Memory;
use super::{Actor, Refusal};
use crate::error::ApiError;
use actix_web::http::header::HeaderValue;
use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_common::config::{Logins, Settings};
use millrace_common::db::Db;
use millrace_common::error::Error;
use millrace_common::models::{Account, LoginFailure};
use moka::future::Cache;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Verified credentials that are remembered at most.
const REMEMBERED: u64 = 10_000;

/// A name and a password, as sent.
pub struct Pair {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
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

/// Somebody who gave the right password lately is not shut out by what others guess: he is remembered this long
/// after he came last.
const PROVEN: Duration = Duration::from_secs(86_400);

/// Somebody whose credentials were verified.
#[derive(Clone, Copy)]
struct Remembered {
    actor: Actor,
    /// When the database was asked.
    since: u64,
}

/// Verifies credentials.
#[derive(Clone)]
pub struct Credentials {
    remembered: Cache<[u8; 32], Remembered>,
    proven: Cache<[u8; 32], ()>,
    /// Keys of the caches are useless outside this process.
    key: [u8; 32],
    verifying: Arc<Semaphore>,
    memory: Memory,
    changes: Changes,
    /// Those who have logged in.
    pub sessions: Sessions,
    logins: Logins,
}

impl Credentials {
    /// An empty memory.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let lifetime = Duration::from_secs(settings.api.credential_cache_seconds);
        let changes = Changes::new(lifetime);
        Self {
            remembered: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(lifetime)
                .build(),
            proven: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_idle(PROVEN)
                .build(),
            key: Sha256::digest(uuid::Uuid::new_v4().as_bytes()).into(),
            verifying: Arc::new(Semaphore::new(AT_A_TIME)),
            memory: Memory::default(),
            sessions: Sessions::new(&settings.api, changes.clone()),
            changes,
            logins: settings.logins.clone(),
        }
    }

    /// Forgets what is remembered of an account; called after the commit of its change.
    pub async fn forget(&self, account: i32) {
        self.changes.note(account).await;
    }

    /// Forgets what is remembered of everybody: a change may have passed unheard.
    pub fn forget_all(&self) {
        self.changes.note_all();
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

    /// The account of these credentials.
    ///
    /// # Errors
    /// They are wrong, or nobody can tell.
    pub async fn verify(&self, db: &Db, pair: Pair) -> Result<Actor, Refusal> {
        if pair.username.contains('\0') {
            return Err(Refusal::Wrong);
        }
        let key = self.cache_key(&pair);
        loop {
            // Requests that come together with the same credentials are verified once.
            let looking = self.look_up(db, &pair, key);
            let found = match self.remembered.try_get_with(key, looking).await {
                Ok(found) => found,
                Err(refusal) => return Err(own(refusal)),
            };
            if self.changes.is_current(found.actor.id, found.since).await {
                return Ok(found.actor);
            }
            self.remembered.invalidate(&key).await;
        }
    }

    async fn look_up(&self, db: &Db, pair: &Pair, key: [u8; 32]) -> Result<Remembered, Refusal> {
        let name = Sha256::digest(&pair.username);
        let is_proven = self.proven.get(&key).await.is_some();
        if !is_proven {
            // Before one's turn: who is locked out takes nobody's place.
            let mut conn = db.get().await.map_err(ApiError::from)?;
            refuse_locked(LoginFailure::find(&mut conn, &name).await?.as_ref())?;
        }
        let turn = self.turn().await?;
        let since = self.changes.now();
        let (failure, account) = {
            let mut conn = db.get().await.map_err(ApiError::from)?;
            let failure = LoginFailure::find(&mut conn, &name).await?;
            let account = Account::by_name(&mut conn, &pair.username).await?;
            (failure, account)
        };
        if !is_proven {
            // Others had the same idea while this one waited.
            refuse_locked(failure.as_ref())?;
        }
        let account = account.filter(|account| !account.password.is_empty());
        let hash = account
            .as_ref()
            .map_or_else(|| DUMMY.to_owned(), |a| a.password.clone());
        let fits = self.fits(turn, pair.password.clone(), hash).await?;
        let Some(account) = account.filter(|account| fits && account.is_active) else {
            self.proven.invalidate(&key).await;
            let mut conn = db.get().await.map_err(ApiError::from)?;
            LoginFailure::note(&mut conn, &name, &self.logins).await?;
            return Err(Refusal::Wrong);
        };
        // Who was known before has no part in what others guessed.
        if failure.is_some() && !is_proven {
            let mut conn = db.get().await.map_err(ApiError::from)?;
            LoginFailure::clear(&mut conn, &name).await?;
        }
        self.proven.insert(key, ()).await;
        let actor = Actor {
            id: account.id,
            is_superuser: account.is_superuser,
        };
        Ok(Remembered { actor, since })
    }

    /// One's turn to hash.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let turn = Arc::clone(&self.verifying).acquire_owned();
        tokio::time::timeout(PATIENCE, turn)
            .await
            .map_err(|elapsed| Error::Unavailable {
                what: "the verification of passwords",
                source: elapsed.into(),
            })?
            .map_err(ApiError::internal)
    }

    async fn fits(
        &self,
        turn: OwnedSemaphorePermit,
        password: String,
        hash: String,
    ) -> Result<bool, ApiError> {
        let memory = self.memory.clone();
        actix_web::rt::task::spawn_blocking(move || {
            // Held to the end, also when the client does not wait for it.
            let _turn = turn;
            memory.verify(&password, &hash)
        })
        .await
        .map_err(ApiError::internal)
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// 503 where it is never one's turn.
    pub async fn hash(&self, password: String) -> Result<String, ApiError> {
        let turn = self.turn().await?;
        actix_web::rt::task::spawn_blocking(move || {
            let _turn = turn;
            hash_password(&password)
        })
        .await
        .map_err(ApiError::internal)?
        .map_err(|error| ApiError::internal(error.to_string()))
    }
}

fn refuse_locked(failure: Option<&LoginFailure>) -> Result<(), Refusal> {
    match failure.and_then(|failure| failure.locked_seconds) {
        None => Ok(()),
        Some(seconds) => Err(Refusal::Locked {
            seconds: Duration::try_from_secs_f64(seconds.ceil())
                .map_or(1, |left| left.as_secs().max(1)),
        }),
    }
}

/// One's own copy of what several requests were refused for.
fn own(refusal: Arc<Refusal>) -> Refusal {
    match Arc::try_unwrap(refusal) {
        Ok(refusal) => refusal,
        Err(shared) => match &*shared {
            Refusal::Locked { seconds } => Refusal::Locked { seconds: *seconds },
            Refusal::Error(_) => Refusal::Error(
                Error::Unavailable {
                    what: "database",
                    source: "asked by another request with the same credentials".into(),
                }
                .into(),
            ),
            _ => Refusal::Wrong,
        },
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
