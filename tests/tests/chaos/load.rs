//! What clients ask of the system while it breaks, and what they were answered.

use millrace_tests::client::{Answer, Client, FINAL};
use millrace_tests::eventually;
use millrace_tests::eventually::holds;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const CLIENTS: u64 = 3;
/// Few enough that uploads and clean-ups meet on the same bytes.
const FILES: u32 = 6;
/// Tasks of one client that are not final: what comes faster than it is done would only show how long a queue is.
const OPEN: usize = 25;

/// Longest time that some tasks may take before they are tried anew.
const PROBED: Duration = Duration::from_secs(20);
/// Longest time that a client waits for one thing: more than any fault lasts.
const PATIENCE: Duration = Duration::from_secs(300);

/// Clients at work, until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    clients: JoinSet<BTreeMap<String, String>>,
}

impl Load {
    /// Begins it. Each client goes to the next API when one does not answer.
    pub fn begin(apis: &[Client], file: &Path, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for n in 0..CLIENTS {
            let client = LoadClient {
                apis: apis.to_vec(),
                turn: usize::try_from(n).unwrap(),
                file: file.to_owned(),
                rng: StdRng::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(n)),
                name: format!("{seed}-{n}"),
                asked: 0,
                open: VecDeque::new(),
                stop: Arc::clone(&stop),
                accepted: Arc::clone(&accepted),
            };
            clients.spawn(client.work());
        }
        Self {
            stop,
            accepted,
            clients,
        }
    }

    /// How many tasks have been accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits until so many more have been.
    pub async fn more(&self, count: usize) {
        let wanted = self.accepted() + count;
        eventually(PATIENCE, async || {
            let accepted = self.accepted();
            holds(accepted >= wanted, || {
                format!("{accepted} of {wanted} tasks")
            })
        })
        .await;
    }

    /// Ends it. The tasks that were accepted, by their requests' keys.
    pub async fn end(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients
            .join_all()
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

struct LoadClient {
    apis: Vec<Client>,
    turn: usize,
    file: PathBuf,
    rng: StdRng,
    name: String,
    asked: u32,
    open: VecDeque<String>,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
}

impl LoadClient {
    async fn work(mut self) -> BTreeMap<String, String> {
        let mut accepted = BTreeMap::new();
        while !self.stop.load(Ordering::Relaxed) {
            self.keep_up().await;
            match self.rng.random_range(0..100) {
                0..80 => {
                    let body = self.ledger();
                    self.dispatch("tasks/", body, &mut accepted).await;
                }
                80..88 => self.cancel(&accepted).await,
                88..98 => self.add_file(&mut accepted).await,
                _ => {
                    let body = json!({"orphan_protection_time": 0});
                    self.dispatch("orphans/cleanup/", body, &mut accepted).await;
                }
            }
            let pause = self.rng.random_range(0..120);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        accepted
    }

    /// Waits until no more than so many of its tasks are open.
    async fn keep_up(&mut self) {
        let begun = Instant::now();
        while self.open.len() >= OPEN
            && !self.stop.load(Ordering::Relaxed)
            && let Some(oldest) = self.open.front().cloned()
        {
            let task = self
                .persist(|api| api.request(Method::GET, &oldest))
                .await
                .json();
            if FINAL.contains(&task["state"].as_str().unwrap_or_default()) {
                self.open.pop_front();
            } else {
                assert!(begun.elapsed() < PATIENCE, "{oldest} does not end: {task}");
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
    }

    fn ledger(&mut self) -> Value {
        let (mut exclusive, mut shared) = (Vec::new(), Vec::new());
        for _ in 0..self.rng.random_range(1..=3) {
            let lanes = if self.rng.random_bool(0.5) {
                &mut exclusive
            } else {
                &mut shared
            };
            lanes.push(format!("lane-{}", self.rng.random_range(0..12)));
        }
        let (steps, pause) = (self.rng.random_range(1..5), self.rng.random_range(1..50));
        let name = match self.rng.random_bool(0.85) {
            true => "plugin.tasks.ledger",
            false => "plugin.tasks.ledger_once",
        };
        json!({
            "name": name,
            "kwargs": {"steps": steps, "pause_ms": pause, "file": self.file},
            "exclusive_resources": exclusive, "shared_resources": shared,
        })
    }

    /// Asks until there is an answer that says something: the key makes of all that one request.
    async fn dispatch(&mut self, path: &str, body: Value, accepted: &mut BTreeMap<String, String>) {
        self.asked += 1;
        let key = format!("{}-{}", self.name, self.asked);
        let answer = self
            .persist(|api| {
                let request = api.request(Method::POST, path).json(&body);
                request.header("Idempotency-Key", &key)
            })
            .await;
        match answer.status.as_u16() {
            202 => {
                accepted.insert(key, answer.task());
                self.open.push_back(answer.task());
                self.accepted.fetch_add(1, Ordering::Relaxed);
            }
            // What a unit was to be made of went in the meantime.
            400 if path.starts_with("content/") => {}
            _ => panic!("{path}: {} {}", answer.status, answer.text),
        }
    }

    async fn cancel(&mut self, accepted: &BTreeMap<String, String>) {
        let place = self.rng.random_range(0..accepted.len().max(1));
        let Some(href) = accepted.values().nth(place).cloned() else {
            return;
        };
        let answer = self
            .persist(|api| {
                api.request(Method::PATCH, &href)
                    .json(&json!({"state": "canceled"}))
            })
            .await;
        let code = answer.status.as_u16();
        assert!([200, 409].contains(&code), "{code} {}", answer.text);
    }

    /// Uploads bytes that others upload and clean up too, and makes a unit of them.
    async fn add_file(&mut self, accepted: &mut BTreeMap<String, String>) {
        let bytes = format!("file {}", self.rng.random_range(0..FILES)).repeat(500);
        let answer = self
            .persist(|api| {
                let part = reqwest::multipart::Part::text(bytes.clone()).file_name("file");
                let form = reqwest::multipart::Form::new().part("file", part);
                api.request(Method::POST, "artifacts/").multipart(form)
            })
            .await;
        // The same bytes may be there already, or an earlier attempt may have got through.
        let artifact = match answer.status.as_u16() {
            201 => answer.json()["pulp_href"].clone(),
            400 => return,
            _ => panic!("artifacts/: {} {}", answer.status, answer.text),
        };
        let path = format!("{}/{}", self.name, self.asked);
        let body = json!({"artifact": artifact, "relative_path": path});
        self.dispatch("content/file/files/", body, accepted).await;
    }

    /// Sends a request until it is answered by more than "not now".
    async fn persist(&mut self, request: impl Fn(&Client) -> reqwest::RequestBuilder) -> Answer {
        let begun = Instant::now();
        loop {
            let api = &self.apis[self.turn % self.apis.len()];
            let request = request(api).timeout(Duration::from_secs(8));
            match api.try_send(request).await {
                Ok(answer) if !answer.status.is_server_error() && answer.status != 429 => {
                    return answer;
                }
                Ok(answer) => {
                    let (status, text) = (answer.status, answer.text);
                    assert_ne!(status, 500, "{text}");
                    assert!(begun.elapsed() < PATIENCE, "nothing but {status} {text}");
                }
                Err(why) => assert!(begun.elapsed() < PATIENCE, "no answer: {why}"),
            }
            self.turn += 1;
            let pause = self.rng.random_range(20..200);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

/// Dispatches so many tasks at once through this API and waits for them; how long that took.
pub async fn probe(api: &Client, count: u32) -> Result<Duration, String> {
    let begun = std::time::Instant::now();
    let mut hrefs = Vec::new();
    for n in 0..count {
        let body = json!({
            "name": "plugin.tasks.ledger", "kwargs": {"steps": 1, "pause_ms": 0},
            "exclusive_resources": [format!("probe-{}", n % 5)],
        });
        let request = api.request(Method::POST, "tasks/").json(&body);
        let answer = api.try_send(request).await.map_err(|e| e.to_string())?;
        if answer.status != 202 {
            return Err(answer.text);
        }
        hrefs.push(answer.task());
    }
    for href in hrefs {
        loop {
            let request = api.request(Method::GET, &href);
            let answer = api.try_send(request).await.map_err(|e| e.to_string())?;
            let task = answer.json();
            if FINAL.contains(&task["state"].as_str().unwrap_or_default()) {
                break;
            }
            if begun.elapsed() > PROBED {
                return Err(format!("{href} does not end: {task}"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(begun.elapsed())
}

/// Dispatches a task in each of these lanes, which nothing keeps from starting, and waits for none.
pub async fn flood(api: &Client, lanes: Range<u32>) {
    for n in lanes {
        let body = json!({
            "name": "plugin.tasks.ledger", "kwargs": {"steps": 1, "pause_ms": 0},
            "exclusive_resources": [format!("flood-{n}")],
        });
        // A worker that stands still may hold a lane for some seconds: nobody is answered meanwhile.
        eventually(PROBED, async || {
            let request = api.request(Method::POST, "tasks/").json(&body);
            let answer = api.try_send(request).await.map_err(|e| e.to_string())?;
            match answer.status.as_u16() {
                202 => Ok(()),
                503 => Err(answer.text),
                status => panic!("{status} {}", answer.text),
            }
        })
        .await;
    }
}
