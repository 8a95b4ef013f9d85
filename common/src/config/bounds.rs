//! What values settings may have.

use super::{
    Api, Content, Encryption, Logins, SecretUrl, Settings, SettingsError, Storage, StorageBackend,
    Tasks, network, values,
};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Component;
use url::Url;

impl Settings {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        let invalid = |key, message: &str| {
            Err(SettingsError::Invalid {
                key,
                message: message.to_owned(),
            })
        };
        self.validate_addresses()?;
        self.content.validate()?;
        self.api.validate()?;
        if self.database.pool_size == 0 {
            return invalid("database.pool_size", "must be at least 1");
        }
        // Others take a worker for hung whose beat stands still over ten of theirs.
        if !(100..=2000).contains(&self.worker.beat_ms.0) {
            return invalid("worker.beat_ms", "must be between 100 and 2000");
        }
        if !(100..=60_000).contains(&self.worker.janitor_ms.0) {
            return invalid("worker.janitor_ms", "must be between 100 and 60000");
        }
        // A beat that finds no session is tried anew after 16 s at most, and turns then.
        if !(20..=3600).contains(&self.worker.stuck_seconds) {
            return invalid("worker.stuck_seconds", "must be between 20 and 3600");
        }
        if !(1..=100_000).contains(&self.broker.window) {
            return invalid("broker.window", "must be between 1 and 100000");
        }
        if self.api.credential_cache_seconds > 86_400 {
            return invalid(
                "api.credential_cache_seconds",
                "must be at most 86400, a day",
            );
        }
        if self.database.statement_timeout_ms.0 > 3_600_000 {
            return invalid(
                "database.statement_timeout_ms",
                "must be at most 3600000, an hour",
            );
        }
        if self.worker.slots.values().all(|n| *n == 0) {
            return invalid("worker.slots", "at least one class needs a slot");
        }
        self.logins.validate()?;
        self.tasks.validate()?;
        let allowed = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];
        let checksums = &self.storage.checksums;
        let unknown = checksums.iter().find(|c| !allowed.contains(&c.as_str()));
        if let Some(unknown) = unknown {
            return invalid(
                "storage.checksums",
                &format!("`{unknown}` is not one of {}", allowed.join(", ")),
            );
        }
        if !checksums.iter().any(|c| c == "sha256") {
            return invalid("storage.checksums", "must hold sha256");
        }
        self.validate_paths()?;
        self.storage.validate()?;
        Ok(())
    }

    fn validate_addresses(&self) -> Result<(), SettingsError> {
        let invalid = |key, message: &str| {
            Err(SettingsError::Invalid {
                key,
                message: message.to_owned(),
            })
        };
        let is = |url: &SecretUrl, schemes: &[&str]| {
            Url::parse(url.expose()).is_ok_and(|u| schemes.contains(&u.scheme()))
        };
        if !is(&self.database.url, &["postgres", "postgresql"]) {
            return invalid(
                "database.url",
                "must be postgres://user:password@host:port/name",
            );
        }
        if let Err(why) = Encryption::take_from(self.database.url.expose()) {
            return invalid("database.url", &why);
        }
        if !is(&self.broker.url, &["amqp", "amqps"]) {
            return invalid(
                "broker.url",
                "must be amqp://user:password@host:port/vhost, or amqps:// for TLS",
            );
        }
        let broker = Url::parse(self.broker.url.expose());
        // To the client library an address without a name is this machine, and of version 6 it knows none.
        if !broker.is_ok_and(|url| url.host_str().is_some_and(|host| !host.starts_with('['))) {
            return invalid(
                "broker.url",
                "must name a host: a name or an address of version 4",
            );
        }
        let management = &self.broker.management_url;
        if !management.is_empty() && !is(management, &["http", "https"]) {
            return invalid("broker.management_url", "must be http://host:port or empty");
        }
        let origin = &self.api.content_origin;
        if !origin.is_empty() && !values::is_origin(origin) {
            return invalid(
                "api.content_origin",
                "must be http://host:port or empty; without credentials, as every client is told it",
            );
        }
        Ok(())
    }

    fn validate_paths(&self) -> Result<(), SettingsError> {
        let root = &self.units.storage_root;
        let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        if !root.is_absolute() || !root.components().all(is_plain) || root.to_str().is_none() {
            return Err(SettingsError::Invalid {
                key: "units.storage_root",
                message: "must be an absolute path without `..`".to_owned(),
            });
        }
        for (key, paths) in [
            (
                "remotes.allowed_import_paths",
                &self.remotes.allowed_import_paths,
            ),
            ("exports.allowed_paths", &self.exports.allowed_paths),
        ] {
            if paths.iter().any(|path| !path.is_absolute()) {
                return Err(SettingsError::Invalid {
                    key,
                    message: "must be absolute paths".to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl Api {
    fn validate(&self) -> Result<(), SettingsError> {
        let invalid = |key, message: &str| {
            Err(SettingsError::Invalid {
                key,
                message: message.to_owned(),
            })
        };
        let header = self.remote_user_header.as_bytes();
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !header.iter().all(is_token) {
            return invalid("api.remote_user_header", "must be the name of a header");
        }
        let mut proxies = self.remote_user_from.iter();
        if !proxies.all(|address| address.parse::<IpAddr>().is_ok()) {
            return invalid("api.remote_user_from", "must be addresses of machines");
        }
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut proxies = self.proxies.iter();
        if !proxies.all(|proxy| network::holds(proxy, any).is_some()) {
            return invalid("api.proxies", "must be addresses of machines or networks");
        }
        if self.page_limit < 1 {
            return invalid("api.page_limit", "must be at least 1");
        }
        if self.is_https() == self.key_file.as_os_str().is_empty() {
            let message = "certificate_file and key_file are given both, or neither";
            return invalid("api.key_file", message);
        }
        Ok(())
    }
}

impl Logins {
    fn validate(&self) -> Result<(), SettingsError> {
        let invalid = |key, message: &str| {
            Err(SettingsError::Invalid {
                key,
                message: message.to_owned(),
            })
        };
        if !(1..=8760).contains(&self.session_hours) {
            return invalid("logins.session_hours", "must be between 1 and 8760, a year");
        }
        if !(1..=1000).contains(&self.failures) {
            return invalid("logins.failures", "must be between 1 and 1000");
        }
        if !(1..=86_400).contains(&self.lock_seconds) {
            return invalid("logins.lock_seconds", "must be between 1 and 86400, a day");
        }
        if !(self.lock_seconds..=86_400).contains(&self.lock_max_seconds) {
            let message = "must be between logins.lock_seconds and 86400, a day";
            return invalid("logins.lock_max_seconds", message);
        }
        if !(1..=86_400).contains(&self.spare_seconds) {
            return invalid("logins.spare_seconds", "must be between 1 and 86400, a day");
        }
        Ok(())
    }
}

impl Tasks {
    fn validate(&self) -> Result<(), SettingsError> {
        let invalid = |key, message: &str| {
            Err(SettingsError::Invalid {
                key,
                message: message.to_owned(),
            })
        };
        let minutes = self.orphan_cleanup_interval;
        if minutes != 0 && !(10..=525_600).contains(&minutes) {
            return invalid(
                "tasks.orphan_cleanup_interval",
                "must be between 10 and 525600, a year, or 0",
            );
        }
        if !(1..=720).contains(&self.idempotency_hours) {
            return invalid("tasks.idempotency_hours", "must be between 1 and 720");
        }
        Ok(())
    }
}

impl Content {
    fn validate(&self) -> Result<(), SettingsError> {
        let invalid = |key, message: &str| {
            Err(SettingsError::Invalid {
                key,
                message: message.to_owned(),
            })
        };
        if !values::is_path_prefix(&self.path_prefix) {
            return invalid(
                "content.path_prefix",
                "must begin and end with a slash, and be none of the API's own (`/pulp/api/`)",
            );
        }
        if !(1..=1000).contains(&self.fetches) {
            return invalid("content.fetches", "must be between 1 and 1000");
        }
        Ok(())
    }
}

impl Storage {
    fn validate(&self) -> Result<(), SettingsError> {
        let invalid = |key, message: &str| {
            Err(SettingsError::Invalid {
                key,
                message: message.to_owned(),
            })
        };
        if self.backend == StorageBackend::Filesystem {
            return Ok(());
        }
        if self.bucket.is_empty() {
            return invalid("storage.bucket", "must be given for the backend `s3`");
        }
        if self.region.is_empty() {
            return invalid("storage.region", "must be given for the backend `s3`");
        }
        if !self.endpoint.is_empty() && !values::is_origin(&self.endpoint) {
            return invalid("storage.endpoint", "must be https://host:port or empty");
        }
        if self.endpoint.starts_with("http:") && !self.allow_http {
            let message = "is http, which storage.allow_http must allow";
            return invalid("storage.endpoint", message);
        }
        if self.access_key.is_empty() != self.secret_key.expose().is_empty() {
            let message = "access_key and secret_key are given both, or neither";
            return invalid("storage.secret_key", message);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_needs_a_key_and_a_key_a_certificate() {
        for name in ["CERTIFICATE_FILE", "KEY_FILE"] {
            let given = [(format!("MILLRACE__API__{name}"), "/a")];
            let error = Settings::from_variables(None, given).unwrap_err();
            assert!(error.to_string().contains("api.key_file: "), "{error}");
        }
    }

    #[test]
    fn logins_have_bounds() {
        for (variable, value) in [
            ("SESSION_HOURS", "0"),
            ("SESSION_HOURS", "8761"),
            ("FAILURES", "0"),
            ("LOCK_SECONDS", "0"),
            ("SPARE_SECONDS", "0"),
            ("LOCK_SECONDS", "301"),
            ("LOCK_MAX_SECONDS", "86401"),
        ] {
            let name = format!("MILLRACE__LOGINS__{variable}");
            let error = Settings::from_variables(None, [(name, value)]).unwrap_err();
            assert!(
                error.to_string().contains("logins.lock_max_seconds: ")
                    || error
                        .to_string()
                        .contains(&format!("logins.{}: ", variable.to_lowercase())),
                "{error}"
            );
        }
    }

    #[test]
    fn a_bucket_that_cannot_be_reached_is_refused_by_the_setting_at_fault() {
        let s3 = |variables: &[(&str, &str)]| {
            let good = [
                ("BACKEND", "s3"),
                ("BUCKET", "b"),
                ("ENDPOINT", "http://localhost:1"),
                ("ALLOW_HTTP", "true"),
                ("ACCESS_KEY", "k"),
                ("SECRET_KEY", "hush"),
            ];
            let all = good.iter().chain(variables);
            let all = all.map(|(key, value)| (format!("MILLRACE__STORAGE__{key}"), *value));
            Settings::from_variables(None, all)
        };
        s3(&[]).unwrap();
        s3(&[("ACCESS_KEY", ""), ("SECRET_KEY", ""), ("ENDPOINT", "")]).unwrap();
        for (variable, value, key) in [
            ("BUCKET", "", "storage.bucket"),
            ("REGION", "", "storage.region"),
            ("ENDPOINT", "localhost", "storage.endpoint"),
            ("ALLOW_HTTP", "false", "storage.endpoint"),
            ("ACCESS_KEY", "", "storage.secret_key"),
            ("SECRET_KEY", "", "storage.secret_key"),
        ] {
            let error = s3(&[(variable, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("{key}: ")), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
