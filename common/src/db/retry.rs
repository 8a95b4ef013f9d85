//! Transactions, and trying again what another one got in the way of.

use super::Conn;
use crate::error::{Error, is_retryable};
use diesel::result::Error as DieselError;
use diesel_async::AsyncConnection;
use std::time::{Duration, Instant};

/// An asynchronous closure over a session whose future may move between threads. Exists because the
/// `Send` of an `AsyncFn`'s future cannot be named yet; every closure that fits has it.
pub trait Work<C, T>: AsyncFn(C) -> T + Fn(C) -> <Self as Work<C, T>>::Fut {
    /// What the closure returns.
    type Fut: Future<Output = T>;
}

impl<F, C, T, Fut> Work<C, T> for F
where
    F: AsyncFn(C) -> T + Fn(C) -> Fut,
    Fut: Future<Output = T>,
{
    type Fut = Fut;
}

/// Runs `work` on a session again when it was a deadlock's or a serialisation failure's victim, or did
/// not get a lock in time; gives up after some attempts. For single statements; see [`transaction`].
///
/// # Errors
/// What `work` failed with at last.
pub async fn retrying<'a, T, E, F>(conn: &mut Conn, work: F) -> Result<T, E>
where
    for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, E>
        + Work<&'r mut Conn, Result<T, E>, Fut: Send>
        + Send
        + Sync
        + 'a,
    E: RetryCause,
{
    let mut tries = Tries::begin();
    loop {
        match work(conn).await {
            Err(error) if tries.again(&error) => tries.pause().await,
            outcome => return outcome,
        }
    }
}

/// Runs `work` in a transaction: committed when it succeeds, else rolled back. Tried again as
/// [`retrying`] does, so it may be called several times.
///
/// # Errors
/// What `work` failed with at last, or what the commit did.
pub async fn transaction<'a, T, E, F>(conn: &mut Conn, work: F) -> Result<T, E>
where
    for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, E>
        + Work<&'r mut Conn, Result<T, E>, Fut: Send>
        + Send
        + Sync
        + 'a,
    E: RetryCause + From<DieselError> + Send + 'a,
    T: Send + 'a,
{
    let mut tries = Tries::begin();
    loop {
        match conn.transaction(&work).await {
            Err(error) if tries.again(&error) => tries.pause().await,
            outcome => return outcome,
        }
    }
}

const RETRIES: u32 = 8;

/// No further attempt is begun after so long: somebody waits for the answer, and for the session.
const LONGEST: Duration = Duration::from_secs(8);

struct Tries {
    made: u32,
    began: Instant,
}

impl Tries {
    fn begin() -> Self {
        Self {
            made: 0,
            began: Instant::now(),
        }
    }

    fn again(&self, error: &impl RetryCause) -> bool {
        self.made < RETRIES
            && self.began.elapsed() < LONGEST
            && error.diesel().is_some_and(is_retryable)
    }

    async fn pause(&mut self) {
        self.made += 1;
        let longest = 5u64 << self.made.min(6);
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..=longest))).await;
    }
}

/// Errors that may carry a database error worth another attempt.
pub trait RetryCause {
    /// The database error inside, if that is what it is.
    fn diesel(&self) -> Option<&DieselError>;
}

impl RetryCause for DieselError {
    fn diesel(&self) -> Option<&DieselError> {
        Some(self)
    }
}

impl RetryCause for Error {
    fn diesel(&self) -> Option<&DieselError> {
        match self {
            // An error may have passed through this type more than once on its way.
            Self::Internal(cause) | Self::Unavailable { source: cause, .. } => cause
                .downcast_ref()
                .or_else(|| cause.downcast_ref::<Self>().and_then(Self::diesel)),
            _ => None,
        }
    }
}
