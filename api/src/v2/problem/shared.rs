//! What functions that both dialects call are refused with.

use super::{GENERAL, Problem};
use crate::correlation;
use crate::error::ApiError;
use actix_web::http::StatusCode;
use millrace_common::error::Error;
use serde_json::{Value, json};

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let parts = error.into_parts();
        let (text, fields) = read(&parts.body);
        let mut problem = if parts.status == StatusCode::INTERNAL_SERVER_ERROR {
            let cid = correlation::current();
            Self::new(parts.status, GENERAL, "Internal server error")
                .data(json!({ "correlation_id": cid }))
                .extra("correlation_id", json!(cid))
        } else if fields.is_empty() {
            Self::new(parts.status, GENERAL, text)
        } else {
            let names: Vec<&str> = fields.iter().map(String::as_str).collect();
            let mut problem = Self::invalid(&names);
            problem.status = parts.status;
            problem.said.description = text;
            problem
        };
        problem.headers.extend(parts.headers);
        problem.cause = parts.cause;
        problem
    }
}

/// The text of a refusal of the other dialect, and the fields that it names.
fn read(body: &Value) -> (String, Vec<String>) {
    let Value::Object(object) = body else {
        return (body.to_string(), Vec::new());
    };
    if let Some(Value::String(detail)) = object.get("detail") {
        return (detail.clone(), Vec::new());
    }
    let said = |(field, messages): (&String, &Value)| match messages {
        Value::Array(list) => {
            let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            format!("{field}: {}", texts.join(" "))
        }
        other => format!("{field}: {other}"),
    };
    let texts: Vec<String> = object.iter().map(said).collect();
    (texts.join("; "), object.keys().cloned().collect())
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        ApiError::from(error).into()
    }
}

impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        ApiError::from(error).into()
    }
}

impl millrace_common::db::RetryCause for Problem {
    fn diesel(&self) -> Option<&diesel::result::Error> {
        let cause = self.cause.as_ref()?;
        cause
            .downcast_ref()
            .or_else(|| cause.downcast_ref::<Error>().and_then(|e| e.diesel()))
    }
}
