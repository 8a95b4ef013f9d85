//! Several tasks that are dispatched in one transaction.

use millrace_tests::eventually::holds;
use millrace_tests::lanes::{self, Wanted};
use millrace_tests::{Sql, TestDb, eventually};
use std::time::Duration;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(60);

const NONE: [&str; 0] = [];

/// Units, by their ids.
async fn units(sql: &Sql, count: usize) -> Vec<Uuid> {
    let insert = format!(
        "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields)
         SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256(n::text::bytea), '{{}}'
           FROM domain d, generate_series(1, {count}) n"
    );
    sql.run(&insert).await;
    let ids = sql.texts("SELECT pulp_id::text FROM content").await;
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

async fn is_unknown(sql: &Sql, task: Uuid) -> bool {
    let rows = format!(
        "SELECT (SELECT count(*) FROM task WHERE pulp_id = '{task}') + (SELECT count(*) FROM reservation WHERE task_id = '{task}')
              + (SELECT count(*) FROM task_use WHERE task_id = '{task}')"
    );
    sql.number(&rows).await == 0
}

fn ids<T>(dispatched: &[(Uuid, T)]) -> Vec<Uuid> {
    dispatched.iter().map(|(id, _)| *id).collect()
}

#[tokio::test]
async fn they_are_recorded_in_the_order_given_also_on_one_lane() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let tasks = [
        Wanted::new(["a"], NONE),
        Wanted::new(["b"], ["c"]),
        Wanted::new(["a"], ["b"]),
        Wanted::new(NONE, ["c"]),
    ];
    let wanted: Vec<Uuid> = tasks.iter().map(|task| task.id).collect();
    let free = lanes::dispatch_free(&sql, &tasks).await.unwrap();
    assert_eq!(ids(&free), wanted);
    let seen = lanes::incomplete(&sql).await;
    let unblocked: Vec<bool> = seen.iter().map(|task| task.unblocked).collect();
    assert_eq!(unblocked, [true, true, false, true]);
    assert!(seen.iter().all(|task| task.consistent));
    assert_eq!(lanes::repairs(&sql).await, 0);
}

#[tokio::test]
async fn one_that_may_not_wait_is_canceled_and_in_nobodys_way() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let tasks = [
        Wanted::new(["a"], NONE),
        Wanted::new(["b"], ["a"]).at_once(),
        Wanted::new(["b"], NONE),
        Wanted::new(["c"], NONE).at_once(),
        Wanted::new(["c"], NONE),
    ];
    lanes::dispatch(&sql, &tasks).await.unwrap();
    let told = "SELECT concat_ws(' ', state, unblocked_at IS NOT NULL, claim_before IS NOT NULL, error ->> 'reason',
                   (SELECT count(*) FROM reservation r WHERE r.task_id = t.pulp_id)) FROM task t ORDER BY ticket";
    assert_eq!(
        sql.texts(told).await,
        [
            "waiting t f 2",
            "canceled f f Resources temporarily unavailable. 0",
            "waiting t f 2",
            "waiting t t 2",
            "waiting f f 2",
        ]
    );
    let seen = lanes::incomplete(&sql).await;
    assert!(seen.iter().all(|task| task.consistent));
}

#[tokio::test]
async fn one_of_which_somebody_holds_a_lane_is_busy_and_holds_up_no_other() {
    let db = TestDb::create().await;
    let (sql, other) = (db.sql().await, db.sql().await);
    for (lock, task) in [
        ("'{b}', '{}'", Wanted::new(["x", "b"], NONE)),
        ("'{b}', '{}'", Wanted::new(["x"], ["b"])),
        ("'{}', '{b}'", Wanted::new(["x", "b"], NONE)),
    ] {
        other.run("BEGIN").await;
        other
            .run(&format!("SELECT millrace_lock_lanes({lock})"))
            .await;
        let tasks = [Wanted::new(["a"], NONE), task, Wanted::new(["c"], NONE)];
        // Whoever waits here waits for five seconds, and then fails.
        sql.run("SET statement_timeout = '2s'").await;
        let tried = lanes::dispatch_together(&sql, &tasks, &[], false).await;
        let tried = tried.unwrap();
        assert_eq!(ids(&tried), [tasks[0].id, tasks[2].id, tasks[1].id]);
        let tickets: Vec<bool> = tried.iter().map(|(_, ticket)| ticket.is_some()).collect();
        assert_eq!(tickets, [true, true, false]);
        assert!(is_unknown(&sql, tasks[1].id).await);
        other.run("ROLLBACK").await;
        let free = lanes::dispatch_free(&sql, &tasks[1..2]).await.unwrap();
        assert_eq!(ids(&free), [tasks[1].id]);
    }
}

