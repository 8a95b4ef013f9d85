//! Accounts.

use crate::db::Conn;
use crate::schema::account;
use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;

/// Somebody who may log in.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = account, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct Account {
    pub id: i32,
    pub username: String,
    pub password: String,
    pub is_superuser: bool,
    pub is_active: bool,
}

impl Account {
    /// The account of this name.
    ///
    /// # Errors
    /// As the session.
    pub async fn by_name(conn: &mut Conn, username: &str) -> QueryResult<Option<Self>> {
        account::table
            .filter(account::username.eq(username))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

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

    /// Sets the password hash of an account; false where there is none of this name.
    ///
    /// # Errors
    /// As the session.
    pub async fn set_password(conn: &mut Conn, username: &str, hash: &str) -> QueryResult<bool> {
        let changed = diesel::update(account::table.filter(account::username.eq(username)))
            .set(account::password.eq(hash))
            .execute(conn)
            .await?;
        Ok(changed > 0)
    }
}
