//! Several tasks that are claimed in one transaction.

use millrace_tests::lanes::{self, Wanted};
use millrace_tests::{Sql, TestDb};
use uuid::Uuid;

const NONE: [&str; 0] = [];

/// Dispatches one task a lane; gives each with a token for its claim.
async fn on_lanes<const N: usize>(sql: &Sql, names: [&str; N]) -> [(Uuid, Uuid); N] {
    let tasks = names.map(|lane| Wanted::new([lane], NONE));
    lanes::dispatch(sql, &tasks).await.unwrap();
    tasks.map(|task| (task.id, Uuid::new_v4()))
}

async fn run_of(sql: &Sql, task: Uuid) -> String {
    let run = format!(
        "SELECT concat_ws(' ', state, claim_id, attempts, started_at IS NOT NULL) FROM task WHERE pulp_id = '{task}'"
    );
    sql.text(&run).await
}

#[tokio::test]
async fn each_is_claimed_under_its_own_token_while_other_sessions_have_the_locks() {
    let db = TestDb::create().await;
    let (one, other, third) = (db.sql().await, db.sql().await, db.sql().await);
    let claims = on_lanes(&one, ["a", "b"]).await;
    assert_eq!(lanes::lock(&one, claims[0].0).await.unwrap(), "locked");
    assert_eq!(lanes::lock(&other, claims[1].0).await.unwrap(), "locked");
    // They are nobody else's, although both wait still.
    for (task, token) in claims {
        assert_eq!(lanes::claim(&third, task, token).await.unwrap(), "refused");
        assert_eq!(lanes::lock(&third, task).await.unwrap(), "refused");
        assert_eq!(run_of(&third, task).await, "waiting 0 f");
    }
    let claimed = lanes::claim_together(&one, &claims).await.unwrap();
    assert_eq!(claimed, claims);
    for (task, token) in claims {
        assert_eq!(run_of(&third, task).await, format!("running {token} 1 t"));
        assert_eq!(lanes::lock(&third, task).await.unwrap(), "stale");
    }
    let again = lanes::claim_together(&other, &claims).await.unwrap();
    assert_eq!(again, []);
}

#[tokio::test]
async fn one_that_may_not_start_any_more_or_that_somebody_changes_is_left_and_holds_up_no_other() {
    let db = TestDb::create().await;
    let (sql, other) = (db.sql().await, db.sql().await);
    let claims = on_lanes(&sql, ["a", "b", "c", "d", "e"]).await;
    for (task, _) in claims {
        assert_eq!(lanes::lock(&sql, task).await.unwrap(), "locked");
    }
    let [canceled, deferred, late, changing, _] = claims.map(|(task, _)| task);
    lanes::cancel(&other, canceled, 500).await.unwrap();
    for (task, change) in [
        (deferred, "not_before = now() + interval '1 h'"),
        (late, "claim_before = now() - interval '1 s'"),
    ] {
        let change = format!("UPDATE task SET {change} WHERE pulp_id = '{task}'");
        other.run(&change).await;
    }
    other.run("BEGIN").await;
    let lock = format!("SELECT FROM task WHERE pulp_id = '{changing}' FOR UPDATE");
    other.run(&lock).await;
    sql.run("SET statement_timeout = '2s'").await;
    let claimed = lanes::claim_together(&sql, &claims).await.unwrap();
    assert_eq!(claimed, claims[4..]);
    other.run("ROLLBACK").await;
    assert_eq!(run_of(&sql, changing).await, "waiting 0 f");
}

#[tokio::test]
async fn one_that_is_paused_is_not_claimed_with_others() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let claims = on_lanes(&sql, ["a", "b"]).await;
    for (task, _) in claims {
        assert_eq!(lanes::lock(&sql, task).await.unwrap(), "locked");
    }
    sql.run("INSERT INTO pause (pulp_id, kind, name) VALUES (gen_random_uuid(), 'resource', 'b')")
        .await;
    let claimed = lanes::claim_together(&sql, &claims).await.unwrap();
    assert_eq!(claimed, claims[..1]);
    let (task, token) = claims[1];
    assert_eq!(lanes::claim(&sql, task, token).await.unwrap(), "paused");
}

#[tokio::test]
async fn of_two_who_claim_a_task_at_once_as_the_first_has_lost_its_session_one_has_it() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let [(task, token)] = on_lanes(&sql, ["a"]).await;
    let both = [(task, token), (task, Uuid::new_v4())];
    let made = lanes::claim_together(&sql, &both).await.unwrap();
    let [(_, token)] = made.as_slice() else {
        panic!("{made:?}")
    };
    assert_eq!(run_of(&sql, task).await, format!("running {token} 1 t"));
}
