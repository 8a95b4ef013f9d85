//! `millrace-api why`

use super::Failure;
use crate::v3::tasks::{BlockersResponse, BusyEntry, ResourceEntry, Seen};
use chrono::{DateTime, Utc};
use millrace_common::broker::{BrokerView, Link};
use millrace_common::config::Settings;
use millrace_common::db::Db;
use millrace_common::href;
use millrace_common::ids::TaskId;
use millrace_common::models::blocker::WaitingTask;
use millrace_common::tasking::why::why;
use std::fmt::Write as _;
use std::io::Write as _;

/// Says why a task waits: for people, or as JSON.
pub async fn print(settings: &Settings, task: &str, json: bool) -> Result<(), Failure> {
    let id = href::reference_id(task).or_else(|| task.parse().ok());
    let id =
        TaskId(id.ok_or_else(|| format!("`{task}` is neither the id nor the href of a task"))?);
    let none = || format!("there is no task {id}");
    let db = Db::new(&settings.database, "millrace-api")?;
    let found = WaitingTask::find(&mut *db.get().await?, id).await?;
    let link = Link::new(&settings.broker, "millrace-api why");
    let broker = BrokerView::of(&link, &found.ok_or_else(none)?.class).await;
    link.close().await;
    let why = why(&mut *db.get().await?, id, broker)
        .await?
        .ok_or_else(none)?;
    let shown = BlockersResponse::new(why, Seen::All).map_err(|error| error.to_string())?;
    let text = if json {
        serde_json::to_string_pretty(&shown)? + "\n"
    } else {
        written(&shown)?
    };
    // Written, not printed: a reader that stops early is no fault.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn written(shown: &BlockersResponse) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "{} ({})", shown.message, shown.verdict)?;
    for resource in &shown.resources {
        resource_lines(&mut text, resource)?;
    }
    let hidden = shown.resource_count.saturating_sub(shown.resources.len());
    if hidden > 0 && !shown.resources.is_empty() {
        writeln!(text, "  and {hidden} resources more")?;
    }
    Ok(text)
}

fn resource_lines(text: &mut String, resource: &ResourceEntry) -> std::fmt::Result {
    let paused = match (&resource.pause_reason, resource.paused) {
        (_, false) => String::new(),
        (Some(reason), true) if !reason.is_empty() => format!(", paused: {reason}"),
        (_, true) => ", paused".to_owned(),
    };
    let (name, mode, position) = (&resource.resource, resource.mode, resource.position);
    writeln!(text, "  {name} ({mode}): place {position}{paused}")?;
    for holder in &resource.holders {
        writeln!(text, "    held by {}", entry(holder))?;
    }
    if resource.blocked {
        let waiting = resource.in_front.iter().filter(|e| e.state == "waiting");
        for earlier in waiting {
            writeln!(text, "    behind  {}", entry(earlier))?;
        }
        let more = resource.in_front_count - i64::try_from(resource.in_front.len()).unwrap_or(0);
        if more > 0 {
            writeln!(text, "    and {more} more")?;
        }
    }
    Ok(())
}

fn entry(busy: &BusyEntry) -> String {
    let task = busy.task.as_deref().unwrap_or("a task");
    let name = busy.name.as_deref().unwrap_or_default();
    let since = busy
        .since
        .map(|since: DateTime<Utc>| since.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let worker = match &busy.worker_name {
        Some(worker) => format!(" on {worker}"),
        None => String::new(),
    };
    let (state, mode, since) = (&busy.state, busy.mode, since.unwrap_or_default());
    format!("{task} {name} ({mode}, {state} since {since}{worker})")
}
