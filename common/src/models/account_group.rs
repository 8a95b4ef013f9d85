//! Groups of accounts: what a group may, its members may.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::schema::{account_group, account_group_member};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use std::collections::HashMap;
use uuid::Uuid;

/// A group.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = account_group, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct AccountGroup {
    pub id: i32,
    pub name: String,
    pub object_id: Uuid,
}

impl AccountGroup {
    /// The group with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: i32) -> QueryResult<Option<Self>> {
        let row = account_group::table.find(id).select(Self::as_select());
        row.first(conn).await.optional()
    }

    /// The group with this id; it stays as it is until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(conn: &mut Conn, id: i32) -> QueryResult<Option<Self>> {
        let row = account_group::table.find(id).select(Self::as_select());
        row.for_no_key_update().first(conn).await.optional()
    }

    /// A page of groups.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<account_group::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, account_group::table, Self, selection)
    }

    /// Makes a group.
    ///
    /// # Errors
    /// A unique violation where the name is taken; else as the session.
    pub async fn create(conn: &mut Conn, name: &str) -> QueryResult<Self> {
        diesel::insert_into(account_group::table)
            .values(account_group::name.eq(name))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Gives a group another name.
    ///
    /// # Errors
    /// A unique violation where the name is taken; not found; else as the session.
    pub async fn rename(conn: &mut Conn, id: i32, name: &str) -> QueryResult<Self> {
        diesel::update(account_group::table.find(id))
            .set(account_group::name.eq(name))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Deletes a group, with the roles that it held and those that were held on it. Its members stay.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, id: i32) -> QueryResult<bool> {
        let deleted = diesel::delete(account_group::table.find(id));
        Ok(deleted.execute(conn).await? > 0)
    }

    /// Adds an account to a group; false: it was in it.
    ///
    /// # Errors
    /// A foreign key violation where one of both has gone; else as the session.
    pub async fn add_member(conn: &mut Conn, id: i32, account: i32) -> QueryResult<bool> {
        let added = diesel::insert_into(account_group_member::table)
            .values((
                account_group_member::group_id.eq(id),
                account_group_member::account_id.eq(account),
            ))
            .on_conflict_do_nothing();
        Ok(added.execute(conn).await? > 0)
    }

    /// Takes an account out of a group; false: it was not in it.
    ///
    /// # Errors
    /// As the session.
    pub async fn remove_member(conn: &mut Conn, id: i32, account: i32) -> QueryResult<bool> {
        let removed = diesel::delete(account_group_member::table.find((id, account)));
        Ok(removed.execute(conn).await? > 0)
    }

    /// The ids of groups by what names them as objects.
    ///
    /// # Errors
    /// As the session.
    pub async fn by_objects(conn: &mut Conn, objects: &[Uuid]) -> QueryResult<HashMap<Uuid, i32>> {
        let rows: Vec<(Uuid, i32)> = account_group::table
            .filter(account_group::object_id.eq_any(objects))
            .select((account_group::object_id, account_group::id))
            .load(conn)
            .await?;
        Ok(rows.into_iter().collect())
    }
}
