//! Accounts.

mod groups;
mod passwords;

pub use groups::GroupOfAccount;

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::schema::{account, task};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

/// The channel on which a change of an account, or the end of one of its sessions, is told; the payload is its id.
pub const CHANNEL: &str = "millrace_account";

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
    pub date_joined: DateTime<Utc>,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    pub is_staff: bool,
}

/// What an account is made of, or what changes about it; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = account)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct AccountChange {
    pub username: Option<String>,
    /// A hash; empty: nobody logs in with a password.
    pub password: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    pub is_staff: Option<bool>,
    pub is_active: Option<bool>,
}

impl AccountChange {
    /// True where nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
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

    /// The account with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: i32) -> QueryResult<Option<Self>> {
        let row = account::table.find(id).select(Self::as_select());
        row.first(conn).await.optional()
    }

    /// The account with this id; nobody else changes it until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(conn: &mut Conn, id: i32) -> QueryResult<Option<Self>> {
        let row = account::table.find(id).select(Self::as_select());
        row.for_no_key_update().first(conn).await.optional()
    }

    /// The ids of all active administrators; nobody else changes them until the transaction ends. Taken before
    /// other locks of accounts.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock_admins(conn: &mut Conn) -> QueryResult<Vec<i32>> {
        account::table
            .filter(account::is_superuser.and(account::is_active))
            .order(account::id)
            .select(account::id)
            .for_no_key_update()
            .load(conn)
            .await
    }

    /// A page of accounts.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<account::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, account::table, Self, selection)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// A unique violation where the name is taken; else as the session.
    pub async fn create(conn: &mut Conn, new: &AccountChange) -> QueryResult<Self> {
        diesel::insert_into(account::table)
            .values(new)
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Changes something of an account.
    ///
    /// # Errors
    /// A unique violation where the name is taken; not found; an error where nothing changes; else as the session.
    pub async fn change(conn: &mut Conn, id: i32, change: &AccountChange) -> QueryResult<Self> {
        diesel::update(account::table.find(id))
            .set(change)
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Deletes an account with all that it held. What names it for its work must have been taken from it before, piece
    /// by piece: [`Account::forget_tasks`].
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, id: i32) -> QueryResult<bool> {
        let deleted = diesel::delete(account::table.find(id));
        Ok(deleted.execute(conn).await? > 0)
    }

    /// Forgets that an account dispatched up to `limit` tasks; gives their number.
    ///
    /// # Errors
    /// As the session.
    pub async fn forget_tasks(conn: &mut Conn, id: i32, limit: i64) -> QueryResult<usize> {
        let some = task::table
            .filter(task::created_by.eq(id))
            .order(task::pulp_id)
            .select(task::pulp_id)
            .limit(limit);
        let ids: Vec<crate::ids::TaskId> = some.for_no_key_update().load(conn).await?;
        diesel::update(task::table.filter(task::pulp_id.eq_any(ids)))
            .set(task::created_by.eq(None::<i32>))
            .execute(conn)
            .await
    }
}
