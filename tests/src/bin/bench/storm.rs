//! Many requests by several clients at once, and one by one on an idle system: by REST, to ours or to a peer.

use crate::figures::rate;
use crate::side::Side;
use serde_json::{Value, json};
use std::fmt::{Display, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Clients that dispatch side by side.
pub const CLIENTS: usize = 16;

/// What came of a storm.
#[derive(Clone, Copy)]
pub struct Storm {
    /// Tasks.
    pub count: usize,
    /// Requests answered, a second.
    pub dispatched: f64,
    /// Tasks a second from the first request to the end of the last task.
    pub ended: f64,
}

impl Display for Storm {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self {
            count,
            dispatched,
            ended,
        } = self;
        write!(
            f,
            "{ended:>8.1} /s, {dispatched:.1} /s dispatched, {count} tasks"
        )
    }
}

/// What the n-th request is.
pub type Request = dyn Fn(usize) -> (String, Value) + Send + Sync;

/// The clients send so many requests, or as many as they can in this time, and then all tasks are waited for.
///
/// # Errors
/// A request that fails, a task that does not complete; so with all that follow.
pub async fn storm(
    side: &Side,
    most: usize,
    time: Duration,
    request: Arc<Request>,
) -> anyhow::Result<Storm> {
    let failed = side.tasks("state=failed").await?;
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (side, next, request) = (side.clone(), Arc::clone(&next), Arc::clone(&request));
        clients.spawn(async move {
            let mut sent = 0;
            while start.elapsed() < time {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= most {
                    break;
                }
                let (path, body) = request(n);
                side.dispatch(&path, &body).await?;
                sent += 1;
            }
            anyhow::Ok(sent)
        });
    }
    let mut count = 0;
    while let Some(sent) = clients.join_next().await {
        count += sent??;
    }
    let dispatched = rate(count, start.elapsed());
    side.quiet().await?;
    let ended = rate(count, start.elapsed());
    let failures = side.tasks("state=failed").await? - failed;
    anyhow::ensure!(failures == 0, "{}: {failures} tasks failed", side.name);
    Ok(Storm {
        count,
        dispatched,
        ended,
    })
}

/// Repositories, made side by side.
pub async fn repositories(side: &Side, name: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    let numbers: Vec<usize> = (0..count).collect();
    for part in numbers.chunks(CLIENTS) {
        let mut made = JoinSet::new();
        for n in part {
            let (side, name) = (side.clone(), format!("{name}-{n}"));
            made.spawn(async move { side.repository(&name).await });
        }
        while let Some(href) = made.join_next().await {
            all.push(href??);
        }
    }
    Ok(all)
}

/// The n-th request adds one unit to one of the repositories, each time another one.
pub fn modify(repositories: Vec<String>, units: Vec<String>) -> Arc<Request> {
    Arc::new(move |n| {
        let repository = repositories.get(n % repositories.len());
        let unit = units.get(n / repositories.len() % units.len());
        let path = format!("{}modify/", repository.map_or("", String::as_str));
        (path, json!({"add_content_units": [unit]}))
    })
}

/// The n-th request is a task that does nothing, on one of so many resources.
pub fn nothing(resources: usize) -> Arc<Request> {
    Arc::new(move |n| {
        let resource = format!("lane-{}", n % resources);
        let body = json!({"name": crate::engine::DUMMY, "exclusive_resources": [resource]});
        ("tasks/".to_owned(), body)
    })
}

/// Spans from a POST of `modify/` to the sight of `completed`, one after the other.
pub async fn modify_latency(
    side: &Side,
    repository: &str,
    units: &[String],
) -> anyhow::Result<Vec<Duration>> {
    let mut spans = Vec::new();
    for unit in units {
        let body = json!({"add_content_units": [unit]});
        let start = Instant::now();
        let task = side
            .dispatch(&format!("{repository}modify/"), &body)
            .await?;
        side.completed(&task).await?;
        spans.push(start.elapsed());
    }
    Ok(spans)
}

/// Bytes of an uploaded artifact.
pub const UPLOAD: usize = 1 << 20;
/// Clients that upload side by side.
pub const UPLOADERS: usize = 8;

/// Artifacts of 1 MiB a second, each another one.
pub async fn uploads(side: &Side, time: Duration) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..UPLOADERS {
        let (side, next) = (side.clone(), Arc::clone(&next));
        clients.spawn(async move {
            while start.elapsed() < time {
                let n = next.fetch_add(1, Ordering::Relaxed);
                side.upload(different(n)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(rate(next.load(Ordering::Relaxed), start.elapsed()))
}

/// Bytes that no other number gives, and no other run.
pub fn different(n: usize) -> Vec<u8> {
    let mut bytes = uuid::Uuid::now_v7().as_bytes().to_vec();
    bytes.extend(n.to_be_bytes());
    bytes.resize(UPLOAD, 0x5a);
    bytes
}
