//! A process that dies between any two steps, and another that carries on.
//!
//! `MILLRACE_TEST_CRASHES` says at how many places (4, chosen by `MILLRACE_TEST_SEED`; `all`: at each;
//! names with commas: at those).

use super::crash_storage;
use millrace_common::crash::Point;
use millrace_tests::app::{files_below, ledger};
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually, stack};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// Slots of a worker in tests.
const SLOTS: usize = 4;

/// The places to die at in this run.
fn points() -> Vec<Point> {
    let mut rng = StdRng::seed_from_u64(stack::seed());
    // That one is passed by no API and by no worker: see `crash_storage`.
    let all = Point::ALL.iter().copied();
    let ours: Vec<Point> = all.filter(|point| *point != Point::FsckDetached).collect();
    match stack::setting("MILLRACE_TEST_CRASHES").as_deref() {
        Some("all") => ours,
        Some(some) if some.contains('.') => {
            let named = |point: &Point| some.split(',').any(|name| name == point.name());
            ours.into_iter().filter(named).collect()
        }
        count => {
            let count = count.map_or(4, |count| count.parse().unwrap());
            ours.sample(&mut rng, count).copied().collect()
        }
    }
}

/// Which process passes this place.
fn dies_in_the_api(point: Point) -> bool {
    matches!(
        point,
        Point::DispatchWritten
            | Point::DispatchCommitted
            | Point::PublishSent
            | Point::PublishConfirmed
            | Point::CancelCommitted
            | Point::UploadIntended
            | Point::UploadWritten
            | Point::UploadRecorded
    )
}

/// The system, whose API or whose first worker dies there.
pub struct Doomed {
    pub app: TestApp,
    /// Where exports may be written.
    pub exports: tempfile::TempDir,
    point: Point,
    replaced: bool,
    asked: u32,
}

impl Doomed {
    async fn start(point: Point) -> Self {
        let exports = tempfile::tempdir().unwrap();
        let (builder, at) = (TestApp::builder().plugin(), point.name());
        let mut builder = builder.set("exports.allowed_paths", exports.path().display());
        if dies_in_the_api(point) {
            builder = builder.set("diagnostics.crash_at", at);
        }
        let mut app = builder.start().await;
        if dies_in_the_api(point) {
            app.set("diagnostics.crash_at", "");
            app.spawn_worker(&[]);
        } else {
            app.spawn_worker(&[("diagnostics.crash_at", at)]);
        }
        app.workers_online(1).await;
        Self {
            app,
            exports,
            point,
            replaced: false,
            asked: 0,
        }
    }

    /// Puts another in the place of the process, once that has died as it was told to.
    async fn replace_dead(&mut self) {
        if self.replaced {
            return;
        }
        if dies_in_the_api(self.point) {
            self.replaced = self.app.api.as_mut().unwrap().ended().is_some();
            if self.replaced {
                self.app.start_api().await;
            }
        } else {
            self.replaced = self.app.workers[0].ended().is_some();
            if self.replaced {
                self.app.workers.remove(0);
                self.app.spawn_worker(&[]);
            }
        }
    }

