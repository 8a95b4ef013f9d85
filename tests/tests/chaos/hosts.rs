//! Hosts of their own: network namespaces joined by a cable that is pulled, and clocks that disagree.
//!
//! Nothing in it is chosen at random: there is no seed to repeat a run by.

use millrace_common::tasking::Resources;
use millrace_tests::history::{read, rows, violations};
use millrace_tests::proxy::Proxy;
use millrace_tests::stack::Instance;
use millrace_tests::{Dispatcher, TestApp, TestDb, Vhost};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(90);
const SERVERS: &str = "10.213.7.1";
const WORKER: &str = "10.213.7.2";
const LANES: u32 = 8;

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).output();
    let done = done.unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {arguments}: {said}");
}

/// Two hosts that nobody else reaches, and a cable between them; gone with its value.
struct Hosts {
    servers: String,
    worker: String,
}

impl Hosts {
    /// `None`, and a word of it, where this user may not make any.
    fn make() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("NOT RUN: only root may make network namespaces");
            return None;
        }
        let id = std::process::id();
        let hosts = Self {
            servers: format!("mrs{id}"),
            worker: format!("mrw{id}"),
        };
        let (s, w) = (&hosts.servers, &hosts.worker);
        let commands = [
            format!("netns add {s}"),
            format!("netns add {w}"),
            format!("-n {s} link set lo up"),
            format!("-n {w} link set lo up"),
            format!("-n {s} link add cable type veth peer name cable netns {w}"),
            format!("-n {s} addr add {SERVERS}/30 dev cable"),
            format!("-n {w} addr add {WORKER}/30 dev cable"),
            format!("-n {s} link set cable up"),
            format!("-n {w} link set cable up"),
        ];
        for command in commands {
            ip(&command);
        }
        Some(hosts)
    }

    /// Runs this on the host of the servers: threads and processes begun by it are there too.
    fn on_servers<T: Send>(&self, run: impl AsyncFnOnce() -> T + Send) -> T {
        let namespace = File::open(Path::new("/run/netns").join(&self.servers)).unwrap();
        let on_host = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).unwrap();
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(run())
        };
        std::thread::scope(|scope| scope.spawn(on_host).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn pull_cable(&self) {
        ip(&format!("-n {} link set cable down", self.worker));
    }

    fn plug_cable(&self) {
        ip(&format!("-n {} link set cable up", self.worker));
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.servers, &self.worker] {
            // Not all of it may have been made.
            let _ = Command::new("ip").args(["netns", "del", host]).output();
        }
    }
}

/// Dispatches so many tasks on each lane; each takes some two seconds.
async fn dispatch(dispatcher: &mut Dispatcher, each: u32, file: &Path) {
    for n in 0..LANES * each {
        let arguments = json!({"steps": 20, "pause_ms": 100, "file": file});
        let lane = Resources::exclusive(format!("lane-{}", n % LANES));
        let task = dispatcher.task("plugin.tasks.ledger", arguments, lane);
        dispatcher.dispatch(&[task]).await;
    }
}

/// The history of this file breaks no promise of the lanes.
async fn assert_orderly(app: &TestApp, file: &Path) {
    let rows = rows(&app.sql).await;
    assert_eq!(violations(&read(file, &rows)), Vec::<String>::new());
    app.assert_completed_once().await;
}

