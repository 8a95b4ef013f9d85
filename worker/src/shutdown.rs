//! Two steps: drain (take nothing new, let bodies finish), then hand back.

use log::info;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two steps of a shutdown, as tokens to wait on.
#[derive(Clone, Default)]
pub(crate) struct Shutdown {
    /// Take nothing new.
    pub drain: CancellationToken,
    /// Ask the running bodies to stop, and hand their tasks back.
    pub hand_back: CancellationToken,
}

impl Shutdown {
    /// Listens for SIGTERM and SIGINT. The first drains, and hands back after `grace`; a second one
    /// hands back at once.
    pub(crate) fn listen(grace: Duration) -> io::Result<Self> {
        let shutdown = Self::default();
        let (mut term, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let tokens = shutdown.clone();
        tokio::spawn(async move {
            let mut received = async || {
                tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
            };
            received().await;
            info!(
                "stopping: running tasks may finish within {} s",
                grace.as_secs()
            );
            tokens.drain.cancel();
            tokio::select! { () = received() => {}, () = tokio::time::sleep(grace) => {} }
            info!("stopping: running tasks are asked to stop");
            tokens.hand_back.cancel();
        });
        Ok(shutdown)
    }
}
