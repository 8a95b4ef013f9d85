//! Schedules that are due.

use super::Janitor;
use crate::error::Error;
use crate::ids::TaskScheduleId;
use crate::metrics::engine;
use crate::models::TaskSchedule;
use crate::tasking::schedule::{BROKEN_PAUSE, Turn, dispatch_due};
use log::{info, warn};

/// Schedules of one pass.
const BATCH: i32 = 100;

impl Janitor {
    /// Waits for the next pass that found a schedule due, and dispatches what is. Apart from the other duties: a
    /// dispatch may wait for its lanes.
    pub async fn dispatch_schedules(&self) {
        self.schedules.notified().await;
        self.duty("dispatch schedules", self.dispatch_due().await);
    }

    async fn dispatch_due(&self) -> Result<(), Error> {
        let mut conn = self.db.get().await?;
        let due = TaskSchedule::due(&mut conn, BATCH).await?;
        drop(conn);
        for id in due {
            self.duty("dispatch a schedule", self.dispatch_one(id).await);
        }
        Ok(())
    }

    /// One that fails stands in nobody's way: it is left alone for a while.
    async fn dispatch_one(&self, id: TaskScheduleId) -> Result<(), Error> {
        let mut conn = self.db.get().await?;
        match dispatch_due(&mut conn, &self.registry, &self.keyring, id).await {
            Ok(Turn::Dispatched(name, dispatched)) => {
                let task = dispatched.id;
                info!(task_id:% = task, schedule = name; "schedule `{name}` dispatched task {task}");
                engine().schedules_dispatched.inc();
                dispatched.publish(&self.publisher);
                Ok(())
            }
            Ok(Turn::PutOff(name, reason)) => {
                engine().schedules_put_off.inc();
                warn!(schedule = name; "schedule `{name}` is skipped: {reason}");
                Ok(())
            }
            Ok(Turn::Missed) => Ok(()),
            Err(error) if error.is_transient() => Err(error),
            Err(error) => {
                engine().schedules_put_off.inc();
                let reason = "An internal error occurred.";
                TaskSchedule::put_off(&mut conn, id, reason, BROKEN_PAUSE).await?;
                Err(error)
            }
        }
    }
}
