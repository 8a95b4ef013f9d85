//! The processes that are online, and what waits for them.

use super::database;
use super::report::Report;
use millrace_common::db::Conn;
use millrace_common::models::gauges::{self, Figures, Pending};
use millrace_common::models::server;

/// A task that waited so long for nothing but a slot is worth a thought; seconds.
const LONG_WAIT: f64 = 600.0;
/// Files are removed within moments of their rows.
const OLD_TOMBSTONE: f64 = 3600.0;
/// The janitor passes once a second.
const IDLE_JANITOR: f64 = 60.0;
const LATE_SCHEDULE: f64 = 120.0;

/// Looks at what the database says of the fleet.
pub(super) async fn check(conn: &mut Conn, report: &mut Report) {
    database::accounts(conn, report).await;
    let asked = async {
        let online = server::online(conn).await?;
        Ok::<_, millrace_common::error::Error>((online, gauges::read(conn).await?))
    };
    let (online, (pending, figures)) = match asked.await {
        Ok(answer) => answer,
        Err(error) => {
            return report.fail("fleet.workers", error, "See the log of PostgreSQL.");
        }
    };
    let apis = online.get("api").copied().unwrap_or_default();
    if apis == 0 {
        report.warn(
            "fleet.apis",
            "none is online",
            "Start `millrace-api serve`.",
        );
    } else {
        report.ok("fleet.apis", format!("{apis} online"));
    }
    workers(figures, report);
    waiting(&pending, report);
    schedules(figures, report);
    tombstones(figures, report);
    locks(figures, report);
}

fn workers(figures: Figures, report: &mut Report) {
    const NAME: &str = "fleet.workers";
    let workers = figures.workers;
    if workers == 0 {
        report.fail(
            NAME,
            "no worker is online",
            "Start `millrace-worker run`, and read its log if it ends.",
        );
    } else if figures.janitor_idle > IDLE_JANITOR {
        report.warn(
            NAME,
            format!(
                "{workers} online, no pass of the janitor for {:.0} s",
                figures.janitor_idle
            ),
            "See the workers' logs for `janitor`; `/livez` says whether one is stuck.",
        );
    } else {
        report.ok(NAME, format!("{workers} online"));
    }
}

fn waiting(pending: &[Pending], report: &mut Report) {
    const NAME: &str = "fleet.tasks";
    let sum = |test: fn(&&Pending) -> bool| pending.iter().filter(test).map(|p| p.count).sum();
    let (waiting, runnable): (i64, i64) = (sum(|p| p.state == "waiting"), sum(|p| p.runnable));
    let seen = format!("{waiting} wait, {runnable} of them for nothing but a slot");
    let oldest = pending
        .iter()
        .filter(|p| p.runnable)
        .max_by(|a, b| a.oldest.unwrap_or(0.0).total_cmp(&b.oldest.unwrap_or(0.0)));
    match oldest {
        Some(task) if task.oldest.unwrap_or(0.0) > LONG_WAIT => report.warn(
            NAME,
            format!(
                "{seen}; one of {} for {:.0} s",
                task.name,
                task.oldest.unwrap_or(0.0)
            ),
            format!(
                "Give the class `{}` more slots or workers; see whether a worker knows the task and the broker is up.",
                task.class
            ),
        ),
        _ => report.ok(NAME, seen),
    }
}

fn schedules(figures: Figures, report: &mut Report) {
    const NAME: &str = "fleet.schedules";
    let seen = format!("{:.0} s late at most", figures.schedule_lag);
    if figures.schedule_lag > LATE_SCHEDULE {
        let mend =
            "Workers dispatch them: see whether one is online, and `last_error` of the schedule.";
        report.warn(NAME, seen, mend);
    } else {
        report.ok(NAME, seen);
    }
}

fn tombstones(figures: Figures, report: &mut Report) {
    const NAME: &str = "storage.tombstones";
    let seen = format!(
        "{} files are to be removed, {} bytes",
        figures.tombstones, figures.tombstone_bytes
    );
    if figures.tombstone_age > OLD_TOMBSTONE {
        report.warn(
            NAME,
            format!("{seen}, the first for {:.0} s", figures.tombstone_age),
            "See the workers' logs for `unlink`: the store may refuse to delete.",
        );
    } else {
        report.ok(NAME, seen);
    }
}

fn locks(figures: Figures, report: &mut Report) {
    const NAME: &str = "database.locks";
    let (used, size) = (figures.locks, figures.lock_table.max(1));
    let seen = format!("{used} of {size} entries of the lock table are in use");
    let mend = "Raise max_locks_per_transaction, or lower worker.slots.";
    if used * 10 > size * 9 {
        report.fail(NAME, seen, mend);
    } else if used * 10 > size * 7 {
        report.warn(NAME, seen, mend);
    } else {
        report.ok(NAME, seen);
    }
}
