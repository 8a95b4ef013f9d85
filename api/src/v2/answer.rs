//! Answers of this dialect that are no refusals.

use super::ROOT;
use super::problem::{Answer, Problem};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use chrono::{DateTime, SecondsFormat, Utc};
use millrace_common::ids::TaskId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The type of every body.
pub const JSON: &str = "application/json; charset=utf-8";

/// What stands in a path as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// 200 with this body.
///
/// # Errors
/// 500 where it cannot be written as JSON.
pub fn ok(body: &impl Serialize) -> Answer {
    with(StatusCode::OK, body)
}

fn with(status: StatusCode, body: &impl Serialize) -> Answer {
    let text = serde_json::to_string(body).map_err(Problem::internal)?;
    Ok(HttpResponse::build(status).content_type(JSON).body(text))
}

/// 202 with a call report: the task that was dispatched is readable from now on (contract 2, 2.1).
///
/// # Errors
/// As [`ok`].
pub fn call_report(task: TaskId) -> Answer {
    with(
        StatusCode::ACCEPTED,
        &json!({ "result": null, "error": null, "spawned_tasks": [link(task)] }),
    )
}

/// How a task is named in answers about others.
#[must_use]
pub fn link(task: TaskId) -> Value {
    json!({ "_href": href(&["tasks", &task.to_string()]), "task_id": task })
}

/// The address of this path below the root, segment by segment.
#[must_use]
pub fn href(segments: &[&str]) -> String {
    segments.iter().fold(ROOT.to_owned(), |path, segment| {
        format!("{path}{}/", utf8_percent_encode(segment, SEGMENT))
    })
}

/// A moment: UTC, whole seconds, `Z`.
#[must_use]
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What stands for the document id of something that is known by this text: the same at all times.
#[must_use]
pub fn document_id(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(12).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::MessageBody;

    #[test]
    fn a_segment_of_an_address_is_encoded() {
        assert_eq!(href(&["a b", "c/d"]), "/pulp/api/v2/a%20b/c%2Fd/");
        assert_eq!(href(&["x_y-1.0"]), "/pulp/api/v2/x_y-1.0/");
    }

    #[test]
    fn body_of_202_built_from_a_dispatched_task() {
        let task: TaskId = "0199e6a0-0000-7000-8000-000000000001".parse().unwrap();
        let answer = call_report(task).unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let bytes = answer.into_body().try_into_bytes().unwrap();
        let href = format!("/pulp/api/v2/tasks/{task}/");
        assert_eq!(
            serde_json::from_slice::<Value>(&bytes).unwrap(),
            json!({"result": null, "error": null, "spawned_tasks": [{"_href": href, "task_id": task}]})
        );
    }

    #[test]
    fn a_moment_has_whole_seconds() {
        let time = DateTime::from_timestamp_micros(1_767_323_045_999_999).unwrap();
        assert_eq!(moment(time), "2026-01-02T03:04:05Z");
    }

    #[test]
    fn a_document_id_has_24_digits_and_stays() {
        let id = document_id("rpm");
        assert_eq!((id.len(), &id), (24, &document_id("rpm")));
        assert_ne!(id, document_id("drpm"));
    }
}
