//! Bringing units of a Pulp 2 in from a file, one a line: all of them, or none.
//!
//! One transaction: whoever looks sees no half of it, and what dies in between leaves nothing. It holds no lock that
//! others wait for, but on the units that it makes, and, once it makes them, on the removal of what other units
//! have stored. The lines lie in a table of the session meanwhile, so a file is read once, and memory does not
//! grow with it.

use super::line::{self, Fault};
use crate::content::Definition;
use crate::db::{Conn, Db};
use crate::error::Error;
use crate::ids::DomainId;
use crate::models::unit_import::{self, Clash, ImportedUnit};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AnsiTransactionManager, TransactionManager};
use log::warn;
use std::fmt;
use std::path::Path;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Longest line.
const LINE: u64 = 16 << 20;
/// Lines, and bytes of them, that go to the database at once.
const LINES: usize = 1000;
const BYTES: usize = 4 << 20;
/// Units that are made by one statement.
const UNITS: i64 = 5000;
/// Faults that are told.
const FAULTS: usize = 10;
/// So many lines are worth a word.
const WORD: i64 = 100_000;

/// What is imported.
pub struct Import<'a> {
    /// The type of all units.
    pub definition: &'a Definition,
    /// The field of its units that says where their file lies in a repository, if it has one.
    pub path_field: Option<&'a str>,
    /// Below it they must lie.
    pub storage_root: &'a Path,
    /// True: a unit that is there already is left as it is, and the line dropped.
    pub skip_existing: bool,
}

/// What was imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Units that were made.
    pub made: i64,
    /// Lines of units that were there already.
    pub skipped: i64,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// These lines are wrong; there may be more.
    #[error("nothing was imported:{}", Told(.0))]
    Lines(Vec<(i64, Fault)>),
    /// The file cannot be read.
    #[error("nothing was imported: the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// The database does not take them.
    #[error("nothing was imported: {0}")]
    Database(#[from] Error),
}

impl From<DieselError> for Refused {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
                let text = "one of the units has been made meanwhile; try again".to_owned();
                Self::Database(Error::Conflict(text))
            }
            error => Self::Database(error.into()),
        }
    }
}

struct Told<'f>(&'f [(i64, Fault)]);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, fault) in self.0 {
            match &fault.field {
                Some(field) => write!(f, "\nline {line}: `{field}` {}", fault.what)?,
                None => write!(f, "\nline {line}: {}", fault.what)?,
            }
        }
        if self.0.len() >= FAULTS {
            f.write_str("\nand maybe further lines")?;
        }
        Ok(())
    }
}

