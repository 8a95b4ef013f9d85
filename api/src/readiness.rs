//! Whether the database can be used, asked once for all who want to know at the same time.

use log::warn;
use millrace_common::cause::chain;
use millrace_common::db::{self, Db};
use millrace_common::error::Error;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Who asks again within this time gets the same answer: the call needs no credentials.
const FRESH: Duration = Duration::from_secs(1);
/// Whoever asks waits no longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The last answer.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, bool, bool)>>);

impl Readiness {
    /// Whether the database answers, and whether it has the schema of this program.
    pub async fn of(&self, db: &Db) -> (bool, bool) {
        let mut last = self.0.lock().await;
        if let Some((at, answers, migrated)) = *last
            && at.elapsed() < FRESH
        {
            return (answers, migrated);
        }
        let asking = async {
            let mut conn = db.get().await?;
            Ok::<_, Error>(db::is_migrated(&mut conn).await?)
        };
        let (answers, migrated) = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(migrated)) => (true, migrated),
            Ok(Err(error)) => {
                warn!(error:% = error; "not ready: {}", chain(&error));
                (false, false)
            }
            Err(_elapsed) => {
                warn!("not ready: the database does not answer");
                (false, false)
            }
        };
        *last = Some((Instant::now(), answers, migrated));
        (answers, migrated)
    }
}
