//! Tasks that follow each other in a lane are run by the slot that has the first of them, without the broker. A lock that goes in a
//! moment puts none of them off.

use millrace_common::ids::{ClaimId, ProcessId, TaskId};
use millrace_common::tasking::{self, Claim, ClaimOutcome, Resources};
use millrace_tests::TestApp;
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(60);

/// One slot, a lane of so many tasks, and behind the message of its first one the message of another task.
async fn started_before_another(lane: usize, pause_ms: u64) -> i64 {
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .set("worker.slots.default", 1)
        .start()
        .await;
    let mut dispatcher = app.dispatcher().await;
    let ledger = |resource: &str| {
        let arguments = json!({"steps": 1, "pause_ms": pause_ms});
        dispatcher.task(
            "plugin.tasks.ledger",
            arguments,
            Resources::exclusive(resource),
        )
    };
    let mut tasks: Vec<_> = (0..lane).map(|_| ledger("lane")).collect();
    tasks.push(ledger("another"));
    let another = dispatcher.dispatch(&tasks).await[lane].id;
    // Both messages are in the queue, in this order, before anybody looks.
    let noted = "SELECT count(*) FROM task WHERE announced_at IS NOT NULL";
    millrace_tests::eventually(SOON, async || {
        let count = app.sql.number(noted).await;
        millrace_tests::eventually::holds(count == 2, || format!("{count} of 2 are announced"))
    })
    .await;
    app.spawn_worker(&[]);
    app.quiet(SOON).await;
    app.assert_completed_once().await;
    let before = format!(
        "SELECT count(*) FROM task t, task a WHERE a.pulp_id = '{another}' AND t.started_at < a.started_at"
    );
    let before = app.sql.number(&before).await;
    app.finish().await;
    before
}

#[tokio::test]
async fn a_lane_is_followed_by_its_slot_and_hands_it_on_after_a_while() {
    let before = started_before_another(40, 0).await;
    assert!(before > 1, "each of them went through the queue");
    assert!(
        before <= 16,
        "{before} of the lane kept another task waiting"
    );
}

#[tokio::test]
async fn long_tasks_of_a_lane_hand_the_slot_on_after_a_second() {
    let before = started_before_another(8, 400).await;
    assert!(
        before <= 4,
        "{before} of the lane kept another task waiting"
    );
}

#[tokio::test]
async fn a_worker_that_stops_hands_the_rest_of_a_lane_to_the_next_one() {
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .set("worker.slots.default", 1)
        .workers(1)
        .start()
        .await;
    let mut dispatcher = app.dispatcher().await;
    let mut lane = Vec::new();
    for _ in 0..8 {
        lane.push(dispatcher.ledger(1, 50, Resources::exclusive("lane")).await);
    }
    app.until(lane[0], "completed", SOON).await;
    app.workers[0].signal("TERM");
    app.workers[0].end(SOON).await;
    app.workers.clear();
    app.spawn_worker(&[]);
    app.until(lane[7], "completed", SOON).await;
    app.quiet(SOON).await;
    app.assert_completed_once().await;
    app.finish().await;
}

/// Whoever ends a run commits, and gives its locks back a moment later. On a busy machine that moment may be longer than a claim
/// tries, so one of some rounds is enough.
#[tokio::test]
async fn a_lock_that_goes_in_a_moment_puts_no_task_off() {
    let app = TestApp::builder().without_api().start().await;
    let mut dispatcher = app.dispatcher().await;
    let (db, holder) = (dispatcher.db().clone(), app.db.sql().await);
    let refused = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND pid <> pg_backend_pid() AND state = 'idle' AND query LIKE '%FROM millrace_claim(%'";
    let patience = CancellationToken::new();
    for round in 0..20 {
        let lane = format!("lane-{round}");
        let lock = format!("SELECT pg_advisory_lock(millrace_resource_key('{lane}'))");
        holder.run(&lock).await;
        let name = "pulpcore.app.tasks.test.dummy_task";
        let task = dispatcher.task(name, json!({}), Resources::exclusive(lane));
        let task = dispatcher.dispatch(&[task]).await[0].id;
        let claim = Claim {
            task,
            id: ClaimId::new(),
        };
        let mut conn = db.get().await.unwrap();
        // The statement is prepared from now on, and not the last one of its session.
        let nobody = Claim {
            task: TaskId::new(),
            id: ClaimId::new(),
        };
        let none = tasking::claim(&mut conn, nobody, name, ProcessId::new(), None).await;
        assert!(matches!(none, Ok(ClaimOutcome::Stale)), "{none:?}");
        tasking::release(&mut conn).await.unwrap();
        let (claimed, ()) = tokio::join!(
            tasking::claim(&mut conn, claim, name, ProcessId::new(), Some(&patience)),
            async {
                while app.sql.number(refused).await == 0 {}
                holder.run("SELECT pg_advisory_unlock_all()").await;
            }
        );
        tasking::release(&mut conn).await.unwrap();
        match claimed.unwrap() {
            ClaimOutcome::Claimed(_) => return,
            outcome => assert!(matches!(outcome, ClaimOutcome::Refused), "{outcome:?}"),
        }
    }
    panic!("each claim was refused");
}
