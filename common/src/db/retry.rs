//! Transactions, and trying again what another one got in the way of.

use super::Conn;
use crate::error::{Error, is_retryable};
use diesel::result::Error as DieselError;
use diesel_async::{AnsiTransactionManager, AsyncConnection, TransactionManager};
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
    retrying(conn, async |conn| conn.transaction(&work).await).await
}

/// As [`transaction`], with each statement planned once a session, for any values: for few statements that find rows by
/// their ids, and are planned for longer than they run. PostgreSQL would plan them for the very values each time, as
/// it takes a list of any length for long.
///
/// # Errors
/// As [`transaction`].
pub async fn brief_transaction<'a, T, E, F>(
    conn: &mut Conn,
    patience: Patience,
    work: F,
) -> Result<T, E>
where
    for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, E>
        + Work<&'r mut Conn, Result<T, E>, Fut: Send>
        + Send
        + Sync
        + 'a,
    E: RetryCause + From<DieselError> + Send + 'a,
    T: Send + 'a,
{
    retrying(conn, async |conn| briefly(conn, patience, &work).await).await
}

/// How long a brief transaction waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as the session says.
    OfSession,
    /// Five seconds, as for lanes: for who can be asked to stop only between two attempts.
    OfLanes,
}

impl Patience {
    /// A plan that was made for a table of one page would walk it when it has grown, too. Who stops inside may not keep
    /// what it has locked.
    fn begin(self) -> String {
        let begin = "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; \
                     SET LOCAL idle_in_transaction_session_timeout = '10s'";
        match self {
            Self::OfSession => begin.to_owned(),
            Self::OfLanes => format!("{begin}; SET LOCAL lock_timeout = '5s'"),
        }
    }
}

/// As the library does it, but for the first statement.
async fn briefly<T, E, F>(conn: &mut Conn, patience: Patience, work: &F) -> Result<T, E>
where
    for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, E>
        + Work<&'r mut Conn, Result<T, E>, Fut: Send>
        + Send
        + Sync,
    E: From<DieselError> + Send,
{
    AnsiTransactionManager::begin_transaction_sql(conn, &patience.begin()).await?;
    match work(conn).await {
        Ok(value) => {
            AnsiTransactionManager::commit_transaction(conn).await?;
            Ok(value)
        }
        Err(error) => match AnsiTransactionManager::rollback_transaction(conn).await {
            Ok(()) | Err(DieselError::BrokenTransactionManager) => Err(error),
            Err(rollback) => Err(rollback.into()),
        },
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
