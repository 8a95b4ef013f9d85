//! Accounts.

mod groups;
mod passwords;

pub use groups::GroupOfAccount;

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::schema::{account, account_group_member, permission_grant, role_assignment, task};
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
    /// What somebody is called, and by which of his values: his password should not be like it.
    #[must_use]
    pub fn called(&self) -> [(&'static str, &str); 4] {
        [
            ("username", &self.username),
            ("first name", &self.first_name),
            ("last name", &self.last_name),
            ("email address", &self.email),
        ]
    }

    /// The account of this name.
    ///
    /// # Errors
    /// As the session.
    pub async fn by_name(conn: &mut Conn, username: &str) -> QueryResult<Option<Self>> {
        account::table
            .filter(account::username.eq(username))
            .filter(account::gone.eq(false))
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
        let row = account::table.find(id).filter(account::gone.eq(false));
        let row = row.select(Self::as_select());
        row.first(conn).await.optional()
    }

    /// The account with this id; nobody else changes it until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(conn: &mut Conn, id: i32) -> QueryResult<Option<Self>> {
        let row = account::table.find(id).filter(account::gone.eq(false));
        let row = row.select(Self::as_select());
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

    /// Takes an account from everybody's sight, with all that it held; gives the number of its sessions. What names it for
    /// its work is taken from it afterwards, piece by piece: [`Account::bury`]. Its name is free at once.
    ///
    /// # Errors
    /// As the session.
    pub async fn remove(conn: &mut Conn, id: i32) -> QueryResult<usize> {
        let ended = super::LoginSession::end_all(conn, id).await?;
        diesel::delete(role_assignment::table.filter(role_assignment::account_id.eq(id)))
            .execute(conn)
            .await?;
        diesel::delete(account_group_member::table.filter(account_group_member::account_id.eq(id)))
            .execute(conn)
            .await?;
        diesel::delete(permission_grant::table.filter(permission_grant::account_id.eq(id)))
            .execute(conn)
            .await?;
        diesel::update(account::table.find(id))
            .set((
                // No account that is made is called so.
                account::username.eq(format!("deleted account {id}")),
                account::password.eq(""),
                account::is_active.eq(false),
                account::is_superuser.eq(false),
                account::gone.eq(true),
            ))
            .execute(conn)
            .await?;
        Ok(ended)
    }

    /// Forgets that an account which is gone dispatched up to `limit` tasks; where there are no more, deletes its row.
    /// True: that is done. In a transaction.
    ///
    /// # Errors
    /// As the session.
    pub async fn bury(conn: &mut Conn, id: i32, limit: i64) -> QueryResult<bool> {
        if Self::forget_tasks(conn, id, limit).await? > 0 {
            return Ok(false);
        }
        let row = account::table.find(id).filter(account::gone.eq(true));
        diesel::delete(row).execute(conn).await?;
        Ok(true)
    }

    /// An account that is gone and has a row still.
    ///
    /// # Errors
    /// As the session.
    pub async fn any_gone(conn: &mut Conn) -> QueryResult<Option<i32>> {
        let gone = account::table.filter(account::gone).select(account::id);
        gone.first(conn).await.optional()
    }

    /// Forgets that an account dispatched up to `limit` tasks; gives their number.
    ///
    /// # Errors
    /// As the session.
    async fn forget_tasks(conn: &mut Conn, id: i32, limit: i64) -> QueryResult<usize> {
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
