//! A worker process: starts its parts, waits for the end.

use crate::beat::Beat;
use crate::metrics::Metrics;
use crate::running::{Progress, Running};
use crate::shutdown::Shutdown;
use crate::{health, slot};
use log::{info, warn};
use millrace_common::broker::{Link, Publisher};
use millrace_common::catalog::Catalog;
use millrace_common::config::Settings;
use millrace_common::db::{self, Db};
use millrace_common::error::Error;
use millrace_common::ids::ProcessId;
use millrace_common::repository;
use millrace_common::secrets::Keyring;
use millrace_common::storage::Storage;
use millrace_common::tasking::Execution;
use millrace_common::tasking::janitor::{Janitor, Pass};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Changes of abandoned versions that one sweep takes back.
const LEFTOVERS: u64 = 100_000;

/// What the parts of a worker share.
pub(crate) struct Shared {
    pub id: ProcessId,
    pub name: String,
    pub execution: Execution,
    pub publisher: Publisher,
    pub link: Arc<Link>,
    pub running: Running,
    pub progress: Progress,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
    /// Slots that can receive messages now.
    pub consuming: AtomicUsize,
}

impl Shared {
    pub(crate) fn settings(&self) -> &Settings {
        &self.execution.settings
    }

    pub(crate) fn db(&self) -> &Db {
        &self.execution.db
    }
}

/// A worker that is ready to run.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    beat: Beat,
}

impl Worker {
    /// Checks what a worker cannot do without, and registers it.
    pub(crate) async fn start(settings: Settings, catalog: Catalog) -> Result<Self, Error> {
        let keyring = Keyring::load(&settings.secrets.key_files)
            .map_err(|e| Error::invalid("secrets.key_files", e.to_string()))?;
        let missing = db::pending_migrations(&settings.database).await?;
        if !missing.is_empty() {
            return Err(Error::Conflict(format!(
                "the database lacks {} migrations: run `millrace-api migrate` first",
                missing.len()
            )));
        }
        let name = process_name(&settings.worker.name);
        let pool = Db::new(&settings.database, &format!("millrace-worker {name}"))?;
        let id = ProcessId::new();
        let shared = Arc::new(Shared {
            id,
            publisher: Publisher::start(
                &settings.broker,
                pool.clone(),
                &format!("millrace-worker {name}"),
            ),
            link: Arc::new(Link::new(
                &settings.broker,
                &format!("millrace-worker {name} consume"),
            )),
            shutdown: Shutdown::listen(Duration::from_secs(settings.worker.grace_seconds))
                .map_err(Error::internal)?,
            name,
            running: Running::default(),
            progress: Progress::default(),
            metrics: Metrics::default(),
            consuming: AtomicUsize::new(0),
            execution: Execution {
                db: pool,
                storage: Storage::open(&settings.storage)?.owned_by(id),
                registry: Arc::new(catalog.tasks),
                keyring,
                settings: Arc::new(settings),
            },
        });
        let beat = Beat::start(Arc::clone(&shared)).await?;
        Ok(Self { shared, beat })
    }

    /// Works until the process is told to stop, then until the last body has ended.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let shared = self.shared;
        info!(worker:% = shared.id; "worker {} starts", shared.name);
        let background = TaskTracker::new();
        let beating = background.spawn(self.beat.run());
        background.spawn(keep_house(Arc::clone(&shared)));
        health::serve(&shared)?;

        let slots = TaskTracker::new();
        for (class, count) in &shared.settings().worker.slots {
            for number in 0..*count {
                slots.spawn(slot::run(Arc::clone(&shared), class.clone(), number));
            }
        }
        slots.close();
        slots.wait().await;
        shared.publisher.close(Duration::from_secs(5)).await;
        shared.link.close().await;
        beating.abort();
        crate::beat::unregister(&shared).await;
        info!(worker:% = shared.id; "worker {} has stopped", shared.name);
        Ok(())
    }
}

async fn keep_house(shared: Arc<Shared>) {
    let janitor = Janitor::new(
        shared.db().clone(),
        shared.execution.storage.clone(),
        shared.publisher.clone(),
        Arc::clone(&shared.link),
        Arc::clone(&shared.execution.settings),
    );
    let mut ticks = tokio::time::interval(shared.settings().worker.janitor_ms.get());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let kept = async {
            if janitor.pass().await? == Pass::WithSweep {
                // What the engine does not know of: versions that dead runs left incomplete.
                let mut conn = shared.db().get().await?;
                repository::remove_abandoned(&mut conn, LEFTOVERS).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = kept.await {
            warn!(error:% = error; "janitor: {error}");
        }
    }
}

fn process_name(template: &str) -> String {
    let host = hostname::get().map_or_else(
        |_| "localhost".into(),
        |name| name.to_string_lossy().into_owned(),
    );
    template
        .replace("{pid}", &std::process::id().to_string())
        .replace("{hostname}", &host)
}
