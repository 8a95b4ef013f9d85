//! Holds the rows and the files against each other: rows without their file, and files without a row.
//!
//! Both sides are gone through in batches, in constant memory, beside running programs. That is safe by the order in
//! which rows and files come and go: the note of who writes a file is committed before its first byte and goes with the
//! row that takes the file over, and a row goes before its file does. So at each moment a file that is needed, is
//! being written or is being removed has a row, and what has none never gets one. What is found is looked at again
//! before it counts. Beyond that nothing younger than a limit of age counts: whoever restores a backup may write the
//! files first.

mod exports;
mod files;
mod rows;
mod units;

use crate::config::Settings;
use crate::db::{self, Db};
use crate::error::Error;
use crate::storage::Storage;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows or files that are looked at in one go.
const BATCH: usize = 1000;

/// So few are repaired, whatever part of all they are, if not all.
const FEW: u64 = 20;

/// What is looked at, and what is done about it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Repair what can be repaired.
    pub repair: bool,
    /// Read every file, and compare its digest.
    pub digests: bool,
    /// Files without a row that are younger than this do not count.
    pub min_age: Duration,
    /// Repair even where more than half is amiss, as it is with the wrong database or a store that is not mounted.
    pub force: bool,
}

/// What is amiss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A file that no row names.
    FileWithoutRow,
    /// Something in the store that has no name of ours: nobody touches it.
    ForeignFile,
    /// A row whose file is missing.
    RowWithoutFile,
    /// A row whose file has another size or other bytes.
    WrongFile,
    /// A row whose file cannot be read.
    UnreadableFile,
    /// A unit of a Pulp 2 that does not lie where it says.
    UnitWithoutFile,
    /// Files of an export that nobody makes any more.
    ExportLeftover,
    /// A directory that cannot be looked at, or a name in one: what is there is not known.
    Unreadable,
}

impl What {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FileWithoutRow => "file without row",
            Self::ForeignFile => "foreign file",
            Self::RowWithoutFile => "row without file",
            Self::WrongFile => "wrong file",
            Self::UnreadableFile => "unreadable file",
            Self::UnitWithoutFile => "unit without file",
            Self::ExportLeftover => "export leftover",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Something that is amiss.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub what: What,
    /// The file or the path.
    pub name: String,
    /// What is known of it.
    pub detail: String,
    /// What was done about it; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
}

impl Finding {
    fn unreadable(name: impl std::fmt::Display, why: String) -> Self {
        Self {
            what: What::Unreadable,
            name: name.to_string(),
            detail: why,
            done: None,
        }
    }
}

/// How much was looked at and found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Files of the store.
    pub files: u64,
    /// Rows that say that a file is in the store.
    pub rows: u64,
    /// Units of a Pulp 2 that say where they lie.
    pub units: u64,
    /// Names in the store and below the directories of exports that the file system itself has given, `.nfs…` and
    /// `lost+found`: they are passed over.
    pub passed: u64,
    /// What is amiss.
    pub found: BTreeMap<What, u64>,
    /// For how much of it something was done.
    pub repaired: u64,
}

impl Summary {
    /// True where nothing is amiss.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }
}

/// A look at all of it.
pub struct Fsck<'a> {
    /// Pooled sessions.
    pub db: &'a Db,
    /// The artifact store.
    pub storage: &'a Storage,
    /// The settings.
    pub settings: &'a Settings,
    /// What is to be done.
    pub options: Options,
    /// Told of each finding, as it is found.
    pub tell: &'a mut (dyn FnMut(&Finding) + Send),
}

impl Fsck<'_> {
    /// Looks at everything, and repairs what it is told to. May be run at any time, by several at once, and again after it
    /// died anywhere. Gives how far it came, and why no further: [`Error::Unavailable`] when the database or a store does
    /// not answer; [`Error::Conflict`] where so much is amiss that something else must be wrong, and nothing more is
    /// repaired.
    pub async fn run(self) -> (Summary, Result<(), Error>) {
        let before = match self.before().await {
            Ok(before) => before,
            Err(error) => return (Summary::default(), Err(error)),
        };
        let mut run = Run {
            before,
            summary: Summary::default(),
            fsck: self,
        };
        let ended = run.all().await;
        (run.summary, ended)
    }

    async fn before(&self) -> Result<DateTime<Utc>, Error> {
        let now = db::now(&mut *self.db.get().await?).await?;
        let age = chrono::Duration::from_std(self.options.min_age).map_err(Error::internal)?;
        Ok(now - age)
    }
}

struct Run<'a> {
    fsck: Fsck<'a>,
    /// What was written later does not count.
    before: DateTime<Utc>,
    summary: Summary,
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), Error> {
        files::check(self).await?;
        rows::check(self).await?;
        // Either may have nothing to look at, which is no reason not to look at the other.
        let exports = exports::check(self).await;
        units::check(self).await?;
        exports
    }

    fn pass(&mut self, name: impl std::fmt::Display) {
        log::info!("{name} is passed over: it is the file system's own");
        self.summary.passed += 1;
    }

    fn add(&mut self, finding: Finding) {
        *self.summary.found.entry(finding.what).or_default() += 1;
        self.summary.repaired += u64::from(finding.done.is_some());
        (self.fsck.tell)(&finding);
    }

    /// Refuses to repair where so much of what was seen is wrong that the database or the store is another one than it
    /// should be.
    fn doubt(&self, wrong: u64, seen: u64, of: &str) -> Result<(), Error> {
        let Options { repair, force, .. } = self.fsck.options;
        let is_plausible = wrong * 2 <= seen || wrong <= FEW && wrong < seen;
        if !repair || force || wrong == 0 || is_plausible {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "{wrong} of {seen} {of} are amiss: is this the database of this store, and is the store there? \
             Nothing more is repaired without --force"
        )))
    }
}
