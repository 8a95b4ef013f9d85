//! The header Content-Range: which bytes a request carries.

use crate::error::{ApiError, ApiResult};
use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_RANGE;
use millrace_common::models::Span;

/// The bytes that a request says it carries.
pub(super) fn content_range(request: &HttpRequest) -> ApiResult<Span> {
    let header = request.headers().get(CONTENT_RANGE);
    header
        .and_then(|value| parse_range(value.to_str().ok()?))
        .ok_or_else(|| {
            let message = "Invalid or missing content range header.";
            ApiError::field("non_field_errors", message)
        })
}

/// Reads `bytes <first>-<last>/<total or *>`.
fn parse_range(text: &str) -> Option<Span> {
    let number = |digits: &str| -> Option<i64> {
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then_some(())?;
        digits.parse().ok()
    };
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (start, end) = (number(first)?, number(last)?.checked_add(1)?);
    let is_total = total == "*" || number(total).is_some();
    (is_total && start < end).then_some(Span { start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_first_and_the_last_byte() {
        for (text, start, end) in [
            ("bytes 0-0/1", 0, 1),
            ("bytes 5-9/*", 5, 10),
            ("bytes 5-9/7", 5, 10),
        ] {
            assert_eq!(parse_range(text), Some(Span { start, end }), "{text}");
        }
        for bad in [
            "",
            "bytes",
            "0-1/2",
            "bytes 0-1",
            "bytes 2-1/3",
            "bytes -1/3",
            "bytes 0-/3",
            "bytes */3",
            "bytes +0-1/3",
            "bytes 0-1/x",
            "bytes 0-1/",
            "items 0-1/2",
            "bytes 0-9223372036854775807/*",
            "bytes 0-99999999999999999999/*",
        ] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
