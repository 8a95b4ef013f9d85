//! The part of the URL table about exporters and exports.

use super::exporters::{self, FilesystemExporterRequest};
use super::exports::{self, FilesystemExportRequest, FilesystemExportResponse};
use crate::route::{Endpoint, delete, get, patch, post, put};
use millrace_common::representation::FilesystemExporter;

/// Its calls.
pub fn table() -> Vec<Endpoint> {
    let mut table = exporters();
    table.extend(exports());
    table
}

fn exporters() -> Vec<Endpoint> {
    const LIST: &str = "exporters/core/filesystem/";
    const ONE: &str = "exporters/core/filesystem/{filesystem_exporter_href}/";
    const TAG: &str = "Exporters: Filesystem";
    vec![
        get(LIST, "exporters_core_filesystem_list", exporters::list)
            .tag(TAG)
            .about("Exporters to file systems; for administrators")
            .lists::<FilesystemExporter, _>(&exporters::FILTERS),
        post(LIST, "exporters_core_filesystem_create", exporters::create)
            .tag(TAG)
            .about("Make an exporter; for administrators")
            .accepts::<FilesystemExporterRequest>()
            .answers::<FilesystemExporter>(201),
        get(ONE, "exporters_core_filesystem_read", exporters::read)
            .tag(TAG)
            .about("One exporter; for administrators")
            .answers::<FilesystemExporter>(200),
        put(ONE, "exporters_core_filesystem_update", exporters::update)
            .tag(TAG)
            .about("Replace its values; for administrators")
            .accepts::<FilesystemExporterRequest>()
            .answers::<FilesystemExporter>(200)
            .dispatches(),
        patch(
            ONE,
            "exporters_core_filesystem_partial_update",
            exporters::partial_update,
        )
        .tag(TAG)
        .about("Change some of its values; for administrators")
        .accepts_some_of::<FilesystemExporterRequest>()
        .answers::<FilesystemExporter>(200)
        .dispatches(),
        delete(ONE, "exporters_core_filesystem_delete", exporters::remove)
            .tag(TAG)
            .about("Delete it, in a task, but none of its files; for administrators")
            .dispatches(),
    ]
}

fn exports() -> Vec<Endpoint> {
    const LIST: &str = "exporters/core/filesystem/{filesystem_exporter_href}/exports/";
    const ONE: &str = "exporters/core/filesystem/{filesystem_exporter_href}/exports/{filesystem_filesystem_export_href}/";
    const TAG: &str = "Exporters: Filesystem Exports";
    vec![
        get(
            LIST,
            "exporters_core_filesystem_exports_list",
            exports::list,
        )
        .tag(TAG)
        .about("Exports, the newest first; for administrators")
        .lists::<FilesystemExportResponse, _>(&exports::FILTERS),
        post(
            LIST,
            "exporters_core_filesystem_exports_create",
            exports::create,
        )
        .tag(TAG)
        .about("Export a publication or a version, in a task; for administrators")
        .accepts::<FilesystemExportRequest>()
        .dispatches(),
        get(ONE, "exporters_core_filesystem_exports_read", exports::read)
            .tag(TAG)
            .about("One export; for administrators")
            .answers::<FilesystemExportResponse>(200),
        delete(
            ONE,
            "exporters_core_filesystem_exports_delete",
            exports::remove,
        )
        .tag(TAG)
        .about("Forget it, but keep its files; for administrators")
        .answers_nothing(204)
        .answers_nothing(409),
    ]
}
