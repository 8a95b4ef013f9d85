//! HTTP Basic: argon2id off the async threads, verified credentials remembered briefly.

use super::changes::Changes;
use super::sessions::Sessions;
use super::turns::{Turn, Turns};
use super::verify::Memory;
use super::{Actor, Refusal, Source};
use crate::error::ApiError;
use actix_web::http::header::HeaderValue;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_common::config::{Logins, Settings};
use millrace_common::db::Db;
use millrace_common::error::Error;
use millrace_common::models::Account;
use millrace_common::models::login_failure::{Guesser, LoginFailure};
use moka::future::Cache;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

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

/// Memory in KiB, passes and lanes of a hash: of the choices that OWASP's cheat sheet on password storage holds for equally
/// strong, the one that takes the least memory, which a process keeps.
const COST: (u32, u32, u32) = (7168, 5, 1);

/// Hashes a password with argon2id and a random salt.
///
/// # Errors
/// Only where the system gives no randomness.
pub fn hash_password(password: &str) -> Result<String, argon2::password_hash::Error> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None)?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = hasher.hash_password(password.as_bytes())?;
    Ok(hash.to_string())
}

/// Verified against when the name is unknown, so that time does not tell which names exist. Whether it fits
/// does not matter.
const DUMMY: &str = "$argon2id$v=19$m=7168,t=5,p=1$aUCouDWWV5/A9/5mslmHyA$DPLWc6jJpQPuYk3t9VQCwrniCCQT2IXD+cb3Ud3/sgo";

/// Who gave the right password is known this long after he came last.
const PROVEN: Duration = Duration::from_secs(86_400);

/// Whose credentials they are.
#[derive(Clone)]
pub struct Proof {
    /// The account.
    pub actor: Actor,
    /// The hash that they fit: the account has another one with another password.
    pub hash: Arc<str>,
}

/// Somebody whose credentials were verified.
#[derive(Clone)]
struct Remembered {
    proof: Proof,
    /// When the database was asked.
    since: u64,
}

impl Remembered {
    fn new(account: Account, since: u64) -> Self {
        let actor = Actor {
            id: account.id,
            is_superuser: account.is_superuser,
        };
        let hash = account.password.into();
        Self {
            proof: Proof { actor, hash },
            since,
        }
    }
}

/// Verifies credentials.
#[derive(Clone)]
pub struct Credentials {
    remembered: Cache<[u8; 32], Remembered>,
    /// The hash that a password fitted.
    proven: Cache<[u8; 32], Arc<str>>,
    /// Keys of the caches are useless outside this process.
    key: [u8; 32],
    turns: Turns,
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
            turns: Turns::default(),
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
    pub async fn verify(&self, db: &Db, pair: Pair, source: Source) -> Result<Proof, Refusal> {
        if pair.username.contains('\0') {
            return Err(Refusal::Wrong);
        }
        let key = self.cache_key(&pair);
        loop {
            // Requests that come together with the same credentials are verified once.
            let looking = self.look_up(db, &pair, source, key);
            let found = match self.remembered.try_get_with(key, looking).await {
                Ok(found) => found,
                Err(refusal) => return Err(own(refusal)),
            };
            if self
                .changes
                .is_current(found.proof.actor.id, found.since)
                .await
            {
                return Ok(found.proof);
            }
            self.remembered.invalidate(&key).await;
        }
    }

