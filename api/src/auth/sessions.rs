//! Sessions of people who have logged in: a cookie, and a token against requests that another site sends.

use super::changes::Changes;
use super::{Actor, Refusal};
use crate::error::ApiResult;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use millrace_common::config::{Api, Logins};
use millrace_common::db::Db;
use millrace_common::models::LoginSession;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The cookie that stands for a session.
pub const COOKIE: &str = "sessionid";
/// The cookie with the token that requests which change something show in [`HEADER`].
pub const TOKEN_COOKIE: &str = "csrftoken";
/// Where they show it.
const HEADER: &str = "x-csrftoken";

/// Sessions that are remembered at most.
const REMEMBERED: u64 = 10_000;

/// The value of a session's cookie: 64 hexadecimal digits, most of which are random.
pub struct Token(String);

impl Token {
    /// Draws a new one.
    #[must_use]
    pub fn draw() -> Self {
        Self(format!(
            "{}{}",
            Uuid::new_v4().simple(),
            Uuid::new_v4().simple()
        ))
    }

    /// The one that a request shows.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let is_token =
            |value: &&str| value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
        headers
            .get_all(header::COOKIE)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == COOKIE)
            .map(|(_, value)| value)
            .filter(is_token)
            .map(|value| Self(value.to_owned()))
    }

    /// What the database has of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// What requests show beside it: who cannot read the cookie cannot tell it.
    #[must_use]
    pub fn csrf(&self) -> String {
        let digest = Sha256::new()
            .chain_update(b"token of ")
            .chain_update(self.0.as_bytes());
        Uuid::from_bytes(half(digest.finalize().into()))
            .simple()
            .to_string()
    }

    /// Refuses a request that would change something and does not show the session's token.
    pub(super) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        if matches!(
            *method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
        ) {
            return Ok(());
        }
        let Some(given) = headers.get(HEADER) else {
            return Err(Refusal::Forged("the header X-CSRFToken is missing."));
        };
        // Digests are compared: how far they agree tells nothing of the token.
        if Sha256::digest(given.as_bytes()) == Sha256::digest(self.csrf().as_bytes()) {
            Ok(())
        } else {
            Err(Refusal::Forged(
                "the header X-CSRFToken does not fit the session.",
            ))
        }
    }

    /// The values of `Set-Cookie` that begin a session.
    #[must_use]
    pub fn cookies(&self, settings: &Logins, over_https: bool) -> [String; 2] {
        let secure = if over_https || settings.secure_cookies {
            "; Secure"
        } else {
            ""
        };
        let age = seconds(settings);
        let rest = format!("Path=/; Max-Age={age}; SameSite=Lax{secure}");
        [
            format!("{COOKIE}={}; HttpOnly; {rest}", self.0),
            format!("{TOKEN_COOKIE}={}; {rest}", self.csrf()),
        ]
    }
}

/// The first half of a digest.
fn half(digest: [u8; 32]) -> [u8; 16] {
    std::array::from_fn(|i| digest.get(i).copied().unwrap_or_default())
}

/// The values of `Set-Cookie` that end one.
#[must_use]
pub fn no_cookies() -> [String; 2] {
    [COOKIE, TOKEN_COOKIE].map(|name| format!("{name}=; Path=/; Max-Age=0; SameSite=Lax"))
}

/// How long sessions last.
#[must_use]
pub fn seconds(settings: &Logins) -> i64 {
    settings.session_hours * 3600
}

#[derive(Clone, Copy)]
struct Remembered {
    actor: Actor,
    since: u64,
    until: Instant,
}

/// Looks sessions up, and remembers them briefly.
#[derive(Clone)]
pub struct Sessions {
    remembered: Cache<[u8; 32], Remembered>,
    changes: Changes,
}

impl Sessions {
    pub(super) fn new(settings: &Api, changes: Changes) -> Self {
        Self {
            remembered: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(Duration::from_secs(settings.credential_cache_seconds))
                .build(),
            changes,
        }
    }

    /// Whose session it is; `None` where it is over.
    pub(super) async fn actor(&self, db: &Db, token: &Token) -> ApiResult<Option<Actor>> {
        let key = token.hash();
        if let Some(known) = self.remembered.get(&key).await {
            let is_current = self.changes.is_current(known.actor.id, known.since).await;
            if is_current && Instant::now() < known.until {
                return Ok(Some(known.actor));
            }
        }
        let since = self.changes.now();
        let mut conn = db.get().await?;
        let Some(found) = LoginSession::find(&mut conn, &key).await? else {
            self.remembered.invalidate(&key).await;
            return Ok(None);
        };
        let actor = Actor {
            id: found.account_id,
            is_superuser: found.is_superuser,
        };
        let left = Duration::try_from_secs_f64(found.seconds).unwrap_or_default();
        let until = Instant::now() + left;
        let remembered = Remembered {
            actor,
            since,
            until,
        };
        self.remembered.insert(key, remembered).await;
        Ok(Some(actor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let token = Token::draw();
        let line = format!("a=b; {COOKIE}={}; c", token.0);
        let read = Token::read(&headers(&[
            (header::COOKIE, "x=1"),
            (header::COOKIE, &line),
        ]));
        assert_eq!(read.unwrap().hash(), token.hash());
        for bad in [
            "",
            "sessionid=",
            "sessionid=abc",
            "xsessionid=0",
            "sessionid",
        ] {
            assert!(
                Token::read(&headers(&[(header::COOKIE, bad)])).is_none(),
                "{bad}"
            );
        }
    }

    #[test]
    fn only_the_token_of_the_session_lets_a_change_pass() {
        let (token, other) = (Token::draw(), Token::draw());
        let name = HeaderName::from_static(HEADER);
        let with = |value: &str| headers(&[(name.clone(), value)]);
        assert!(token.check(&Method::GET, &headers(&[])).is_ok());
        assert!(token.check(&Method::POST, &with(&token.csrf())).is_ok());
        for refused in [headers(&[]), with(""), with(&other.csrf()), with(&token.0)] {
            assert!(token.check(&Method::DELETE, &refused).is_err());
        }
        assert_ne!(token.csrf(), other.csrf());
    }

    #[test]
    fn cookies_are_for_https_alone_where_it_is_spoken() {
        let settings = millrace_common::config::Settings::from_variables(None, [("", "")]);
        let settings = settings.unwrap().logins;
        let [session, token] = Token::draw().cookies(&settings, true);
        assert!(session.contains("HttpOnly") && session.ends_with("SameSite=Lax; Secure"));
        assert!(!token.contains("HttpOnly") && token.ends_with("Secure"));
        assert!(session.contains("Max-Age=1209600;"), "{session}");
        let [session, _] = Token::draw().cookies(&settings, false);
        assert!(!session.contains("Secure"));
    }
}
