//! Where exports make their files: what is left there when no run is to come is to be removed.

use crate::db::Conn;
use crate::ids::{ExportId, TaskId};
use crate::schema::{export_staging, task};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The target of an export in which its runs stage files.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = export_staging, check_for_backend(diesel::pg::Pg))]
pub struct ExportStaging {
    /// The export. It may be gone.
    pub export_id: ExportId,
    path: Vec<u8>,
}

impl ExportStaging {
    /// The target.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.path))
    }

    /// Notes where a run of this task is about to stage files. A further run may note another target: the
    /// row of the first then counts no more.
    ///
    /// # Errors
    /// As the session.
    pub async fn note(
        conn: &mut Conn,
        export: ExportId,
        task: TaskId,
        path: &Path,
    ) -> QueryResult<()> {
        let path = path.as_os_str().as_bytes();
        diesel::insert_into(export_staging::table)
            .values((
                export_staging::export_id.eq(export),
                export_staging::task_id.eq(task),
                export_staging::path.eq(path),
            ))
            .on_conflict(export_staging::export_id)
            .do_update()
            .set(export_staging::path.eq(path))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// True where a run of this export may have files there.
    ///
    /// # Errors
    /// As the session.
    pub async fn is_noted(conn: &mut Conn, export: ExportId) -> QueryResult<bool> {
        diesel::select(exists(export_staging::table.find(export)))
            .get_result(conn)
            .await
    }

    /// Says that nothing is left there.
    ///
    /// # Errors
    /// As the session.
    pub async fn forget(conn: &mut Conn, export: ExportId) -> QueryResult<()> {
        diesel::delete(export_staging::table.find(export))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Up to `limit` of those behind this export whose task has ended or is gone, by their exports.
    ///
    /// # Errors
    /// As the session.
    pub async fn ended(conn: &mut Conn, behind: ExportId, limit: i64) -> QueryResult<Vec<Self>> {
        let at_work = task::table
            .filter(task::pulp_id.eq(export_staging::task_id))
            .filter(task::finished_at.is_null());
        export_staging::table
            .filter(export_staging::export_id.gt(behind))
            .filter(not(exists(at_work)))
            .order(export_staging::export_id)
            .limit(limit)
            .select(Self::as_select())
            .load(conn)
            .await
    }
}
