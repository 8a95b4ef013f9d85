//! One HTTP request and where it leads to.

use super::DownloadError;
use super::client::Clients;
use super::pace::Pace;
use crate::cause;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};
use reqwest::header::{CONTENT_LENGTH, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Redirects of one download.
const REDIRECTS: usize = 10;

/// What an answer's body is: its size, if announced, and its bytes.
pub type Answer = (
    Option<u64>,
    BoxStream<'static, Result<Bytes, DownloadError>>,
);

/// Asks for this address and follows redirects until the body begins.
pub async fn get(clients: &Clients, pace: &Pace, url: &str) -> Result<Answer, DownloadError> {
    let mut target = parse(url, url)?;
    let mut left = clients.total;
    let mut seen = HashSet::new();
    while seen.len() <= REDIRECTS {
        pace.turn().await;
        let mut request = clients.get(target.clone());
        if let Some(left) = left {
            request = request.timeout(left);
        }
        // Waiting for a turn is not a part of it.
        let begun = Instant::now();
        let response = request.send().await.map_err(|e| broken(url, e))?;
        left = left.map(|left| left.saturating_sub(begun.elapsed()));
        let Some(next) = redirection(url, &target, &response)? else {
            return answer(url, response);
        };
        if !seen.insert(std::mem::replace(&mut target, next)) || seen.contains(&target) {
            return Err(DownloadError::refused(
                url,
                "the redirects lead in a circle",
            ));
        }
    }
    Err(DownloadError::refused(
        url,
        format!("more than {REDIRECTS} redirects"),
    ))
}

fn parse(url: &str, target: &str) -> Result<Url, DownloadError> {
    let parsed = Url::parse(target).map_err(|e| DownloadError::refused(url, e.to_string()))?;
    web(url, parsed)
}

/// Nobody is led from the web to anything else.
fn web(url: &str, target: Url) -> Result<Url, DownloadError> {
    match target.scheme() {
        "http" | "https" => Ok(target),
        other => Err(DownloadError::refused(
            url,
            format!("`{other}` is no known scheme"),
        )),
    }
}

fn redirection(url: &str, from: &Url, response: &Response) -> Result<Option<Url>, DownloadError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else {
        return Ok(None);
    };
    let odd = || DownloadError::refused(url, "redirected to what is no address");
    let location = location.to_str().map_err(|_cause| odd())?;
    let next = from.join(location).map_err(|_cause| odd())?;
    web(url, next).map(Some)
}

fn answer(url: &str, response: Response) -> Result<Answer, DownloadError> {
    let status = response.status();
    if status != StatusCode::OK {
        return Err(DownloadError::Status {
            status,
            url: super::error::public(url),
            retry_after: retry_after(&response),
        });
    }
    let size = response.headers().get(CONTENT_LENGTH);
    let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
    let url = url.to_owned();
    let stream = response.bytes_stream();
    let stream = stream::try_unfold(
        (stream, Floor::default()),
        move |(mut stream, mut floor)| {
            let url = url.clone();
            async move {
                let begun = Instant::now();
                let Some(piece) = stream.next().await else {
                    return Ok(None);
                };
                let piece = piece.map_err(|e| broken(&url, e))?;
                if floor.is_undercut(piece.len(), begun.elapsed()) {
                    return Err(DownloadError::broken(&url, "the bytes come too slowly"));
                }
                Ok(Some((piece, (stream, floor))))
            }
        },
    );
    Ok((size, stream.boxed()))
}

/// Watches that a body comes on at all: drop by drop, it would hold its place without end. Only time
/// that was spent waiting for bytes counts.
#[derive(Default)]
struct Floor {
    bytes: usize,
    waited: Duration,
}

impl Floor {
    /// So many bytes must come while they are waited for so long.
    const BYTES: usize = 64 * 1024;
    const WAIT: Duration = Duration::from_secs(300);

    fn is_undercut(&mut self, bytes: usize, waited: Duration) -> bool {
        self.bytes += bytes;
        self.waited += waited;
        if self.bytes >= Self::BYTES {
            *self = Self::default();
        }
        self.waited > Self::WAIT
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    (date.with_timezone(&Utc) - Utc::now()).to_std().ok()
}

fn broken(url: &str, error: reqwest::Error) -> DownloadError {
    // The address in it may be one that we were redirected to, with a signature.
    let error = error.without_url();
    if error.is_timeout() {
        return DownloadError::broken(url, "no answer in time");
    }
    if error.is_builder() {
        return DownloadError::refused(url, cause::chain(&error));
    }
    DownloadError::broken(url, cause::chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_comes_drop_by_drop_is_given_up_and_a_slow_one_is_not() {
        let minute = Duration::from_secs(60);
        let mut floor = Floor::default();
        assert!((0..5).all(|_| !floor.is_undercut(1, minute)));
        assert!(floor.is_undercut(1, minute));
        let mut floor = Floor::default();
        assert!((0..100).all(|_| !floor.is_undercut(Floor::BYTES / 4, minute)));
    }
}
