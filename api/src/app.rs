//! What every handler works with.

use crate::auth::Credentials;
use crate::content::{Fetches, Files};
use crate::events::Events;
use crate::metrics::Metrics;
use crate::permits::Permits;
use crate::readiness::Readiness;
use crate::together::Together;
use crate::waiting::Waiters;
use clap::ValueEnum;
use millrace_common::broker::{Link, Publisher};
use millrace_common::catalog::Catalog;
use millrace_common::config::Settings;
use millrace_common::db::Db;
use millrace_common::error::Error;
use millrace_common::ids::ProcessId;
use millrace_common::secrets::Keyring;
use millrace_common::storage::Storage;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What a process serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Serves {
    /// Both.
    #[default]
    #[value(skip)]
    All,
    /// The REST API only.
    Api,
    /// The content server only; RabbitMQ is not needed then.
    Content,
}

impl Serves {
    /// True where the REST API is served.
    #[must_use]
    pub fn api(self) -> bool {
        self != Self::Content
    }

    /// True where content is served.
    #[must_use]
    pub fn content(self) -> bool {
        self != Self::Api
    }
}

/// The parts of an API process.
pub struct App {
    /// What it serves.
    pub serves: Serves,
    /// This process, as `app_status` names it; the owner of its uploads.
    pub process: ProcessId,
    /// The settings.
    pub settings: Settings,
    /// Pooled sessions.
    pub db: Db,
    /// Task and content types.
    pub catalog: Catalog,
    /// Encrypts task arguments.
    pub keyring: Keyring,
    /// Publishes what was dispatched.
    pub publisher: Publisher,
    /// The artifact store.
    pub storage: Storage,
    /// Files that were served lately.
    pub files: Files,
    /// Files that are being fetched for clients.
    pub fetches: Fetches,
    /// Verifies credentials.
    pub credentials: Credentials,
    /// Whose turn it is to make an OpenAPI document: one at a time, as it takes a while and several MiB.
    pub documents: Arc<Mutex<()>>,
    /// What it counts.
    pub metrics: Metrics,
    /// Whether it can serve.
    pub readiness: Readiness,
    /// Clients that listen for state changes.
    pub events: Events,
    /// Looks at the broker's queues for those who ask why a task waits.
    pub queues: Link,
    /// Requests that wait for an immediate task.
    pub waiters: Waiters,
    /// Permits of requests that dispatch.
    pub dispatching: Arc<Permits>,
    /// Requests that dispatch at the same time.
    pub together: Arc<Together>,
}

impl App {
    /// Puts the parts together; connects to nothing but the store.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn new(settings: Settings, catalog: Catalog, serves: Serves) -> Result<Self, Error> {
        let process = ProcessId::new();
        let keyring = Keyring::load(&settings.secrets.key_files)
            .map_err(|e| Error::invalid("secrets.key_files", e.to_string()))?;
        let db = Db::new(&settings.database, "millrace-api")?;
        let storage = Storage::open(&settings.storage)?.owned_by(process);
        let fetches = Fetches::new(
            db.clone(),
            storage.clone(),
            keyring.clone(),
            settings.clone(),
        );
        let dispatching = Arc::new(Permits::new(&settings.database));
        Ok(Self {
            serves,
            process,
            publisher: if serves.api() {
                Publisher::start(&settings.broker, db.clone(), "millrace-api")
            } else {
                Publisher::idle()
            },
            storage,
            fetches,
            files: Files::new(settings.content.cache_bytes),
            credentials: Credentials::new(&settings),
            documents: Arc::default(),
            metrics: Metrics::new(&catalog.tasks),
            readiness: Readiness::default(),
            events: Events::new(settings.api.event_streams),
            queues: Link::new(&settings.broker, "millrace-api queues"),
            waiters: Waiters::new(settings.api.immediate_waiters),
            together: Arc::new(Together::new(
                db.clone(),
                keyring.clone(),
                Arc::clone(&dispatching),
            )),
            dispatching,
            db,
            keyring,
            catalog,
            settings,
        })
    }
}
