//! The audit log: every change of accounts and permissions.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::schema::{account, audit_entry};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use log::info;
use serde_json::Value;

/// What somebody changed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = audit_entry, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct AuditEntry {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor: Option<String>,
    pub action: String,
    pub object: String,
    pub details: Value,
    pub logging_cid: String,
}

/// Who changes something.
#[derive(Clone, Copy, Debug, Default)]
pub struct By<'a> {
    /// The account, which the log names as it is called now; `None`: a command of the machine.
    pub account: Option<i32>,
    /// The correlation id of the request; empty outside of one.
    pub logging_cid: &'a str,
}

impl AuditEntry {
    /// Notes a change in the transaction that makes it, and logs it. The action is `<noun>.<verb>`; the object is
    /// named by its name or its address; details hold no secret.
    ///
    /// # Errors
    /// As the session.
    pub async fn write(
        conn: &mut Conn,
        by: By<'_>,
        action: &str,
        object: &str,
        details: &Value,
    ) -> QueryResult<()> {
        let actor: Option<String> = diesel::insert_into(audit_entry::table)
            .values((
                audit_entry::actor.eq(account::table
                    .filter(account::id.nullable().eq(by.account))
                    .select(account::username)
                    .single_value()),
                audit_entry::action.eq(action),
                audit_entry::object.eq(object),
                audit_entry::details.eq(details),
                audit_entry::logging_cid.eq(by.logging_cid),
            ))
            .returning(audit_entry::actor)
            .get_result(conn)
            .await?;
        let actor = actor.as_deref().unwrap_or("a command");
        info!(
            actor, action, object, cid = by.logging_cid;
            "{action} {object} by {actor}"
        );
        Ok(())
    }

    /// A page of the log.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<audit_entry::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, audit_entry::table, Self, selection)
    }
}
