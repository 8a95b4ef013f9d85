//! `tasks/events/`: state changes of tasks as server-sent events.

use super::filters::STATES;
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::error::{ApiError, ApiResult};
use crate::events::{Change, Listener, Told};
use crate::listing::{Kind, pairs};
use crate::openapi::Parameter;
use crate::v3::{href, time};
use actix_web::http::header::{self, ContentEncoding, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use futures_util::stream;
use millrace_common::ids::TaskId;
use millrace_common::prn::Prn;
use serde::Serialize;
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, interval_at};

/// So often something is sent, whatever happens: whoever is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after so long: the client comes again, with credentials that are looked at again.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a client wants to hear of; empty: everything.
#[derive(Debug, Default)]
struct Wish {
    states: BTreeSet<String>,
    names: BTreeSet<String>,
    tasks: BTreeSet<TaskId>,
}

/// The data of an event.
#[derive(Serialize)]
struct TaskData<'a> {
    task: String,
    prn: String,
    name: &'a str,
    state: &'a str,
    #[serde(serialize_with = "time::micros")]
    at: DateTime<Utc>,
}

/// The parameters, for the document.
#[must_use]
pub fn event_parameters() -> Vec<Parameter> {
    vec![
        Parameter::query(
            "state",
            "Only changes to this state; may be repeated.",
            Kind::Words(STATES),
        ),
        Parameter::query(
            "name",
            "Only tasks of this type; may be repeated.",
            Kind::Text,
        ),
        Parameter::query(
            "task",
            "Only this task, by href or PRN; may be repeated.",
            Kind::Text,
        ),
    ]
}

/// Tells a client of state changes, until he goes.
///
/// # Errors
/// 400 that names the parameter; 503 where as many listen as may.
pub async fn events(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    authorize(&app, &actor, Action::View, Object::Task).await?;
    let wish = Wish::read(pairs(&request))?;
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        // Compressed, an event would be held back until there are more.
        .insert_header(ContentEncoding::Identity);
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let listener = app.events.listen(actor).ok_or_else(full)?;
    let stream = Stream::new(listener, wish);
    Ok(answer.streaming(stream::unfold(stream, async |mut stream| {
        let piece = stream.next().await?;
        Some((Ok::<_, actix_web::Error>(piece), stream))
    })))
}

fn full() -> ApiError {
    let detail = "Too many clients listen for events.";
    ApiError::detail(StatusCode::SERVICE_UNAVAILABLE, detail)
        .header(header::RETRY_AFTER, HeaderValue::from_static("60"))
}

impl Wish {
    fn read(pairs: Vec<(String, String)>) -> ApiResult<Self> {
        let mut wish = Self::default();
        let mut errors = Map::new();
        for (name, value) in pairs {
            let wrong = match name.as_str() {
                "state" if STATES.contains(&value.as_str()) => {
                    wish.states.insert(value);
                    None
                }
                "state" => Some(format!(
                    "Select a valid choice. {value} is not one of the available choices."
                )),
                "name" => {
                    wish.names.insert(value);
                    None
                }
                "task" => match href::reference_id(&value).or_else(|| value.parse().ok()) {
                    Some(id) => {
                        wish.tasks.insert(TaskId(id));
                        None
                    }
                    None => Some(format!("URI not valid: {value}")),
                },
                _ => Some("Unexpected parameter.".to_owned()),
            };
            if let Some(message) = wrong {
                errors.insert(name, json!([message]));
            }
        }
        if errors.is_empty() {
            Ok(wish)
        } else {
            Err(ApiError::fields(errors))
        }
    }

    fn holds_for(&self, change: &Change) -> bool {
        let event = &change.event;
        (self.states.is_empty() || self.states.contains(&event.state))
            && (self.names.is_empty() || self.names.contains(&event.name))
            && (self.tasks.is_empty() || self.tasks.contains(&event.task))
    }
}

/// The stream of one client.
struct Stream {
    listener: Listener,
    wish: Wish,
    /// What he was told last.
    ready: bool,
    first: bool,
    heartbeat: Interval,
    until: Instant,
}

impl Stream {
    fn new(listener: Listener, wish: Wish) -> Self {
        let now = Instant::now();
        Self {
            listener,
            wish,
            ready: false,
            first: true,
            heartbeat: interval_at(now + HEARTBEAT, HEARTBEAT),
            until: now + LONGEST,
        }
    }

