//! The batches of a manifest: each is written in one transaction, while the files of the next are fetched.

use super::Source;
use super::fetching::fetch_missing;
use super::manifest::Entry;
use crate::content::file::{self, PULP_TYPE, Unit};
use crate::db::Conn;
use crate::models::bulk::{self, BulkUnit};
use crate::models::{RepositoryContent, VersionKept, task_use};
use crate::repository::NewVersion;
use crate::tasking::{Progress, TaskContext, TaskError};
use std::collections::HashSet;
use uuid::Uuid;

/// How often the files of a batch are looked for again, where clean-ups take them.
const TRIES: usize = 5;

/// The run over all batches, and its reports.
pub struct Batches<'a> {
    ctx: &'a TaskContext,
    source: &'a Source,
    target: Target<'a>,
    /// Its files are there, its units are not.
    fetched: Option<Batch>,
    parsing: Progress,
    downloading: Progress,
    associating: Progress,
}

struct Batch {
    entries: Vec<Entry>,
    units: Vec<BulkUnit>,
}

impl<'a> Batches<'a> {
    /// Opens the reports.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn begin(
        ctx: &'a TaskContext,
        source: &'a Source,
        version: &'a NewVersion,
        mirror: bool,
    ) -> Result<Self, TaskError> {
        let open = async |message, code| ctx.progress(message, code, None).await;
        Ok(Self {
            ctx,
            source,
            target: Target {
                ctx,
                source,
                version,
                mirror,
            },
            fetched: None,
            parsing: open("Parsing Metadata Lines", "sync.parsing.metadata").await?,
            downloading: open("Downloading Artifacts", "sync.downloading.artifacts").await?,
            associating: open("Associating Content", "associating.content").await?,
        })
    }

    /// Takes the files of a batch in: fetched when this returns, and in the version once the next batch is fetched or all
    /// are [finished](Batches::finish). So the database and the source are not waited for in turns.
    ///
    /// # Errors
    /// As [`fetch_missing`] and [`TaskContext::fenced`].
    pub async fn take(&mut self, entries: Vec<Entry>) -> Result<(), TaskError> {
        let lines = i64::try_from(entries.len()).unwrap_or(0);
        self.parsing.add(lines).await?;
        let batch = Batch {
            units: units(self.source, &entries)?,
            entries,
        };
        let before = self.fetched.take();
        let (target, downloading) = (&self.target, &mut self.downloading);
        let fetching = async {
            if self.source.is_immediate() {
                fetch_missing(self.ctx, self.source, &batch.entries, downloading).await?;
            }
            Ok::<_, TaskError>(())
        };
        let writing = async {
            match &before {
                Some(batch) => target.write(&batch.units).await.map(Some),
                None => Ok(None),
            }
        };
        // Both come to their ends: a transaction is not dropped because a download has failed.
        let (fetched, written) = tokio::join!(fetching, writing);
        if let (Some(before), Some(added)) = (before, written?) {
            self.settle(&before, added).await?;
        }
        fetched?;
        self.fetched = Some(batch);
        Ok(())
    }

    /// Counts what a batch added. `None`, a file is missing: a clean-up may have taken it meanwhile, or it was given
    /// up before it was saved. Then it is fetched again.
    async fn settle(&mut self, batch: &Batch, mut added: Option<i64>) -> Result<(), TaskError> {
        let mut tries = 0..TRIES;
        loop {
            if let Some(added) = added {
                return self.associating.add(added).await;
            }
            if tries.next().is_none() {
                return Err(TaskError::failed(
                    "Files of the repository were removed again and again while it was synced.",
                ));
            }
            let (entries, report) = (&batch.entries, &mut self.downloading);
            fetch_missing(self.ctx, self.source, entries, report).await?;
            added = self.target.write(&batch.units).await?;
        }
    }

    /// Writes what is left, and completes the reports.
    ///
    /// # Errors
    /// As [`Batches::take`].
    pub async fn finish(mut self) -> Result<(), TaskError> {
        if let Some(last) = self.fetched.take() {
            let added = self.target.write(&last.units).await?;
            self.settle(&last, added).await?;
        }
        self.parsing.finish_as_total().await?;
        self.downloading.finish().await?;
        self.associating.finish().await
    }
}

/// Where units go.
struct Target<'a> {
    ctx: &'a TaskContext,
    source: &'a Source,
    version: &'a NewVersion,
    mirror: bool,
}

impl Target<'_> {
    /// `None`: a file is missing.
    async fn write(&self, units: &[BulkUnit]) -> Result<Option<i64>, TaskError> {
        self.ctx
            .fenced(async |conn| self.write_in(conn, units.to_vec()).await)
            .await
    }

    async fn write_in(
        &self,
        conn: &mut Conn,
        mut units: Vec<BulkUnit>,
    ) -> Result<Option<i64>, TaskError> {
        let domain = self.version.domain;
        let digests: Vec<&str> = units.iter().map(|unit| unit.sha256.as_str()).collect();
        // Whatever the policy: what is stored already need not be fetched later.
        let stored = bulk::keep_artifacts(conn, domain, &digests).await?;
        for unit in &mut units {
            unit.artifact = stored.get(&unit.sha256).copied();
        }
        if self.source.is_immediate() && units.iter().any(|unit| unit.artifact.is_none()) {
            return Ok(None);
        }
        let ids = bulk::ensure_units(conn, domain, PULP_TYPE, &units).await?;
        bulk::attach_files(conn, &ids, &units).await?;
        bulk::note_sources(conn, self.source.remote.pulp_id, &ids, &units).await?;
        // Only these: the files of the next batch are being fetched.
        let files: Vec<Uuid> = stored.values().map(|id| id.0).collect();
        task_use::forget(conn, self.ctx.task(), &files).await?;
        let place = self.version.membership();
        let added = RepositoryContent::add(conn, place, domain, &ids).await?;
        if self.mirror {
            VersionKept::note(conn, self.version.id, &ids).await?;
        }
        Ok(Some(i64::try_from(added).unwrap_or(0)))
    }
}

/// The units of these entries, each once.
fn units(source: &Source, entries: &[Entry]) -> Result<Vec<BulkUnit>, TaskError> {
    let mut seen = HashSet::new();
    let mut units = Vec::with_capacity(entries.len());
    for entry in entries {
        let unit = Unit {
            relative_path: entry.path.clone(),
            digest: entry.sha256.clone(),
        };
        let (natural_key, repo_key) = file::keys(&unit);
        if !seen.insert(natural_key.clone()) {
            continue;
        }
        units.push(BulkUnit {
            natural_key,
            repo_key,
            fields: serde_json::to_string(&unit).map_err(TaskError::internal)?,
            relative_path: unit.relative_path,
            artifact: None,
            url: source.directory.file(&entry.path),
            size: entry.size,
            sha256: unit.digest,
        });
    }
    Ok(units)
}
