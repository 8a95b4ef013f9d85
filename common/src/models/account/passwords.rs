//! The first administrator, and passwords from the command line.

use super::super::LoginSession;
use super::Account;
use crate::db::Conn;
use crate::schema::account;
use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;

impl Account {
    /// True where somebody can log in.
    ///
    /// # Errors
    /// As the session.
    pub async fn any(conn: &mut Conn) -> QueryResult<bool> {
        diesel::select(diesel::dsl::exists(account::table.select(account::id)))
            .get_result(conn)
            .await
    }

    /// Makes the first administrator, with id 1; nothing happens where an account exists.
    ///
    /// # Errors
    /// As the session.
    pub async fn make_first_admin(
        conn: &mut Conn,
        username: &str,
        password_hash: &str,
    ) -> QueryResult<bool> {
        // The conflict is left to the primary key: processes that start together take turns there.
        let made = sql_query(
            "INSERT INTO account (id, username, password, is_superuser) \
             SELECT 1, $1, $2, true WHERE NOT EXISTS (SELECT FROM account) ON CONFLICT DO NOTHING",
        )
        .bind::<diesel::sql_types::Text, _>(username)
        .bind::<diesel::sql_types::Text, _>(password_hash)
        .execute(conn)
        .await?;
        if made > 0 {
            sql_query("SELECT setval(pg_get_serial_sequence('account', 'id'), 1)")
                .execute(conn)
                .await?;
        }
        Ok(made > 0)
    }

    /// Makes an account an administrator, or one like any other; false: it was so already.
    ///
    /// # Errors
    /// As the session.
    pub async fn set_superuser(conn: &mut Conn, id: i32, is_superuser: bool) -> QueryResult<bool> {
        let other = account::table.find(id);
        let changed = diesel::update(other.filter(account::is_superuser.ne(is_superuser)))
            .set(account::is_superuser.eq(is_superuser))
            .execute(conn)
            .await?;
        Ok(changed > 0)
    }

    /// Sets the password hash of an account and ends its sessions; gives their number. `None`: there is no account of
    /// this name. In a transaction.
    ///
    /// # Errors
    /// As the session.
    pub async fn set_password(
        conn: &mut Conn,
        username: &str,
        hash: &str,
    ) -> QueryResult<Option<usize>> {
        let changed: Option<i32> =
            diesel::update(account::table.filter(account::username.eq(username)))
                .set(account::password.eq(hash))
                .returning(account::id)
                .get_result(conn)
                .await
                .optional()?;
        match changed {
            Some(id) => LoginSession::end_all(conn, id).await.map(Some),
            None => Ok(None),
        }
    }
}
