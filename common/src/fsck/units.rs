//! Units of a Pulp 2 that do not lie where they say. What lies there and belongs to no unit is a Pulp 2's own.

use super::{BATCH, Finding, Run, What};
use crate::error::Error;
use crate::ids::ContentId;
use crate::models::stored_unit::StoredUnit;
use crate::units::{Fault, Storage};
use std::sync::Arc;
use uuid::Uuid;

pub(super) async fn check(run: &mut Run<'_>) -> Result<(), Error> {
    let mut behind = ContentId(Uuid::nil());
    let mut storage = None;
    loop {
        let page = {
            let mut conn = run.fsck.db.get().await?;
            StoredUnit::page(&mut conn, behind, BATCH as i64).await?
        };
        let Some(last) = page.last() else {
            return Ok(());
        };
        behind = last.content_id;
        run.summary.units += page.len() as u64;
        let storage = match &storage {
            Some(storage) => Arc::clone(storage),
            None => Arc::clone(storage.insert(open(run).await?)),
        };
        for (unit, why) in missing(storage, page).await? {
            if !unit.is_current(&mut *run.fsck.db.get().await?).await? {
                continue;
            }
            run.add(Finding {
                what: What::UnitWithoutFile,
                detail: format!("unit {}{why}", unit.content_id),
                name: unit.place,
                done: None,
            });
        }
    }
}

async fn open(run: &Run<'_>) -> Result<Arc<Storage>, Error> {
    let root = run.fsck.settings.units.storage_root.clone();
    let opening = tokio::task::spawn_blocking(move || Storage::open(&root));
    let opened = opening.await.map_err(Error::internal)?;
    let opened = opened.map_err(|fault| Error::invalid("units.storage_root", fault.to_string()))?;
    Ok(Arc::new(opened))
}

/// Those where nothing is, and those whose place cannot be looked at, with the reason.
async fn missing(
    storage: Arc<Storage>,
    page: Vec<StoredUnit>,
) -> Result<Vec<(StoredUnit, String)>, Error> {
    let looking = tokio::task::spawn_blocking(move || {
        let fault = |unit: StoredUnit| match storage.holds(&unit.place) {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some((unit, String::new()))),
            Err(Fault::Refused(why)) => Ok(Some((unit, format!(", {why}")))),
            Err(fault) => Err(Error::Unavailable {
                what: "storage of a Pulp 2",
                source: fault.into(),
            }),
        };
        let found = page.into_iter().map(fault);
        found.filter_map(Result::transpose).collect()
    });
    looking.await.map_err(Error::internal)?
}
