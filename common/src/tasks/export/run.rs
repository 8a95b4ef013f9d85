//! The run of an export, step by step.

use super::fault::{Fault, NOT_HERE};
use super::path;
use super::place::{Found, What};
use super::target::{NOT_EMPTY, Opened, Run, Target, holds_something};
use super::write::{Method, Writer};
use super::{away, path::Place};
use crate::crash::{self, Point};
use crate::error::Error;
use crate::ids::{ExportId, ExporterId, VersionId};
use crate::models::{Export, ExportBytes, ExportEntry, ExportPlace, ExportStaging, Exporter};
use crate::prn::Prn;
use crate::tasking::{Effects, Outcome, TaskContext, TaskError};
use futures_util::stream::{self, StreamExt};
use std::sync::Arc;

/// Files that are written at the same time.
pub(super) const AT_ONCE: usize = 8;
/// How often the bytes of a file are looked for again: others may be moving them.
const TRIES: usize = 3;

/// The body of an export.
///
/// # Errors
/// See [`super::fs_publication_export`].
pub(super) async fn export(
    ctx: &TaskContext,
    exporter: ExporterId,
    what: What,
    start: Option<VersionId>,
) -> Result<Outcome, TaskError> {
    ctx.require(&super::needs(exporter))?;
    let found = Exporter::find(&mut *ctx.session().await, ctx.domain(), exporter).await?;
    let exporter = found.ok_or(Error::NotFound {
        what: "FilesystemExporter",
    })?;
    let found = what.find(ctx, start).await?;
    let recorded = ctx
        .fenced(async |conn| {
            let (domain, id) = (ctx.domain(), exporter.pulp_id);
            let Found { params, prn, .. } = &found;
            Ok(Export::ensure(conn, domain, id, ctx.task(), params, prn).await?)
        })
        .await?;
    let method = Method::parse(&exporter.method);
    if method != Method::Write && ctx.storage().root().is_none() {
        let text = "Only write is supported for non-filesystem storage.";
        return Err(TaskError::failed(text));
    }
    let place = allowed_place(ctx, &exporter, recorded.has_begun).await?;
    let written = write_found(ctx, &recorded, place, method, &found.files).await;
    // Where the session is lost, the list is gone.
    let _ = ExportPlace::close(&mut *ctx.session().await).await;
    written?;
    crash::point(Point::ExportFinished);
    Ok(flip(recorded.pulp_id, found))
}

async fn write_found(
    ctx: &TaskContext,
    recorded: &Export,
    place: Place,
    method: Method,
    found: &ExportPlace,
) -> Result<(), TaskError> {
    let files = list(ctx, found).await?;
    let target = open(ctx, recorded, place).await?;
    let target = write_all(ctx, target, method, files).await?;
    ctx.blocking(move || target.finish()).await?
}

/// Where the exporter leads to now. A link may have been put in its way since it was made.
async fn allowed_place(
    ctx: &TaskContext,
    exporter: &Exporter,
    has_begun: bool,
) -> Result<Place, TaskError> {
    let found = path::find(&exporter.path, &ctx.settings().exports).await;
    let refused = |refusal: path::Refusal| TaskError::failed(refusal.about(&exporter.path));
    let place = found.map_err(refused)?;
    let looked = place.clone();
    if !has_begun && ctx.blocking(move || holds_something(&looked)).await?? {
        return Err(TaskError::failed(NOT_EMPTY));
    }
    Ok(place)
}

/// Looks through the whole set; gives how many files there are to be written, which are listed in the session now.
async fn list(ctx: &TaskContext, found: &ExportPlace) -> Result<i64, TaskError> {
    let looking = async { Ok(found.open(&mut *ctx.session().await).await?) };
    let summary = ctx.unless_stopped(looking).await?;
    if summary.is_lacking {
        return Err(TaskError::failed(NOT_HERE));
    }
    if let Some(path) = summary.shared_path {
        let text = format!("'{path}' cannot be written: several files have this path.");
        return Err(TaskError::failed(text));
    }
    Ok(summary.files)
}

/// Opens the directory. That it was empty is noted before anything is put there, so that a further run
/// knows what it finds for its own; and where this run stages its files, so that they are found whatever
/// becomes of it.
async fn open(ctx: &TaskContext, export: &Export, place: Place) -> Result<Target, TaskError> {
    let (id, is_new) = (export.pulp_id, !export.has_begun);
    let run = Run {
        attempt: ctx.attempt(),
        claim: ctx.claim(),
    };
    let path = place.path();
    let opened = ctx
        .blocking(move || {
            let opened = Opened::make(&place)?;
            if is_new && holds_something(&place)? {
                return Err(TaskError::failed(NOT_EMPTY));
            }
            Ok(opened)
        })
        .await??;
    let begun = ctx
        .fenced(async |conn| {
            ExportStaging::note(conn, id, ctx.task(), &path).await?;
            Ok(Export::begin(conn, id).await?)
        })
        .await?;
    if !begun {
        return Err(deleted());
    }
    crash::point(Point::ExportNoted);
    ctx.blocking(move || opened.stage(id, &run, is_new)).await?
}

