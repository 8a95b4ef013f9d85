//! Runs of exporters, and what they exported.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{DomainId, ExportId, ExporterId, TaskId};
use crate::prn::Prn;
use crate::schema::{export, exported_resource, task};
use chrono::{DateTime, Utc};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// A run of an exporter.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = export, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the contract describes the columns (1.11)")]
pub struct Export {
    pub pulp_id: ExportId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub exporter_id: ExporterId,
    pub task_id: Option<TaskId>,
    pub params: Value,
    /// True: its directory was empty before it, so that what lies there since is its own.
    pub has_begun: bool,
}

impl Export {
    /// Makes the export of this task, or finds it where an earlier run has made it.
    ///
    /// # Errors
    /// A foreign key violation when the exporter has just been deleted.
    pub async fn ensure(
        conn: &mut Conn,
        domain: DomainId,
        exporter: ExporterId,
        task: TaskId,
        params: &Value,
        exported: &Prn,
    ) -> QueryResult<Self> {
        let made: Option<ExportId> = diesel::insert_into(export::table)
            .values((
                export::pulp_id.eq(ExportId::new()),
                export::pulp_domain.eq(domain),
                export::exporter_id.eq(exporter),
                export::task_id.eq(task),
                export::params.eq(params),
            ))
            .on_conflict_do_nothing()
            .returning(export::pulp_id)
            .get_result(conn)
            .await
            .optional()?;
        if let Some(id) = made {
            diesel::insert_into(exported_resource::table)
                .values((
                    exported_resource::export_id.eq(id),
                    exported_resource::prn.eq(exported.to_string()),
                ))
                .execute(conn)
                .await?;
        }
        export::table
            .filter(export::task_id.eq(task))
            .filter(export::exporter_id.eq(exporter))
            .filter(export::params.eq(params))
            .select(Self::as_select())
            .first(conn)
            .await
    }

    /// Notes that its directory was found empty. False: the export was deleted.
    ///
    /// # Errors
    /// As the session.
    pub async fn begin(conn: &mut Conn, id: ExportId) -> QueryResult<bool> {
        let begun = diesel::update(export::table.find(id))
            .set(export::has_begun.eq(true))
            .execute(conn)
            .await?;
        Ok(begun == 1)
    }

    /// Keeps it from being deleted until the transaction ends. False: it is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn keep(conn: &mut Conn, id: ExportId) -> QueryResult<bool> {
        let found: Option<ExportId> = export::table
            .find(id)
            .select(export::pulp_id)
            .for_key_share()
            .first(conn)
            .await
            .optional()?;
        Ok(found.is_some())
    }

    /// An export of this exporter.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        exporter: ExporterId,
        id: ExportId,
    ) -> QueryResult<Option<Self>> {
        export::table
            .find(id)
            .filter(export::exporter_id.eq(exporter))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of exports.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<export::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, export::table, Self, selection)
    }

    /// Names of what these exports exported.
    ///
    /// # Errors
    /// As the session.
    pub async fn exported(
        conn: &mut Conn,
        ids: &[ExportId],
    ) -> QueryResult<Vec<(ExportId, String)>> {
        exported_resource::table
            .filter(exported_resource::export_id.eq_any(ids))
            .order((exported_resource::export_id, exported_resource::prn))
            .select((exported_resource::export_id, exported_resource::prn))
            .load(conn)
            .await
    }

    /// Deletes the row; no file is touched. False: it is gone, or its task has not ended.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete_ended(conn: &mut Conn, id: ExportId) -> QueryResult<bool> {
        let at_work = task::table
            .filter(task::pulp_id.nullable().eq(export::task_id))
            .filter(task::finished_at.is_null());
        let ended = export::table.find(id).filter(not(exists(at_work)));
        Ok(diesel::delete(ended).execute(conn).await? == 1)
    }
}
