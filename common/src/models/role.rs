//! Roles: names for sets of permissions.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::RoleId;
use crate::roles::BuiltIn;
use crate::schema::role;
use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Jsonb, Timestamptz};
use diesel_async::RunQueryDsl;
use serde_json::json;

/// A set of permissions.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = role, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct Role {
    pub pulp_id: RoleId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub name: String,
    pub description: Option<String>,
    pub permissions: Vec<String>,
    pub locked: bool,
}

/// What a role is made of, or what changes about it; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, AsChangeset, Insertable)]
#[diesel(table_name = role)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct RoleChange {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    /// Sorted, each once.
    pub permissions: Option<Vec<String>>,
}

impl Role {
    /// The role with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: RoleId) -> QueryResult<Option<Self>> {
        let row = role::table.find(id).select(Self::as_select());
        row.first(conn).await.optional()
    }

    /// The role of this name.
    ///
    /// # Errors
    /// As the session.
    pub async fn by_name(conn: &mut Conn, name: &str) -> QueryResult<Option<Self>> {
        let row = role::table.filter(role::name.eq(name));
        row.select(Self::as_select()).first(conn).await.optional()
    }

    /// The role with this id; it is locked until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(conn: &mut Conn, id: RoleId) -> QueryResult<Option<Self>> {
        let row = role::table.find(id).select(Self::as_select());
        row.for_update().first(conn).await.optional()
    }

    /// A page of roles.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<role::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, role::table, Self, selection)
    }

    /// Makes a role.
    ///
    /// # Errors
    /// A unique violation where the name is taken; else as the session.
    pub async fn create(conn: &mut Conn, new: &RoleChange) -> QueryResult<Self> {
        diesel::insert_into(role::table)
            .values((role::pulp_id.eq(RoleId::new()), new))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Changes a role.
    ///
    /// # Errors
    /// A unique violation where the name is taken; not found; else as the session.
    pub async fn change(conn: &mut Conn, id: RoleId, change: &RoleChange) -> QueryResult<Self> {
        let now = sql::<Timestamptz>("clock_timestamp()");
        diesel::update(role::table.find(id))
            .set((change, role::pulp_last_updated.eq(now)))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Deletes a role; who held it holds it no more.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, id: RoleId) -> QueryResult<bool> {
        let deleted = diesel::delete(role::table.find(id)).execute(conn).await?;
        Ok(deleted > 0)
    }

    /// Brings the built-in roles to what this program knows of them: makes, changes and locks those of the list; one
    /// that is on it no more stays, for clients to change or delete. May be done again, and by many at once.
    ///
    /// # Errors
    /// As the session.
    pub async fn build_in(conn: &mut Conn, roles: &[BuiltIn]) -> QueryResult<()> {
        sql_query(include_str!("role_build_in.sql"))
            .bind::<Jsonb, _>(listed(roles))
            .execute(conn)
            .await
            .map(drop)
    }

    /// Makes those of the built-in roles that are missing. May be done by many at once.
    ///
    /// # Errors
    /// As the session.
    pub async fn add_built_in(conn: &mut Conn, roles: &[BuiltIn]) -> QueryResult<()> {
        sql_query(include_str!("role_add_built_in.sql"))
            .bind::<Jsonb, _>(listed(roles))
            .execute(conn)
            .await
            .map(drop)
    }
}

/// Ids are drawn here: the server has none of version 7.
fn listed(roles: &[BuiltIn]) -> serde_json::Value {
    let row = |role: &BuiltIn| {
        json!({
            "pulp_id": RoleId::new(), "name": role.name, "description": role.description,
            "permissions": role.permissions,
        })
    };
    roles.iter().map(row).collect()
}
