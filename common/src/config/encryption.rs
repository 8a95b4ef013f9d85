//! `sslmode` and `sslrootcert` in the address of the database, as PostgreSQL's own clients understand them.

use percent_encoding::percent_decode_str;
use std::path::{Path, PathBuf};

/// How sessions with the database are encrypted, and what of the server is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    Disable,
    /// Where the server offers it; nothing is verified.
    Prefer,
    /// Always; nothing is verified.
    Require,
    /// Always, and one of these signed the server's certificate.
    VerifyCa(Authorities),
    /// The same, and the certificate is for the host of the address.
    VerifyFull(Authorities),
}

/// Who may have signed the certificate of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// Those that the system trusts.
    System,
    /// Those of a file of PEM.
    File(PathBuf),
}

impl Authorities {
    /// Those of this file, or of the system where the path is empty.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        match file.as_os_str().is_empty() {
            true => Self::System,
            false => Self::File(file.to_owned()),
        }
    }
}

impl Encryption {
    /// Takes both parameters out of an address, and gives the rest of it, byte by byte as it was.
    ///
    /// # Errors
    /// What is wrong, with the parameter's name.
    pub fn take_from(url: &str) -> Result<(String, Self), String> {
        // A password may hold a question mark.
        let behind_login = url.find('@').unwrap_or_default();
        let (way, query) = match url.get(behind_login..).and_then(|rest| rest.find('?')) {
            Some(at) => url.split_at(behind_login + at),
            None => (url, ""),
        };
        let (mut mode, mut root) = (None, None);
        let mut rest = Vec::new();
        for pair in query.trim_start_matches('?').split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = || {
                let text = percent_decode_str(value).decode_utf8();
                text.map(String::from)
                    .map_err(|_error| format!("{name} is not UTF-8"))
            };
            match name {
                "sslmode" => mode = Some(decoded()?),
                "sslrootcert" => root = Some(decoded()?).filter(|root| !root.is_empty()),
                "" => {}
                _ => rest.push(pair),
            }
        }
        let sign = if rest.is_empty() { "" } else { "?" };
        let url = format!("{way}{sign}{}", rest.join("&"));
        Ok((url, Self::of(mode.as_deref(), root)?))
    }

    fn of(mode: Option<&str>, root: Option<String>) -> Result<Self, String> {
        let system = root.as_deref() == Some("system");
        let authorities = |root: String| {
            if root == "system" {
                Authorities::System
            } else {
                Authorities::File(root.into())
            }
        };
        match (mode, root) {
            (None, Some(_)) if system => Ok(Self::VerifyFull(Authorities::System)),
            (None | Some("prefer" | "disable"), Some(_)) => Err(
                "sslrootcert has an effect with sslmode=verify-ca and sslmode=verify-full only"
                    .to_owned(),
            ),
            (Some("disable"), None) => Ok(Self::Disable),
            (None | Some("prefer"), None) => Ok(Self::Prefer),
            (Some("verify-full"), Some(root)) => Ok(Self::VerifyFull(authorities(root))),
            (Some("require" | "verify-ca"), Some(_)) if system => Err(
                "sslrootcert=system needs sslmode=verify-full: anybody has a certificate of such an authority"
                    .to_owned(),
            ),
            (Some("require"), None) => Ok(Self::Require),
            // As PostgreSQL's own clients do, which did so before there was `verify-ca`.
            (Some("require" | "verify-ca"), Some(root)) => Ok(Self::VerifyCa(authorities(root))),
            (Some(mode @ ("verify-ca" | "verify-full")), None) => Err(format!(
                "sslmode={mode} needs sslrootcert: a file with the certificate of the authority"
            )),
            (Some(_), _) => Err(
                "sslmode must be disable, prefer, require, verify-ca or verify-full".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Encryption::{Disable, Prefer, Require, VerifyCa, VerifyFull};

    #[test]
    fn both_parameters_are_taken_and_the_rest_stays() {
        let file = || Authorities::File("/etc/ca 1.pem".into());
        for (url, rest, encryption) in [
            ("postgres://u:p@h/d", "postgres://u:p@h/d", Prefer),
            (
                "postgres://u:p?sslmode=x@h/d",
                "postgres://u:p?sslmode=x@h/d",
                Prefer,
            ),
            ("postgres://h/d?sslmode=disable", "postgres://h/d", Disable),
            (
                "postgres://h/d?a=%20b&sslmode=require&c=d",
                "postgres://h/d?a=%20b&c=d",
                Require,
            ),
            (
                "postgres://u:p@h/d?sslmode=verify-full&sslrootcert=%2Fetc%2Fca%201.pem",
                "postgres://u:p@h/d",
                VerifyFull(file()),
            ),
            (
                "postgres://h/d?sslrootcert=/etc/ca%201.pem&sslmode=require",
                "postgres://h/d",
                VerifyCa(file()),
            ),
            (
                "postgres://h/d?sslrootcert=system",
                "postgres://h/d",
                VerifyFull(Authorities::System),
            ),
        ] {
            let taken = Encryption::take_from(url).unwrap();
            assert_eq!(taken, (rest.to_owned(), encryption), "{url}");
        }
    }

    #[test]
    fn what_would_verify_less_than_it_says_is_refused() {
        for (query, said) in [
            ("sslmode=verify-full", "sslrootcert"),
            ("sslmode=verify-ca&sslrootcert=", "sslrootcert"),
            ("sslmode=prefer&sslrootcert=/ca", "sslrootcert"),
            ("sslrootcert=/ca", "sslrootcert"),
            ("sslmode=verify-ca&sslrootcert=system", "verify-full"),
            ("sslmode=allow", "sslmode"),
            ("sslmode=Require", "sslmode"),
            ("sslmode=", "sslmode"),
            ("sslmode=%ff", "sslmode"),
        ] {
            let url = format!("postgres://u:hush@h/d?{query}");
            let error = Encryption::take_from(&url).unwrap_err();
            assert!(error.contains(said) && !error.contains("hush"), "{error}");
        }
    }
}
