//! Where the files of a manifest are: beside it (contract 3.7 step 5).

use crate::download::local;
use crate::tasking::TaskError;
use url::Url;

/// The directory of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    prefix: String,
    suffix: String,
    quoted: bool,
    /// The last part of the manifest's own path.
    pub manifest: String,
}

impl Directory {
    /// That of the manifest with this address.
    ///
    /// # Errors
    /// A text for the client when it is no address.
    pub fn of(url: &str) -> Result<Self, TaskError> {
        if local::path_of(url).is_some() {
            let (directory, name) = url.rsplit_once('/').unwrap_or((url, ""));
            return Ok(Self {
                prefix: format!("{directory}/"),
                suffix: String::new(),
                quoted: false,
                manifest: name.to_owned(),
            });
        }
        let fault = || TaskError::failed("the url of the remote is not an address");
        let mut parsed = Url::parse(url).map_err(|_cause| fault())?;
        parsed.set_fragment(None);
        // A query stays: it may be what lets us in.
        let suffix = parsed.query().map_or_else(String::new, |q| format!("?{q}"));
        parsed.set_query(None);
        let whole = parsed.as_str();
        let (directory, name) = whole.rsplit_once('/').ok_or_else(fault)?;
        Ok(Self {
            prefix: format!("{directory}/"),
            suffix,
            quoted: true,
            manifest: name.to_owned(),
        })
    }

    /// The address of the file with this path.
    #[must_use]
    pub fn file(&self, path: &str) -> String {
        let mut url = String::with_capacity(self.prefix.len() + path.len() + self.suffix.len());
        url.push_str(&self.prefix);
        if self.quoted {
            for byte in path.bytes() {
                if byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte) {
                    url.push(char::from(byte));
                } else {
                    url.push_str(&format!("%{byte:02X}"));
                }
            }
        } else {
            url.push_str(path);
        }
        url.push_str(&self.suffix);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_beside_their_manifest() {
        for (manifest, path, url) in [
            ("http://h/a/PULP_MANIFEST", "b/c.iso", "http://h/a/b/c.iso"),
            (
                "http://h/PULP_MANIFEST",
                "é%+,:",
                "http://h/%C3%A9%25%2B%2C%3A",
            ),
            (
                "http://h/a%20b/M?token=x/y#f",
                "c",
                "http://h/a%20b/c?token=x/y",
            ),
            ("http://h", "c", "http://h/c"),
            ("file:///srv/a b/M", "c%/d", "file:///srv/a b/c%/d"),
        ] {
            let directory = Directory::of(manifest).unwrap();
            assert_eq!(directory.file(path), url, "{manifest}");
        }
        assert!(Directory::of("nothing").is_err());
    }
}
