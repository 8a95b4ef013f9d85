//! Settings: compiled-in defaults, then a TOML file, then `MILLRACE__SECTION__KEY` variables.
//!
//! Read once at start and handed down. Nothing else in the project reads the environment, but for
//! `RUST_LOG` (`logging`).

use ::config::{Config, Environment, File, FileFormat};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod bounds;
mod encryption;
mod error;
pub mod network;
mod values;

pub use encryption::{Authorities, Encryption};
pub use error::SettingsError;
pub use values::{List, Millis, Secret, SecretUrl};

const DEFAULTS: &str = include_str!("../default.toml");

/// All settings of a process. `default.toml` says what each means.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml documents every setting")]
pub struct Settings {
    pub database: Database,
    pub broker: Broker,
    pub api: Api,
    pub content: Content,
    pub admin: Admin,
    pub logins: Logins,
    pub worker: Worker,
    pub storage: Storage,
    pub units: Units,
    pub remotes: Remotes,
    pub exports: Exports,
    pub secrets: Secrets,
    pub tasks: Tasks,
    pub diagnostics: Diagnostics,
    pub log: Log,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        #[expect(missing_docs, reason = "default.toml documents every setting")]
        pub struct $name { $(pub $field: $type),+ }
    };
}

section!(
    /// How to reach PostgreSQL.
    Database {
        url: SecretUrl,
        pool_size: usize,
        pool_wait_ms: Millis,
        connect_timeout_ms: Millis,
        statement_timeout_ms: Millis,
    }
);
section!(
    /// How to reach RabbitMQ.
    Broker {
        url: SecretUrl,
        management_url: SecretUrl,
        ca_file: PathBuf,
        queue_type: QueueType,
        window: usize,
        timeout_ms: Millis,
        heartbeat_seconds: u16,
        reconnect_max_ms: Millis,
    }
);
section!(
    /// The REST API.
    Api {
        listen: String,
        certificate_file: PathBuf,
        key_file: PathBuf,
        threads: usize,
        body_limit: usize,
        request_timeout_ms: Millis,
        upload_idle_timeout_ms: Millis,
        immediate_wait_ms: Millis,
        immediate_waiters: usize,
        event_streams: usize,
        page_limit: i64,
        metrics_listen: String,
        content_origin: String,
        credential_cache_seconds: u64,
        delete_orphans_limit: usize,
        remote_user_header: String,
        remote_user_from: List<String>,
        proxies: List<String>,
    }
);
impl Api {
    /// True where its address is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        !self.certificate_file.as_os_str().is_empty()
    }
}

section!(
    /// The content server.
    Content {
        path_prefix: String,
        cache_bytes: u64,
        redirect_to_object_storage: bool,
        failed_fetch_seconds: u32,
        fetches: usize,
    }
);
section!(
    /// The first administrator.
    Admin { username: String, password: Secret }
);
section!(
    /// How people log in.
    Logins {
        session_hours: i64,
        secure_cookies: bool,
        failures: i32,
        lock_seconds: u32,
        lock_max_seconds: u32,
        spare_seconds: u32,
    }
);
section!(
    /// A worker process.
    Worker {
        name: String,
        grace_seconds: u64,
        ttl_seconds: i32,
        beat_ms: Millis,
        janitor_ms: Millis,
        sweep_seconds: u64,
        acknowledge_after_seconds: u64,
        cancel_grace_ms: Millis,
        health_listen: String,
        stuck_seconds: u64,
        slots: BTreeMap<String, u16>,
    }
);

impl Worker {
    /// Refuses slots of a class that no task has: nothing would ever come to them. `known` are the
    /// classes of the registered tasks; the shipped ones always count.
    ///
    /// # Errors
    /// Names the class.
    pub fn check_classes<'a>(
        &self,
        known: impl Iterator<Item = &'a str>,
    ) -> Result<(), SettingsError> {
        let mut known: BTreeSet<&str> = known.collect();
        known.extend(["default", "storage", "immediate"]);
        match self
            .slots
            .keys()
            .find(|class| !known.contains(class.as_str()))
        {
            None => Ok(()),
            Some(class) => Err(SettingsError::Invalid {
                key: "worker.slots",
                message: format!(
                    "no task has the class `{class}`, only {}",
                    Vec::from_iter(known).join(", ")
                ),
            }),
        }
    }
}

section!(
    /// Where artifacts are kept.
    Storage {
        backend: StorageBackend,
        root: PathBuf,
        bucket: String,
        region: String,
        endpoint: String,
        access_key: String,
        secret_key: Secret,
        allow_http: bool,
        path_style: bool,
        prefix: String,
        checksums: List<String>,
    }
);
section!(
    /// Units that came from a Pulp 2, and content types beside the built-in ones.
    Units {
        storage_root: PathBuf,
        definitions: PathBuf,
    }
);
section!(
    /// Where content may come from.
    Remotes { allowed_import_paths: List<PathBuf> }
);
section!(
    /// Where content may be exported to.
    Exports { allowed_paths: List<PathBuf> }
);
section!(
    /// Keys for what is encrypted at rest.
    Secrets { key_files: List<PathBuf> }
);
section!(
    /// Defaults of tasks.
    Tasks {
        orphan_protection_time: u32,
        v2_orphan_protection_time: u32,
        orphan_cleanup_interval: u32,
        upload_protection_time: u32,
        tmpfile_protection_time: u32,
        task_protection_time: u32,
        prefer_defer: bool,
        purge_after_days: u32,
        idempotency_hours: u32,
    }
);
section!(
    /// Aids for tests and demonstrations.
    Diagnostics {
        enabled: bool,
        crash_at: String,
    }
);
section!(
    /// Logging.
    Log {
        format: LogFormat,
        filter: String,
        talkative: List<String>,
    }
);

/// Kind of the dispatch queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "default.toml documents every setting")]
pub enum QueueType {
    Quorum,
    Classic,
}

/// Kind of the artifact store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "default.toml documents every setting")]
pub enum StorageBackend {
    Filesystem,
    S3,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "default.toml documents every setting")]
pub enum LogFormat {
    Text,
    Json,
}

impl Settings {
    /// Reads defaults, the file if one is given, and the environment of the process.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key (named), or a value that makes no sense.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::from_sources(file, Environment::default())
    }

    /// As [`Settings::load`], with the variables given instead of those of the process.
    ///
    /// # Errors
    /// See [`Settings::load`].
    pub fn from_variables<K: Into<String>, V: Into<String>>(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, SettingsError> {
        let map = variables
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        Self::from_sources(file, Environment::default().source(Some(map)))
    }

    fn from_sources(file: Option<&Path>, environment: Environment) -> Result<Self, SettingsError> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            builder = builder.add_source(File::from(path).format(FileFormat::Toml).required(true));
        }
        // Texts stay texts until a field asks for a number: a password may look like one.
        let environment = environment
            .prefix("MILLRACE")
            .prefix_separator("__")
            .separator("__");
        let settings: Self = builder.add_source(environment).build()?.try_deserialize()?;
        settings.validate()?;
        Ok(settings)
    }

    /// The effective settings as JSON, secrets masked.
    ///
    /// # Errors
    /// Only when a value cannot be written as JSON.
    pub fn masked(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

#[cfg(test)]
mod tests;
