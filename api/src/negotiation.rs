//! Accept headers: answers are JSON.

use crate::error::ApiError;
use actix_web::ResponseError;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::middleware::Next;
use millrace_common::href::ROOT;

/// What answers with events takes clients of events too.
const EVENTS: &str = "tasks/events/";

fn accepts(accept: &str, others: &[&str]) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused = parts.any(|p| matches!(p, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        !refused
            && (matches!(
                media.as_str(),
                "" | "*/*" | "application/*" | "application/json"
            ) || others.contains(&media.as_str()))
    })
}

/// Answers 406 to clients that take no JSON. The documentation has pages for browsers.
///
/// # Errors
/// None: refusals are answers.
pub async fn layer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    let rest = request.path().strip_prefix(ROOT);
    let in_api = rest.is_some_and(|rest| !rest.starts_with("docs"));
    let others: &[&str] = match rest {
        Some(EVENTS) => &["text/*", "text/event-stream"],
        _ => &[],
    };
    let accepted = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_none_or(|accept| accepts(accept, others));
    if in_api && !accepted {
        let refusal = ApiError::detail(
            StatusCode::NOT_ACCEPTABLE,
            "Could not satisfy the request Accept header.",
        );
        return Ok(request
            .into_response(refusal.error_response())
            .map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn json_is_accepted_by_name_or_by_range() {
        for yes in [
            "application/json",
            "text/html,*/*;q=0.8",
            "application/*",
            "",
        ] {
            assert!(accepts(yes, &[]), "{yes}");
        }
        for no in ["text/plain", "text/html, image/png", "application/json;q=0"] {
            assert!(!accepts(no, &[]), "{no}");
        }
        assert!(accepts("text/event-stream", &["text/event-stream"]));
    }
}