    /// Asks until there is an answer; who has died in the meantime is replaced.
    async fn ask(&mut self, request: impl Fn(&TestApp) -> reqwest::RequestBuilder) -> Value {
        self.asked += 1;
        let key = format!("request-{}", self.asked);
        let begun = Instant::now();
        loop {
            let request = request(&self.app).header("Idempotency-Key", &key);
            match self.app.try_send(request).await {
                Ok(answer) => return answer.json(),
                Err(_) => self.replace_dead().await,
            }
            assert!(begun.elapsed() < SOON, "{key} has no answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn post(&mut self, path: &str, body: Value) -> Value {
        self.ask(|app| app.request(Method::POST, path).json(&body))
            .await
    }

    async fn ledger(&mut self, lane: &str) -> String {
        let body = json!({
            "name": "plugin.tasks.ledger", "kwargs": {"steps": 2, "pause_ms": 20},
            "exclusive_resources": [lane],
        });
        let answer = self.post("tasks/", body).await;
        answer["task"].as_str().unwrap().to_owned()
    }

    /// Uploads bytes; gives the artifact, or null where an attempt whose answer was lost got through.
    async fn upload(&mut self, text: &str) -> Value {
        self.ask(|app| {
            let part = reqwest::multipart::Part::text(text.repeat(300)).file_name("file");
            let form = reqwest::multipart::Form::new().part("file", part);
            app.request(Method::POST, "artifacts/").multipart(form)
        })
        .await["pulp_href"]
            .clone()
    }
}

/// Tasks one behind another, a cancel, uploads, a clean-up that removes files. Gives the tasks that are to complete.
async fn work(doomed: &mut Doomed) -> Vec<String> {
    let mut tasks = Vec::new();
    for n in 0..6 {
        tasks.push(doomed.ledger(&format!("lane-{}", n % 2)).await);
    }
    let waiting = doomed.ledger("lane-0").await;
    let cancel = json!({"state": "canceled"});
    doomed
        .ask(|app| app.request(Method::PATCH, &waiting).json(&cancel))
        .await;
    for text in ["one", "two", "one"] {
        doomed.upload(text).await;
    }
    let body = json!({"orphan_protection_time": 0});
    let clean_up = doomed.post("orphans/cleanup/", body).await;
    tasks.push(clean_up["task"].as_str().unwrap().to_owned());
    tasks
}

/// Tasks that run for some seconds, once all of them do.
async fn long_tasks(app: &TestApp, count: usize) -> Vec<String> {
    let mut tasks = Vec::new();
    for n in 0..count {
        let lane = format!("long-{n}");
        let arguments = json!({"steps": 60, "pause_ms": 100});
        let body = json!({"name": "plugin.tasks.ledger", "kwargs": arguments, "exclusive_resources": [lane]});
        tasks.push(app.dispatch(&body).await);
    }
    for task in &tasks {
        app.until_noted(id_of(task), "start").await;
    }
    tasks
}

async fn dies_there_and_nothing_is_lost(point: Point) {
    let mut doomed = Doomed::start(point).await;
    let app = &mut doomed.app;
    let mut exported = None;
    let tasks = match point {
        // It stops while a task runs, and puts that back.
        Point::HandedBack => {
            let tasks = long_tasks(app, 1).await;
            app.workers[0].signal("TERM");
            app.workers[0].signal("TERM");
            tasks
        }
        // Another dies, and this one takes its tasks: more run than the doomed one has slots for.
        Point::Rescued => {
            let victim = app.spawn_worker(&[]);
            app.workers_online(2).await;
            let tasks = long_tasks(app, SLOTS + 1).await;
            app.workers.remove(victim).kill();
            tasks
        }
        Point::ExportNoted | Point::ExportStaged | Point::ExportNamed | Point::ExportFinished => {
            let export = crash_storage::export(&doomed).await;
            exported.insert(export).tasks()
        }
        Point::UnitsBuried | Point::UnitsRemoved => crash_storage::remove_units(&doomed).await,
        _ => work(&mut doomed).await,
    };
    let name = point.name();
    eventually(SOON, async || {
        doomed.replace_dead().await;
        holds(doomed.replaced, || format!("nobody died at {name}"))
    })
    .await;
    let Doomed { app, exports, .. } = doomed;
    app.quiet(SOON).await;
    for task in tasks {
        let row = app.row(id_of(&task)).await;
        assert_eq!(row.0, "completed", "{name}: {task}: {row:?}");
    }
    if let Some(export) = exported {
        export.assert_whole(&app, &exports).await;
    }
    crash_storage::assert_units_are_whole(&app).await;
    let moves = ledger::forbidden_moves(&app.sql).await;
    assert_eq!(moves, Vec::<String>::new(), "{name}");
    let wrong = "SELECT count(*) FROM (SELECT t.pulp_id FROM task t
                   LEFT JOIN ledger l ON l.task = t.pulp_id AND l.what = 'flip' WHERE t.name LIKE 'plugin%'
                  GROUP BY t.pulp_id HAVING count(l.id) <> (t.state = 'completed')::int) wrong";
    assert_eq!(app.sql.number(wrong).await, 0, "{name}: effects");
    // Files whose writer died are given up once its sessions are surely gone.
    eventually(SOON, async || {
        let left = "SELECT (SELECT count(*) FROM tombstone) + (SELECT count(*) FROM intent)";
        let left = app.sql.number(left).await;
        let rows = app.sql.number("SELECT count(*) FROM artifact").await;
        let files = files_below(&app.media().join("artifact")).len();
        let files = i64::try_from(files).unwrap();
        holds(left == 0 && rows == files, || {
            format!("{name}: {left} begun or buried, {rows} rows, {files} files")
        })
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn a_process_that_dies_between_two_steps_is_followed_by_one_that_carries_on() {
    for point in points() {
        let begun = Instant::now();
        dies_there_and_nothing_is_lost(point).await;
        println!("{}: {:.1} s", point.name(), begun.elapsed().as_secs_f64());
    }
}
