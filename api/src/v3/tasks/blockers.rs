//! `tasks/<id>/blockers/`: why a task waits.

use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::error::{ApiError, ApiResult};
use crate::listing::Wanted;
use crate::v3::{href, path_id, time};
use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use millrace_common::broker::BrokerView;
use millrace_common::ids::TaskId;
use millrace_common::models::blocker::{Blocker, Earlier, WaitingTask};
use millrace_common::models::lane::LaneHolder;
use millrace_common::models::{Pause, PauseKind};
use millrace_common::tasking::TaskState;
use millrace_common::tasking::why::{Why, why};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a task waits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BlockersResponse {
    /// The task.
    pub task: String,
    /// Its state.
    pub state: String,
    /// The first reason: `not_waiting`, `paused`, `lanes`, `no_worker`, `broker_unreachable`, `deferred`, `unpublished`
    /// or `no_free_worker`.
    pub verdict: String,
    /// The reason in a sentence that says what to do.
    pub message: String,
    /// What it reserves: at most 100, those for which it waits first. Nothing once it has ended.
    pub resources: Vec<ResourceEntry>,
    /// How many it reserves.
    pub resource_count: usize,
    /// The pauses that concern it.
    pub pauses: Vec<PauseEntry>,
    /// Since when nothing is in front of it.
    #[serde(serialize_with = "time::maybe_micros")]
    pub unblocked_at: Option<DateTime<Utc>>,
    /// When the announcement was published that the broker has confirmed.
    #[serde(serialize_with = "time::maybe_micros")]
    pub announced_at: Option<DateTime<Utc>>,
    /// Until when it was put off.
    #[serde(serialize_with = "time::maybe_micros")]
    pub not_before: Option<DateTime<Utc>>,
    /// Runs that it had.
    pub attempts: i32,
    /// Its work class.
    pub class: String,
    /// Tasks of its work class that run.
    pub class_running: i64,
    /// Workers that are online.
    pub online_workers: usize,
    /// Those of them that have the versions which it needs.
    pub able_workers: usize,
    /// The queue of its work class; null where it could not be seen.
    pub queue: Option<QueueEntry>,
}

/// A resource that a task reserves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResourceEntry {
    /// Its name.
    pub resource: String,
    /// `exclusive` or `shared`, as the task needs it.
    pub mode: &'static str,
    /// True where an earlier task must end first.
    pub blocked: bool,
    /// The place of the task in the lane, from 1; not counted beyond 10,001.
    pub position: i64,
    /// Who holds it: the first ten.
    pub holders: Vec<BusyEntry>,
    /// How many hold it.
    pub holder_count: i64,
    /// Earlier tasks that must end first: the first ten.
    pub in_front: Vec<BusyEntry>,
    /// How many they are; not counted beyond 10,000.
    pub in_front_count: i64,
    /// True while tasks that reserve it do not start.
    pub paused: bool,
    /// Why.
    pub pause_reason: Option<String>,
}

/// A task that is in a lane. Of somebody else's, only administrators see which it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BusyEntry {
    /// The task.
    pub task: Option<String>,
    /// The name of its type.
    pub name: Option<String>,
    /// Its state.
    pub state: String,
    /// `exclusive` or `shared`, as it needs the resource.
    pub mode: &'static str,
    /// Since when it runs, or waits.
    #[serde(serialize_with = "time::maybe_micros")]
    pub since: Option<DateTime<Utc>>,
    /// The worker that runs it; for administrators.
    pub worker: Option<String>,
    /// What that is called.
    pub worker_name: Option<String>,
}

/// A pause that concerns a task.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PauseEntry {
    /// `resource` or `task`.
    pub kind: String,
    /// What is paused.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(serialize_with = "time::micros")]
    pub since: DateTime<Utc>,
}

/// The queue of a work class.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueEntry {
    /// Messages that wait for a free slot.
    pub messages: u32,
    /// Slots that take messages.
    pub consumers: u32,
}

/// Whose tasks somebody sees.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// All.
    All,
    /// Those that this account dispatched.
    Of(i32),
}

impl Seen {
    /// What this account sees.
    #[must_use]
    pub fn of(actor: &Actor) -> Self {
        if actor.is_superuser {
            Self::All
        } else {
            Self::Of(actor.id)
        }
    }

    fn shows(self, owner: Option<i32>) -> bool {
        match self {
            Self::All => true,
            Self::Of(account) => owner == Some(account),
        }
    }

