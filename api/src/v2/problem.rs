//! What a request ends with where it cannot be served: the one error envelope of this dialect (contract 2, 1.7).
//!
//! The codes and texts are those that clients know. A fault of ours says no more than its correlation id.

mod shared;

use super::JSON;
use crate::correlation;
use crate::error::ApiError;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use log::{error, warn};
use millrace_common::cause::chain;
use serde_json::{Map, Value, json};
use std::fmt;

/// What a handler returns.
pub type Answer<T = HttpResponse> = Result<T, Problem>;

/// The request that is being served, as the envelope names it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its target as it was received.
    pub href: String,
    /// Its method.
    pub method: Method,
}

tokio::task_local! {
    /// Set for each request by the layer around the whole dialect.
    pub static ASKED: Asked;
}

/// A refusal.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// Apart, as it is large.
    said: Box<Said>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What the client is told.
#[derive(Debug)]
struct Said {
    code: &'static str,
    description: String,
    data: Value,
    /// Beside the fields of the envelope, as old clients look for them.
    extra: Map<String, Value>,
}

/// Any error that has no code of its own.
const GENERAL: &str = "PLP0000";

impl Problem {
    fn new(status: StatusCode, code: &'static str, description: impl Into<String>) -> Self {
        Self {
            status,
            said: Box::new(Said {
                code,
                description: description.into(),
                data: json!({}),
                extra: Map::new(),
            }),
            headers: Vec::new(),
            cause: None,
        }
    }

    fn data(mut self, data: Value) -> Self {
        self.said.data = data;
        self
    }

    fn extra(mut self, name: &str, value: Value) -> Self {
        self.said.extra.insert(name.to_owned(), value);
        self
    }

    /// 404 for something that is named by these words.
    #[must_use]
    pub fn missing(resources: &[(&str, &str)]) -> Self {
        let mut named: Vec<String> = resources.iter().map(|(k, v)| format!("{k}={v}")).collect();
        named.sort();
        let resources: Map<String, Value> = resources
            .iter()
            .map(|(k, v)| ((*k).to_owned(), json!(v)))
            .collect();
        let text = format!("Missing resource(s): {}", named.join(", "));
        Self::new(StatusCode::NOT_FOUND, "PLP0009", text)
            .data(json!({ "resources": resources }))
            .extra("resources", Value::Object(resources))
    }

    /// 400 for a body that is no JSON.
    #[must_use]
    pub fn no_json() -> Self {
        let text = "The request body does not contain valid JSON";
        Self::new(StatusCode::BAD_REQUEST, "PLP1009", text).extra("args", json!([]))
    }

    /// 400 for JSON of another type (`list`).
    #[must_use]
    pub fn not_of_type(data_type: &str) -> Self {
        let text = format!("The JSON data must be of type '{data_type}'.");
        Self::new(StatusCode::BAD_REQUEST, "PLP1015", text)
            .data(json!({ "data_type": data_type }))
            .extra("args", json!([]))
    }

    /// 400 for properties that are missing, or hold what they cannot.
    #[must_use]
    pub fn invalid(names: &[&str]) -> Self {
        let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
        let list = format!("[{}]", quoted.join(", "));
        let text = format!("Invalid properties: {list}");
        Self::new(StatusCode::BAD_REQUEST, "PLP0015", text)
            .data(json!({ "property_names": names, "properties": list }))
            .extra("property_names", json!(names))
    }

    /// 403 for a purge of tasks in no state.
    #[must_use]
    pub fn no_state() -> Self {
        let text = "Forbidden to delete all tasks: the parameter state is missing";
        Self::new(StatusCode::FORBIDDEN, "PLP1012", text)
    }

    /// 400 for a state whose tasks are not to be purged.
    #[must_use]
    pub fn no_such_state(state: &str) -> Self {
        let text = format!("Tasks in the state {state} cannot be deleted");
        Self::new(StatusCode::BAD_REQUEST, "PLP1011", text).data(json!({ "state": state }))
    }

    fn unauthorized(code: &'static str, text: String, why: &str, data: Value) -> Self {
        let challenge = HeaderValue::from_static("Basic realm=\"pulp\"");
        Self::new(StatusCode::UNAUTHORIZED, code, text)
            .data(data)
            .extra("auth_error_code", json!(why))
            .header(header::WWW_AUTHENTICATE, challenge)
    }

    /// 401 where there are no credentials, or none that can be read.
    #[must_use]
    pub fn no_credentials() -> Self {
        let text = "Authentication failed.".to_owned();
        Self::unauthorized("PLP0025", text, "authentication_failed", json!({}))
    }

    /// 401 for a name and a password that do not fit.
    #[must_use]
    pub fn wrong_credentials(user: &str) -> Self {
        let text =
            format!("Authentication with username {user} failed: invalid username or password");
        let why = "invalid_username_or_password";
        Self::unauthorized("PLP0030", text, why, json!({ "user": user }))
    }

    /// 401 for somebody whom the web server in front has let in, and whom we do not know.
    #[must_use]
    pub fn unknown_remote_user(user: &str) -> Self {
        let text = format!(
            "Authentication with username {user} failed: preauthenticated remote user is missing."
        );
        let why = "pre_auth_remote_user_missing";
        Self::unauthorized("PLP0029", text, why, json!({ "user": user }))
    }

    /// 401 for somebody who may not do this. It is no 403 in this dialect.
    #[must_use]
    pub fn denied(user: &str, operation: &str) -> Self {
        let text = format!("Permission denied: user {user} cannot perform {operation}.");
        let data = json!({ "user": user, "operation": operation });
        Self::unauthorized("PLP0026", text, "permission_denied", data)
    }

