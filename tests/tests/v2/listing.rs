//! Listing more orphans than fit into memory, to clients that are slow, or gone. The benchmark `v2` does so with a
//! million units.

use super::{ORPHANS, get, path};
use millrace_tests::TestApp;
use millrace_tests::eventually;
use millrace_tests::eventually::holds;
use millrace_tests::memory::peak;
use reqwest::{Method, Response};
use serde_json::Value;
use std::time::Duration;

/// A kilobyte of fields each.
async fn fill(app: &TestApp, units: u32) {
    app.sql
        .run(&format!(
            "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields) \
             SELECT gen_random_uuid(), d.pulp_id, 'rpm.package', sha256(n::text::bytea), \
                    jsonb_build_object('name', 'n' || n, 'description', repeat('much to say ', 80)) \
               FROM generate_series(1, {units}) n, domain d; ANALYZE content"
        ))
        .await;
}

/// MiB that the API had at most.
fn memory(app: &TestApp) -> f64 {
    peak([app.api.as_ref().unwrap().id()])
}

async fn begin(app: &TestApp) -> Response {
    let request = app.request(Method::GET, &path("content/orphans/rpm/"));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

/// When the API last asked the database something, and how many of its statements or transactions are open.
async fn asked(app: &TestApp) -> (String, i64) {
    let of_api = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'millrace-api'";
    let last = app
        .sql
        .text(&format!("SELECT max(query_start) {of_api}"))
        .await;
    let open = format!("SELECT count(*) {of_api} AND (state <> 'idle' OR xact_start IS NOT NULL)");
    (last, app.sql.number(&open).await)
}

/// Waits until the API has nothing more to ask; gives the moment of its last statement.
async fn silent(app: &TestApp) -> String {
    eventually(Duration::from_secs(30), async || {
        let (before, _) = asked(app).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let (after, open) = asked(app).await;
        holds(before == after && open == 0, || {
            format!("still asking at {after}")
        })?;
        Ok(after)
    })
    .await
}

#[tokio::test]
async fn orphans_without_number_are_listed_with_bounded_memory_and_each_once() {
    const UNITS: u32 = 40_000;
    let app = TestApp::start().await;
    fill(&app, 10).await;
    get(&app, "content/orphans/rpm/").await.expect(200);
    get(&app, ORPHANS).await.expect(200);
    let before = memory(&app);
    app.sql.run("DELETE FROM content").await;
    fill(&app, UNITS).await;
    let mut answer = begin(&app).await;
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    let after = memory(&app);
    assert!(bytes.len() > 40 << 20, "{} bytes", bytes.len());
    assert!(
        after < before + 24.0,
        "grew from {before:.1} to {after:.1} MiB"
    );
    let list: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    let mut ids: Vec<&str> = list
        .iter()
        .map(|unit| unit["_id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), list.len());
    assert_eq!(ids.len(), UNITS as usize);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_no_session_no_transaction_and_no_memory() {
    let app = TestApp::builder()
        .set("database.pool_size", 2)
        .start()
        .await;
    fill(&app, 40_000).await;
    let mut stalled = Vec::new();
    for _ in 0..6 {
        stalled.push(begin(&app).await);
    }
    silent(&app).await;
    // More of them than sessions, and all others are served.
    get(&app, "tasks/").await.expect(200);
    get(&app, ORPHANS).await.expect(200);
    let before = memory(&app);
    silent(&app).await;
    assert!(memory(&app) < before + 2.0);
    // Those that go on reading get everything, units that went meanwhile aside.
    app.sql
        .run("DELETE FROM content WHERE fields ->> 'name' = 'n1'")
        .await;
    let mut one = stalled.pop().unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = one.chunk().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    let list: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    assert!((39_999..=40_000).contains(&list.len()), "{}", list.len());
}

#[tokio::test]
async fn a_listing_ends_when_its_client_is_gone() {
    let app = TestApp::start().await;
    fill(&app, 40_000).await;
    let process = app.api.as_ref().unwrap().id();
    let files = || {
        std::fs::read_dir(format!("/proc/{process}/fd"))
            .unwrap()
            .count()
    };
    let answer = begin(&app).await;
    let last = silent(&app).await;
    let open = files();
    drop(answer);
    eventually(Duration::from_secs(30), async || {
        let now = files();
        holds(now < open, || {
            format!("{now} files are open, as were {open}")
        })
    })
    .await;
    assert_eq!(silent(&app).await, last, "nothing was read for nobody");
}

#[tokio::test]
async fn a_unit_with_long_texts_is_listed_whole_among_others() {
    let app = TestApp::start().await;
    fill(&app, 3).await;
    app.sql
        .run("UPDATE content SET fields = jsonb_set(fields, '{description}', to_jsonb(repeat('x', 700000))) WHERE fields ->> 'name' <> 'n2'")
        .await;
    let list = get(&app, "content/orphans/rpm/").await.expect(200);
    let mut lengths: Vec<usize> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| unit["description"].as_str().unwrap().len())
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [960, 700_000, 700_000]);
}

#[tokio::test]
async fn orphans_behind_many_units_that_are_none_are_found() {
    let app = TestApp::start().await;
    fill(&app, 3000).await;
    app.sql
        .run(
            "INSERT INTO repository (pulp_id, pulp_domain, pulp_type, name) SELECT gen_random_uuid(), pulp_id, 'rpm.rpm', 'r' FROM domain; \
             INSERT INTO repository_content (repository_id, content_id, version_added) \
             SELECT r.pulp_id, c.pulp_id, 1 FROM repository r, content c WHERE c.fields ->> 'name' NOT IN ('n7', 'n2999')",
        )
        .await;
    let list = get(&app, "content/orphans/rpm/").await.expect(200);
    let mut names: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| unit["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["n2999", "n7"]);
    assert_eq!(get(&app, ORPHANS).await.expect(200)["rpm"]["count"], 2);
}
