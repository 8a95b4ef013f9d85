//! How things stand in the database: the same on every API, so they are not summed but the greatest is taken.

use crate::app::App;
use log::warn;
use millrace_common::cause::chain;
use millrace_common::db::Session;
use millrace_common::error::Error;
use millrace_common::metrics::task_label;
use millrace_common::models::gauges::{self, Figures, Pending};
use millrace_common::tasking::Registry as Tasks;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};

/// The database is not asked more often.
const FRESH: Duration = Duration::from_secs(5);
/// Nor for more than this part of the time.
const SHARE: u32 = 20;
/// An answer that takes longer is given up, here and on the server.
const PATIENCE: Duration = Duration::from_secs(6);
const TIMEOUT: &str = "SET statement_timeout = '5s'";

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct OfTasks {
    name: &'static str,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClass {
    class: String,
}

/// The gauges, and when they were read.
pub(super) struct Gauges {
    tasks: Family<OfTasks, Gauge>,
    waiting: Gauge,
    runnable: Family<OfClass, Gauge>,
    oldest: Family<OfClass, Seconds>,
    counts: BTreeMap<&'static str, Gauge>,
    seconds: BTreeMap<&'static str, Seconds>,
    up: Gauge,
    /// Classes that some task type has: they are shown also where nothing waits.
    classes: BTreeSet<String>,
    asked: Mutex<Asked>,
}

/// The session that is asked, and when it may be asked again.
#[derive(Default)]
pub(super) struct Asked {
    session: Option<Session>,
    again: Option<Instant>,
}

const COUNTS: [(&str, &str); 8] = [
    (
        "tombstones",
        "Files of the artifact store whose rows are gone, and that are to be removed",
    ),
    (
        "tombstone_bytes",
        "Bytes of these files, as far as they are known",
    ),
    (
        "advisory_locks",
        "Advisory locks held on the PostgreSQL server",
    ),
    (
        "lock_table_used",
        "Entries of PostgreSQL's lock table in use",
    ),
    (
        "lock_table_size",
        "Entries that PostgreSQL's lock table has room for",
    ),
    ("workers_online", "Workers whose heart beats"),
    (
        "postgres_sessions",
        "Sessions of clients on the PostgreSQL server",
    ),
    (
        "postgres_sessions_limit",
        "Sessions that the PostgreSQL server takes (max_connections)",
    ),
];

const SPANS: [(&str, &str); 3] = [
    (
        "tombstone_age_seconds",
        "Since the first of these files lost its row",
    ),
    (
        "schedule_lag_seconds",
        "How late the schedule is that is due longest",
    ),
    (
        "janitor_idle_seconds",
        "Since the last pass of the janitor, whichever worker made it",
    ),
];

impl Gauges {
    pub(super) fn new(tasks: &Tasks) -> Self {
        let mut classes: BTreeSet<String> = tasks.types().map(|t| t.class.to_owned()).collect();
        classes.extend(["default", "storage", "immediate"].map(str::to_owned));
        Self {
            tasks: Family::default(),
            waiting: Gauge::default(),
            runnable: Family::default(),
            oldest: Family::default(),
            counts: COUNTS.map(|(name, _)| (name, Gauge::default())).into(),
            seconds: SPANS.map(|(name, _)| (name, Seconds::default())).into(),
            up: Gauge::default(),
            classes,
            asked: Mutex::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "tasks",
            "Tasks that have not ended, by type and state",
            self.tasks.clone(),
        );
        registry.register(
            "waiting_tasks",
            "Tasks that wait, for others or for a slot",
            self.waiting.clone(),
        );
        registry.register(
            "runnable_tasks",
            "Tasks that wait for nothing but a slot, by class: the number to scale workers on",
            self.runnable.clone(),
        );
        registry.register(
            "oldest_runnable_seconds",
            "How long the longest of them has waited for a slot, by class",
            self.oldest.clone(),
        );
        for (name, help) in COUNTS {
            if let Some(gauge) = self.counts.get(name) {
                registry.register(name, help, gauge.clone());
            }
        }
        for (name, help) in SPANS {
            if let Some(gauge) = self.seconds.get(name) {
                registry.register(name, help, gauge.clone());
            }
        }
        registry.register(
            "database_gauges_up",
            "1 where the gauges that need the database are those of now; else they are those of before",
            self.up.clone(),
        );
    }

