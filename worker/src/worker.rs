//! A worker process: starts its parts, waits for the end.

use crate::beat::Beat;
use crate::claiming::Claims;
use crate::endings::Endings;
use crate::metrics::Metrics;
use crate::running::{Progress, Running};
use crate::sessions::Open;
use crate::shutdown::Shutdown;
use crate::slots::Slots;
use crate::turns::Turns;
use crate::watch::Presence;
use crate::{health, slot};
use log::{error, info, warn};
use millrace_common::broker::{Link, Publisher};
use millrace_common::catalog::Catalog;
use millrace_common::cause::chain;
use millrace_common::config::Settings;
use millrace_common::db::{self, Db};
use millrace_common::error::Error;
use millrace_common::ids::ProcessId;
use millrace_common::metrics;
use millrace_common::repository;
use millrace_common::secrets::Keyring;
use millrace_common::storage::Storage;
use millrace_common::tasking::Execution;
use millrace_common::tasking::janitor::Janitor;
use millrace_common::tasks::schedules;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
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
    pub sessions: Open,
    pub presence: Presence,
    pub janitor: Janitor,
    pub progress: Progress,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
    pub slots: Slots,
    pub turns: Turns,
    pub claims: Claims,
    pub endings: Endings,
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
        let full_name = format!("millrace-worker {name}");
        let settings = Arc::new(settings);
        let id = ProcessId::new();
        let db = Db::new(&settings.database, &full_name)?;
        let storage = Storage::open(&settings.storage)?.owned_by(id);
        storage.check().await?;
        let publisher = Publisher::start(&settings.broker, db.clone(), &full_name);
        let execution = Execution {
            db,
            storage,
            registry: Arc::new(catalog.tasks),
            keyring,
            settings: Arc::clone(&settings),
        };
        let consume = Link::new(&settings.broker, &format!("{full_name} consume"));
        metrics::know_tasks(execution.registry.types().map(|task| task.name));
        let shared = Arc::new(Shared {
            id,
            janitor: Janitor::new(&execution, publisher.clone(), &full_name),
            publisher,
            link: Arc::new(consume.with_large_frames()),
            shutdown: Shutdown::listen(Duration::from_secs(settings.worker.grace_seconds))
                .map_err(Error::internal)?,
            name,
            running: Running::default(),
            sessions: Open::default(),
            presence: Presence::default(),
            progress: Progress::default(),
            metrics: Metrics::new(&settings.worker.slots),
            slots: Slots::default(),
            claims: Claims::default(),
            endings: Endings::default(),
            turns: Turns::new(settings.worker.stuck_seconds),
            execution,
        });
        let beat = Beat::start(Arc::clone(&shared)).await?;
        schedules::manage(&shared.execution).await?;
        Ok(Self { shared, beat })
    }

    /// Works until the process is told to stop, then until the last body has ended.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let shared = self.shared;
        info!(worker:% = shared.id; "worker {} starts", shared.name);
        let beating = tokio::spawn(self.beat.run());
        let stop_beating = beating.abort_handle();
        tokio::spawn(exit_after(beating));
        tokio::spawn(again("the janitor", Arc::clone(&shared), keep_house));
        tokio::spawn(again("watching the slots", Arc::clone(&shared), supervise));
        tokio::spawn(again(
            "the janitor's chores",
            Arc::clone(&shared),
            do_chores,
        ));
        tokio::spawn(again(
            "announcing again",
            Arc::clone(&shared),
            announce_again,
        ));
        tokio::spawn(again(
            "dispatching schedules",
            Arc::clone(&shared),
            dispatch_schedules,
        ));
        tokio::spawn(again(
            "ending overdue tasks",
            Arc::clone(&shared),
            expire_overdue,
        ));
        health::serve(&shared)?;

        let slots = TaskTracker::new();
        for (class, count) in &shared.settings().worker.slots {
            for number in 0..*count {
                let (shared, class) = (Arc::clone(&shared), class.clone());
                slots.spawn(again("a slot", shared, move |shared| {
                    slot::run(shared, class.clone(), number)
                }));
            }
        }
        slots.close();
        slots.wait().await;
        shared.publisher.close(Duration::from_secs(5)).await;
        shared.link.close().await;
        stop_beating.abort();
        crate::beat::unregister(&shared).await;
        info!(worker:% = shared.id; "worker {} has stopped", shared.name);
        Ok(())
    }
}

/// Runs a part of the worker, and runs it anew when it panics: a fault in one task costs no slot.
async fn again<F>(what: &str, shared: Arc<Shared>, part: impl Fn(Arc<Shared>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(part(Arc::clone(&shared))).await {
        error!(error:% = error; "{what} panicked and begins anew: {}", chain(&error));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Ends the process when the beat ends by itself: nobody else says that it lives, and its lock is gone.
async fn exit_after(beat: JoinHandle<()>) {
    match beat.await {
        Err(stopped) if stopped.is_cancelled() => {}
        ended => {
            error!("the beat has ended: {ended:?}");
            std::process::exit(70);
        }
    }
}

async fn keep_house(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(shared.settings().worker.janitor_ms.get());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.turns.janitor.mark();
        if let Err(error) = shared.janitor.pass(&|| shared.turns.janitor.mark()).await {
            warn!(error:% = error; "janitor: {}", chain(&error));
        }
    }
}

/// Looks at the slots once a second: as long as none of them is stuck, this loop turns.
async fn supervise(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if shared.slots.longest_claim() < shared.turns.patience() {
            shared.turns.slots.mark();
        }
    }
}

async fn do_chores(shared: Arc<Shared>) {
    loop {
        if !shared.janitor.chores().await {
            continue;
        }
        // What the engine does not know of: versions that dead runs left incomplete.
        let removed = async {
            let mut conn = shared.db().get().await?;
            repository::remove_abandoned(&mut conn, LEFTOVERS).await
        };
        if let Err(error) = removed.await {
            warn!(error:% = error; "janitor: {}", chain(&error));
        }
    }
}

async fn dispatch_schedules(shared: Arc<Shared>) {
    loop {
        shared.janitor.dispatch_schedules().await;
    }
}

async fn expire_overdue(shared: Arc<Shared>) {
    loop {
        shared.janitor.expire_overdue().await;
    }
}

async fn announce_again(shared: Arc<Shared>) {
    loop {
        shared.janitor.announce_again().await;
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
