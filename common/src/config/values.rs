//! Values of settings that are more than a number or a text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;
use url::Url;

/// A span of time given in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// As a duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

const MASK: &str = "********";

/// A text that is never shown.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { MASK })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

/// An address whose password is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The address with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when no address is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        // Not an address we can take apart: it may still hold a password.
        f.write_str(masked(&self.0).as_deref().unwrap_or(MASK))
    }
}

fn masked(url: &str) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    // After a password with a bare `/`, `?` or `#` the rest of it stands here.
    let astray = url.path().contains('@')
        || url.query().is_some_and(|query| query.contains('@'))
        || url.fragment().is_some();
    if url.cannot_be_a_base() || astray {
        return None;
    }
    if url.password().is_some() {
        url.set_password(Some(MASK)).ok()?;
    }
    let secret = |name: &str| name.to_lowercase().contains("password");
    if url.query_pairs().any(|(name, _)| secret(&name)) {
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let shown = pairs.iter().map(|(name, value)| {
            let value = if secret(name) { MASK } else { value };
            (name, value)
        });
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    Some(url.into())
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// True for a web address without credentials.
pub(super) fn is_origin(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        ["http", "https"].contains(&url.scheme())
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// True for a path below which content can be served beside the API.
pub(super) fn is_path_prefix(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    path.len() > 1
        && path.starts_with('/')
        && path.ends_with('/')
        && path.chars().all(plain)
        && !["//", "/./", "/../"].iter().any(|bad| path.contains(bad))
        && !path.starts_with("/pulp/api/")
        && !"/pulp/api/".starts_with(path)
}

/// A list; a variable gives its elements separated by commas.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct List<T>(Vec<T>);

impl<T> std::ops::Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(elements: Vec<T>) -> Self {
        Self(elements)
    }
}

impl<'de, T: From<String>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Elements(Vec<String>),
            Text(String),
        }
        let elements = match Given::deserialize(deserializer)? {
            Given::Elements(elements) => elements,
            Given::Text(text) => text.split(',').map(|e| e.trim().to_owned()).collect(),
        };
        let some = elements.into_iter().filter(|element| !element.is_empty());
        Ok(Self(some.map(T::from).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_served_beside_the_api_and_not_on_it() {
        for good in ["/pulp/content/", "/c/", "/pulp/content-2/x/"] {
            assert!(is_path_prefix(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "c/",
            "/c",
            "//",
            "/a//",
            "/../",
            "/a b/",
            "/pulp/",
            "/pulp/api/",
            "/pulp/api/x/",
        ] {
            assert!(!is_path_prefix(bad), "{bad}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("", ""),
            ("postgres://u:hush@h:1/d", "postgres://u:********@h:1/d"),
            (
                "postgres://h/d?user=u&password=hush&sslPassword=hush",
                "postgres://h/d?user=u&password=********&sslPassword=********",
            ),
            (
                "postgres://h/d?sslmode=require",
                "postgres://h/d?sslmode=require",
            ),
            ("u:hush@h:15672", MASK),
            ("postgres://u:1/hush@h/d", MASK),
            ("postgres://u:?hush@h/d", MASK),
            ("postgres://u:#hush", MASK),
            ("hush", MASK),
        ] {
            assert_eq!(SecretUrl::from(url.to_owned()).to_string(), shown, "{url}");
        }
    }
}
