//! A cancel of a task that moves meanwhile.

use millrace_tests::TestDb;
use millrace_tests::lanes::{self, Wanted};
use uuid::Uuid;

#[tokio::test]
async fn a_cancel_that_finds_the_task_handed_back_meanwhile_ends_nothing() {
    let db = TestDb::create().await;
    let (sql, other, third) = (db.sql().await, db.sql().await, db.sql().await);
    let task = Wanted::new(["a"], []);
    let id = task.id;
    lanes::dispatch(&sql, &[task]).await.unwrap();
    lanes::claim(&sql, id, Uuid::new_v4()).await.unwrap();
    // It is being handed back: who cancels it sees it running still, and holds none of its lanes.
    other.run("BEGIN").await;
    other
        .run(&format!(
            "UPDATE task SET state = 'waiting', claim_id = NULL WHERE pulp_id = '{id}'"
        ))
        .await;
    let (canceled, _) = lanes::cancel(&third, id, 500).await.unwrap();
    assert_eq!(canceled, None);
    other.run("COMMIT").await;
    assert_eq!(sql.texts("SELECT state FROM task").await, ["waiting"]);
    let (canceled, _) = lanes::cancel(&third, id, 500).await.unwrap();
    assert_eq!(canceled.as_deref(), Some("canceled"));
}