fn deleted() -> TaskError {
    TaskError::failed("the export was deleted")
}

/// Writes all files; while one page is written, the next is read.
async fn write_all(
    ctx: &TaskContext,
    target: Target,
    method: Method,
    files: i64,
) -> Result<Arc<Target>, TaskError> {
    let mut progress = ctx
        .progress("Exporting Artifacts", "export.artifacts", Some(files))
        .await?;
    let target = Arc::new(target);
    let imports = ctx.settings().remotes.allowed_import_paths.to_vec();
    let writer = match ctx.storage().root() {
        Some(root) => Some(Writer::new(Arc::clone(&target), root, method, imports)?),
        None => None,
    };
    let writer = writer.map(Arc::new);
    let mut page = read(ctx).await?;
    while !page.is_empty() {
        let files = page.len();
        let writing = async {
            match &writer {
                Some(writer) => write_page(ctx, writer, at_once(method), page).await,
                None => away::write_page(ctx, &target, page).await,
            }
        };
        // Both to their ends: what a thread still writes must not outlive the run.
        let (written, next) = futures_util::join!(writing, read(ctx));
        written?;
        progress
            .add(i64::try_from(files).unwrap_or(i64::MAX))
            .await?;
        page = next?;
    }
    progress.finish().await?;
    Ok(target)
}

/// Threads that write: copies wait for disks, links for processors and for each other.
fn at_once(method: Method) -> usize {
    match method {
        Method::Write => AT_ONCE,
        Method::Hardlink | Method::Symlink => {
            std::thread::available_parallelism().map_or(1, |cores| cores.get().min(AT_ONCE))
        }
    }
}

async fn read(ctx: &TaskContext) -> Result<Vec<ExportEntry>, TaskError> {
    Ok(ExportEntry::next(&mut *ctx.session().await).await?)
}

/// Writes a page, several files at once, each thread a run of neighbours: threads that meet in a directory wait for
/// each other.
async fn write_page(
    ctx: &TaskContext,
    writer: &Arc<Writer>,
    at_once: usize,
    mut page: Vec<ExportEntry>,
) -> Result<(), TaskError> {
    for _ in 0..TRIES {
        let run = page.len().div_ceil(at_once).max(1);
        let runs: Vec<Vec<ExportEntry>> = page.chunks(run).map(<[_]>::to_vec).collect();
        let results: Vec<_> = stream::iter(runs)
            .map(|run| {
                let (writer, stop) = (Arc::clone(writer), ctx.clone());
                ctx.blocking(move || writer.write(run, || stop.checkpoint().is_err()))
            })
            .buffer_unordered(at_once)
            .collect()
            .await;
        let mut missing = Vec::new();
        let mut faults = Vec::new();
        for result in results {
            match result? {
                Ok(some) => missing.extend(some),
                Err(fault) => faults.push(fault),
            }
        }
        // Those that stopped because of another one say nothing.
        faults.sort_by_key(|fault| matches!(fault, Fault::Stopped));
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault.into());
        }
        if missing.is_empty() {
            return Ok(());
        }
        page = look_again(ctx, missing).await?;
    }
    Err(gone(page.first()))
}

/// What a file is that is not where its row says.
pub(super) fn gone(entry: Option<&ExportEntry>) -> TaskError {
    let path = entry.map(|entry| entry.path.as_str()).unwrap_or_default();
    TaskError::failed(format!("The stored file of '{path}' is missing."))
}

/// Where these files are now: repairing gives a file another key, and its room may have been reclaimed.
pub(super) async fn look_again(
    ctx: &TaskContext,
    missing: Vec<ExportEntry>,
) -> Result<Vec<ExportEntry>, TaskError> {
    let mut found = Vec::with_capacity(missing.len());
    let mut conn = ctx.session().await;
    for mut entry in missing {
        let bytes = ExportBytes::find(&mut conn, entry.id).await?;
        match bytes {
            Some(bytes) if bytes == entry.bytes => return Err(gone(Some(&entry))),
            Some(bytes) if bytes.storage_key.is_some() || !bytes.sources.is_empty() => {
                entry.bytes = bytes;
                found.push(entry);
            }
            _ => return Err(TaskError::failed(NOT_HERE)),
        }
    }
    Ok(found)
}

fn flip(id: ExportId, found: Found) -> Outcome {
    Outcome::flip(move |conn| {
        let found = found.clone();
        Box::pin(async move {
            found.keep(conn).await?;
            if !Export::keep(conn, id).await? {
                return Err(deleted());
            }
            ExportStaging::forget(conn, id).await?;
            Ok(Effects {
                result: None,
                created: vec![Prn::from(id)],
            })
        })
    })
}
