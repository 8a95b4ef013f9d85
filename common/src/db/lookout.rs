//! Finding sessions that are half open: the server, or something on the way to it, forgot the connection and told nobody.
//! A statement waits for ever then, or for as long as the operating system has patience. So a slow one is looked up on
//! another session: where the server waits for the client while the client waits for the server, the line between them
//! is cut.

use super::doomed::{Doomed, EndIfLost};
use super::line::{Line, Mark};
use super::{Backend, Conn, connect};
use crate::config::Database;
use crate::error::Error;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Bool, Integer, Nullable, Timestamptz};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use log::warn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often the lines are gone through.
const PERIOD: Duration = Duration::from_millis(250);
/// A statement that takes so long is looked up ...
const SLOW: Duration = Duration::from_secs(1);
/// ... and its session is given up after so long, where two looks found nothing under way: a packet that was lost four
/// times over has been sent again by then. With it go the pool's for which nothing is under way either.
const LOST: Duration = Duration::from_millis(3100);
/// With it go those that may hold locks after so long: a packet that was lost three times over has been sent again by then.
const LOST_WITH_OTHERS: Duration = Duration::from_millis(1700);
/// Pause after a look that found all that is slow under way.
const EASE: Duration = Duration::from_millis(750);
/// Longest wait for the answer to a look.
const ANSWER: Duration = Duration::from_secs(1);
/// The session of the looks is closed when none was needed for so long.
const IDLE: Duration = Duration::from_secs(60);

/// Whose a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The pool's: nobody relies on it once it is cut.
    Pooled,
    /// It may hold locks that somebody relies on although it is cut: it is ended on the server when nobody does any more.
    Owned,
}

/// The lookout of a process's sessions.
pub(super) struct Lookout {
    settings: Database,
    name: String,
    lines: Mutex<Lines>,
    /// Server processes whose sessions were cut and that nobody relies on any more.
    doomed: Arc<Doomed>,
    /// When a session was found half open last.
    lost: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Lines {
    /// A session whose line is gone is dropped when they are gone through.
    all: Vec<Entry>,
    watching: Option<JoinHandle<()>>,
}

struct Entry {
    backend: Backend,
    line: Weak<Line>,
    kind: Kind,
    /// What the line was like when nothing was found under way for it last.
    suspected: Option<Mark>,
}

/// A session that has been waiting for too long.
struct Slow {
    backend: Backend,
    line: Arc<Line>,
    kind: Kind,
    suspected: Option<Mark>,
}

impl Lookout {
    /// A lookout whose looks are made on a session under this application name.
    pub(super) fn new(settings: &Database, name: &str) -> Arc<Self> {
        Arc::new(Self {
            settings: settings.clone(),
            name: format!("{name} lookout"),
            lines: Mutex::default(),
            doomed: Arc::default(),
            lost: Mutex::default(),
        })
    }

    /// Watches over a session from now on.
    pub(super) fn add(self: &Arc<Self>, backend: &Backend, line: &Arc<Line>, kind: Kind) {
        let mut lines = lock(&self.lines);
        lines.all.push(Entry {
            backend: backend.clone(),
            line: Arc::downgrade(line),
            kind,
            suspected: None,
        });
        // It ends with the thread that it was begun on.
        if lines.watching.as_ref().is_none_or(JoinHandle::is_finished) {
            lines.watching = Some(tokio::spawn(watch_over(Arc::downgrade(self))));
        }
    }

    /// True for what was opened before a session was found half open: its line may be as dead.
    pub(super) fn doubts(&self, opened: Instant) -> bool {
        lock(&self.lost).is_some_and(|lost| opened < lost)
    }

    fn slow(&self) -> Vec<Slow> {
        let mut slow = Vec::new();
        lock(&self.lines).all.retain_mut(|entry| {
            let Some(line) = entry.line.upgrade() else {
                return false;
            };
            let suspected = entry.suspected.take();
            if line.quiet().is_some_and(|quiet| quiet >= SLOW) {
                slow.push(Slow {
                    backend: entry.backend.clone(),
                    line,
                    kind: entry.kind,
                    suspected,
                });
            }
            true
        });
        slow
    }

    /// Has a session ended on the server when what comes back is dropped after its line was cut.
    pub(super) fn end_if_lost(&self, line: Arc<Line>, backend: &Backend) -> EndIfLost {
        EndIfLost::new(Arc::clone(&self.doomed), line, backend)
    }

    async fn end_doomed(&self, session: &mut Option<Conn>) {
        if self.doomed.is_empty() {
            return;
        }
        if session.is_none() {
            *session = self.open().await;
        }
        if !self.doomed.end(session.as_mut()).await {
            *session = None;
        }
    }

    async fn open(&self) -> Option<Conn> {
        let opening = connect(&self.settings, &self.name, "", None);
        let limit = self.settings.connect_timeout_ms.get();
        let connected = timeout(limit, opening).await.ok()?.ok()?;
        Some(connected.conn)
    }

