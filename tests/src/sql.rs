//! A plain session with PostgreSQL, apart from the code under test. Parameters and columns are text.

use std::ops::Deref;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// A session; its connection ends with it.
pub struct Sql {
    client: Client,
    connection: tokio::task::JoinHandle<()>,
}

impl Deref for Sql {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Sql {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Sql {
    /// Connects.
    pub async fn connect(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .unwrap_or_else(|e| panic!("PostgreSQL does not answer at {url}: {e}"));
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { client, connection }
    }

    /// The single number that a statement gives.
    pub async fn number(&self, statement: &str) -> i64 {
        let statement = format!("SELECT ({statement})::bigint");
        let row = self.client.query_one(&statement, &[]).await;
        row.unwrap_or_else(|e| panic!("{statement}: {e:?}")).get(0)
    }

    /// The single text that a statement gives.
    pub async fn text(&self, statement: &str) -> String {
        let statement = format!("SELECT ({statement})::text");
        let row = self.client.query_one(&statement, &[]).await;
        row.unwrap_or_else(|e| panic!("{statement}: {e:?}")).get(0)
    }

    /// The first column of all rows, as text.
    pub async fn texts(&self, statement: &str) -> Vec<String> {
        let rows = self.client.query(statement, &[]).await;
        rows.unwrap_or_else(|e| panic!("{statement}: {e:?}"))
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    /// The sessions that wait for a lock on a table of this database. Tables of other tests' databases have the same number,
    /// as they are made from one template.
    pub async fn waiting_for(&self, table: &str) -> Vec<String> {
        let pids = "SELECT l.pid::text FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                     WHERE NOT l.granted AND d.datname = current_database()";
        self.texts(&format!("{pids} AND l.relation = '{table}'::regclass"))
            .await
    }

    /// How many sessions wait for an advisory lock of this database.
    pub async fn waiting_for_advisory(&self) -> i64 {
        self.number(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
              WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = current_database()",
        )
        .await
    }

    /// Runs statements.
    pub async fn run(&self, statements: &str) {
        if let Err(e) = self.client.batch_execute(statements).await {
            panic!("{statements}: {e:?}");
        }
    }
}

/// True for what the engine tries again: a deadlock's or a serialisation failure's victim.
#[must_use]
pub fn is_retryable(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ]
        .contains(code)
    })
}
