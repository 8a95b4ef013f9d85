//! Wrong passwords in a row, by name: whether or not there is an account of that name.

use crate::config::Logins;
use crate::db::Conn;
use crate::schema::login_failure;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary, Double, Integer, Nullable};
use diesel_async::RunQueryDsl;

/// What is known of the failures of a name.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct LoginFailure {
    /// Seconds for which no password is looked at; none, where one is.
    #[diesel(sql_type = Nullable<Double>)]
    pub locked_seconds: Option<f64>,
}

impl LoginFailure {
    /// The failures of the name with this digest; `None`: there was none since the last success.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, username_hash: &[u8]) -> QueryResult<Option<Self>> {
        sql_query(
            "SELECT CASE WHEN locked_until > clock_timestamp() \
                         THEN extract(epoch FROM locked_until - clock_timestamp())::float8 END AS locked_seconds \
               FROM login_failure WHERE username_hash = $1",
        )
        .bind::<Binary, _>(username_hash)
        .get_result(conn)
        .await
        .optional()
    }

    /// Notes a wrong password. From the number that the settings say on, the name is locked, each time for twice as
    /// long.
    ///
    /// # Errors
    /// As the session.
    pub async fn note(conn: &mut Conn, username_hash: &[u8], settings: &Logins) -> QueryResult<()> {
        sql_query(include_str!("login_failure_note.sql"))
            .bind::<Binary, _>(username_hash)
            .bind::<Integer, _>(settings.failures)
            .bind::<Double, _>(f64::from(settings.lock_seconds))
            .bind::<Double, _>(f64::from(settings.lock_max_seconds))
            .execute(conn)
            .await
            .map(drop)
    }

    /// Forgets the failures of a name: the right password was given.
    ///
    /// # Errors
    /// As the session.
    pub async fn clear(conn: &mut Conn, username_hash: &[u8]) -> QueryResult<()> {
        diesel::delete(login_failure::table.find(username_hash))
            .execute(conn)
            .await
            .map(drop)
    }

    /// Forgets up to `limit` names whose last failure is an hour ago, unless they are locked; gives their number.
    ///
    /// # Errors
    /// As the session.
    pub async fn remove_old(conn: &mut Conn, limit: i64) -> QueryResult<usize> {
        sql_query(
            "DELETE FROM login_failure WHERE username_hash IN ( \
                 SELECT username_hash FROM login_failure \
                  WHERE last < clock_timestamp() - interval '1 hour' \
                    AND coalesce(locked_until, last) < clock_timestamp() \
                  ORDER BY last LIMIT $1 FOR UPDATE SKIP LOCKED)",
        )
        .bind::<BigInt, _>(limit)
        .execute(conn)
        .await
    }
}
