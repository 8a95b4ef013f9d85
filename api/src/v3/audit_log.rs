//! `audit-log/`: who changed what about accounts and permissions, for administrators.

use super::time;
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::error::ApiResult;
use crate::listing::{Filters, Listing};
use actix_web::HttpRequest;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use millrace_common::models::AuditEntry;
use millrace_common::models::selection::Page;
use millrace_common::schema::audit_entry;
use serde::Serialize;
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// What somebody changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntryResponse {
    /// Later entries have greater ones.
    #[schema(read_only)]
    pub id: i64,
    /// When.
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub at: DateTime<Utc>,
    /// Who, as he was called then; null: a command of the machine.
    #[schema(read_only)]
    pub actor: Option<String>,
    /// `<noun>.<verb>`: `user.create`.
    #[schema(read_only)]
    pub action: String,
    /// What was changed, by its name or its address.
    #[schema(read_only)]
    pub object: String,
    /// What became of it.
    #[schema(read_only, value_type = Object)]
    pub details: Value,
    /// The correlation id of the request; empty outside of one.
    #[schema(read_only)]
    pub logging_cid: String,
}

impl From<AuditEntry> for AuditEntryResponse {
    fn from(row: AuditEntry) -> Self {
        Self {
            id: row.id,
            at: row.at,
            actor: row.actor,
            action: row.action,
            object: row.object,
            details: row.details,
            logging_cid: row.logging_cid,
        }
    }
}

/// The filters of `audit-log/`.
pub static FILTERS: LazyLock<Filters<audit_entry::table>> = LazyLock::new(|| {
    Filters::newest_id_first(audit_entry::at, audit_entry::id)
        .sortable("id", audit_entry::id)
        .sortable("at", audit_entry::at)
        .exact("actor", audit_entry::actor)
        .one_of("actor", audit_entry::actor)
        .exact("action", audit_entry::action)
        .one_of("action", audit_entry::action)
        .exact("object", audit_entry::object)
        .one_of("object", audit_entry::object)
        .exact("logging_cid", audit_entry::logging_cid)
        .dates("at", audit_entry::at)
});

/// A page of the log.
///
/// # Errors
/// 400 for a filter, 403.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::AuditLog).await?;
    let listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let mut conn = app.db.get().await?;
    let Page { count, rows } = AuditEntry::page(&mut conn, &listing.selection).await?;
    let results: Vec<_> = rows.into_iter().map(AuditEntryResponse::from).collect();
    listing.answer(count, &results)
}
