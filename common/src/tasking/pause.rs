//! Pausing a lane or a task type, and the end of a pause.
//!
//! A pause stops claims: tasks that run go on, tasks that wait keep their places in their lanes. A task that is claimed
//! all the same is held until the pause has ended (`millrace_claim`). A pause ends in one commit; what it held is
//! released after it, in batches: by whoever ended it, then by the janitor.

use super::resources::Resources;
use crate::broker::Announcements;
use crate::db::{self, Conn};
use crate::error::Error;
use crate::href::{self, Target};
use crate::ids::{PauseId, VersionId};
use crate::models::audit_entry::By;
use crate::models::object::version_ids;
use crate::models::{AuditEntry, NewPause, Pause, PauseKind};
use crate::prn::Prn;
use serde_json::json;
use std::time::{Duration, Instant};

/// Tasks released by one transaction.
const BATCH: i64 = 500;
/// Longest time that whoever ends a pause releases.
const PATIENCE: Duration = Duration::from_secs(2);

/// The name under which a task reserves this: a name, an address of the API or a PRN.
///
/// # Errors
/// [`Error::Invalid`] on `resource` for what cannot be reserved.
pub async fn resource_name(conn: &mut Conn, given: &str) -> Result<String, Error> {
    let named = match href::parse(given) {
        Some(Target::Version { repository, number }) => {
            let key = (repository.uuid().unwrap_or_default(), number);
            let id = version_ids(conn, &[key]).await?.get(&key).copied();
            let message = || format!("URI {given} not found for repositoryversion.");
            let id = id.ok_or_else(|| Error::invalid("resource", message()))?;
            Prn::from(VersionId(id)).to_string()
        }
        _ => given.to_owned(),
    };
    let resources = Resources::exclusive(named);
    resources.validate().map_err(|error| match error {
        Error::Invalid { message, .. } => Error::invalid("resource", message),
        error => error,
    })?;
    let name = resources.exclusive_names().next().map(str::to_owned);
    name.ok_or_else(|| Error::internal("a resource without a name"))
}

/// Pauses a lane or a task type: what is claimed from then on and matches is held.
///
/// # Errors
/// [`Error::Invalid`] on `resource` or `task_name` where it is paused already; else as the session.
pub async fn pause(conn: &mut Conn, by: By<'_>, new: &NewPause) -> Result<Pause, Error> {
    db::transaction(conn, async |conn| {
        let made = Pause::create(conn, new, by.account).await?;
        let field = match new.kind {
            PauseKind::Resource => "resource",
            PauseKind::Task => "task_name",
        };
        let made = made.ok_or_else(|| Error::invalid(field, "It is paused already."))?;
        note(conn, by, "pause.create", &made).await?;
        Ok(made)
    })
    .await
}

/// Ends a pause and lets start what it held; `announce` is called with what is to be published. Of a great many the
/// janitor releases the rest, within seconds. `None`: there is no such pause.
///
/// # Errors
/// As the session. Where it fails after the pause has ended, the janitor goes on.
pub async fn resume(
    conn: &mut Conn,
    by: By<'_>,
    id: PauseId,
    announce: impl FnMut(Announcements),
) -> Result<Option<Pause>, Error> {
    let ended = db::transaction(conn, async |conn| {
        let ended = Pause::delete(conn, id).await?;
        if let Some(ended) = &ended {
            note(conn, by, "pause.delete", ended).await?;
        }
        Ok::<_, Error>(ended)
    })
    .await?;
    if ended.is_some() {
        release(conn, id, announce, PATIENCE).await?;
    }
    Ok(ended)
}

/// Releases what pauses held whose end was not carried through, for so long.
///
/// # Errors
/// As the session.
pub(super) async fn release_left(
    conn: &mut Conn,
    mut announce: impl FnMut(Announcements),
    limit: Duration,
) -> Result<(), Error> {
    let started = Instant::now();
    for id in Pause::unreleased(conn).await? {
        let left = limit.saturating_sub(started.elapsed());
        release(conn, id, &mut announce, left).await?;
    }
    Ok(())
}

/// Lets start what a pause held that has ended, batch by batch.
async fn release(
    conn: &mut Conn,
    id: PauseId,
    mut announce: impl FnMut(Announcements),
    limit: Duration,
) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let released = db::retrying(conn, async |conn| Pause::release(conn, id, BATCH).await);
        let released = released.await?;
        if let Some(announcements) = released.announcements {
            announce(Announcements::from_json(announcements).map_err(Error::internal)?);
        }
        if released.tasks == 0 || started.elapsed() >= limit {
            return Ok(());
        }
    }
}

async fn note(conn: &mut Conn, by: By<'_>, action: &str, pause: &Pause) -> Result<(), Error> {
    let details = json!({"kind": pause.kind, "reason": pause.reason});
    AuditEntry::write(conn, by, action, &pause.name, &details).await?;
    Ok(())
}
