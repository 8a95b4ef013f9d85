//! Exports whose worker is killed at any moment.

use super::shop::{Shop, href};
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::stack::setting;
use millrace_tests::{TestApp, eventually};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const FILES: usize = 500;

fn bytes(n: usize) -> Vec<u8> {
    format!("{n:05}").repeat(1 + (n * 37) % 40_000).into_bytes()
}

fn path(n: usize) -> String {
    format!("d{}/f{n}", n % 17)
}

/// Stores the files and a version with them, without asking the API.
async fn fill(shop: &Shop) -> String {
    std::fs::create_dir_all(shop.app.media().join("artifact/te")).unwrap();
    for n in 0..FILES {
        std::fs::write(shop.app.media().join(format!("artifact/te/{n}")), bytes(n)).unwrap();
    }
    let id = id_of(href(&shop.repository));
    let sizes: Vec<String> = (0..FILES).map(|n| bytes(n).len().to_string()).collect();
    let sizes = sizes.join(",");
    shop.app
        .sql
        .run(&format!(
            "CREATE TABLE planted AS
               SELECT n - 1 AS n, size, gen_random_uuid() AS artifact, gen_random_uuid() AS unit
                 FROM unnest(ARRAY[{sizes}]) WITH ORDINALITY u (size, n);
             INSERT INTO artifact (pulp_id, pulp_domain, storage_key, size, sha256)
               SELECT artifact, d.pulp_id, 'artifact/te/' || n, size, encode(sha256(n::text::bytea), 'hex')
                 FROM planted, domain d;
             INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields)
               SELECT unit, d.pulp_id, 'file.file', sha256(n::text::bytea), '{{}}' FROM planted, domain d;
             INSERT INTO content_artifact SELECT gen_random_uuid(), unit, artifact, 'd' || n % 17 || '/f' || n FROM planted;
             INSERT INTO repository_version (pulp_id, repository_id, number, complete)
               VALUES (gen_random_uuid(), '{id}', 1, true);
             UPDATE repository SET next_version = 2;
             INSERT INTO repository_content (repository_id, content_id, version_added) SELECT '{id}', unit, 1 FROM planted"
        ))
        .await;
    format!("{}versions/1/", href(&shop.repository))
}

/// The files under their final names, read at one moment each.
fn seen(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for n in 0..17 {
        for entry in std::fs::read_dir(dir.join(format!("d{n}")))
            .into_iter()
            .flatten()
        {
            let path = entry.unwrap().path();
            files.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    files
}

fn check(dir: &Path) -> usize {
    let files = seen(dir);
    for (path, found) in &files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let n: usize = name.strip_prefix('f').unwrap().parse().unwrap();
        assert!(
            *found == bytes(n),
            "{} has {} bytes",
            path.display(),
            found.len()
        );
    }
    files.len()
}

/// Looks at the files of a directory again and again while it is written; gives how often.
fn watch(dir: PathBuf, over: Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut looks = 0;
        while !over.load(Ordering::Relaxed) {
            check(&dir);
            looks += 1;
        }
        looks
    })
}

/// What a client sees of the task of an export, but for names and times.
async fn shown(shop: &Shop, task: &str, exporter: &str) -> Value {
    let task = shop.app.get(task).await.expect(200);
    let exports = shop.app.hrefs(&format!("{exporter}exports/")).await;
    assert_eq!(task["created_resources"], json!(exports));
    let export = shop.app.get(&exports[0]).await.expect(200);
    assert_eq!(export["task"], task["pulp_href"]);
    assert_eq!(task["created_resource_prns"], json!([export["prn"]]));
    let mut reports = task["progress_reports"].clone();
    for report in reports.as_array_mut().unwrap() {
        report.as_object_mut().unwrap().retain(|key, _| {
            ["message", "code", "state", "total", "done", "suffix"].contains(&key.as_str())
        });
    }
    json!([
        task["state"],
        task["result"],
        task["error"],
        exports.len(),
        reports,
        export["exported_resources"],
        export["params"]
    ])
}

/// An export that nobody disturbs.
async fn undisturbed(shop: &mut Shop, version: &str) -> Value {
    let place = shop.app.spawn_worker(&[]);
    let exporter = shop.exporter("undisturbed", "write").await;
    let body = json!({"repository_version": version});
    let task = shop.export(&exporter, &body).await;
    shop.app.workers[place].kill();
    shown(shop, href(&task), &exporter).await
}

/// Gives how often it began, and what a client sees of it.
async fn killed_and_run_again(
    shop: &mut Shop,
    version: &str,
    method: &str,
    seed: u64,
) -> (i32, Value) {
    println!("seed {seed}, {method}");
    let mut random = SmallRng::seed_from_u64(seed);
    let name = format!("{method}{seed}");
    let dir = shop.at(&name);
    let over = Arc::new(AtomicBool::new(false));
    let watcher = watch(dir.clone(), Arc::clone(&over));
    let exporter = shop.exporter(&name, method).await;
    let body = json!({"repository_version": version});
    let task = shop.ask(&exporter, &body).await.task();
    for kill in 0..2 {
        let place = shop.app.spawn_worker(&[]);
        eventually(Duration::from_secs(60), async || {
            let (state, runs, _) = shop.app.row(id_of(&task)).await;
            holds(
                state == "completed" || (state == "running" && runs > kill),
                || state,
            )
        })
        .await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
        shop.app.workers[place].kill();
        println!("killed with {} of {FILES} files", seen(&dir).len());
    }
    let place = shop.app.spawn_worker(&[]);
    shop.app.completed(&task).await;
    over.store(true, Ordering::Relaxed);
    let looks = watcher.join().unwrap();
    let runs = shop.app.row(id_of(&task)).await.1;
    println!("{runs} runs, {looks} looks");
    assert_eq!(check(&dir), FILES);
    let mut names: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    let mut expected: Vec<_> = (0..17)
        .map(|n| format!("d{n}").into())
        .collect::<Vec<std::ffi::OsString>>();
    expected.sort();
    assert_eq!(names, expected);
    assert!(dir.join(path(FILES - 1)).is_file());
    shop.app.workers[place].kill();
    (
        runs.try_into().unwrap(),
        shown(shop, &task, &exporter).await,
    )
}