impl Import<'_> {
    /// Imports a file; `tell` hears now and then how far it has come.
    ///
    /// # Errors
    /// Why nothing was imported.
    pub async fn run(
        &self,
        db: &Db,
        file: impl AsyncBufRead + Unpin,
        mut tell: impl FnMut(String),
    ) -> Result<Imported, Refused> {
        // Outside of the pool: it may take long, and what it leaves open goes with it.
        let mut session = db.session("import").await?;
        let conn = &mut session.conn;
        AnsiTransactionManager::begin_transaction(conn).await?;
        unit_import::begin(conn).await?;
        self.read(conn, file, &mut tell).await?;
        unit_import::index(conn).await?;
        let skipped = self.settle_clashes(conn).await?;
        let made = self.make(conn, &mut tell).await?;
        AnsiTransactionManager::commit_transaction(conn).await?;
        // They are in; the server may take its time, or find it out by itself.
        if let Err(error) = unit_import::analyze(conn).await {
            warn!("the statistics of the tables are old: {error}");
        }
        Ok(Imported { made, skipped })
    }

    async fn read(
        &self,
        conn: &mut Conn,
        mut file: impl AsyncBufRead + Unpin,
        tell: &mut impl FnMut(String),
    ) -> Result<(), Refused> {
        let (mut units, mut bytes) = (Vec::with_capacity(LINES), 0);
        let mut faults: Vec<(i64, Fault)> = Vec::new();
        let (mut line, mut number) = (Vec::new(), 0);
        let of = (self.definition, self.path_field);
        while faults.len() < FAULTS {
            line.clear();
            let read = (&mut file)
                .take(LINE + 1)
                .read_until(b'\n', &mut line)
                .await?;
            if read == 0 {
                break;
            }
            number += 1;
            if line.last() != Some(&b'\n') && read as u64 > LINE {
                faults.push((number, Fault::whole(format!("is longer than {LINE} bytes"))));
                break;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            match line::read(&line, number, of, self.storage_root) {
                Ok(unit) if faults.is_empty() => {
                    bytes += unit.fields.len();
                    units.push(unit);
                }
                Ok(_) => {}
                Err(fault) => faults.push((number, fault)),
            }
            if units.len() >= LINES || bytes >= BYTES {
                stage(conn, &mut units).await?;
                bytes = 0;
            }
            if number % WORD == 0 {
                tell(format!("read {number} lines"));
            }
        }
        if !faults.is_empty() {
            return Err(Refused::Lines(faults));
        }
        stage(conn, &mut units).await
    }

    /// Refuses lines that name a unit that is there already, or twice; or drops them. Gives how many.
    async fn settle_clashes(&self, conn: &mut Conn) -> Result<i64, Refused> {
        let limit = i64::try_from(FAULTS).unwrap_or(i64::MAX);
        let row_type = self.definition.row_type();
        let mut faults = Vec::new();
        let mut skipped = 0;
        if self.skip_existing {
            let dropped = unit_import::drop_known(conn, DomainId::DEFAULT, &row_type).await?;
            skipped = i64::try_from(dropped).unwrap_or(i64::MAX);
        } else {
            let mut clashes = unit_import::repeated_keys(conn, limit).await?;
            let known = unit_import::known_keys(conn, DomainId::DEFAULT, &row_type, limit);
            clashes.extend(known.await?);
            faults.extend(clashes.iter().map(|clash| self.key_fault(clash)));
        }
        let mut clashes = unit_import::repeated_ids(conn, limit).await?;
        clashes.extend(unit_import::known_ids(conn, limit).await?);
        faults.extend(clashes.iter().map(id_fault));
        if faults.is_empty() {
            return Ok(skipped);
        }
        faults.sort_by_key(|(line, _)| *line);
        faults.truncate(FAULTS);
        Err(Refused::Lines(faults))
    }

    fn key_fault(&self, clash: &Clash) -> (i64, Fault) {
        let fields = serde_json::from_str(&clash.fields).unwrap_or_default();
        let key = line::shown_key(&fields, self.definition);
        let what = match clash.other {
            Some(other) => format!("is the unit of line {other} ({key})"),
            None => format!("is a unit that is there already ({key})"),
        };
        (clash.line, Fault::whole(what))
    }

    async fn make(&self, conn: &mut Conn, tell: &mut impl FnMut(String)) -> Result<i64, Refused> {
        let row_type = self.definition.row_type();
        unit_import::keep_stored(conn).await?;
        let (mut all, mut behind) = (0, 0);
        loop {
            let made = unit_import::make_units(conn, DomainId::DEFAULT, &row_type, behind, UNITS);
            let (made, last) = made.await?;
            let Some(last) = last else { return Ok(all) };
            behind = last;
            if (all + made) / WORD > all / WORD {
                tell(format!("made {} units", all + made));
            }
            all += made;
        }
    }
}

async fn stage(conn: &mut Conn, units: &mut Vec<ImportedUnit>) -> Result<(), Refused> {
    if !units.is_empty() {
        unit_import::add(conn, units).await?;
        units.clear();
    }
    Ok(())
}

fn id_fault(clash: &Clash) -> (i64, Fault) {
    let id = clash.id.unwrap_or_default();
    let what = match clash.other {
        Some(other) => format!("is that of line {other} ({id})"),
        None => format!("is that of a unit that is there already ({id})"),
    };
    (clash.line, Fault::of("_id", what))
}
