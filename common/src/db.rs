//! Sessions with PostgreSQL: a pool for short statements, and single sessions that hold locks.

use crate::config::Database;
use crate::error::Error;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use diesel::result::QueryResult;
use diesel::sql_types::{Text, Timestamptz};
use diesel::{QueryableByName, sql_query};
use diesel_async::pooled_connection::{PoolableConnection, RecyclingMethod};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod backend;
mod connect;
mod direct;
mod doomed;
mod encrypt;
mod line;
mod lookout;
mod migrate;
mod prepared;
mod retry;

pub use backend::{Backend, end_sessions};
use connect::connect;
use doomed::EndIfLost;
use lookout::{Kind, Lookout};
pub use migrate::{is_migrated, migrate, pending_migrations};
pub use prepared::{Prepare, Prepared};
pub use retry::{Patience, RetryCause, Work, brief_transaction, retrying, transaction};

/// The migrations, compiled into both binaries.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Names the state of the embedded migrations.
pub const MIGRATIONS_STATE: &str = env!("MILLRACE_MIGRATIONS");

/// A session. Model functions take one, never a pool, so that a transaction is visible in the caller. Those that take it shared may
/// be joined by `futures_util::join!`, which sends their statements in its order (one that is not prepared yet holds up those
/// behind it), and the server runs them in that. Not by tokio's, which begins anywhere, and not by `try_join!`, which leaves statements
/// without anybody who reads their answers. COPY FROM STDIN is
/// not for it: the lookout would take its session for half open.
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
pub struct Manager {
    settings: Database,
    name: String,
    lookout: Arc<Lookout>,
}

impl managed::Manager for Manager {
    type Type = Conn;
    type Error = Error;

    async fn create(&self) -> Result<Conn, Error> {
        let timeout = self.settings.statement_timeout_ms.0;
        let setup = format!("SET statement_timeout = {timeout}; {IDLE}; {KEEPALIVES}");
        let watched = Some((&self.lookout, Kind::Pooled));
        let connected = connect(&self.settings, &self.name, &setup, watched).await?;
        Ok(connected.conn)
    }

    async fn recycle(&self, conn: &mut Conn, metrics: &Metrics) -> RecycleResult<Error> {
        if conn.is_broken() {
            return Err(RecycleError::message("left inside a transaction"));
        }
        if self.lookout.doubts(metrics.created) {
            return Err(RecycleError::message("perhaps half open"));
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
    lookout: Arc<Lookout>,
}

impl Db {
    /// A pool under this application name; nothing is connected yet.
    ///
    /// # Errors
    /// Only when the runtime is missing.
    pub fn new(settings: &Database, name: &str) -> Result<Self, Error> {
        let lookout = Lookout::new(settings, name);
        let manager = Manager {
            settings: settings.clone(),
            name: name.to_owned(),
            lookout: Arc::clone(&lookout),
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
            lookout,
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

    /// True for a session that was opened before another one was found half open: it may be as dead, where nobody has
    /// tried it since.
    #[must_use]
    pub fn doubts(&self, opened: Instant) -> bool {
        self.lookout.doubts(opened)
    }

    /// How the pool is used now.
    #[must_use]
    pub fn pool(&self) -> managed::Status {
        self.pool.status()
    }

    /// A session of its own, outside the pool and without a statement timeout: for locks that live as
    /// long as the session does. The server notices a dead peer within about half a second, even inside a
    /// long statement; here a dead line is noticed within 3.5 s of a statement that is not answered.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database cannot be reached.
    pub async fn session(&self, purpose: &str) -> Result<Session, Error> {
        let setup = format!("SET client_connection_check_interval = '300ms'; {KEEPALIVES}");
        let name = format!("{} {purpose}", self.name);
        let connecting = async {
            let watched = Some((&self.lookout, Kind::Owned));
            let connected = connect(&self.settings, &name, &setup, watched).await?;
            let (backend, line) = (connected.backend, connected.line);
            Ok::<_, Error>(Session {
                conn: connected.conn,
                opened: Instant::now(),
                end: line.map(|line| self.lookout.end_if_lost(line, &backend)),
                backend,
            })
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
        let mut probe = self.session("probe").await?;
        let mut other = self.session("probe").await?;
        direct::require(&mut probe.conn, &mut other.conn).await
    }
}

/// A session outside the pool, and which server process serves it. Where it was found half open, its drop ends it on the
/// server: what it locks is free then.
pub struct Session {
    /// The session itself.
    pub conn: Conn,
    /// Its server process.
    pub backend: Backend,
    /// When it was opened.
    pub opened: Instant,
    end: Option<EndIfLost>,
}

impl Session {
    /// The session, for who ends it on the server himself once nobody relies on it.
    #[must_use]
    pub fn into_parts(self) -> (Conn, Backend, Instant) {
        if let Some(end) = self.end {
            end.leave();
        }
        (self.conn, self.backend, self.opened)
    }
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
