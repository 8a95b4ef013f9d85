//! What clients see of exporters (contract 4.14).

use super::{API_ROOT, moment};
use crate::ids::{ExportId, ExporterId};
use crate::models::Exporter;
use crate::prn::Prn;
use serde::Serialize;
use utoipa::ToSchema;

/// The address of an exporter to a file system.
#[must_use]
pub fn filesystem_exporter_href(id: ExporterId) -> String {
    format!("{API_ROOT}exporters/core/filesystem/{id}/")
}

/// The address of an export to a file system.
#[must_use]
pub fn filesystem_export_href(exporter: ExporterId, id: ExportId) -> String {
    format!("{}exports/{id}/", filesystem_exporter_href(exporter))
}

/// An exporter to a file system.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FilesystemExporterResponse)]
#[expect(missing_docs, reason = "the contract describes the fields (4.14)")]
pub struct FilesystemExporter {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_created: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_last_updated: String,
    pub name: String,
    pub path: String,
    pub method: String,
}

impl From<Exporter> for FilesystemExporter {
    fn from(row: Exporter) -> Self {
        Self {
            pulp_href: filesystem_exporter_href(row.pulp_id),
            prn: Prn::from(row.pulp_id).to_string(),
            pulp_created: moment(row.pulp_created),
            pulp_last_updated: moment(row.pulp_last_updated),
            name: row.name,
            path: row.path,
            method: row.method,
        }
    }
}
