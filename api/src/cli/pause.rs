//! `millrace-api pause` and `millrace-api resume`

use super::Failure;
use clap::Args;
use millrace_common::catalog::Catalog;
use millrace_common::config::Settings;
use millrace_common::db::{Conn, Db};
use millrace_common::models::audit_entry::By;
use millrace_common::models::{NewPause, Pause, PauseKind};
use millrace_common::tasking::pause::{pause, resource_name, resume};
use std::io::Write;

/// What is paused.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// A resource, by name, href or PRN.
    #[arg(long)]
    resource: Option<String>,
    /// A task type, by its dotted name.
    #[arg(long)]
    task_name: Option<String>,
}

impl What {
    async fn named(self, conn: &mut Conn) -> Result<(PauseKind, String), Failure> {
        Ok(match (self.resource, self.task_name) {
            (Some(resource), _) => (PauseKind::Resource, resource_name(conn, &resource).await?),
            (None, name) => (PauseKind::Task, name.unwrap_or_default()),
        })
    }
}

/// Pauses a lane or a task type.
pub async fn set(
    settings: Settings,
    register: fn(&mut Catalog),
    what: What,
    reason: String,
) -> Result<(), Failure> {
    let catalog = Catalog::load(&settings, register)?;
    let db = Db::new(&settings.database, "millrace-api")?;
    let mut conn = db.get().await?;
    let (kind, name) = what.named(&mut conn).await?;
    if kind == PauseKind::Task && catalog.tasks.get(&name).is_none() {
        return Err(format!("`{name}` is not a registered task").into());
    }
    let new = NewPause { kind, name, reason };
    let made = pause(&mut conn, By::default(), &new).await?;
    // Written, not printed: a reader that stops early is no fault.
    let _ = writeln!(std::io::stdout(), "paused {} {}", made.kind, made.name);
    Ok(())
}

/// Ends a pause. The workers' janitor announces what starts.
pub async fn end(settings: &Settings, what: What) -> Result<(), Failure> {
    let db = Db::new(&settings.database, "millrace-api")?;
    let mut conn = db.get().await?;
    let (kind, name) = what.named(&mut conn).await?;
    let none = || format!("the {} {name} is not paused", kind.as_str());
    let found = Pause::of(&mut conn, kind, &name).await?.ok_or_else(none)?;
    resume(&mut conn, By::default(), found.pulp_id, drop)
        .await?
        .ok_or_else(none)?;
    let _ = writeln!(std::io::stdout(), "resumed {} {name}", kind.as_str());
    Ok(())
}
