//! Turns to hash a password: few at a time, and of each address one, so that whoever guesses waits behind himself.

use super::source::Source;
use crate::error::ApiError;
use millrace_common::error::Error;
use moka::future::Cache;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// At the same time: each takes 7 MiB and a core.
const AT_A_TIME: usize = 2;

/// Longest wait: guesses come in any number.
const PATIENCE: Duration = Duration::from_secs(5);

/// Addresses that are told apart at most. One that is forgotten too early has a second turn: no more than that.
const SOURCES: u64 = 10_000;

/// A turn, until it is dropped.
pub struct Turn(#[expect(dead_code, reason = "held")] [OwnedSemaphorePermit; 2]);

/// Who has a turn.
#[derive(Clone)]
pub struct Turns {
    all: Arc<Semaphore>,
    /// `None`: those who have been let in, and want to have a new password hashed.
    own: Cache<Option<Source>, Arc<Semaphore>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(AT_A_TIME)),
            own: Cache::builder()
                .max_capacity(SOURCES)
                .time_to_idle(PATIENCE * 10)
                .build(),
        }
    }
}

impl Turns {
    /// The next turn of an address.
    ///
    /// # Errors
    /// 503 where it is never one's turn.
    pub async fn take(&self, source: Option<Source>) -> Result<Turn, ApiError> {
        let own = async { Arc::new(Semaphore::new(1)) };
        let own = self.own.get_with(source, own).await;
        // Who comes from the same address stands in front of its turn, not in the queue that all share: that is
        // as long as there are addresses.
        let turn = async {
            let own = own.acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>(Turn([
                own,
                Arc::clone(&self.all).acquire_owned().await?,
            ]))
        };
        tokio::time::timeout(PATIENCE, turn)
            .await
            .map_err(|elapsed| Error::Unavailable {
                what: "the verification of passwords",
                source: elapsed.into(),
            })?
            .map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn from(address: &str) -> Option<Source> {
        let peer = format!("{address}:1").parse().unwrap();
        let request = TestRequest::default().peer_addr(peer).to_http_request();
        Some(Source::of::<&str>(&request, &[]))
    }

    #[tokio::test]
    async fn who_guesses_waits_behind_himself_and_nobody_else_does() {
        let turns = Turns::default();
        let first = turns.take(from("192.0.2.1")).await.unwrap();
        let mut waiting: Vec<_> = (0..100)
            .map(|_| Box::pin(turns.take(from("192.0.2.1"))))
            .collect();
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        let other = turns.take(from("192.0.2.2")).await.unwrap();
        // No more at a time, wherever they come from.
        let mut third = Box::pin(turns.take(None));
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(other);
        drop(third.await.unwrap());
        drop(first);
        for one in waiting {
            drop(one.await.unwrap());
        }
    }
}
