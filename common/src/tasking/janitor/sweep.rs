//! The slow round: the net under promotion, leftovers of dead processes, files to unlink.

use super::Janitor;
use crate::db::{Conn, transaction};
use crate::error::Error;
use crate::metrics::engine;
use crate::models::{
    Account, LoginFailure, LoginSession, TemporaryFile, idempotency_key, task_use,
};
use crate::schema::janitor;
use crate::storage::intents::bury_abandoned;
use crate::storage::tombstones::unlink_due;
use crate::tasking::sweep_lanes;
use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use log::error;
use std::time::{Duration, Instant};

/// Files unlinked a round.
const FILES: i64 = 500;

/// Longest time that one pass unlinks.
const LONGEST: Duration = Duration::from_secs(5);

/// Uses of ended tasks removed by one statement.
const USES: i64 = 10_000;

/// Keys of old requests removed by one statement.
const KEYS: i64 = 10_000;

/// Old logins and their failures removed by one statement.
const LOGINS: i64 = 10_000;

/// Tasks of a deleted account that are taken from it by one statement.
const TASKS: i64 = 5000;

/// Lanes that one sweep looks at.
const LANES: i32 = 1000;

impl Janitor {
    pub(super) async fn sweep(&self, after: &str) -> Result<(), Error> {
        let mut conn = self.db.get().await?;
        let swept = sweep_lanes(&mut conn, after, LANES).await?;
        if swept.repaired > 0 {
            engine().sweep_repairs.inc_by(swept.repaired.unsigned_abs());
            error!(repaired = swept.repaired; "the sweep unblocked {} tasks that promotion left behind", swept.repaired);
        }
        diesel::update(janitor::table)
            .set((
                janitor::sweep_after.eq(swept.last.unwrap_or_default()),
                janitor::repairs.eq(janitor::repairs + swept.repaired),
            ))
            .execute(&mut conn)
            .await?;
        self.publisher.announce(swept.announcements);
        // A process that is gone holds no lock; its row went stale at the end of its time.
        sql_query(
            "DELETE FROM app_status WHERE last_heartbeat < clock_timestamp() - make_interval(secs => ttl_seconds) \
                AND pg_try_advisory_xact_lock(millrace_process_key(pulp_id))",
        )
        .execute(&mut conn)
        .await?;
        while bury_abandoned(&mut conn, FILES).await? > 0 {}
        while TemporaryFile::bury_ended(&mut conn, FILES).await? > 0 {}
        while task_use::remove_ended(&mut conn, USES).await? > 0 {}
        let hours = self.settings.tasks.idempotency_hours;
        while idempotency_key::remove_expired(&mut conn, hours, KEYS).await? > 0 {}
        while LoginSession::remove_expired(&mut conn, LOGINS).await? > 0 {}
        while LoginFailure::remove_old(&mut conn, LOGINS).await? > 0 {}
        while let Some(id) = Account::any_gone(&mut conn).await? {
            let bury = async |conn: &mut Conn| Account::bury(conn, id, TASKS).await;
            while !transaction(&mut conn, bury).await? {}
        }
        Ok(())
    }

    pub(super) async fn unlink(&self) -> Result<(), Error> {
        // Each round claims what is due; what fails is due again later. What is left after some time
        // is left to the next pass: other duties wait behind this one.
        let started = Instant::now();
        while started.elapsed() < LONGEST && unlink_due(&self.db, &self.storage, FILES).await? > 0 {
        }
        Ok(())
    }
}