#[test]
fn a_worker_whose_cable_is_pulled_loses_its_tasks_and_writes_nothing_more() {
    let Some(hosts) = Hosts::make() else { return };
    hosts.on_servers(async || {
        let dir = tempfile::tempdir().unwrap();
        let access = dir.path().join("pg_hba.conf");
        let hosts_of_cable = format!("host all all {SERVERS}/30 scram-sha-256\n");
        let local = "host all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(&access, format!("{local}{hosts_of_cable}")).unwrap();
        open_to_all(dir.path(), &access);
        let lines = [
            format!("listen_addresses = '127.0.0.1,{SERVERS}'"),
            format!("hba_file = '{}'", access.display()),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (database, broker) = (Instance::postgresql(&lines), Instance::rabbitmq(&[]));
        let db = TestDb::create_on(database.database_url()).await;
        let vhost = Vhost::create_on(&broker.broker_url(), &broker.management_url()).await;
        let far_database = db.url().replace("127.0.0.1", SERVERS);
        // The broker lets its user in from its own host only.
        let outside = format!("{SERVERS}:0").parse().unwrap();
        let line = Proxy::at(outside, super::world::address(&vhost.url())).await;
        let far_broker = line.url(&vhost.url());
        let builder = TestApp::builder().plugin().without_api();
        let mut app = builder.db(db).vhost(vhost).workers(1).start().await;
        let far = [
            ("database.url", far_database.as_str()),
            ("broker.url", far_broker.as_str()),
        ];
        let on_worker = ["ip", "netns", "exec", &hosts.worker];
        let far = app.spawn_worker_under(&on_worker, &far);
        app.workers_online(2).await;

        let (file, mut dispatcher) = (app.dir().join("history"), app.dispatcher().await);
        dispatch(&mut dispatcher, 2, &file).await;
        let runs_there = format!(
            "SELECT count(*) FROM task t JOIN app_status a ON a.pulp_id = t.worker_id
              WHERE a.name = '{}' AND t.state = 'running'",
            app.workers[far].name
        );
        millrace_tests::eventually(LONG, async || {
            let running = app.sql.number(&runs_there).await;
            millrace_tests::eventually::holds(running > 0, || "it runs nothing".into())
        })
        .await;
        hosts.pull_cable();
        app.quiet(LONG).await;
        let again = "SELECT count(*) FROM task WHERE attempts > 1";
        assert!(app.sql.number(again).await > 0, "its tasks ran elsewhere");
        hosts.plug_cable();
        app.workers_online(2).await;
        dispatch(&mut dispatcher, 1, &file).await;
        app.quiet(LONG).await;
        assert!(app.workers[far].ended().is_none(), "it lives on");
        assert_orderly(&app, &file).await;
        app.finish().await;
    });
}

/// The server runs as a user of its own.
fn open_to_all(dir: &Path, file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for path in [dir, file] {
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, all).unwrap();
    }
}

/// Where Debian and others have the library that lies about the time.
fn libfaketime() -> Option<PathBuf> {
    let found = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ]
    .map(|dir| Path::new(dir).join("faketime/libfaketime.so.1"))
    .into_iter()
    .find(|path| path.exists());
    if found.is_none() {
        println!("NOT RUN: libfaketime is not installed");
    }
    found
}

#[tokio::test]
async fn workers_whose_clocks_are_hours_apart_run_everything_once_and_in_order() {
    let Some(library) = libfaketime() else { return };
    let mut app = TestApp::engine(1).await;
    for hours in ["+1h", "-1h"] {
        let lie = [
            "env",
            &format!("LD_PRELOAD={}", library.display()),
            &format!("FAKETIME={hours}"),
            // What counts pauses is not asked for the time of day.
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ];
        app.spawn_worker_under(&lie, &[]);
    }
    app.workers_online(3).await;
    let (file, mut dispatcher) = (app.dir().join("history"), app.dispatcher().await);
    dispatch(&mut dispatcher, 3, &file).await;
    app.quiet(LONG).await;
    let workers = "SELECT count(DISTINCT worker_id) FROM task";
    assert_eq!(app.sql.number(workers).await, 3, "each of them worked");
    let wrong = "SELECT count(*) FROM task WHERE attempts > 1 OR finished_at - started_at NOT BETWEEN '1 s' AND '60 s'
                    OR started_at < pulp_created";
    assert_eq!(app.sql.number(wrong).await, 0, "times are the database's");
    app.assert_completed_once().await;
    app.finish().await;
}
