//! The correlation id of a request: echoed, logged, and inherited by its tasks (contract 2.11).

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use log::info;
use std::time::Instant;
use uuid::Uuid;

/// The header, in requests and answers.
pub const HEADER: HeaderName = HeaderName::from_static("correlation-id");

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being served; empty outside of one.
#[must_use]
pub fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// The id to use: the client's where it is a UUID (with or without dashes), else a new one.
fn accept(sent: Option<&str>) -> String {
    match sent {
        Some(id) if matches!(id.len(), 32 | 36) && Uuid::try_parse(id).is_ok() => id.to_owned(),
        _ => Uuid::now_v7().simple().to_string(),
    }
}

/// Gives every request an id and its answer the same; logs the request.
///
/// # Errors
/// None: the layers inside answer their errors.
pub async fn layer(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let sent = request.headers().get(HEADER).and_then(|v| v.to_str().ok());
    let cid = accept(sent);
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let mut answer = CURRENT.scope(cid.clone(), next.call(request)).await?;
    if let Ok(value) = HeaderValue::from_str(&cid) {
        answer.headers_mut().insert(HEADER, value);
    }
    info!(
        cid = cid.as_str(), method = method.as_str(), path = path.as_str(),
        status = answer.status().as_u16(), seconds = started.elapsed().as_secs_f64();
        "{method} {path}: {}", answer.status().as_u16()
    );
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_id_is_kept_and_any_other_replaced() {
        let plain = "0123456789abcdef0123456789abcdef";
        let dashed = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(accept(Some(plain)), plain);
        assert_eq!(accept(Some(dashed)), dashed);
        for bad in [
            None,
            Some(""),
            Some("zzz"),
            Some("{01234567-89ab-cdef-0123-456789abcdef}"),
        ] {
            assert_ne!(accept(bad), bad.unwrap_or_default());
            assert_eq!(accept(bad).len(), 32);
        }
    }
}
