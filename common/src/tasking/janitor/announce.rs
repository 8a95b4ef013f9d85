//! Announcing again what was never confirmed, or was lost by the broker.

use super::Janitor;
use crate::broker::{Announcements, queue_depth};
use crate::error::Error;
use crate::metrics::engine;
use crate::models::announcement::{due_lost, due_unconfirmed};
use crate::tasking::pause::release_left;
use std::time::{Duration, Instant};

/// Longest time that one pass announces.
const ROUND: Duration = Duration::from_secs(5);

/// Announcements of one batch: less than the publisher's window holds by default.
const BATCH: i64 = 400;

/// Longest wait for the depth of a queue.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is to be announced again.
#[derive(Clone, Copy)]
enum Due<'a> {
    Unconfirmed,
    Lost { class: &'a str, queue_empty: bool },
}

impl Janitor {
    /// Lets start what pauses held that have ended: whoever ended one leaves a great many to this.
    pub(super) async fn release_paused(&self) -> Result<(), Error> {
        let mut conn = self.db.get().await?;
        let announce = |announcements| self.publisher.announce(announcements);
        release_left(&mut conn, announce, ROUND).await
    }

    pub(super) async fn announce_unconfirmed(&self) -> Result<(), Error> {
        self.announce_due(Due::Unconfirmed).await
    }

    pub(super) async fn announce_lost(&self, class: &str) -> Result<(), Error> {
        let queue_empty = self.is_empty(class).await;
        self.announce_due(Due::Lost { class, queue_empty }).await
    }

    /// A queue that does not exist, or a broker that does not answer, is not an empty queue.
    async fn is_empty(&self, class: &str) -> bool {
        if !self.publisher.is_connected() {
            return false;
        }
        let depth = async {
            let channel = self.link.channel().await?;
            let depth = queue_depth(&self.link, &channel, class).await;
            let _ = channel.close(200, "bye".into()).await;
            depth
        };
        matches!(tokio::time::timeout(PATIENCE, depth).await, Ok(Ok(0)))
    }

    /// Batch by batch as the window empties, so that a backlog left by a broker that was away drains at
    /// the broker's pace and not at the janitor's.
    async fn announce_due(&self, due: Due<'_>) -> Result<(), Error> {
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
            let page = match due {
                Due::Unconfirmed => due_unconfirmed(&mut conn, room).await?,
                Due::Lost { class, queue_empty } => {
                    due_lost(&mut conn, class, queue_empty, room).await?
                }
            };
            let page = Announcements::from_json(page).map_err(Error::internal)?;
            if page.0.is_empty() {
                return Ok(());
            }
            engine().repeated.inc_by(page.0.len() as u64);
            self.publisher.announce(page);
        }
        Ok(())
    }

    pub(super) async fn resume(&self, alive: &(dyn Fn() + Send + Sync)) -> Result<(), Error> {
        let mut conn = self.db.get().await?;
        while let Some(announcements) = crate::tasking::resume_promotions(&mut conn).await? {
            alive();
            self.publisher.announce(announcements);
        }
        Ok(())
    }
}