    async fn look_up(
        &self,
        db: &Db,
        pair: &Pair,
        source: Source,
        key: [u8; 32],
    ) -> Result<Remembered, Refusal> {
        if let Some(known) = self.known(db, pair, key).await? {
            return Ok(known);
        }
        let guesser = guesser(pair, source);
        {
            // Before one's turn: who is locked out takes nobody's place.
            let mut conn = db.get().await.map_err(ApiError::from)?;
            let failure = LoginFailure::find(&mut conn, &guesser, &self.logins).await?;
            refuse_locked(&failure)?;
        }
        let turn = self.turns.take(Some(source)).await?;
        let since = self.changes.now();
        let (failure, account) = {
            let mut conn = db.get().await.map_err(ApiError::from)?;
            // Others had the same idea while this one waited.
            let failure = LoginFailure::find(&mut conn, &guesser, &self.logins).await?;
            refuse_locked(&failure)?;
            if is_left(failure.name_seconds)
                && !LoginFailure::take_spare(&mut conn, &guesser, &self.logins).await?
            {
                return Err(locked(f64::from(self.logins.spare_seconds)));
            }
            let account = Account::by_name(&mut conn, &pair.username).await?;
            (failure, account)
        };
        let account = account.filter(|account| !account.password.is_empty());
        let hash = account
            .as_ref()
            .map_or_else(|| DUMMY.to_owned(), |a| a.password.clone());
        let fits = self.fits(turn, pair.password.clone(), hash).await?;
        let account = account.filter(|account| fits && account.is_active);
        let mut conn = db.get().await.map_err(ApiError::from)?;
        let Some(account) = account else {
            LoginFailure::note(&mut conn, &guesser, &self.logins).await?;
            return Err(Refusal::Wrong);
        };
        if failure.name_failed == Some(true) {
            // Who comes in although others have locked the name has no part in what they guessed.
            let of_all = (!is_left(failure.name_seconds)).then_some(guesser.name);
            let keys: Vec<_> = of_all.into_iter().chain([guesser.source]).collect();
            LoginFailure::clear(&mut conn, &keys).await?;
        }
        let remembered = Remembered::new(account, since);
        self.proven.insert(key, remembered.proof.hash.clone()).await;
        Ok(remembered)
    }

    /// Somebody who has given the right password here, where that is still his: who is known waits for nobody, and what
    /// others guess is nothing to him.
    async fn known(
        &self,
        db: &Db,
        pair: &Pair,
        key: [u8; 32],
    ) -> Result<Option<Remembered>, Refusal> {
        let Some(hash) = self.proven.get(&key).await else {
            return Ok(None);
        };
        let since = self.changes.now();
        let mut conn = db.get().await.map_err(ApiError::from)?;
        let account = Account::by_name(&mut conn, &pair.username).await?;
        let account = account.filter(|account| account.is_active && *account.password == *hash);
        if account.is_none() {
            self.proven.invalidate(&key).await;
        }
        Ok(account.map(|account| Remembered::new(account, since)))
    }

    async fn fits(&self, turn: Turn, password: String, hash: String) -> Result<bool, ApiError> {
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
        let turn = self.turns.take(None).await?;
        actix_web::rt::task::spawn_blocking(move || {
            let _turn = turn;
            hash_password(&password)
        })
        .await
        .map_err(ApiError::internal)?
        .map_err(|error| ApiError::internal(error.to_string()))
    }
}

fn guesser(pair: &Pair, source: Source) -> Guesser {
    let name = Sha256::new().chain_update(&pair.username);
    // No name has a NUL.
    let source = name.clone().chain_update([0]).chain_update(source.bytes());
    Guesser {
        name: name.finalize().into(),
        source: source.finalize().into(),
    }
}

fn is_left(seconds: Option<f64>) -> bool {
    seconds.is_some_and(|seconds| seconds > 0.0)
}

/// Refuses an address that is locked; and for a name that is, all but one now and then.
fn refuse_locked(failure: &LoginFailure) -> Result<(), Refusal> {
    let left = failure.source_seconds.filter(|seconds| *seconds > 0.0);
    let of_name = failure.name_seconds.filter(|seconds| *seconds > 0.0);
    let spare = failure.spare_seconds.filter(|seconds| *seconds > 0.0);
    match (left, of_name, spare) {
        (Some(left), ..) => Err(locked(left)),
        (None, Some(of_name), Some(spare)) => Err(locked(of_name.min(spare))),
        _ => Ok(()),
    }
}

fn locked(seconds: f64) -> Refusal {
    let seconds = Duration::try_from_secs_f64(seconds.ceil());
    Refusal::Locked {
        seconds: seconds.map_or(1, |left| left.as_secs().max(1)),
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