    /// 500.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        ApiError::internal(cause).into()
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The error object of this dialect.
    #[must_use]
    pub fn details(&self) -> Value {
        details(
            self.said.code,
            &self.said.description,
            self.said.data.clone(),
        )
    }

    fn log(&self) {
        let Some(cause) = &self.cause else { return };
        let cid = correlation::current();
        if self.status.is_server_error() && self.status != StatusCode::SERVICE_UNAVAILABLE {
            error!(cid = cid.as_str(); "answered {}: {}", self.status.as_u16(), chain(&**cause));
        } else {
            warn!(cid = cid.as_str(); "answered {}: {}", self.status.as_u16(), chain(&**cause));
        }
    }
}

/// An error as this dialect shows it, wherever it stands: in an envelope or in a task.
#[must_use]
pub fn details(code: &str, description: &str, data: Value) -> Value {
    json!({ "code": code, "description": description, "data": data, "sub_errors": [] })
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} {}",
            self.status, self.said.code, self.said.description
        )
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.log();
        let asked = ASKED.try_with(Clone::clone).ok();
        let mut body = self.said.extra.clone();
        body.insert("_href".into(), json!(asked.as_ref().map(|a| &a.href)));
        let method = asked.as_ref().map(|a| a.method.as_str());
        body.insert("http_request_method".into(), json!(method));
        body.insert("http_status".into(), json!(self.status.as_u16()));
        body.insert("error_message".into(), json!(self.said.description));
        // Never what happened inside; the keys are there for those who look for them.
        body.insert("exception".into(), Value::Null);
        body.insert("traceback".into(), Value::Null);
        body.insert("error".into(), self.details());
        let mut answer = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            answer.insert_header((name.clone(), value.clone()));
        }
        answer
            .content_type(JSON)
            .body(Value::Object(body).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::MessageBody;

    fn body(problem: &Problem) -> Value {
        let answer = problem.error_response();
        let bytes = answer.into_body().try_into_bytes().unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn to_dict_of_a_plain_exception_is_plp0000_and_tells_nothing() {
        let said = body(&Problem::internal("the secret cause"));
        assert_eq!(said["error"]["code"], "PLP0000");
        assert_eq!(said["error"]["sub_errors"], json!([]));
        assert_eq!(said["http_status"], 500);
        assert!(!said.to_string().contains("secret"));
        for key in ["exception", "traceback"] {
            assert!(said.as_object().unwrap().contains_key(key) && said[key].is_null());
        }
    }

    #[test]
    fn to_dict_of_a_coded_exception_has_code_description_data_and_sub_errors() {
        assert_eq!(
            Problem::not_of_type("list").details(),
            json!({"code": "PLP1015", "description": "The JSON data must be of type 'list'.",
                   "data": {"data_type": "list"}, "sub_errors": []})
        );
    }

    #[test]
    fn a_missing_resource_carries_404_and_its_names_sorted() {
        let problem = Problem::missing(&[("content_unit", "u"), ("content_type", "t")]);
        assert_eq!(problem.status_code(), StatusCode::NOT_FOUND);
        let said = body(&problem);
        assert_eq!(
            said["error_message"],
            "Missing resource(s): content_type=t, content_unit=u"
        );
        let resources = json!({"content_type": "t", "content_unit": "u"});
        assert_eq!(said["resources"], resources);
        assert_eq!(said["error"]["data"]["resources"], resources);
    }

    #[test]
    fn coded_exceptions_never_lack_a_required_data_field() {
        for (problem, code, status, fields) in [
            (
                Problem::missing(&[("a", "b")]),
                "PLP0009",
                404,
                vec!["resources"],
            ),
            (Problem::no_json(), "PLP1009", 400, vec![]),
            (
                Problem::not_of_type("list"),
                "PLP1015",
                400,
                vec!["data_type"],
            ),
            (
                Problem::invalid(&["a"]),
                "PLP0015",
                400,
                vec!["properties", "property_names"],
            ),
            (Problem::no_state(), "PLP1012", 403, vec![]),
            (Problem::no_such_state("x"), "PLP1011", 400, vec!["state"]),
            (Problem::no_credentials(), "PLP0025", 401, vec![]),
            (
                Problem::wrong_credentials("u"),
                "PLP0030",
                401,
                vec!["user"],
            ),
            (
                Problem::unknown_remote_user("u"),
                "PLP0029",
                401,
                vec!["user"],
            ),
            (
                Problem::denied("u", "READ"),
                "PLP0026",
                401,
                vec!["operation", "user"],
            ),
        ] {
            let said = body(&problem);
            assert_eq!(
                (&said["error"]["code"], &said["http_status"]),
                (&json!(code), &json!(status))
            );
            let data = said["error"]["data"].as_object().unwrap();
            let mut keys: Vec<&String> = data.keys().collect();
            keys.sort();
            assert_eq!(keys, fields, "{code}");
            assert_eq!(said["error_message"], said["error"]["description"]);
        }
    }

    #[test]
    fn a_refusal_of_a_shared_function_names_its_fields() {
        let said = body(&ApiError::field("name", "Too long.").into());
        assert_eq!(said["http_status"], 400);
        assert_eq!(said["error"]["code"], "PLP0015");
        assert_eq!(said["property_names"], json!(["name"]));
        assert_eq!(said["error_message"], "name: Too long.");
    }
}
