//! What a step of the engine costs does not depend on how much waits: counted in pages, not in time.
//! `cargo test ... engine_cost -- --nocapture` prints the figures of docs/ENGINE-COST.md.

use millrace_tests::lanes::{self, DOMAIN};
use millrace_tests::{Sql, TestDb};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use serde_json::Value;
use tokio_postgres::SimpleQueryMessage;
use uuid::Uuid;

const MANY: u32 = 100_000;
const FEW: u32 = 10;
const LANE: &str = "prn:file.filerepository:busy";

/// Tasks as so many dispatches would have left them. `record`: what each reserves; `reserved` selects the reservations of `new`.
async fn insert(sql: &Sql, count: u32, state: &str, unblocked: bool, record: &str, reserved: &str) {
    sql.run(&format!(
        "WITH new AS (
            INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class,
                   logging_cid, enc_args, reserved_resources_record, immediate, deferred, rerun_after_loss, unblocked_at)
            SELECT gen_random_uuid(), now(), now(), (SELECT pulp_id FROM domain), nextval('task_ticket'), '{state}',
                   'test.task', 'default', 'c', '-', {record}, false, true, false,
                   CASE WHEN {unblocked} THEN now() END
              FROM generate_series(1, {count})
            RETURNING pulp_id, ticket)
         INSERT INTO reservation (resource, ticket, task_id, exclusive, granted) {reserved}"
    ))
    .await;
}

/// Tasks on the lane that wait to be run, where they are granted what they reserve, or to be unblocked.
async fn fill(sql: &Sql, count: u32, exclusive: bool, granted: bool) {
    let mode = if exclusive { "" } else { "shared:" };
    let record = format!("ARRAY['{mode}{LANE}', 'shared:{DOMAIN}']");
    let reserved = format!(
        "SELECT '{LANE}', ticket, pulp_id, {exclusive}, {granted} FROM new
          UNION ALL
         SELECT '{DOMAIN}', ticket, pulp_id, false, {granted} FROM new"
    );
    insert(sql, count, "waiting", granted, &record, &reserved).await;
}

/// Pages that a statement touched, its functions' statements included.
async fn pages(sql: &Sql, statement: &str) -> i64 {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement}");
    let answer = sql.simple_query(&explain).await.unwrap();
    let text: String = answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect();
    let plan: Value = serde_json::from_str(&text).unwrap();
    let plan = &plan[0]["Plan"];
    plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap()
}

fn finish(id: &str) -> String {
    format!(
        "SELECT * FROM millrace_settle('[{{\"task\": \"{id}\", \"to\": \"completed\"}}]', '{{waiting,running}}')"
    )
}

async fn first(sql: &Sql) -> String {
    sql.text("SELECT pulp_id FROM task WHERE state = 'waiting' AND unblocked_at IS NOT NULL ORDER BY ticket LIMIT 1")
        .await
}

/// Pages of one settle at the head of a lane of so many, the first of them warming up.
async fn settles(sql: &Sql, count: usize) -> Vec<i64> {
    let mut figures = Vec::new();
    for _ in 0..count {
        let id = first(sql).await;
        figures.push(pages(sql, &finish(&id)).await);
    }
    figures
}

fn median(figures: &[i64]) -> i64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// Deeper trees cost a page a descent; a walk over the lane would cost thousands.
fn assert_alike(what: &str, few: i64, many: i64) {
    println!("| {what} | {few} | {many} |");
    assert!(many <= few * 2, "{what}: {few} pages grew to {many}");
}

#[tokio::test]
async fn a_settle_costs_the_same_with_a_hundred_thousand_waiting_behind_it() {
    let mut medians = Vec::new();
    for count in [FEW, MANY] {
        let db = TestDb::create().await;
        let sql = db.sql().await;
        fill(&sql, 1, true, true).await;
        fill(&sql, count, true, false).await;
        medians.push(median(&settles(&sql, 9).await));
    }
    assert_alike("settle, writers waiting behind it", medians[0], medians[1]);
}

#[tokio::test]
async fn a_settle_costs_the_same_where_statistics_are_of_a_quiet_night() {
    let mut medians = Vec::new();
    for count in [FEW, MANY / 10] {
        let db = TestDb::create().await;
        let sql = db.sql().await;
        sql.run("ALTER TABLE task SET (autovacuum_enabled = false)")
            .await;
        fill(&sql, 500, true, false).await;
        sql.run("UPDATE task SET state = 'completed'; DELETE FROM reservation; ANALYZE task")
            .await;
        fill(&sql, 1, true, true).await;
        fill(&sql, count, true, false).await;
        medians.push(median(&settles(&sql, 9).await));
    }
    assert_alike(
        "settle, statistics of before the backlog",
        medians[0],
        medians[1],
    );
}

/// Tasks that run, each on a lane of its own.
async fn elsewhere(sql: &Sql, count: u32) {
    let reserved = "SELECT 'elsewhere-' || ticket, ticket, pulp_id, true, true FROM new";
    insert(sql, count, "running", true, "ARRAY['elsewhere']", reserved).await;
}