#[tokio::test]
async fn an_export_whose_worker_is_killed_at_any_moment_ends_as_if_it_had_not_been() {
    let mut shop = Shop::with(TestApp::builder()).await;
    let version = fill(&shop).await;
    let expected = undisturbed(&mut shop, &version).await;
    assert_eq!(expected[4][0]["done"], FILES);
    let mut most = 0;
    let seeds = setting("MILLRACE_TEST_SEEDS").map_or(3, |text| text.parse().unwrap());
    let written = (1..=seeds).map(|seed| (seed, "write"));
    let linked = [(seeds + 1, "hardlink"), (seeds + 2, "symlink")];
    for (seed, method) in written.chain(linked) {
        let (runs, seen) = killed_and_run_again(&mut shop, &version, method, seed).await;
        assert_eq!(seen, expected, "seed {seed}, {method}");
        most = most.max(runs);
    }
    assert!(most >= 2, "no run was interrupted");
    shop.app.spawn_worker(&[]);
    shop.app.finish().await;
}

/// Killed between the look at its directory and the first file, with something of an earlier run in the
/// staging directory.
#[tokio::test]
async fn a_further_run_knows_the_directory_for_its_own_and_clears_what_was_staged() {
    let mut shop = Shop::open(1).await;
    let files = [("a", "one"), ("b/c", "two")];
    let version = shop.add(&files).await;
    for method in ["write", "hardlink", "symlink"] {
        let place = shop.app.workers.len() - 1;
        let holder = super::paths::hold(&shop).await;
        let exporter = shop.exporter(method, method).await;
        let task = shop
            .ask(&exporter, &json!({"repository_version": version}))
            .await
            .task();
        super::paths::until_held(&shop).await;
        shop.app.workers[place].kill();
        let staging = std::fs::read_dir(shop.at(method))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        std::fs::create_dir_all(staging.join("other/deep")).unwrap();
        std::fs::write(staging.join("other/deep/1"), "half").unwrap();
        std::fs::write(shop.at(method).join("a"), "of an earlier run").unwrap();
        holder.run("ROLLBACK").await;
        shop.app.spawn_worker(&[]);
        shop.app.completed(&task).await;
        assert_eq!(
            super::shop::tree(&shop.at(method)),
            super::shop::texts(&files)
        );
        assert!(!staging.exists());
        assert_eq!(shop.app.row(id_of(&task)).await.1, 2);
        assert_eq!(
            shop.app.hrefs(&format!("{exporter}exports/")).await.len(),
            1
        );
    }
    shop.app.finish().await;
}

/// Killed with half a file staged, and no further run is to come: nobody but the janitor removes it.
#[tokio::test]
async fn an_export_that_ends_without_a_last_run_leaves_no_staged_file() {
    let mut shop = Shop::with(TestApp::builder().set("worker.sweep_seconds", 1)).await;
    shop.app.spawn_worker(&[]);
    let version = shop.add(&[("a", "one")]).await;
    for end in ["canceled", "purged", "deleted"] {
        let place = shop.app.workers.len() - 1;
        let holder = super::paths::hold(&shop).await;
        let exporter = shop.exporter(end, "write").await;
        let body = json!({"repository_version": version});
        let task = shop.ask(&exporter, &body).await.task();
        super::paths::until_held(&shop).await;
        shop.app.workers[place].kill();
        let staging = std::fs::read_dir(shop.at(end)).unwrap().next();
        let staging = staging.unwrap().unwrap().path();
        let claim = std::fs::read_dir(&staging)
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        std::fs::write(claim.path().join("1"), "half").unwrap();
        let export = shop
            .app
            .hrefs(&format!("{exporter}exports/"))
            .await
            .remove(0);
        // Its task may still need it.
        shop.app.delete(&export).await.expect(409);
        shop.app.get(&export).await.expect(200);
        holder.run("ROLLBACK").await;
        shop.app.patch(&task, &json!({"state": "canceled"})).await;
        let rest = match end {
            "canceled" => "SELECT 1",
            "purged" => "DELETE FROM task",
            _ => "DELETE FROM exporter",
        };
        let over = "SELECT count(*) FROM task WHERE finished_at IS NULL";
        if end != "canceled" {
            shop.app.sql.run(rest).await;
        }
        shop.app.spawn_worker(&[]);
        eventually(Duration::from_secs(60), async || {
            let open = shop.app.sql.number(over).await;
            let rows = shop
                .app
                .sql
                .number("SELECT count(*) FROM export_staging")
                .await;
            holds(open == 0 && rows == 0 && !staging.exists(), || {
                format!("{end}: {open} tasks, {rows} rows, {}", staging.exists())
            })
        })
        .await;
        assert_eq!(super::shop::tree(&shop.at(end)).len(), 0);
        if end == "canceled" {
            shop.app.delete(&export).await.expect(204);
        }
    }
    shop.app.finish().await;
}
