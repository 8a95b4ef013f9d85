//! What a synchronisation was, so that the next one can tell that nothing has changed.

use super::Source;
use crate::download::Spooled;
use crate::ids::{ContentId, RemoteId};
use crate::models::{Membership, RepositoryContent, RepositoryVersion, bulk};
use crate::repository::BATCH;
use crate::tasking::{TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Shown as `last_sync_details` of the repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Details {
    /// Where from.
    pub remote_pk: RemoteId,
    /// The manifest.
    pub url: String,
    /// When files are fetched.
    pub download_policy: String,
    /// Whether what the remote lacked went.
    pub mirror: bool,
    /// SHA-256 of the manifest.
    pub manifest_sha256: String,
    /// Number of the newest version afterwards.
    pub most_recent_version: i32,
}

impl Details {
    /// Of this run, as long as it makes no version.
    pub fn of(
        source: &Source,
        spooled: &Spooled,
        mirror: bool,
        newest: Option<&RepositoryVersion>,
    ) -> Self {
        Self {
            remote_pk: source.remote.pulp_id,
            url: crate::download::public(&source.url),
            download_policy: source.remote.policy.clone(),
            mirror,
            manifest_sha256: spooled.sha256.clone(),
            most_recent_version: newest.map_or(0, |version| version.number),
        }
    }

    /// True where a run would find what the last one, which these are the details of, made.
    ///
    /// # Errors
    /// As the session.
    pub async fn says_skip(
        &self,
        ctx: &TaskContext,
        last: &Value,
        newest: Option<&RepositoryVersion>,
    ) -> Result<bool, TaskError> {
        let last = Self::deserialize(last);
        // Nothing there, or what a version of ours wrote that we do not read: no reason to skip.
        let (Ok(last), Some(newest)) = (last, newest) else {
            return Ok(false);
        };
        let immediate = self.download_policy == "immediate";
        let same = last.remote_pk == self.remote_pk
            && last.url == self.url
            && last.manifest_sha256 == self.manifest_sha256
            && last.most_recent_version == newest.number
            && (!immediate || last.download_policy == "immediate")
            && (!self.mirror || last.mirror);
        Ok(same && !(immediate && lacks_files(ctx, newest).await?))
    }
}

/// True where a unit of the version has no file.
async fn lacks_files(ctx: &TaskContext, version: &RepositoryVersion) -> Result<bool, TaskError> {
    let place = Membership {
        repository: version.repository_id,
        number: version.number,
    };
    let mut behind = ContentId(Uuid::nil());
    loop {
        ctx.checkpoint()?;
        let mut conn = ctx.session().await;
        let units = RepositoryContent::page(&mut conn, place, behind, BATCH).await?;
        let Some(last) = units.last() else {
            return Ok(false);
        };
        behind = *last;
        if bulk::any_without_file(&mut conn, &units).await? {
            return Ok(true);
        }
    }
}
