//! Several runs that are settled in one transaction.

use millrace_tests::lanes::{self, Wanted};
use millrace_tests::{Sql, TestDb};
use uuid::Uuid;

const NONE: [&str; 0] = [];

/// Dispatches these, and claims as many of them, the first ones.
async fn held(sql: &Sql, tasks: &[Wanted], count: usize) -> Vec<Uuid> {
    lanes::dispatch(sql, tasks).await.unwrap();
    for task in tasks.iter().take(count) {
        let outcome = lanes::claim(sql, task.id, Uuid::new_v4()).await.unwrap();
        assert_eq!(outcome, "claimed");
    }
    tasks.iter().map(|task| task.id).collect()
}

/// Two tasks, on the lanes `a` and `b`.
async fn two_held(sql: &Sql) -> Vec<Uuid> {
    let tasks = [Wanted::new(["a"], NONE), Wanted::new(["b"], NONE)];
    held(sql, &tasks, 2).await
}

async fn unblocked(sql: &Sql) -> Vec<Uuid> {
    let seen = lanes::incomplete(sql).await;
    let waiting = seen.iter().filter(|task| task.unblocked);
    waiting.map(|task| task.id).collect()
}

#[tokio::test]
async fn each_is_final_and_a_successor_of_them_all_is_unblocked_once() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let tasks = [
        Wanted::new(["a"], NONE),
        Wanted::new(["b"], NONE),
        Wanted::new(NONE, ["c"]),
        Wanted::new(["a", "b", "c"], NONE),
    ];
    let ids = held(&sql, &tasks, 3).await;
    let ended = lanes::settle(&sql, &ids[..3]).await.unwrap();
    assert_eq!(ended.len(), 3);
    assert!(
        ended
            .iter()
            .all(|(_, state)| state.as_deref() == Some("completed"))
    );
    assert_eq!(unblocked(&sql).await, [ids[3]]);
    let left = "SELECT count(*) FROM reservation WHERE task_id <> (SELECT pulp_id FROM task WHERE state = 'waiting')";
    assert_eq!(sql.number(left).await, 0);
    assert_eq!(lanes::repairs(&sql).await, 0);
}

#[tokio::test]
async fn one_of_which_somebody_holds_a_lane_is_left_and_holds_up_no_other() {
    let db = TestDb::create().await;
    let (sql, other) = (db.sql().await, db.sql().await);
    let ids = two_held(&sql).await;
    other.run("BEGIN").await;
    other.run("SELECT millrace_lock_lanes('{b}', '{}')").await;
    let ended = lanes::settle(&sql, &ids).await.unwrap();
    assert_eq!(
        ended,
        [(ids[0], Some("completed".to_owned())), (ids[1], None)]
    );
    other.run("ROLLBACK").await;
    let ended = lanes::settle(&sql, &ids).await.unwrap();
    assert_eq!(ended, [(ids[1], Some("completed".to_owned()))]);
}

#[tokio::test]
async fn one_that_another_claim_has_is_left_alone() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let ids = two_held(&sql).await;
    let settle = format!(
        "SELECT task_id::text FROM millrace_settle(jsonb_build_array(
             jsonb_build_object('task', '{}', 'claim', gen_random_uuid(), 'to', 'completed'),
             jsonb_build_object('task', '{}', 'to', 'failed', 'error', jsonb_build_object('reason', 'so'))),
             '{{running}}') WHERE task_id IS NOT NULL",
        ids[0], ids[1]
    );
    assert_eq!(sql.texts(&settle).await, [ids[1].to_string()]);
    let states =
        "SELECT state || ' ' || coalesce(error ->> 'reason', '-') FROM task ORDER BY ticket";
    assert_eq!(sql.texts(states).await, ["running -", "failed so"]);
}

#[tokio::test]
async fn a_cancel_that_came_in_time_wins_over_what_the_run_came_to() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let ids = two_held(&sql).await;
    sql.run(&format!(
        "UPDATE task SET state = 'canceling' WHERE pulp_id = '{}'",
        ids[1]
    ))
    .await;
    let ended = lanes::settle(&sql, &ids).await.unwrap();
    let states: Vec<_> = ended
        .iter()
        .map(|(_, state)| state.as_deref().unwrap_or("-"))
        .collect();
    assert_eq!(states, ["completed", "canceled"]);
}

#[tokio::test]
async fn a_worker_of_the_release_before_ends_its_runs_as_it_did() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let tasks = [Wanted::new(["a"], NONE), Wanted::new(["a"], NONE)];
    let ids = held(&sql, &tasks, 1).await;
    let finish = |claim: &str| {
        format!(
            "SELECT concat_ws(' ', final_state, jsonb_array_length(announcements), more)
               FROM millrace_finish('{}', {claim}, '{{running}}', 'completed', '{{\"n\": 1}}', NULL)",
            ids[0]
        )
    };
    let nothing = sql.texts(&finish("gen_random_uuid()")).await;
    assert!(nothing.is_empty(), "{nothing:?}");
    assert_eq!(sql.texts(&finish("NULL")).await, ["completed 1 f"]);
    let result = "SELECT result ->> 'n' FROM task WHERE state = 'completed'";
    assert_eq!(sql.texts(result).await, ["1"]);
    assert_eq!(unblocked(&sql).await, [ids[1]]);
}
