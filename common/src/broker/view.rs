//! What can be seen of the broker from here.

use super::link::Link;
use super::topology::{QueueState, queue_state};
use std::time::Duration;

/// Longest look.
const PATIENCE: Duration = Duration::from_secs(3);

/// The broker, in the eyes of somebody who asks why a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerView {
    /// It does not answer.
    Unreachable,
    /// It has an alarm, and takes no messages.
    Refuses,
    /// It answers; the queue of the work class, where it could be looked at.
    Reachable(Option<QueueState>),
}

impl BrokerView {
    /// Looks at the broker and at the queue of a work class, for a few seconds at most.
    pub async fn of(link: &Link, class: &str) -> Self {
        let look = async {
            let Ok(channel) = link.channel().await else {
                return Self::Unreachable;
            };
            if link.is_blocked().await {
                return Self::Refuses;
            }
            // An error has closed the channel: the queue was never declared, or is gone.
            let queue = queue_state(link, &channel, class).await.ok();
            if queue.is_some() {
                let _ = channel.close(200, "bye".into()).await;
            }
            Self::Reachable(queue)
        };
        let looked = tokio::time::timeout(PATIENCE, look).await;
        looked.unwrap_or(Self::Unreachable)
    }

    /// The queue, where it was seen.
    #[must_use]
    pub fn queue(self) -> Option<QueueState> {
        match self {
            Self::Reachable(queue) => queue,
            Self::Unreachable | Self::Refuses => None,
        }
    }
}
