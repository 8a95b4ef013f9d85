//! The races that were seen to leave tasks behind, step by step; and a long run of shared successors.

use super::history::break_promotion;
use millrace_tests::eventually::holds;
use millrace_tests::lanes::{self, Wanted};
use millrace_tests::{Sql, TestDb, eventually};
use std::time::Duration;
use uuid::Uuid;

const NONE: [&str; 0] = [];

/// A holder of `a`, a holder of `b`, and one that waits for both; both holders are claimed.
async fn two_holders(one: &Sql, other: &Sql) -> [Uuid; 3] {
    let tasks = [
        Wanted::new(["a"], NONE),
        Wanted::new(["b"], NONE),
        Wanted::new(["a", "b"], NONE),
    ];
    lanes::dispatch(one, &tasks).await.unwrap();
    for (sql, task) in [one, other].into_iter().zip(&tasks) {
        let outcome = lanes::claim(sql, task.id, Uuid::new_v4()).await.unwrap();
        assert_eq!(outcome, "claimed");
    }
    tasks.map(|task| task.id)
}

async fn unblocked(sql: &Sql, id: Uuid) -> bool {
    let seen = lanes::incomplete(sql).await;
    seen.iter().any(|s| s.id == id && s.unblocked)
}

#[tokio::test]
async fn of_two_holders_that_finish_at_once_the_second_unblocks_the_common_successor() {
    let db = TestDb::create().await;
    let (one, other, look) = (db.sql().await, db.sql().await, db.sql().await);
    let [first, second, both] = two_holders(&one, &other).await;

    one.run("BEGIN").await;
    lanes::finish(&one, first, 500).await.unwrap();
    let finishing = tokio::spawn(async move {
        lanes::finish(&other, second, 500).await.unwrap();
    });
    eventually(Duration::from_secs(10), async || {
        let waiting = look
            .number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
            .await;
        holds(waiting == 1, || "the second holder does not wait for the first".into())
    })
    .await;
    one.run("COMMIT").await;
    finishing.await.unwrap();

    assert!(unblocked(&look, both).await);
    assert_eq!(lanes::repairs(&look).await, 0);
}

#[tokio::test]
async fn without_the_lock_on_candidates_both_holders_leave_their_successor_behind() {
    let db = TestDb::create().await;
    let (one, other) = (db.sql().await, db.sql().await);
    break_promotion(&one).await;
    let [first, second, both] = two_holders(&one, &other).await;

    one.run("BEGIN").await;
    lanes::finish(&one, first, 500).await.unwrap();
    lanes::finish(&other, second, 500).await.unwrap();
    one.run("COMMIT").await;

    assert!(!unblocked(&one, both).await, "the race did not happen");
    assert_eq!(lanes::repairs(&one).await, 1, "the sweep finds it");
}

#[tokio::test]
async fn a_thousand_readers_behind_a_writer_are_unblocked_in_batches_and_their_writer_after_them() {
    const READERS: usize = 2000;
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let writer = Wanted::new(["lane"], NONE);
    let readers: Vec<_> = (0..READERS).map(|_| Wanted::new(NONE, ["lane"])).collect();
    let last = Wanted::new(["lane"], NONE);
    lanes::dispatch(&sql, std::slice::from_ref(&writer))
        .await
        .unwrap();
    lanes::dispatch(&sql, &readers).await.unwrap();
    lanes::dispatch(&sql, std::slice::from_ref(&last))
        .await
        .unwrap();
    let waiting = "SELECT count(*) FROM task WHERE state = 'waiting' AND unblocked_at IS NULL";
    assert_eq!(sql.number(waiting).await, READERS as i64 + 1);

    lanes::claim(&sql, writer.id, Uuid::new_v4()).await.unwrap();
    lanes::finish(&sql, writer.id, 500).await.unwrap();
    let now = READERS as i64 + 1 - sql.number(waiting).await;
    assert!((500..=501).contains(&now), "{now} in one transaction");
    assert_eq!(
        lanes::repairs(&sql).await,
        0,
        "a recorded continuation is no repair"
    );

    let steps = lanes::resume_all(&sql, 500).await.unwrap();
    assert!((3..=5).contains(&steps), "{steps} steps");
    assert_eq!(sql.number(waiting).await, 1);
    for reader in &readers {
        lanes::cancel(&sql, reader.id, 500).await.unwrap();
    }
    assert!(unblocked(&sql, last.id).await);
}

#[tokio::test]
async fn a_transaction_that_is_not_read_committed_cannot_dispatch() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    sql.run("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    let refused = lanes::dispatch(&sql, &[Wanted::new(["a"], NONE)]).await;
    assert!(format!("{:?}", refused.unwrap_err()).contains("READ COMMITTED"));
}
