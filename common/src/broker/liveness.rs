//! Whether the broker is still there. Heartbeats tell after two periods, ten seconds as shipped; what the broker hands out
//! on a half-open connection meanwhile is delayed, so the broker is asked.

use lapin::options::BasicQosOptions;
use lapin::{Channel, Connection};
use log::warn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

/// How long after an answer the next question is asked.
const PERIOD: Duration = Duration::from_millis(750);
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_millis(750);
/// So many answers in a row that do not come are a loss.
const MISSES: u32 = 3;

/// The questions to the broker on one connection. They end with it.
pub(super) struct Liveness {
    is_lost: Arc<AtomicBool>,
    _asking: AbortOnDropHandle<()>,
}

impl Liveness {
    /// Asks on this channel, which nobody else uses. A loss is counted.
    pub(super) fn start(
        connection: &Connection,
        channel: Channel,
        losses: watch::Sender<u64>,
        name: &str,
    ) -> Self {
        let (is_lost, status) = (
            Arc::new(AtomicBool::new(false)),
            connection.status().clone(),
        );
        let (lost, name) = (Arc::clone(&is_lost), name.to_owned());
        let asking = tokio::spawn(async move {
            let mut missing = 0;
            while missing < MISSES {
                if missing == 0 {
                    sleep(PERIOD).await;
                }
                // A broker with an alarm reads nothing from who publishes.
                if status.blocked() {
                    missing = 0;
                    continue;
                }
                // The cheapest method that is answered.
                let asked = channel.basic_qos(1, BasicQosOptions::default());
                match timeout(ANSWER, asked).await {
                    Ok(Ok(())) => missing = 0,
                    // Everybody is told of the end of a connection; that of this channel alone would end the questions.
                    Ok(Err(_closed)) if !status.connected() => return,
                    Ok(Err(_closed)) => break,
                    Err(_elapsed) => missing += 1,
                }
            }
            warn!(
                "the connection `{name}` is given up: the broker does not answer, or has closed the channel of the questions"
            );
            // Set before anybody is woken: who opens a channel then must not be given this connection.
            losses.send_modify(|losses| {
                lost.store(true, Ordering::Relaxed);
                *losses += 1;
            });
        });
        Self {
            is_lost,
            _asking: AbortOnDropHandle::new(asking),
        }
    }

    /// True: what waits on this connection waits in vain.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }
}
