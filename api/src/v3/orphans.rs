//! `orphans/`: deleting what nothing needs (contract 4.5).

use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::{Body, Fields, FromFields, Text, Unread};
use crate::dispatching::dispatch_and_accept;
use crate::error::ApiResult;
use crate::v3::references;
use actix_web::HttpResponse;
use actix_web::web::Data;
use millrace_common::db;
use millrace_common::ids::DomainId;
use millrace_common::models::disposable;
use millrace_common::models::selection::Predicate;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::OrphanCleanup;
use millrace_common::tasks::disposal::{Disposal, protected_since};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What is to be cleaned up.
#[derive(Debug, Default, ToSchema)]
#[schema(as = OrphansCleanup)]
pub struct OrphansCleanup {
    /// Only these units.
    pub content_hrefs: Option<Vec<String>>,
    /// Minutes that an orphan is kept; null: as the settings say.
    #[schema(minimum = 0, maximum = 4294967295_u32)]
    pub orphan_protection_time: Option<u32>,
    /// True: the task's result says what would go, and nothing does.
    #[schema(required = false)]
    pub dry_run: bool,
}

/// What clean-up would take now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrphansSummaryResponse)]
pub struct OrphansSummary {
    /// Minutes that an orphan is kept.
    pub orphan_protection_time: u32,
    /// Units of all types.
    pub units: i64,
    /// Artifacts: of these units alone, or of none.
    pub artifacts: i64,
    /// Their bytes.
    pub bytes: i64,
    /// The same by content type; an artifact of two types counts with both.
    #[schema(value_type = Object)]
    pub by_type: Value,
}

/// What clean-up with the protection time of the settings would take now, in its first pass.
///
/// # Errors
/// 403.
pub async fn summary(app: Data<App>, actor: Actor) -> ApiResult {
    authorize(&app, &actor, Action::Delete, Object::Orphans).await?;
    let minutes = app.settings.tasks.orphan_protection_time;
    let mut conn = app.db.get().await?;
    let before = protected_since(db::now(&mut conn).await?, minutes);
    let found = disposable::orphans(&mut conn, DomainId::DEFAULT, before, None).await?;
    let all = Disposal::dry(found);
    Ok(HttpResponse::Ok().json(OrphansSummary {
        orphan_protection_time: minutes,
        units: all.units,
        artifacts: all.artifacts,
        bytes: all.bytes,
        by_type: json!(all.by_type),
    }))
}

impl FromFields for OrphansCleanup {
    fn read(fields: &mut Fields) -> Option<Self> {
        let hrefs = fields.nullable::<Vec<Text>>("content_hrefs");
        let minutes = fields.nullable::<i64>("orphan_protection_time");
        let dry_run = fields.optional::<bool>("dry_run");
        let hrefs = hrefs?.flatten();
        if hrefs.as_ref().is_some_and(Vec::is_empty) {
            return fields.refuse("content_hrefs", "Must not be [].");
        }
        let minutes = match minutes?.flatten() {
            None => None,
            Some(minutes) => match u32::try_from(minutes) {
                Ok(minutes) => Some(minutes),
                Err(_) => {
                    let bound = if minutes < 0 {
                        "greater than or equal to 0"
                    } else {
                        "less than or equal to 4294967295"
                    };
                    let message = format!("Ensure this value is {bound}.");
                    return fields.refuse("orphan_protection_time", message);
                }
            },
        };
        Some(Self {
            content_hrefs: hrefs.map(|list| list.into_iter().map(|text| text.0).collect()),
            orphan_protection_time: minutes,
            dry_run: dry_run?.unwrap_or_default(),
        })
    }
}

/// Cleans up, in a task.
///
/// # Errors
/// 400 for what is wrong with which field.
pub async fn cleanup(
    app: Data<App>,
    actor: Actor,
    body: Unread<Body<OrphansCleanup>>,
) -> ApiResult {
    authorize(&app, &actor, Action::Delete, Object::Orphans).await?;
    let Body(request) = body.read().await?;
    dispatch(&app, &actor, request).await
}

async fn dispatch(app: &App, actor: &Actor, request: OrphansCleanup) -> ApiResult {
    let content_pks = match &request.content_hrefs {
        None => None,
        Some(hrefs) => {
            let mut conn = app.db.get().await?;
            Some(references::units(&mut conn, &Predicate::always(), "content_hrefs", hrefs).await?)
        }
    };
    let minutes = request.orphan_protection_time;
    let task = OrphanCleanup {
        content_pks,
        orphan_protection_time: minutes.unwrap_or(app.settings.tasks.orphan_protection_time),
        dry_run: request.dry_run,
    };
    let task = NewTask::new(&app.catalog.tasks, &task)?;
    dispatch_and_accept(app, actor, task).await
}

/// Cleans up with the protection time of the settings, as old clients ask for it.
///
/// # Errors
/// 403.
pub async fn remove(app: Data<App>, actor: Actor) -> ApiResult {
    authorize(&app, &actor, Action::Delete, Object::Orphans).await?;
    dispatch(&app, &actor, OrphansCleanup::default()).await
}
