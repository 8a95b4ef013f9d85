//! The kinds of objects on which roles are held, and how each is found.

use super::object_roles::Roled;
use super::publications::PUBLICATION;
use super::remotes_file::REMOTE;
use super::repositories_of::{self, RepositoryCalls};
use super::{distributions, path_id};
use crate::auth::Object;
use crate::error::{ApiError, ApiResult};
use millrace_common::content::file::PULP_TYPE;
use millrace_common::db::Conn;
use millrace_common::ids::{DomainId, TaskId, TaskScheduleId, UploadId};
use millrace_common::models::task::Task;
use millrace_common::models::{
    AccountGroup, Distribution, Publication, Remote, TaskSchedule, Upload,
};
use std::marker::PhantomData;
use uuid::Uuid;

/// Repositories of a type.
pub struct Repositories<K>(PhantomData<K>);

impl<K: RepositoryCalls> Roled for Repositories<K> {
    const OBJECT: Object = Object::Repository(K::PULP_TYPE);

    async fn id(conn: &mut Conn, path: &str) -> ApiResult<Uuid> {
        let id = path_id(path, K::WHAT)?;
        Ok(repositories_of::get::<K>(conn, id).await?.pulp_id.0)
    }
}

/// Declares kinds whose objects are found by their ids.
macro_rules! roled {
    ($($(#[$doc:meta])* $name:ident = $object:expr, $find:expr;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl Roled for $name {
            const OBJECT: Object = $object;

            async fn id(conn: &mut Conn, path: &str) -> ApiResult<Uuid> {
                let what = Self::OBJECT.what();
                let id: Uuid = path_id(path, &what)?;
                let is_there: bool = $find(conn, id).await?;
                if is_there { Ok(id) } else { Err(ApiError::no(&what)) }
            }
        }
    )+};
}

roled! {
    /// Tasks.
    Tasks = Object::Task, async |conn: &mut Conn, id: Uuid| -> ApiResult<bool> {
        Ok(Task::state(conn, TaskId(id)).await?.is_some())
    };
    /// Schedules.
    TaskSchedules = Object::TaskSchedule, async |conn: &mut Conn, id: Uuid| -> ApiResult<bool> {
        Ok(TaskSchedule::find(conn, DomainId::DEFAULT, TaskScheduleId(id)).await?.is_some())
    };
    /// Uploads.
    Uploads = Object::Upload, async |conn: &mut Conn, id: Uuid| -> ApiResult<bool> {
        Ok(Upload::find(conn, DomainId::DEFAULT, UploadId(id)).await?.is_some())
    };
    /// File remotes.
    FileRemotes = REMOTE, async |conn: &mut Conn, id: Uuid| -> ApiResult<bool> {
        let found = Remote::find(conn, DomainId::DEFAULT, id.into()).await?;
        Ok(found.is_some_and(|row| row.pulp_type == PULP_TYPE))
    };
    /// File publications.
    FilePublications = PUBLICATION, async |conn: &mut Conn, id: Uuid| -> ApiResult<bool> {
        let found = Publication::find(conn, DomainId::DEFAULT, id.into()).await?;
        Ok(found.is_some_and(|row| row.pulp_type == PULP_TYPE))
    };
    /// File distributions.
    FileDistributions = distributions::DISTRIBUTION, async |conn: &mut Conn, id: Uuid| -> ApiResult<bool> {
        let found = Distribution::find(conn, DomainId::DEFAULT, id.into()).await?;
        Ok(found.is_some_and(|row| row.pulp_type == PULP_TYPE))
    };
}

/// Groups of accounts.
pub struct Groups;

impl Roled for Groups {
    const OBJECT: Object = Object::Group;

    async fn id(conn: &mut Conn, path: &str) -> ApiResult<Uuid> {
        let what = Self::OBJECT.what();
        let found = AccountGroup::find(conn, path_id(path, &what)?).await?;
        found
            .map(|group| group.object_id)
            .ok_or_else(|| ApiError::no(&what))
    }
}
