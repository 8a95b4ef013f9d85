//! Sessions of people who have logged in and show a cookie. The database has its digest only.

use crate::db::{Conn, Prepare};
use crate::schema::login_session;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary, Bool, Double, Integer, Text};
use diesel_async::RunQueryDsl;

/// A session that is valid.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct LoginSession {
    /// Whose it is.
    #[diesel(sql_type = Integer)]
    pub account_id: i32,
    /// True for an administrator's.
    #[diesel(sql_type = Bool)]
    pub is_superuser: bool,
    /// Seconds that are left of it.
    #[diesel(sql_type = Double)]
    pub seconds: f64,
}

impl LoginSession {
    /// The session of the cookie with this digest, where it is valid and its account is active.
    ///
    /// # Errors
    /// As the session of the database.
    pub async fn find(conn: &mut Conn, token_hash: &[u8]) -> QueryResult<Option<Self>> {
        sql_query(
            "SELECT s.account_id, a.is_superuser, \
                    extract(epoch FROM s.expires - clock_timestamp())::float8 AS seconds \
               FROM login_session s JOIN account a ON a.id = s.account_id \
              WHERE s.token_hash = $1 AND s.expires > clock_timestamp() AND a.is_active",
        )
        .bind::<Binary, _>(token_hash)
        .prepared()
        .get_result(conn)
        .await
        .optional()
    }

    /// Begins a session of so many seconds for who has shown the password with this hash; false: it is not the account's
    /// any more, or the account is not active.
    ///
    /// # Errors
    /// As the session of the database.
    pub async fn begin(
        conn: &mut Conn,
        token_hash: &[u8],
        (account, password): (i32, &str),
        seconds: i64,
    ) -> QueryResult<bool> {
        // Locked: who changes the password either has, or finds the session and ends it.
        let begun = sql_query(
            "INSERT INTO login_session (token_hash, account_id, expires) \
             SELECT $1, a.id, clock_timestamp() + make_interval(secs => $3) FROM account a \
              WHERE a.id = $2 AND a.password = $4 AND a.is_active FOR SHARE",
        )
        .bind::<Binary, _>(token_hash)
        .bind::<Integer, _>(account)
        .bind::<BigInt, _>(seconds)
        .bind::<Text, _>(password)
        .prepared()
        .execute(conn)
        .await?;
        Ok(begun > 0)
    }

    /// Ends the session of this cookie; false: there is none.
    ///
    /// # Errors
    /// As the session of the database.
    pub async fn end(conn: &mut Conn, token_hash: &[u8]) -> QueryResult<bool> {
        let ended = diesel::delete(login_session::table.find(token_hash));
        Ok(ended.execute(conn).await? > 0)
    }

    /// Ends all sessions of an account; gives their number.
    ///
    /// # Errors
    /// As the session of the database.
    pub async fn end_all(conn: &mut Conn, account: i32) -> QueryResult<usize> {
        diesel::delete(login_session::table.filter(login_session::account_id.eq(account)))
            .execute(conn)
            .await
    }

    /// Removes up to `limit` sessions whose time is over; gives their number.
    ///
    /// # Errors
    /// As the session of the database.
    pub async fn remove_expired(conn: &mut Conn, limit: i64) -> QueryResult<usize> {
        sql_query(
            "DELETE FROM login_session WHERE token_hash IN ( \
                 SELECT token_hash FROM login_session WHERE expires < clock_timestamp() \
                  ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)",
        )
        .bind::<BigInt, _>(limit)
        .execute(conn)
        .await
    }
}
