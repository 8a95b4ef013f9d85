//! Sessions with PostgreSQL: a pool for short statements, and single sessions that hold locks.

use crate::config::Database;
use crate::error::Error;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use diesel::result::QueryResult;
use diesel::sql_types::{Integer, Text, Timestamptz};
use diesel::{QueryableByName, sql_query};
use diesel_async::pooled_connection::{PoolableConnection, RecyclingMethod};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use std::time::Duration;

mod connect;
mod direct;
mod migrate;
mod retry;

use connect::connect;
pub use migrate::{is_migrated, migrate, pending_migrations};
pub use retry::{RetryCause, Work, retrying, transaction};

/// The migrations, compiled into both binaries.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Names the state of the embedded migrations.
pub const MIGRATIONS_STATE: &str = env!("MILLRACE_MIGRATIONS");

/// A session. Model functions take one, never a pool, so that a transaction is visible in the caller.
pub type Conn = AsyncPgConnection;

/// A session lent by the pool.
pub type Pooled = managed::Object<Manager>;

/// A pooled session that was used this recently is taken to be alive.
const FRESH: Duration = Duration::from_millis(500);

/// A process that stops inside a transaction may not keep what that has locked.
const IDLE: &str = "SET idle_in_transaction_session_timeout = '10s'";

/// The server gives up a peer that is cut off.
const KEEPALIVES: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
                          SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000";

/// Makes the sessions of the pool.
#[derive(Debug)]
pub struct Manager {
    settings: Database,
    name: String,
}

impl managed::Manager for Manager {
    type Type = Conn;
    type Error = Error;

    async fn create(&self) -> Result<Conn, Error> {
        let timeout = self.settings.statement_timeout_ms.0;
        connect(
            &self.settings,
            &self.name,
            &format!("SET statement_timeout = {timeout}; {IDLE}; {KEEPALIVES}"),
        )
        .await
    }

    async fn recycle(&self, conn: &mut Conn, metrics: &Metrics) -> RecycleResult<Error> {
        if conn.is_broken() {
            return Err(RecycleError::message("left inside a transaction"));
        }
        // A session that the server has closed since is found here, not by the request; one that was
        // used a moment ago is not worth the round trip.
        if metrics.last_used() < FRESH {
            return Ok(());
        }
        conn.ping(&RecyclingMethod::Verified).await.map_err(|e| {
            RecycleError::Backend(Error::Unavailable {
                what: "database",
                source: e.into(),
            })
        })
    }
}

/// The pool of a process.
#[derive(Clone)]
pub struct Db {
    pool: managed::Pool<Manager>,
    settings: Database,
    name: String,
}

impl Db {
    /// A pool under this application name; nothing is connected yet.
    ///
    /// # Errors
    /// Only when the runtime is missing.
    pub fn new(settings: &Database, name: &str) -> Result<Self, Error> {
        let manager = Manager {
            settings: settings.clone(),
            name: name.to_owned(),
        };
        let pool = managed::Pool::builder(manager)
            .max_size(settings.pool_size)
            .wait_timeout(Some(settings.pool_wait_ms.get()))
            .create_timeout(Some(settings.connect_timeout_ms.get()))
            .recycle_timeout(Some(settings.connect_timeout_ms.get()))
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(Error::internal)?;
        Ok(Self {
            pool,
            settings: settings.clone(),
            name: name.to_owned(),
        })
    }

    /// Lends a session.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database cannot be reached or all sessions stay busy.
    pub async fn get(&self) -> Result<Pooled, Error> {
        self.pool.get().await.map_err(|e| Error::Unavailable {
            what: "database",
            source: e.into(),
        })
    }

    /// How the pool is used now.
    #[must_use]
    pub fn pool(&self) -> managed::Status {
        self.pool.status()
    }

    /// A session of its own, outside the pool and without a statement timeout: for locks that live as
    /// long as the session does. A dead peer is noticed within about half a second, even inside a
    /// long statement.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database cannot be reached.
    pub async fn session(&self, purpose: &str) -> Result<Session, Error> {
        let setup = format!("SET client_connection_check_interval = '300ms'; {KEEPALIVES}");
        let name = format!("{} {purpose}", self.name);
        let connecting = async {
            let mut conn = connect(&self.settings, &name, &setup).await?;
            let backend: Backend = sql_query(
                "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            )
            .get_result(&mut conn)
            .await?;
            Ok::<_, Error>(Session { conn, backend })
        };
        tokio::time::timeout(self.settings.connect_timeout_ms.get(), connecting)
            .await
            .map_err(|e| Error::Unavailable {
                what: "database",
                source: e.into(),
            })?
    }

    /// Refuses a pooler in transaction mode, which would strand session locks, and a server whose
    /// messages are not English: errors that are worth another attempt are known by their text.
    ///
    /// # Errors
    /// A text that names the setting to mend.
    pub async fn require_direct_sessions(&self) -> Result<(), Error> {
        let mut probe = self.session("probe").await?.conn;
        let mut other = self.session("probe").await?.conn;
        direct::require(&mut probe, &mut other).await
    }
}

/// A session outside the pool, and which server process serves it.
pub struct Session {
    /// The session itself.
    pub conn: Conn,
    /// Its server process.
    pub backend: Backend,
}

/// A server process of PostgreSQL; pids are used again, hence the start.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Backend {
    /// Process id on the server.
    #[diesel(sql_type = Integer)]
    pub pid: i32,
    /// When that process started.
    #[diesel(sql_type = Timestamptz)]
    pub backend_start: chrono::DateTime<chrono::Utc>,
}

/// The clock of the database, which is the only one that counts.
///
/// # Errors
/// As the session.
pub async fn now(conn: &mut Conn) -> QueryResult<chrono::DateTime<chrono::Utc>> {
    #[derive(QueryableByName)]
    struct Now {
        #[diesel(sql_type = Timestamptz)]
        now: chrono::DateTime<chrono::Utc>,
    }
    let row: Now = sql_query("SELECT clock_timestamp() AS now")
        .get_result(conn)
        .await?;
    Ok(row.now)
}

/// A one-column text result, for the few places that need no row type of their own.
#[derive(QueryableByName)]
pub struct TextRow {
    /// The column `value`.
    #[diesel(sql_type = Text)]
    pub value: String,
}
