//! What a directory holds, name by name, however much that is.
//!
//! A page of paths is read at a time, in the order of bytes. Below a directory one path is enough: the walk
//! goes on behind all of them.

use super::html::Entry;
use millrace_common::db::Db;
use millrace_common::error::Error;
use millrace_common::ids::DomainId;
use millrace_common::models::{Served, ServedPath, ServedPublication, served::LAST};
use std::collections::VecDeque;
use uuid::Uuid;

const FIRST_PAGE: i64 = 50;
const PAGE: i64 = 2000;

/// A version of so many units is looked at as a whole where others have many more paths in the same place.
const FEW: i64 = 20_000;

/// A directory of a publication.
pub struct Files {
    db: Db,
    publication: ServedPublication,
    directory: String,
    own: Cursor,
    version: Cursor,
    /// A full page of paths was mostly others'.
    sparse: bool,
    /// Whether the version is one of few units, once that was asked.
    few: Option<bool>,
}

struct Cursor {
    rows: VecDeque<ServedPath>,
    from: String,
    behind: Uuid,
    page: i64,
    ended: bool,
}

impl Cursor {
    fn new(from: &str, ended: bool) -> Self {
        Self {
            rows: VecDeque::new(),
            from: from.to_owned(),
            behind: Uuid::nil(),
            page: FIRST_PAGE,
            ended,
        }
    }

    /// Takes a page in. The cursor stands behind its last row then.
    fn take(&mut self, rows: Vec<ServedPath>) {
        self.ended = i64::try_from(rows.len()).is_ok_and(|count| count < self.page);
        self.page = (self.page * 2).min(PAGE);
        if let Some(last) = rows.last() {
            match last.unit {
                Some(unit) => (self.from, self.behind) = (last.path.clone(), unit),
                None => self.from = just_behind(&last.path),
            }
        }
        self.rows.extend(rows.into_iter().filter(|row| row.member));
    }

    /// Leaves out what is before a bound.
    fn skip(&mut self, bound: &str) {
        while self
            .rows
            .front()
            .is_some_and(|row| row.path.as_str() < bound)
        {
            self.rows.pop_front();
        }
        if self.rows.is_empty() && self.from.as_str() < bound {
            (self.from, self.behind) = (bound.to_owned(), Uuid::nil());
            self.page = FIRST_PAGE;
        }
    }

    fn next(&self) -> Option<&str> {
        self.rows.front().map(|row| row.path.as_str())
    }
}

impl Files {
    /// A walk through a directory; its path ends with a slash, that of the root is empty.
    pub fn new(db: Db, publication: ServedPublication, directory: &str) -> Self {
        Self {
            db,
            publication,
            directory: directory.to_owned(),
            own: Cursor::new(directory, false),
            version: Cursor::new(directory, !publication.pass_through),
            sparse: false,
            few: None,
        }
    }

    /// The next name.
    ///
    /// # Errors
    /// As the database.
    pub async fn next(&mut self) -> Result<Option<Entry>, Error> {
        self.fill().await?;
        let own_first = match (self.own.next(), self.version.next()) {
            (Some(own), Some(version)) => own <= version,
            (own, _) => own.is_some(),
        };
        let cursor = if own_first {
            &mut self.own
        } else {
            &mut self.version
        };
        let Some(row) = cursor.rows.pop_front() else {
            return Ok(None);
        };
        let Some(name) = row.path.strip_prefix(&self.directory) else {
            return Err(Error::internal(format!(
                "{} is not below {}",
                row.path, self.directory
            )));
        };
        let (bound, entry) = match name.split_once('/') {
            Some((name, _)) => (
                behind(&self.directory, name),
                Entry {
                    name: format!("{name}/"),
                    modified: None,
                    size: None,
                },
            ),
            None => (
                just_behind(&row.path),
                Entry {
                    name: name.to_owned(),
                    modified: Some(row.modified),
                    size: row.size,
                },
            ),
        };
        self.own.skip(&bound);
        self.version.skip(&bound);
        Ok(Some(entry))
    }

    /// Makes sure, behind the last name, that there was no less than there should have been.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the publication is gone; as the database.
    pub async fn check(&self) -> Result<(), Error> {
        let mut conn = self.db.get().await?;
        if self.publication.exists(&mut conn).await? {
            Ok(())
        } else {
            Err(Error::NotFound {
                what: "publication",
            })
        }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        let until = end(&self.directory);
        while self.own.rows.is_empty() && !self.own.ended {
            let mut conn = self.db.get().await?;
            let own = &mut self.own;
            let rows = self
                .publication
                .own_paths(&mut conn, &own.from, &until, own.page)
                .await?;
            own.take(rows);
        }
        while self.version.rows.is_empty() && !self.version.ended {
            let mut conn = self.db.get().await?;
            if self.sparse && self.few.is_none() {
                self.few = Some(self.publication.units(&mut conn).await? <= FEW);
            }
            let few = self.few == Some(true);
            let version = &mut self.version;
            if few {
                version.page = PAGE;
            }
            let from = (version.from.as_str(), version.behind);
            let rows = self
                .publication
                .version_paths(&mut conn, from, &until, (version.page, few))
                .await?;
            let (seen, before) = (rows.len(), version.rows.len());
            version.take(rows);
            let members = version.rows.len() - before;
            self.sparse |= !version.ended && members < seen / 2;
        }
        Ok(())
    }
}

/// The base paths below a path, as directories.
pub struct Places {
    db: Db,
    path: String,
    from: String,
    places: VecDeque<String>,
    ended: bool,
}

impl Places {
    /// A walk through what is below a path; it ends with a slash, that of the root is empty.
    pub fn new(db: Db, path: &str) -> Self {
        Self {
            db,
            path: path.to_owned(),
            from: path.to_owned(),
            places: VecDeque::new(),
            ended: false,
        }
    }

    /// The next name.
    ///
    /// # Errors
    /// As the database.
    pub async fn next(&mut self) -> Result<Option<Entry>, Error> {
        if self.places.is_empty() && !self.ended {
            let mut conn = self.db.get().await?;
            let until = end(&self.path);
            let domain = DomainId::DEFAULT;
            let page =
                Served::listed_places(&mut conn, domain, &self.from, &until, FIRST_PAGE).await?;
            self.ended = i64::try_from(page.len()).is_ok_and(|count| count < FIRST_PAGE);
            self.places = page.into();
        }
        let Some(place) = self.places.pop_front() else {
            return Ok(None);
        };
        let below = place.strip_prefix(&self.path).unwrap_or(&place);
        let name = below.split('/').next().unwrap_or_default().to_owned();
        self.from = behind(&self.path, &name);
        while self.places.front().is_some_and(|next| *next < self.from) {
            self.places.pop_front();
        }
        Ok(Some(Entry {
            name: format!("{name}/"),
            modified: None,
            size: None,
        }))
    }
}

/// The first that can be behind a path: no path has a control character.
fn just_behind(path: &str) -> String {
    format!("{path}\u{1}")
}

/// What is behind all paths below a directory: `0` follows the slash.
fn behind(directory: &str, name: &str) -> String {
    format!("{directory}{name}0")
}

fn end(directory: &str) -> String {
    match directory.strip_suffix('/') {
        Some(name) => behind("", name),
        None => LAST.to_owned(),
    }
}
