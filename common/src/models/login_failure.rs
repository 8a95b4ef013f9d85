//! Wrong passwords in a row, by name, whether or not there is an account of that name: of all who gave one, and of each
//! address that one came from.

use crate::config::Logins;
use crate::db::Conn;
use crate::schema::login_failure;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Nullable};
use diesel_async::RunQueryDsl;

/// Whose failures are meant: digests, of a name, and of the name with an address.
#[derive(Clone, Copy, Debug)]
pub struct Guesser {
    /// All who give a password for the name.
    pub name: [u8; 32],
    /// Those of them who come from the address.
    pub source: [u8; 32],
}

/// What is known of failures. Seconds that are not positive are over.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct LoginFailure {
    /// True where a password for the name was wrong since the last right one.
    #[diesel(sql_type = Nullable<Bool>)]
    pub name_failed: Option<bool>,
    /// Seconds for which no password from the address is looked at.
    #[diesel(sql_type = Nullable<Double>)]
    pub source_seconds: Option<f64>,
    /// Seconds for which none for the name is, but for one now and then from an address that is not locked.
    #[diesel(sql_type = Nullable<Double>)]
    pub name_seconds: Option<f64>,
    /// Seconds until the next of those.
    #[diesel(sql_type = Nullable<Double>)]
    pub spare_seconds: Option<f64>,
}

impl LoginFailure {
    /// The failures of a name.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, of: &Guesser, settings: &Logins) -> QueryResult<Self> {
        sql_query(include_str!("login_failure_find.sql"))
            .bind::<Binary, _>(of.name.as_slice())
            .bind::<Binary, _>(of.source.as_slice())
            .bind::<Double, _>(f64::from(settings.spare_seconds))
            .get_result(conn)
            .await
    }

    /// Takes the one password that is looked at now and then although the name is locked; false: another was looked at
    /// lately.
    ///
    /// # Errors
    /// As the session.
    pub async fn take_spare(conn: &mut Conn, of: &Guesser, settings: &Logins) -> QueryResult<bool> {
        let taken = sql_query(
            "UPDATE login_failure SET spared = clock_timestamp() WHERE username_hash = $1 \
                AND (spared IS NULL OR spared <= clock_timestamp() - make_interval(secs => $2))",
        )
        .bind::<Binary, _>(of.name.as_slice())
        .bind::<Double, _>(f64::from(settings.spare_seconds))
        .execute(conn)
        .await?;
        Ok(taken > 0)
    }

    /// Notes a wrong password. From the number that the settings say on, the address is locked for the name, and the
    /// name itself, each time for twice as long.
    ///
    /// # Errors
    /// As the session.
    pub async fn note(conn: &mut Conn, of: &Guesser, settings: &Logins) -> QueryResult<()> {
        sql_query(include_str!("login_failure_note.sql"))
            .bind::<Array<Binary>, _>([of.name.as_slice(), of.source.as_slice()].as_slice())
            .bind::<Integer, _>(settings.failures)
            .bind::<Double, _>(f64::from(settings.lock_seconds))
            .bind::<Double, _>(f64::from(settings.lock_max_seconds))
            .execute(conn)
            .await
            .map(drop)
    }

    /// Forgets failures: the right password was given.
    ///
    /// # Errors
    /// As the session.
    pub async fn clear(conn: &mut Conn, keys: &[[u8; 32]]) -> QueryResult<()> {
        let keys = keys.iter().map(<[u8; 32]>::as_slice);
        diesel::delete(login_failure::table.filter(login_failure::username_hash.eq_any(keys)))
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
