//! `status/`, `livez/` (contract 4.2) and `readyz/`.

use crate::app::App;
use crate::error::ApiResult;
use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use log::warn;
use millrace_common::models::app_status::AppStatus;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// How the system is.
#[derive(Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct StatusResponse {
    pub versions: Vec<VersionResponse>,
    pub online_workers: Vec<AppStatusResponse>,
    pub online_api_apps: Vec<AppStatusResponse>,
    pub online_content_apps: Vec<AppStatusResponse>,
    pub database_connection: ConnectionResponse,
    pub redis_connection: ConnectionResponse,
    pub storage: Option<StorageResponse>,
    pub content_settings: ContentSettingsResponse,
    pub domain_enabled: bool,
    /// The connection to RabbitMQ. Without it tasks are accepted, and start later.
    pub broker: BrokerResponse,
    /// True while a part is missing.
    pub degraded: bool,
}

/// A component and its version.
#[derive(Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct VersionResponse {
    pub component: String,
    pub version: String,
    pub package: String,
    pub module: String,
    pub domain_compatible: bool,
}

/// A process that is there.
#[derive(Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct AppStatusResponse {
    pub name: String,
    #[serde(serialize_with = "super::time::micros")]
    pub last_heartbeat: DateTime<Utc>,
    #[schema(value_type = Object)]
    pub versions: Value,
}

/// A connection.
#[derive(Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct ConnectionResponse {
    pub connected: bool,
}

/// The connection to the broker.
#[derive(Serialize, ToSchema)]
#[expect(missing_docs, reason = "named after what they say")]
pub struct BrokerResponse {
    pub connected: bool,
    pub blocked: bool,
}

/// Bytes of the artifact store.
#[derive(Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct StorageResponse {
    pub total: Option<u64>,
    pub used: Option<u64>,
    pub free: Option<u64>,
}

/// Where content is served.
#[derive(Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct ContentSettingsResponse {
    pub content_origin: Option<String>,
    pub content_path_prefix: String,
}

/// Answers while the process lives, whatever else is up.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// Whether requests can be served now.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub struct ReadinessResponse {
    /// True where they can.
    pub ready: bool,
    /// True while a part is missing without which they can: tasks are accepted, and start later.
    pub degraded: bool,
    /// True where the database answers.
    pub database: bool,
    /// True where the database has the schema of this program.
    pub migrated: bool,
    /// True where the broker takes messages, or is not needed.
    pub broker: bool,
}

/// 503 where requests cannot be served now.
pub async fn ready(app: Data<App>) -> HttpResponse {
    let (database, migrated) = app.readiness.of(&app.db).await;
    let broker = !app.serves.api() || (app.publisher.is_connected() && !app.publisher.is_blocked());
    let ready = database && migrated;
    let answer = ReadinessResponse {
        ready,
        degraded: !broker,
        database,
        migrated,
        broker,
    };
    if ready {
        HttpResponse::Ok().json(answer)
    } else {
        HttpResponse::ServiceUnavailable().json(answer)
    }
}

/// Answers whatever is up: what is down is in the answer.
pub async fn read(app: Data<App>) -> ApiResult {
    let online = online(&app).await;
    let (connected, online) = (online.is_some(), online.unwrap_or_default());
    let of = |app_type: &str| {
        online
            .iter()
            .filter(|app| app.app_type == app_type)
            .map(AppStatusResponse::from)
            .collect()
    };
    let broker = BrokerResponse {
        connected: app.publisher.is_connected(),
        blocked: app.publisher.is_blocked(),
    };
    Ok(HttpResponse::Ok().json(StatusResponse {
        versions: versions(&app),
        online_workers: of("worker"),
        online_api_apps: of("api"),
        online_content_apps: of("content"),
        database_connection: ConnectionResponse { connected },
        redis_connection: ConnectionResponse { connected: false },
        storage: storage(&app).await,
        content_settings: content_settings(&app),
        domain_enabled: false,
        degraded: !connected || !broker.connected || broker.blocked,
        broker,
    }))
}

async fn online(app: &App) -> Option<Vec<AppStatus>> {
    let asked = async {
        let mut conn = app.db.get().await?;
        AppStatus::online(&mut conn)
            .await
            .map_err(millrace_common::error::Error::from)
    };
    asked
        .await
        .inspect_err(|error| warn!(error:% = error; "status without the database: {error}"))
        .ok()
}

async fn storage(app: &App) -> Option<StorageResponse> {
    let usage = app.storage.usage().await.unwrap_or_else(|error| {
        warn!(error:% = error; "status without the store: {error}");
        None
    })?;
    Some(StorageResponse {
        total: Some(usage.total),
        used: Some(usage.used),
        free: Some(usage.free),
    })
}

fn content_settings(app: &App) -> ContentSettingsResponse {
    let origin = &app.settings.api.content_origin;
    ContentSettingsResponse {
        content_origin: (!origin.is_empty()).then(|| origin.clone()),
        content_path_prefix: app.settings.content.path_prefix.clone(),
    }
}

fn versions(app: &App) -> Vec<VersionResponse> {
    app.catalog
        .tasks
        .components()
        .iter()
        .map(|component| VersionResponse {
            component: component.component.to_owned(),
            version: component.version.to_owned(),
            package: component.package.to_owned(),
            module: component.module.to_owned(),
            domain_compatible: true,
        })
        .collect()
}

impl From<&AppStatus> for AppStatusResponse {
    fn from(app: &AppStatus) -> Self {
        Self {
            name: app.name.clone(),
            last_heartbeat: app.last_heartbeat,
            versions: app.versions.clone(),
        }
    }
}
