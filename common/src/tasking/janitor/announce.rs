//! Announcing again what was never confirmed, or was lost by the broker.

use super::Janitor;
use crate::broker::{Announcements, queue_depth};
use crate::error::Error;
use crate::models::announcement::{due_lost, due_unconfirmed};
use std::time::{Duration, Instant};

/// Longest time that one pass announces.
const ROUND: Duration = Duration::from_secs(5);

/// Announcements of one batch: less than the publisher's window holds by default.
const BATCH: i64 = 400;

impl Janitor {
    /// Batch by batch as the window empties, so that a backlog left by a broker that was away drains at
    /// the broker's pace and not at the janitor's.
    pub(super) async fn announce_unconfirmed(&self) -> Result<(), Error> {
        let started = Instant::now();
        while started.elapsed() < ROUND {
            let room = i64::try_from(self.publisher.room())
                .unwrap_or(BATCH)
                .min(BATCH);
            if room < BATCH / 4 {
                if !self.publisher.is_connected() || self.publisher.is_blocked() {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            let mut conn = self.db.get().await?;
            let due = Announcements::from_json(due_unconfirmed(&mut conn, room).await?)
                .map_err(Error::internal)?;
            if due.0.is_empty() {
                return Ok(());
            }
            self.publisher.announce(due);
        }
        Ok(())
    }

    pub(super) async fn announce_lost(&self, class: &str) -> Result<(), Error> {
        // A queue that does not exist, or a broker that does not answer, is not an empty queue.
        let empty = match self.link.channel().await {
            Ok(channel) => {
                let depth = queue_depth(&self.link, &channel, class).await;
                let _ = channel.close(200, "bye".into()).await;
                depth.is_ok_and(|messages| messages == 0)
            }
            Err(_) => return Ok(()),
        };
        let mut conn = self.db.get().await?;
        let due = due_lost(&mut conn, class, empty, BATCH).await?;
        self.publisher
            .announce(Announcements::from_json(due).map_err(Error::internal)?);
        Ok(())
    }

    pub(super) async fn resume(&self) -> Result<(), Error> {
        let mut conn = self.db.get().await?;
        while let Some(announcements) = crate::tasking::resume_promotions(&mut conn).await? {
            self.publisher.announce(announcements);
        }
        Ok(())
    }
}
