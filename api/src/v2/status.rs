//! `status/`: open to everybody.

use super::answer::{moment, ok};
use super::problem::Answer;
use crate::app::App;
use actix_web::web::Data;
use log::warn;
use millrace_common::error::Error;
use millrace_common::models::app_status::AppStatus;
use serde_json::{Value, json};

/// Answers whatever is up: what is down is in the answer.
///
/// # Errors
/// None.
pub async fn read(app: Data<App>) -> Answer {
    let online = async {
        let mut conn = app.db.get().await?;
        AppStatus::online(&mut conn).await.map_err(Error::from)
    };
    let online = online
        .await
        .inspect_err(|error| warn!(error:% = error; "status without the database: {error}"))
        .ok();
    let connected = online.is_some();
    let workers = online.unwrap_or_default();
    let workers = workers.iter().filter(|one| one.app_type == "worker");
    let version = app.catalog.tasks.version("core");
    ok(&json!({
        "api_version": "2",
        "versions": { "platform_version": version },
        "known_workers": workers.map(worker).collect::<Vec<_>>(),
        "messaging_connection": { "connected": app.publisher.is_connected() },
        "database_connection": { "connected": connected },
    }))
}

fn worker(worker: &AppStatus) -> Value {
    json!({
        "_id": worker.name,
        "_ns": "workers",
        "name": worker.name,
        "last_heartbeat": moment(worker.last_heartbeat),
    })
}