#[tokio::test]
async fn a_row_that_somebody_changes_holds_several_up_for_a_moment_only() {
    let db = TestDb::create().await;
    let (sql, other) = (db.sql().await, db.sql().await);
    other.run("BEGIN").await;
    other.run("SELECT FROM domain FOR UPDATE").await;
    let tasks = [Wanted::new(["a"], NONE), Wanted::new(["b"], NONE)];
    // One that is dispatched alone waits for five seconds.
    sql.run("SET statement_timeout = '2s'").await;
    let late = lanes::dispatch_together(&sql, &tasks, &[], false).await;
    let error = late.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));
    assert!(is_unknown(&sql, tasks[0].id).await);
}

#[tokio::test]
async fn lanes_are_waited_for_a_moment_where_that_is_wanted() {
    let db = TestDb::create().await;
    let (sql, other) = (db.sql().await, db.sql().await);
    other.run("BEGIN").await;
    other.run("SELECT millrace_lock_lanes('{b}', '{}')").await;
    let tasks = [Wanted::new(["a"], NONE), Wanted::new(["b"], NONE)];
    let late = lanes::dispatch_together(&sql, &tasks, &[], true).await;
    let error = late.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));
    assert!(is_unknown(&sql, tasks[0].id).await);
    // Long enough for the lane to be given back meanwhile, however slow the machine is.
    lanes::lengthen_dispatch_wait(&sql).await;
    let sql = std::sync::Arc::new(sql);
    let (waiting, wanted) = (std::sync::Arc::clone(&sql), tasks.clone());
    let waits =
        tokio::spawn(async move { lanes::dispatch_together(&waiting, &wanted, &[], true).await });
    eventually(LONG, async || {
        let waits = other.waiting_for_advisory();
        holds(waits.await == 1, || "nobody waits".to_owned())
    })
    .await;
    other.run("COMMIT").await;
    assert_eq!(
        ids(&waits.await.unwrap().unwrap()),
        tasks.map(|task| task.id)
    );
}

#[tokio::test]
async fn readers_of_a_lane_that_somebody_reads_are_recorded() {
    let db = TestDb::create().await;
    let (sql, other) = (db.sql().await, db.sql().await);
    other.run("BEGIN").await;
    other.run("SELECT millrace_lock_lanes('{}', '{b}')").await;
    let tasks = [Wanted::new(NONE, ["b"])];
    assert_eq!(
        lanes::dispatch_free(&sql, &tasks).await.unwrap().len(),
        tasks.len()
    );
}

#[tokio::test]
async fn one_whose_unit_is_gone_or_about_to_go_is_left_out() {
    let db = TestDb::create().await;
    let (sql, other) = (db.sql().await, db.sql().await);
    let units = units(&sql, 3).await;
    other.run("BEGIN").await;
    let delete = format!("DELETE FROM content WHERE pulp_id = '{}'", units[1]);
    other.run(&delete).await;
    let tasks: Vec<_> = ["a", "b", "c", "d"]
        .map(|lane| Wanted::new([lane], NONE))
        .into();
    let uses = [
        (tasks[0].id, units[0]),
        (tasks[1].id, units[0]),
        (tasks[1].id, units[1]),
        (tasks[2].id, Uuid::new_v4()),
        (tasks[2].id, units[2]),
    ];
    let free = lanes::dispatch_together(&sql, &tasks, &uses, false)
        .await
        .unwrap();
    assert_eq!(ids(&free), [tasks[0].id, tasks[3].id]);
    let noted = "SELECT task_id::text || ' ' || object_id FROM task_use";
    assert_eq!(
        sql.texts(noted).await,
        [format!("{} {}", tasks[0].id, units[0])]
    );
    assert!(is_unknown(&sql, tasks[1].id).await && is_unknown(&sql, tasks[2].id).await);
    other.run("ROLLBACK").await;
    let free = lanes::dispatch_together(&sql, &tasks[1..2], &uses[1..3], true).await;
    assert_eq!(ids(&free.unwrap()), [tasks[1].id]);
}

#[tokio::test]
async fn one_of_very_many_lanes_is_left_out() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let many = |count: usize| Wanted::new((0..count).map(|n| format!("lane-{n}")), Vec::new());
    // With the domain.
    let tasks = [many(64), many(63)];
    let free = lanes::dispatch_free(&sql, &tasks).await.unwrap();
    assert_eq!(ids(&free), [tasks[1].id]);
}