#[tokio::test]
async fn a_settle_costs_the_same_with_plans_of_a_quiet_morning() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    sql.run(
        "ALTER TABLE reservation SET (autovacuum_enabled = false);
         ALTER TABLE task SET (autovacuum_enabled = false);
         SET plan_cache_mode = force_generic_plan",
    )
    .await;
    // Statistics know of readers only: to PostgreSQL hardly any reservation is exclusive, and the index of those is the shortest
    // way to any.
    fill(&sql, 3000, false, true).await;
    sql.run("ANALYZE task, reservation; DELETE FROM task").await;
    fill(&sql, 1, true, true).await;
    fill(&sql, 30, true, false).await;
    let quiet = median(&settles(&sql, 9).await);
    elsewhere(&sql, MANY / 10).await;
    let busy = median(&settles(&sql, 9).await);
    assert_alike("settle, with plans of before the others came", quiet, busy);
}

#[tokio::test]
async fn a_settle_costs_the_same_with_a_hundred_thousand_sharing_its_lane() {
    let (mut alone, mut with_writer) = (Vec::new(), Vec::new());
    for count in [FEW * 3, MANY] {
        let db = TestDb::create().await;
        let sql = db.sql().await;
        fill(&sql, count, false, true).await;
        alone.push(median(&settles(&sql, 9).await));
        fill(&sql, 1, true, false).await;
        with_writer.push(median(&settles(&sql, 9).await));
    }
    assert_alike("settle, readers beside it", alone[0], alone[1]);
    let what = "settle, readers beside it and a writer waiting";
    assert_alike(what, with_writer[0], with_writer[1]);
}

#[tokio::test]
async fn dispatch_claim_and_sweep_cost_the_same_beside_a_hundred_thousand() {
    let mut dispatches = Vec::new();
    let mut claims = Vec::new();
    let mut sweeps = Vec::new();
    for count in [FEW * 10, MANY] {
        let db = TestDb::create().await;
        let sql = db.sql().await;
        fill(&sql, 1, true, true).await;
        fill(&sql, count, true, false).await;
        sweeps.push(pages(&sql, "SELECT * FROM millrace_sweep('', 100)").await);
        assert_eq!(lanes::repairs(&sql).await, 0);
        let (mut dispatch, mut claim) = (Vec::new(), Vec::new());
        for n in 0..9 {
            let task = |lane: &str| {
                serde_json::json!([{"id": Uuid::now_v7(), "domain": "00000000-0000-7000-8000-000000000001",
                    "name": "test.task", "class": "default", "cid": "c", "enc_args": "-", "exclusive": [lane],
                    "shared": [DOMAIN], "versions": {}, "immediate": false, "deferred": true, "rerun_after_loss": false}])
            };
            let statement = format!("SELECT * FROM millrace_dispatch('{}')", task(LANE));
            dispatch.push(pages(&sql, &statement).await);
            let other = task(&format!("other-{n}"));
            sql.run(&format!("SELECT * FROM millrace_dispatch('{other}')"))
                .await;
            let id = other[0]["id"].as_str().unwrap();
            let statement = format!(
                "SELECT * FROM millrace_claim('{id}', 'test.task', gen_random_uuid(), gen_random_uuid())"
            );
            claim.push(pages(&sql, &statement).await);
        }
        dispatches.push(median(&dispatch));
        claims.push(median(&claim));
    }
    assert_alike("dispatch onto the lane", dispatches[0], dispatches[1]);
    assert_alike("claim on another lane", claims[0], claims[1]);
    assert_alike("sweep over the lane", sweeps[0], sweeps[1]);
}

const STEPS: usize = 1500;

async fn old_snapshot(db: &TestDb) -> Sql {
    let old = db.sql().await;
    old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM task")
        .await;
    old
}

#[tokio::test]
async fn an_old_snapshot_does_not_make_the_settles_of_writers_dearer_as_their_lane_moves_on() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    fill(&sql, 1, true, true).await;
    fill(&sql, 5000, true, false).await;
    let old = old_snapshot(&db).await;
    let early = median(&settles(&sql, 15).await);
    for _ in 0..STEPS {
        let id = first(&sql).await;
        sql.run(&finish(&id)).await;
    }
    let late = median(&settles(&sql, 15).await);
    assert_alike(
        "settle under an old snapshot, first and 1,500th writer",
        early,
        late,
    );
    old.run("COMMIT").await;
}

#[tokio::test]
async fn an_old_snapshot_does_not_make_the_settles_of_readers_dearer_as_they_end_at_random() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    fill(&sql, 5000, false, true).await;
    fill(&sql, 1, true, false).await;
    let old = old_snapshot(&db).await;
    let early = median(&settles(&sql, 15).await);
    let readers =
        "SELECT pulp_id::text FROM task WHERE state = 'waiting' AND unblocked_at IS NOT NULL";
    let mut ids = sql.texts(readers).await;
    ids.shuffle(&mut rand::rngs::StdRng::seed_from_u64(1));
    let (run, measure) = ids.split_at(STEPS);
    for id in run {
        sql.run(&finish(id)).await;
    }
    let mut late = Vec::new();
    for id in &measure[..15] {
        late.push(pages(&sql, &finish(id)).await);
    }
    assert_alike(
        "settle under an old snapshot, first and 1,500th reader",
        early,
        median(&late),
    );
    old.run("COMMIT").await;
}
