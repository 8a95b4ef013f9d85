//! The broker restarted, wiped, emptied, doubling its messages, losing one, or impatient. Every accepted
//! task ends, its effect happens once, and afterwards all is as fast as before.

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use millrace_common::tasking::Resources;
use millrace_tests::amqp::{channel, waiting};
use millrace_tests::eventually::holds;
use millrace_tests::stack::Instance;
use millrace_tests::{Dispatcher, TestApp, Vhost, eventually};
use std::time::{Duration, Instant};

const QUEUE: &str = "millrace.tasks.default";
const LONG: Duration = Duration::from_secs(60);

async fn own_broker(lines: &[&str]) -> (Instance, Vhost) {
    let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    let broker = tokio::task::spawn_blocking(move || {
        Instance::rabbitmq(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    })
    .await
    .unwrap();
    let vhost = Vhost::create_on(&broker.broker_url(), &broker.management_url()).await;
    (broker, vhost)
}

async fn dispatch(dispatcher: &mut Dispatcher, count: u32, pause_ms: u64) {
    for n in 0..count {
        dispatcher
            .ledger(2, pause_ms, Resources::exclusive(format!("lane-{}", n % 7)))
            .await;
    }
}

/// Tasks start as soon as they are dispatched: by messages, not by the janitor's rounds.
async fn assert_full_rate(app: &TestApp, dispatcher: &mut Dispatcher) {
    eventually(LONG, async || {
        let start = Instant::now();
        for _ in 0..5 {
            let id = dispatcher.ledger(1, 0, Resources::exclusive("probe")).await;
            app.until(id, "completed", LONG).await;
        }
        let took = start.elapsed();
        holds(took < Duration::from_secs(2), || {
            format!("five tasks one by one took {took:?}")
        })
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_restarts_and_crashes_under_load_costs_no_task() {
    let (broker, vhost) = own_broker(&[]).await;
    let app = TestApp::builder()
        .plugin()
        .without_api()
        .vhost(vhost)
        .workers(2)
        .start()
        .await;
    let mut dispatcher = app.dispatcher().await;
    for verb in ["restart-rabbitmq", "kill-rabbitmq"] {
        dispatch(&mut dispatcher, 60, 20).await;
        broker.run(verb).await;
        dispatch(&mut dispatcher, 20, 20).await;
        if verb == "kill-rabbitmq" {
            broker.run("start-rabbitmq").await;
        }
        app.quiet(LONG).await;
    }
    assert_full_rate(&app, &mut dispatcher).await;
    app.assert_completed_once().await;
    app.finish().await;
}

#[tokio::test]
async fn a_broker_that_was_wiped_gets_its_queues_again_and_costs_no_task() {
    let app = TestApp::engine(2).await;
    let mut dispatcher = app.dispatcher().await;
    dispatch(&mut dispatcher, 80, 30).await;
    app.vhost.delete().await;
    dispatch(&mut dispatcher, 20, 10).await;
    app.vhost.make().await;
    app.quiet(LONG).await;
    assert_full_rate(&app, &mut dispatcher).await;
    assert!(app.vhost.queues().await.contains(&QUEUE.to_owned()));
    app.assert_completed_once().await;
    app.finish().await;
}

#[tokio::test]
async fn tasks_whose_messages_were_purged_are_announced_again() {
    let mut app = TestApp::builder().plugin().without_api().start().await;
    let mut dispatcher = app.dispatcher().await;
    // Makes the queue, so that there is something to purge.
    app.spawn_worker(&[]);
    dispatch(&mut dispatcher, 1, 0).await;
    app.quiet(LONG).await;
    app.workers.pop().unwrap().kill();

    dispatch(&mut dispatcher, 60, 0).await;
    let (_connection, channel) = channel(&app.vhost.url()).await;
    eventually(LONG, async || {
        let ready = waiting(&channel, QUEUE).await;
        holds(ready >= 7, || format!("{ready} messages"))
    })
    .await;
    app.vhost.purge(QUEUE).await;
    app.spawn_worker(&[]);
    app.quiet(LONG).await;
    app.assert_completed_once().await;
    app.finish().await;
}

#[tokio::test]
async fn messages_that_come_three_times_run_a_task_once() {
    let app = TestApp::engine(2).await;
    let mut dispatcher = app.dispatcher().await;
    let (_connection, channel) = channel(&app.vhost.url()).await;
    let mirror = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare("mirror".into(), mirror, FieldTable::default())
        .await
        .unwrap();
    eventually(LONG, async || {
        let bound = channel
            .queue_bind(
                "mirror".into(),
                "millrace.dispatch".into(),
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await;
        bound.map_err(|e| e.to_string())
    })
    .await;
    let mut copies = channel
        .basic_consume(
            "mirror".into(),
            "mirror".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let doubling = tokio::spawn(async move {
        let mut doubled = 0;
        while let Some(Ok(delivery)) = copies.next().await {
            for _ in 0..3 {
                channel
                    .basic_publish(
                        "".into(),
                        QUEUE.into(),
                        BasicPublishOptions::default(),
                        &delivery.data,
                        delivery.properties.clone(),
                    )
                    .await
                    .unwrap();
            }
            delivery.ack(BasicAckOptions::default()).await.unwrap();
            doubled += 1;
            // The first of each lane at least; what follows in a lane need not be announced.
            if doubled == 60 {
                break;
            }
        }
    });
    for n in 0..120 {
        let lane = Resources::exclusive(format!("lane-{}", n % 60));
        dispatcher.ledger(2, 10, lane).await;
    }
    app.quiet(LONG).await;
    tokio::time::timeout(LONG, doubling).await.unwrap().unwrap();
    app.assert_completed_once().await;
    assert_eq!(app.sql.number("SELECT max(attempts) FROM task").await, 1);
    app.finish().await;
}

#[tokio::test]
async fn a_message_that_was_lost_is_missed_although_the_queue_is_never_empty() {
    let mut app = TestApp::builder().plugin().without_api().start().await;
    let mut dispatcher = app.dispatcher().await;
    app.spawn_worker(&[("worker.slots.default", "2")]);
    dispatch(&mut dispatcher, 1, 0).await;
    app.quiet(LONG).await;
    app.workers.pop().unwrap().kill();

    let lost = dispatcher.ledger(1, 0, Resources::exclusive("lost")).await;
    let (_connection, channel) = channel(&app.vhost.url()).await;
    eventually(LONG, async || {
        let got = channel
            .basic_get(QUEUE.into(), BasicGetOptions { no_ack: true })
            .await
            .unwrap();
        let got = got.ok_or_else(|| "no message".to_owned())?;
        let text = String::from_utf8_lossy(&got.data).into_owned();
        // That of the task before comes back where the worker was killed before it had acknowledged it.
        holds(text.contains(&lost.to_string()), || {
            format!("not that of {lost}: {text}")
        })
    })
    .await;
    // It has been noted as announced: nobody knows that it is lost.
    let noted =
        format!("SELECT count(*) FROM task WHERE pulp_id = '{lost}' AND announced_at IS NOT NULL");
    eventually(LONG, async || {
        holds(app.sql.number(&noted).await == 1, || "not noted".into())
    })
    .await;

    app.spawn_worker(&[("worker.slots.default", "2")]);
    let start = Instant::now();
    let mut n = 0;
    while app.row(lost).await.0 != "completed" {
        assert!(
            start.elapsed() < Duration::from_secs(75),
            "the lost message was never missed"
        );
        while waiting(&channel, QUEUE).await < 20 {
            dispatcher
                .ledger(2, 40, Resources::exclusive(format!("busy-{n}")))
                .await;
            n += 1;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(n > 50, "the queue was busy");
    app.quiet(LONG).await;
    app.assert_completed_once().await;
    app.finish().await;
}

#[tokio::test]
async fn a_body_longer_than_the_brokers_patience_is_neither_disturbed_nor_run_twice() {
    let (_broker, vhost) = own_broker(&["consumer_timeout = 5000"]).await;
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .vhost(vhost)
        .start()
        .await;
    // One worker knows of the timeout and acknowledges early; of the other the channel is closed.
    app.spawn_worker(&[
        ("worker.acknowledge_after_seconds", "2"),
        ("worker.slots.default", "1"),
    ]);
    app.spawn_worker(&[
        ("worker.acknowledge_after_seconds", "600"),
        ("worker.slots.default", "1"),
    ]);
    app.workers_online(2).await;
    let mut dispatcher = app.dispatcher().await;
    // The broker looks once a minute.
    for lane in ["a", "b"] {
        dispatcher
            .ledger(750, 100, Resources::exclusive(lane))
            .await;
    }
    app.quiet(LONG * 4).await;
    app.assert_completed_once().await;
    assert_eq!(app.sql.number("SELECT max(attempts) FROM task").await, 1);
    assert_eq!(
        app.sql
            .number("SELECT count(DISTINCT worker_id) FROM task")
            .await,
        2,
        "one task each"
    );
    // The broker did lose its patience with the one that did not acknowledge.
    assert!(
        app.workers[1]
            .log()
            .contains("delivery acknowledgement on channel")
    );
    assert!(
        !app.workers[0]
            .log()
            .contains("delivery acknowledgement on channel")
    );
    assert_full_rate(&app, &mut dispatcher).await;
    app.finish().await;
}
