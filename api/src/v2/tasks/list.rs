//! Reading tasks. A list of all is never whole in memory.

use super::response::{add_queue, render};
use crate::app::App;
use crate::correlation;
use crate::v2::answer::{JSON, ok};
use crate::v2::problem::{Answer, Problem};
use crate::v2::segment;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{self, Stream, StreamExt};
use log::error;
use millrace_common::cause::chain;
use millrace_common::error::Error;
use millrace_common::ids::TaskId;
use millrace_common::models::listed_task::{ListedTask, TaskPlace, TasksOf};
use millrace_common::tasking::Registry;
use serde_json::Value;
use url::form_urlencoded;

/// Tasks of one page: their results and errors may be long.
const PAGE: i64 = 100;

/// Tasks outside of groups, the newest first; with all of the given tags. Whole, unless the client asks for less.
///
/// # Errors
/// 400 for a limit that is none.
pub async fn list(app: Data<App>, request: HttpRequest) -> Answer {
    let mut tags = Vec::new();
    let (mut skip, mut limit) = (0, None);
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        match &*name {
            "tag" => tags.push(value.into_owned()),
            "skip" => skip = number("skip", &value)?,
            "limit" => limit = Some(number("limit", &value)?),
            _ => {}
        }
    }
    let of = TasksOf {
        names: with_tags(&app.catalog.tasks, &tags),
        ..TasksOf::default()
    };
    stream_of(app, &request, of, skip, limit).await
}

/// One task, with the queue of its worker.
///
/// # Errors
/// 404.
pub async fn read(app: Data<App>, request: HttpRequest) -> Answer {
    let id = segment(&request, "task_id");
    let mut conn = app.db.get().await?;
    let task = match task_id(&id) {
        Some(id) => ListedTask::find(&mut conn, id).await?,
        None => None,
    };
    let tasks: Vec<ListedTask> = task.into_iter().collect();
    let mut task = render(&app, &mut conn, tasks)
        .await?
        .pop()
        .ok_or_else(|| no_task(&id))?;
    add_queue(&mut task);
    ok(&task)
}

/// 404 for this task.
pub fn no_task(id: &str) -> Problem {
    Problem::missing(&[("resource_id", id)])
}

/// The id of a task, spelled as it is shown.
#[must_use]
pub fn task_id(text: &str) -> Option<TaskId> {
    let id: TaskId = text.parse().ok()?;
    (id.to_string() == text).then_some(id)
}

/// A number of tasks.
///
/// # Errors
/// 400 that names it.
pub fn number(name: &str, text: &str) -> Answer<i64> {
    let number = text.parse().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| Problem::invalid(&[name]))
}

/// The names of the types that have all of these tags; `None`: any, as no tag is asked for.
#[must_use]
pub fn with_tags(registry: &Registry, tags: &[String]) -> Option<Vec<String>> {
    let (first, others) = tags.split_first()?;
    let has_others = |name: &&str| {
        let has = registry.tags(name);
        others.iter().all(|tag| has.contains(&tag.as_str()))
    };
    let names = registry.tagged(first).filter(has_others);
    Some(names.map(str::to_owned).collect())
}

/// A list on its way.
struct Listing {
    app: Data<App>,
    of: TasksOf,
    place: TaskPlace,
    /// `None`: all that there are.
    left: Option<i64>,
    is_first: bool,
    is_over: bool,
}

/// 200 with the array of these tasks, a page at a time, as [`super::super::units::list`] does.
///
/// # Errors
/// As the session, before anything is sent.
pub async fn stream_of(
    app: Data<App>,
    request: &HttpRequest,
    of: TasksOf,
    skip: i64,
    limit: Option<i64>,
) -> Answer {
    let mut listing = Listing {
        app,
        of,
        place: TaskPlace { behind: None, skip },
        left: limit,
        is_first: true,
        is_over: *request.method() == Method::HEAD,
    };
    let first = listing.next().await?;
    let pages = pages(listing, first, correlation::current());
    Ok(HttpResponse::build(StatusCode::OK)
        .content_type(JSON)
        .streaming(pages))
}

fn pages(
    listing: Listing,
    first: Option<Bytes>,
    cid: String,
) -> impl Stream<Item = Result<Bytes, Error>> {
    let rest = stream::try_unfold((listing, cid), async |(mut listing, cid)| {
        match listing.next().await {
            Ok(Some(bytes)) => Ok(Some((bytes, (listing, cid)))),
            Ok(None) => Ok(None),
            Err(cause) => {
                error!(cid = cid.as_str(); "a list is cut off: {}", chain(&cause));
                Err(cause)
            }
        }
    });
    stream::iter(first.map(Ok)).chain(rest)
}

impl Listing {
    /// The next piece of the array; `None` behind its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let wanted = self.left.unwrap_or(PAGE).min(PAGE);
        let mut conn = self.app.db.get().await?;
        let found = ListedTask::page(&mut conn, &self.of, self.place, wanted).await?;
        let count = i64::try_from(found.len()).unwrap_or(PAGE);
        self.left = self.left.map(|left| left - count);
        self.is_over = count < PAGE || self.left == Some(0);
        if let Some(last) = found.last() {
            self.place = TaskPlace {
                behind: Some((last.pulp_created, last.pulp_id)),
                skip: 0,
            };
        }
        let shown = render(&self.app, &mut conn, found).await?;
        Ok(Some(self.write(&shown)))
    }

    fn write(&mut self, tasks: &[Value]) -> Bytes {
        let mut text = String::new();
        if self.is_first {
            text.push('[');
        }
        for task in tasks {
            if !std::mem::take(&mut self.is_first) {
                text.push(',');
            }
            text.push_str(&task.to_string());
        }
        self.is_first = false;
        if self.is_over {
            text.push(']');
        }
        text.into()
    }
}