    fn suspect(&self, slow: &Slow) {
        let mark = slow.line.nudge();
        let mut lines = lock(&self.lines);
        let entry = lines
            .all
            .iter_mut()
            .find(|entry| entry.backend == slow.backend);
        if let Some(entry) = entry {
            entry.suspected = Some(mark);
        }
    }

    /// Cuts what was suspected before and still stands still, once that is so for one of them for long enough; suspects
    /// the rest of what nothing is under way for. Nobody is cut before that moment.
    fn judge(&self, slow: &[Slow], busy: &[bool], not_before: Instant) {
        let forgotten = slow.iter().zip(busy).filter(|(_, busy)| !**busy);
        let (mut still, mut suspects): (Vec<_>, Vec<_>) =
            forgotten.map(|(slow, _)| slow).partition(|slow| {
                slow.suspected
                    .is_some_and(|mark| slow.line.stands_still_since(mark))
            });
        let quiet = |slow: &Slow| slow.line.quiet().unwrap_or_default();
        if Instant::now() >= not_before && still.iter().any(|slow| quiet(slow) >= LOST) {
            let is_certain =
                |slow: &Slow| slow.kind == Kind::Pooled || quiet(slow) >= LOST_WITH_OTHERS;
            suspects.extend(still.extract_if(.., |slow| !is_certain(slow)));
        } else {
            suspects.append(&mut still);
        }
        for slow in suspects {
            self.suspect(slow);
        }
        for slow in &still {
            let pid = slow.backend.pid;
            warn!(pid; "the session of server process {pid} is half open: it is given up");
            slow.line.cut();
        }
        if !still.is_empty() {
            *lock(&self.lost) = Some(Instant::now());
        }
        let pooled = still.iter().filter(|slow| slow.kind == Kind::Pooled);
        self.doomed.add(pooled.map(|slow| slow.backend.clone()));
    }

    /// For which of them the server is at work; `None`: nobody can tell. Looks on this session, on a new one when that does
    /// not answer: it may have been forgotten with the others.
    async fn look(&self, session: &mut Option<Conn>, slow: &[Slow]) -> Option<Vec<bool>> {
        if let Some(mut asked) = session.take()
            && let Ok(Ok(found)) = timeout(ANSWER, ask(&mut asked, slow)).await
        {
            *session = Some(asked);
            return found;
        }
        let mut asked = self.open().await?;
        if let Ok(Ok(found)) = timeout(ANSWER, ask(&mut asked, slow)).await {
            *session = Some(asked);
            return found;
        }
        None
    }
}

/// Every change is one call: a panic elsewhere leaves it whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch_over(lookout: Weak<Lookout>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut session: Option<Conn> = None;
    let mut used = Instant::now();
    let mut not_before = Instant::now();
    loop {
        ticks.tick().await;
        let Some(lookout) = lookout.upgrade() else {
            return;
        };
        lookout.end_doomed(&mut session).await;
        let slow = lookout.slow();
        if slow.is_empty() {
            session.take_if(|_| used.elapsed() > IDLE);
            continue;
        }
        used = Instant::now();
        let busy = lookout.look(&mut session, &slow).await;
        match &busy {
            Some(busy) => lookout.judge(&slow, busy, not_before),
            // An outage, whose time is not to be counted.
            None => not_before = Instant::now() + LOST,
        }
        let pause = busy.is_none_or(|busy| busy.iter().all(|busy| *busy));
        drop((slow, lookout));
        if pause {
            tokio::time::sleep(EASE).await;
        }
    }
}

/// A server process waits for its client where its wait is of that kind, between statements and while it cannot send;
/// one that is not there any more waits for nobody else. A standby knows nothing of the sessions of its primary.
async fn ask(conn: &mut Conn, slow: &[Slow]) -> Result<Option<Vec<bool>>, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        standby: bool,
        #[diesel(sql_type = Nullable<Integer>)]
        pid: Option<i32>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        backend_start: Option<DateTime<Utc>>,
        #[diesel(sql_type = Nullable<Bool>)]
        waits: Option<bool>,
    }
    let pids: Vec<i32> = slow.iter().map(|slow| slow.backend.pid).collect();
    let rows: Vec<Row> = sql_query(
        "SELECT s.standby, a.pid, a.backend_start, a.wait_event_type = 'Client' AS waits \
           FROM (SELECT pg_is_in_recovery() AS standby) s LEFT JOIN pg_stat_activity a ON a.pid = ANY ($1)",
    )
    .bind::<Array<Integer>, _>(pids)
    .load(conn)
    .await?;
    if rows.iter().any(|row| row.standby) {
        return Ok(None);
    }
    let is_busy = |backend: &Backend| {
        rows.iter().any(|row| {
            (row.pid, row.backend_start) == (Some(backend.pid), Some(backend.backend_start))
                && row.waits != Some(true)
        })
    };
    let busy = slow.iter().map(|slow| is_busy(&slow.backend));
    Ok(Some(busy.collect()))
}

#[cfg(test)]
mod tests;
