//! What exports left that end without a last run: canceled while they waited for it, or out of attempts.

use super::path::{self, Place};
use super::target;
use crate::config::Settings;
use crate::db::Db;
use crate::error::Error;
use crate::ids::ExportId;
use crate::models::ExportStaging;
use log::warn;
use uuid::Uuid;

/// Directories that are looked for at once.
const BATCH: i64 = 100;

/// Removes the staging directories of exports whose task has ended. One that cannot be removed is met again
/// the next time; one that lies where nothing may be exported to any more is left as it is. Several
/// processes may do it at once.
///
/// # Errors
/// As the session.
pub(super) async fn remove(db: &Db, settings: &Settings) -> Result<(), Error> {
    let mut last = ExportId(Uuid::nil());
    loop {
        let ended = ExportStaging::ended(&mut *db.get().await?, last, BATCH).await?;
        let Some(end) = ended.last() else {
            return Ok(());
        };
        last = end.export_id;
        for staging in ended {
            if is_cleared(settings, &staging).await? {
                ExportStaging::forget(&mut *db.get().await?, staging.export_id).await?;
            }
        }
    }
}

async fn is_cleared(settings: &Settings, staging: &ExportStaging) -> Result<bool, Error> {
    let (target, export) = (staging.path(), staging.export_id);
    let allowed = settings.exports.allowed_paths.to_vec();
    let cleared = tokio::task::spawn_blocking(move || {
        let found = path::find_now(&target, &allowed);
        let way = target.display();
        match found.map(|place: Place| target::clear(&place, export)) {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                warn!("what export {export} left in '{way}' cannot be removed yet: {error}");
                false
            }
            Err(refusal) => {
                warn!(
                    "what export {export} left stays: {}",
                    refusal.about(&way.to_string())
                );
                true
            }
        }
    });
    cleared.await.map_err(Error::internal)
}