    /// The next piece of the answer; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.first) {
            self.ready = self.listener.ready;
            // Something at once: the client sees that he is heard.
            return Some(if self.ready { ready() } else { comment() });
        }
        loop {
            tokio::select! {
                biased;
                () = self.listener.stop.cancelled() => return None,
                () = tokio::time::sleep_until(self.until) => return None,
                told = self.listener.told.recv() => match told {
                    Ok(told) => if let Some(piece) = self.tell(told) {
                        return Some(piece);
                    },
                    Err(RecvError::Lagged(missed)) => {
                        return Some(piece("lagged", &json!({"missed": missed})));
                    }
                    Err(RecvError::Closed) => return None,
                },
                _ = self.heartbeat.tick() => return Some(comment()),
            }
        }
    }

    fn tell(&mut self, told: Told) -> Option<Bytes> {
        match told {
            Told::Ready => (!std::mem::replace(&mut self.ready, true)).then(ready),
            Told::Interrupted => {
                std::mem::take(&mut self.ready).then(|| piece("interrupted", &json!({})))
            }
            Told::Task(change) => {
                let wanted = self.wish.holds_for(&change) && self.listener.may_hear(&change);
                wanted.then(|| task_piece(&change))
            }
        }
    }
}

fn task_piece(change: &Change) -> Bytes {
    let event = &change.event;
    let data = TaskData {
        task: href::task(event.task),
        prn: Prn::from(event.task).to_string(),
        name: &event.name,
        state: &event.state,
        at: event.at,
    };
    piece("task", &data)
}

fn ready() -> Bytes {
    piece("ready", &json!({}))
}

fn piece(event: &str, data: &impl Serialize) -> Bytes {
    // JSON on one line has no line feed.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}

fn comment() -> Bytes {
    Bytes::from_static(b":\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Events;
    use std::sync::Arc;

    const ADMIN: Actor = Actor {
        id: 1,
        is_superuser: true,
    };
    const SOMEBODY: Actor = Actor {
        id: 2,
        is_superuser: false,
    };

    fn told(name: &str, state: &str, owner: Option<i32>) -> Told {
        let event =
            json!({"v": 1, "task": TaskId::new(), "name": name, "state": state, "at": Utc::now()});
        let event = serde_json::from_value(event).unwrap();
        Told::Task(Arc::new(Change { event, owner }))
    }

    fn stream(events: &Events, actor: Actor, query: &[(&str, &str)]) -> Stream {
        let pairs = query
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        Stream::new(
            events.listen(actor).unwrap(),
            Wish::read(pairs.collect()).unwrap(),
        )
    }

    async fn text(stream: &mut Stream) -> String {
        String::from_utf8(stream.next().await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_how_many_were_missed_and_goes_on() {
        let events = Events::new(1);
        let mut slow = stream(&events, ADMIN, &[]);
        assert_eq!(text(&mut slow).await, ":\n\n");
        for _ in 0..4096 + 5 {
            events.tell(told("x", "running", None));
        }
        assert_eq!(
            text(&mut slow).await,
            "event: lagged\ndata: {\"missed\":5}\n\n"
        );
        assert!(text(&mut slow).await.starts_with("event: task\n"));
    }

    #[tokio::test]
    async fn a_seat_is_free_again_when_its_client_has_gone() {
        let events = Events::new(1);
        let first = stream(&events, SOMEBODY, &[]);
        assert!(events.listen(ADMIN).is_none());
        drop(first);
        assert!(events.listen(ADMIN).is_some());
    }

    #[tokio::test]
    async fn clients_hear_what_they_asked_for_and_may_see() {
        let events = Events::new(2);
        let mut all = stream(
            &events,
            ADMIN,
            &[("state", "failed"), ("state", "completed"), ("name", "b")],
        );
        let mut own = stream(&events, SOMEBODY, &[]);
        for piece in [text(&mut all).await, text(&mut own).await] {
            assert_eq!(piece, ":\n\n");
        }
        events.tell(Told::Ready);
        events.tell(told("a", "failed", Some(1)));
        events.tell(told("b", "running", Some(2)));
        events.tell(told("b", "failed", None));
        events.tell(Told::Interrupted);
        for wanted in [
            "event: ready",
            "\"name\":\"b\",\"state\":\"failed\"",
            "event: interrupted",
        ] {
            let piece = text(&mut all).await;
            assert!(piece.contains(wanted), "{wanted} in {piece}");
        }
        for wanted in [
            "event: ready",
            "\"state\":\"running\"",
            "event: interrupted",
        ] {
            let piece = text(&mut own).await;
            assert!(piece.contains(wanted), "{wanted} in {piece}");
        }
        events.stop();
        assert!(all.next().await.is_none() && own.next().await.is_none());
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        let read = |name: &str, value: &str| Wish::read(vec![(name.into(), value.into())]);
        for (name, value) in [("state", "odd"), ("task", "x"), ("limit", "3")] {
            let error = read(name, value).unwrap_err().to_string();
            assert!(error.contains(&format!("\"{name}\"")), "{error}");
        }
        assert!(read("task", &format!("/pulp/api/v3/tasks/{}/", TaskId::new())).is_ok());
    }
}
