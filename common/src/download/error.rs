//! Why a download failed.

use super::local;
use crate::error::Error;
use crate::tasking::TaskError;
use std::time::Duration;
use url::Url;

/// Why something could not be fetched. `Display` is for the client: it holds the address without
/// credentials, and no cause of ours.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The server answered with another status than 200.
    #[error("{status}, url='{url}'")]
    Status {
        /// Status and its name.
        status: reqwest::StatusCode,
        /// What was asked for.
        url: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The address may not, or cannot, be read from.
    #[error("{reason}, url='{url}'")]
    Refused {
        /// What is wrong with it.
        reason: String,
        /// What was asked for.
        url: String,
    },
    /// The source was not reached, did not answer in time, or broke off.
    #[error("{reason}, url='{url}'")]
    Broken {
        /// What happened.
        reason: String,
        /// What was asked for.
        url: String,
    },
    /// What came is not what was expected.
    #[error("{reason}, url='{url}'")]
    Mismatch {
        /// What differs.
        reason: String,
        /// What was asked for.
        url: String,
    },
    /// Our own store or database failed.
    #[error(transparent)]
    Ours(#[from] Error),
}

impl DownloadError {
    pub(super) fn refused(url: &str, reason: impl Into<String>) -> Self {
        let (url, reason) = (public(url), reason.into());
        Self::Refused { reason, url }
    }

    pub(super) fn broken(url: &str, reason: impl Into<String>) -> Self {
        let (url, reason) = (public(url), reason.into());
        Self::Broken { reason, url }
    }

    pub(super) fn mismatch(url: &str, reason: impl Into<String>) -> Self {
        let (url, reason) = (public(url), reason.into());
        Self::Mismatch { reason, url }
    }

    /// True where the same attempt may succeed a moment later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Status { status, .. } => status.is_server_error() || status.as_u16() == 429,
            Self::Broken { .. } => true,
            Self::Refused { .. } | Self::Mismatch { .. } | Self::Ours(_) => false,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<DownloadError> for TaskError {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Ours(error) => error.into(),
            other => Self::failed(other.to_string()),
        }
    }
}

/// An address without user, password and query, which may be a signature.
#[must_use]
pub fn public(url: &str) -> String {
    if local::path_of(url).is_some() {
        return url.to_owned();
    }
    let (head, _) = url.split_once(['?', '#']).unwrap_or((url, ""));
    let Some(mut parsed) = Url::parse(url).ok().filter(|url| !url.cannot_be_a_base()) else {
        // Where a query begins, and whether credentials end before it, cannot be told.
        let is_plain = head.len() == url.len() || !url.contains('@');
        let shown = head.rsplit('@').next().filter(|_| is_plain);
        return shown.unwrap_or_default().to_owned();
    };
    parsed.set_query(None);
    parsed.set_fragment(None);
    if parsed.username().is_empty() && parsed.password().is_none() {
        return head.to_owned();
    }
    if parsed.set_password(None).is_err() || parsed.set_username("").is_err() {
        return format!("{}:", parsed.scheme());
    }
    parsed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_of_an_address_is_shown() {
        for (url, shown) in [
            ("http://u:hush@h/a", "http://h/a"),
            ("http://hush@h/a?x=1", "http://h/a"),
            ("http://h/a?sig=hush#b", "http://h/a"),
            ("h/a?sig=hush", "h/a"),
            ("h/a?u@sig=hush", ""),
            ("http://u:hush?x@h/a", ""),
            ("file:///a?b", "file:///a?b"),
            ("http://h/a%20b", "http://h/a%20b"),
            ("u:hush@h/a", "h/a"),
            ("file:///a b", "file:///a b"),
        ] {
            assert_eq!(public(url), shown);
        }
    }
}