    /// Reads them anew where they are not fresh. They stay as they are until what comes back is dropped.
    pub(super) async fn read(&self, app: &App) -> MutexGuard<'_, Asked> {
        let mut asked = self.asked.lock().await;
        if asked.again.is_some_and(|again| Instant::now() < again) {
            return asked;
        }
        let started = Instant::now();
        let read = tokio::time::timeout(PATIENCE, ask(app, &mut asked.session)).await;
        match read {
            Ok(Ok((pending, figures))) => {
                self.set_tasks(&pending);
                self.set_figures(figures);
                self.up.set(1);
            }
            failed => {
                asked.session = None;
                self.up.set(0);
                match failed {
                    Ok(Err(error)) => {
                        warn!(error:% = error; "metrics without the database: {}", chain(&error));
                    }
                    _ => warn!("metrics without the database: no answer in time"),
                }
            }
        }
        let pause = (started.elapsed() * SHARE).max(FRESH);
        asked.again = Some(Instant::now() + pause);
        asked
    }

    fn set_tasks(&self, pending: &[Pending]) {
        self.tasks.clear();
        self.runnable.clear();
        self.oldest.clear();
        let mut counts: BTreeMap<OfTasks, i64> = BTreeMap::new();
        for class in &self.classes {
            let of = OfClass {
                class: class.clone(),
            };
            self.runnable.get_or_create(&of).set(0);
            self.oldest.get_or_create(&of).set(0.0);
        }
        let mut waiting = 0;
        for tasks in pending {
            let of = OfTasks {
                name: task_label(&tasks.name),
                state: tasks.state.clone(),
            };
            *counts.entry(of).or_default() += tasks.count;
            if tasks.state == "waiting" {
                waiting += tasks.count;
            }
            if tasks.runnable {
                let class = tasks.class.clone();
                let of = OfClass { class };
                self.runnable.get_or_create(&of).inc_by(tasks.count);
                let oldest = self.oldest.get_or_create(&of);
                oldest.set(oldest.get().max(tasks.oldest.unwrap_or_default()));
            }
        }
        self.waiting.set(waiting);
        for (of, count) in counts {
            self.tasks.get_or_create(&of).set(count);
        }
    }

    fn set_figures(&self, figures: Figures) {
        for (name, value) in [
            ("tombstones", figures.tombstones),
            ("tombstone_bytes", figures.tombstone_bytes),
            ("advisory_locks", figures.advisory_locks),
            ("lock_table_used", figures.locks),
            ("lock_table_size", figures.lock_table),
            ("workers_online", figures.workers),
            ("postgres_sessions", figures.sessions),
            ("postgres_sessions_limit", figures.max_sessions),
        ] {
            if let Some(gauge) = self.counts.get(name) {
                gauge.set(value);
            }
        }
        for (name, value) in [
            ("tombstone_age_seconds", figures.tombstone_age),
            ("schedule_lag_seconds", figures.schedule_lag),
            ("janitor_idle_seconds", figures.janitor_idle),
        ] {
            if let Some(gauge) = self.seconds.get(name) {
                gauge.set(value);
            }
        }
    }
}

/// Asks on a session of its own: a pool that is used up is what metrics are looked at for.
async fn ask(app: &App, session: &mut Option<Session>) -> Result<(Vec<Pending>, Figures), Error> {
    let session = match session {
        Some(session) => session,
        none => {
            let mut opened = app.db.session("metrics").await?;
            diesel_async::SimpleAsyncConnection::batch_execute(&mut opened.conn, TIMEOUT).await?;
            none.insert(opened)
        }
    };
    Ok(gauges::read(&mut session.conn).await?)
}