    /// Who holds a resource, as he sees it.
    #[must_use]
    pub fn holder(self, holder: &LaneHolder) -> BusyEntry {
        let shown = self.shows(holder.created_by);
        let workers = matches!(self, Self::All);
        BusyEntry {
            task: shown.then(|| href::task(holder.task)),
            name: shown.then(|| holder.name.clone()),
            state: holder.state.clone(),
            mode: mode(holder.exclusive),
            since: holder.since,
            worker: holder.worker.filter(|_| workers).map(href::worker),
            worker_name: holder.worker_name.clone().filter(|_| workers),
        }
    }

    fn earlier(self, earlier: Earlier) -> BusyEntry {
        let shown = self.shows(earlier.created_by);
        BusyEntry {
            task: shown.then(|| href::task(earlier.task)),
            name: Some(earlier.name).filter(|_| shown),
            state: earlier.state,
            mode: mode(earlier.exclusive),
            since: Some(earlier.since),
            worker: None,
            worker_name: None,
        }
    }
}

fn mode(exclusive: bool) -> &'static str {
    if exclusive { "exclusive" } else { "shared" }
}

/// Why a task waits.
///
/// # Errors
/// 404.
pub async fn blockers(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let id: TaskId = path_id(&path, "Task")?;
    authorize(&app, &actor, Action::View, Object::Task.at(id.0)).await?;
    let none = || ApiError::no("Task");
    let task = WaitingTask::find(&mut *app.db.get().await?, id).await?;
    let broker = view(&app, &task.ok_or_else(none)?).await;
    let why = why(&mut *app.db.get().await?, id, broker).await?;
    let shown = BlockersResponse::new(why.ok_or_else(none)?, Seen::of(&actor))?;
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// What is seen of the broker: nothing is asked of it where it does not matter.
async fn view(app: &App, task: &WaitingTask) -> BrokerView {
    if task.state != TaskState::Waiting.as_str() || task.unblocked_at.is_none() {
        return BrokerView::Reachable(None);
    }
    if app.publisher.is_blocked() {
        return BrokerView::Refuses;
    }
    BrokerView::of(&app.queues, &task.class).await
}

impl BlockersResponse {
    /// The answer, as somebody sees it.
    ///
    /// # Errors
    /// Never, unless a statement and its reader differ.
    pub fn new(why: Why, seen: Seen) -> ApiResult<Self> {
        let resources: ApiResult<_> = why
            .blockers
            .iter()
            .map(|blocker| ResourceEntry::new(blocker, &why, seen))
            .collect();
        let queue = why.broker.queue();
        Ok(Self {
            task: href::task(why.task.pulp_id),
            verdict: why.verdict.as_str().to_owned(),
            resources: resources?,
            resource_count: why.task.reserved_resources_record.len(),
            pauses: why.pauses.into_iter().map(PauseEntry::from).collect(),
            message: why.message,
            state: why.task.state,
            unblocked_at: why.task.unblocked_at,
            announced_at: why.task.announced_at,
            not_before: why.task.not_before,
            attempts: why.task.attempts,
            class: why.task.class,
            class_running: why.task.class_running,
            online_workers: why.online_workers,
            able_workers: why.able_workers,
            queue: queue.map(|queue| QueueEntry {
                messages: queue.messages,
                consumers: queue.consumers,
            }),
        })
    }
}

impl ResourceEntry {
    fn new(blocker: &Blocker, why: &Why, seen: Seen) -> ApiResult<Self> {
        let holders = why.holders.iter();
        let holders: Vec<&LaneHolder> = holders
            .filter(|holder| holder.resource == blocker.resource)
            .collect();
        let kind = PauseKind::Resource.as_str();
        let pause = why
            .pauses
            .iter()
            .find(|pause| pause.kind == kind && pause.name == blocker.resource);
        let first = blocker.first().map_err(ApiError::internal)?;
        Ok(Self {
            resource: blocker.resource.clone(),
            mode: mode(blocker.exclusive),
            blocked: blocker.blocked,
            position: blocker.position,
            holder_count: holders.first().map_or(0, |holder| holder.holders),
            holders: holders.into_iter().map(|h| seen.holder(h)).collect(),
            in_front: first.into_iter().map(|e| seen.earlier(e)).collect(),
            in_front_count: blocker.in_front,
            paused: pause.is_some(),
            pause_reason: pause.map(|pause| pause.reason.clone()),
        })
    }
}

impl From<Pause> for PauseEntry {
    fn from(pause: Pause) -> Self {
        Self {
            kind: pause.kind,
            name: pause.name,
            reason: pause.reason,
            since: pause.since,
        }
    }
}
