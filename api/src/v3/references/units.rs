//! Units that bodies name.

use crate::error::{ApiError, ApiResult};
use crate::v3::href::{self, Target};
use millrace_common::db::Conn;
use millrace_common::ids::{ContentId, DomainId};
use millrace_common::models::Content;
use millrace_common::models::selection::Predicate;
use millrace_common::prn::{self, Prn};
use millrace_common::schema::content;
use std::collections::{HashMap, HashSet};

/// Units of one look at the database.
const BATCH: usize = 5000;

/// The ids of units, all of which exist in the default domain, and are among those that may be named.
///
/// # Errors
/// 400 for the field that names what is no reference or leads to nothing.
pub async fn units(
    conn: &mut Conn,
    visible: &Predicate<content::table>,
    field: &str,
    references: &[String],
) -> ApiResult<Vec<ContentId>> {
    let named = NamedUnits::read(field, references)?;
    named.check(conn, visible).await?;
    Ok(named.ids)
}

/// Units that a field of a body names.
pub struct NamedUnits<'a> {
    field: &'a str,
    references: &'a [String],
    models: Vec<String>,
    ids: Vec<ContentId>,
}

/// Domains and types.
type Known = HashMap<ContentId, (DomainId, String)>;

impl<'a> NamedUnits<'a> {
    /// Reads the references.
    ///
    /// # Errors
    /// 400 for the field that names what is no reference.
    pub fn read(field: &'a str, references: &'a [String]) -> ApiResult<Self> {
        let mut models = Vec::with_capacity(references.len());
        let mut ids = Vec::with_capacity(references.len());
        for reference in references {
            let (model, id) = unit(reference).ok_or_else(|| not_valid(field, reference))?;
            models.push(model);
            ids.push(id);
        }
        Ok(Self {
            field,
            references,
            models,
            ids,
        })
    }

    /// Their ids.
    #[must_use]
    pub fn ids(&self) -> &[ContentId] {
        &self.ids
    }

    /// Checks that all of them exist in the default domain, are of the types that the references say, and are among those
    /// that may be named.
    ///
    /// # Errors
    /// 400 for the field.
    pub async fn check(
        &self,
        conn: &mut Conn,
        visible: &Predicate<content::table>,
    ) -> ApiResult<()> {
        let mut known = Known::new();
        for batch in self.ids.chunks(BATCH) {
            let mut found = Content::known(conn, batch).await?;
            if !visible.is_always() {
                let seen = Content::among(conn, batch, visible.clone()).await?;
                let seen: HashSet<ContentId> = seen.into_iter().collect();
                found.retain(|(id, ..)| seen.contains(id));
            }
            known.extend(
                found
                    .into_iter()
                    .map(|(id, domain, kind)| (id, (domain, kind))),
            );
        }
        self.verify(&known)
    }

    /// Checks them but for who may name them, and keeps them from being deleted until the transaction ends. Gives those of
    /// which is to be said that they are of interest ([`Content::touch`]).
    ///
    /// # Errors
    /// 400 for the field.
    pub async fn keep(&self, conn: &mut Conn) -> ApiResult<Vec<ContentId>> {
        self.stale(conn, true).await
    }

    /// As [`NamedUnits::keep`], but keeps nothing: for whoever looks again when he keeps them.
    ///
    /// # Errors
    /// 400 for the field.
    pub async fn look(&self, conn: &mut Conn) -> ApiResult<Vec<ContentId>> {
        self.stale(conn, false).await
    }

    async fn stale(&self, conn: &mut Conn, keeps: bool) -> ApiResult<Vec<ContentId>> {
        let (mut known, mut stale) = (Known::new(), Vec::new());
        for batch in self.ids.chunks(BATCH) {
            let found = if keeps {
                Content::keep(conn, batch).await?
            } else {
                Content::look(conn, batch).await?
            };
            for unit in found {
                if unit.is_stale {
                    stale.push(unit.pulp_id);
                }
                known.insert(unit.pulp_id, (unit.pulp_domain, unit.pulp_type));
            }
        }
        self.verify(&known)?;
        Ok(stale)
    }

    fn verify(&self, known: &Known) -> ApiResult<()> {
        self.refuse("Could not find the following content units", |id| {
            !known.contains_key(id)
        })?;
        for ((reference, id), model) in self.references.iter().zip(&self.ids).zip(&self.models) {
            let is_of_type =
                |(_, kind): &(DomainId, String)| prn::content(kind, *id).model == *model;
            if !known.get(id).is_some_and(is_of_type) {
                return Err(not_valid(self.field, reference));
            }
        }
        self.refuse(
            "Content units are not a part of the current domain default",
            |id| known.get(id).map(|(domain, _)| domain) != Some(&DomainId::DEFAULT),
        )
    }

    /// Names the references to what is wrong; no more than a client can read.
    fn refuse(&self, what: &str, is_wrong: impl Fn(&ContentId) -> bool) -> ApiResult<()> {
        let list: Vec<String> = self
            .references
            .iter()
            .zip(&self.ids)
            .filter(|(_, id)| is_wrong(id))
            .take(100)
            .map(|(reference, _)| format!("'{reference}'"))
            .collect();
        if list.is_empty() {
            return Ok(());
        }
        let message = format!("{what}: [{}]", list.join(", "));
        Err(ApiError::field(self.field, message))
    }
}

fn not_valid(field: &str, reference: &str) -> ApiError {
    ApiError::field(field, format!("URI not valid: {reference}"))
}

/// The model and the id in a reference to a unit.
fn unit(reference: &str) -> Option<(String, ContentId)> {
    let prn = match (Prn::parse(reference), href::parse(reference)) {
        (Some(prn), _) | (None, Some(Target::Object(prn))) => prn,
        _ => return None,
    };
    let id = prn.uuid().filter(|_| prn::is_content(&prn.model))?;
    Some((prn.model, ContentId(id)))
}
