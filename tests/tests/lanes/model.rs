//! After every step of a random history the rows say what the model of the order guarantee says.

use millrace_tests::lanes::{self, DOMAIN, Wanted};
use millrace_tests::model::Model;
use millrace_tests::{Sql, TestDb};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Clone, Debug)]
enum Step {
    Dispatch(Vec<(Vec<u8>, Vec<u8>)>),
    Claim(usize),
    Finish(usize),
    AskToStop(usize),
    HandBack(usize),
    CancelWaiting(usize),
}

/// Resources are letters; the last one stands for the domain.
fn name(letter: u8) -> String {
    if letter == 5 {
        DOMAIN.into()
    } else {
        char::from(b'a' + letter).into()
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let letters = |domain: bool| {
        prop::collection::vec(
            (0u8..5).prop_map(move |l| if domain && l == 4 { 5 } else { l }),
            0..3,
        )
    };
    let exclusive = prop_oneof![9 => letters(false), 1 => letters(true)];
    let task = (exclusive, letters(false));
    let step = prop_oneof![
        5 => prop::collection::vec(task, 1..4).prop_map(Step::Dispatch),
        5 => any::<usize>().prop_map(Step::Claim),
        4 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::AskToStop),
        1 => any::<usize>().prop_map(Step::HandBack),
        1 => any::<usize>().prop_map(Step::CancelWaiting),
    ];
    prop::collection::vec(step, 1..60)
}

/// Sessions of slots, each with the task it holds.
struct Slots {
    free: Vec<Sql>,
    busy: BTreeMap<Uuid, (Sql, Uuid)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_agree_with_the_order_guarantee_after_every_step() {
    let db = TestDb::create().await;
    let mut sessions = Vec::new();
    for _ in 0..7 {
        sessions.push(db.sql().await);
    }
    tokio::task::block_in_place(|| {
        let config = Config {
            cases: 48,
            failure_persistence: None,
            ..Config::default()
        };
        let sessions = std::cell::RefCell::new(sessions);
        let outcome = TestRunner::new(config).run(&(steps(), 1..4i32), |(steps, batch)| {
            let mut free = std::mem::take(&mut *sessions.borrow_mut());
            let control = free.pop().expect("a session is left");
            let mut slots = Slots {
                free,
                busy: BTreeMap::new(),
            };
            let outcome = tokio::runtime::Handle::current()
                .block_on(replay(&control, &mut slots, &steps, batch));
            let mut back = slots.free;
            back.extend(slots.busy.into_values().map(|(sql, _)| sql));
            back.push(control);
            *sessions.borrow_mut() = back;
            outcome
        });
        outcome.unwrap();
    });
}

async fn replay(
    control: &Sql,
    slots: &mut Slots,
    steps: &[Step],
    batch: i32,
) -> Result<(), TestCaseError> {
    for sql in &slots.free {
        sql.run("SELECT pg_advisory_unlock_all()").await;
    }
    control
        .run("TRUNCATE task, lane_continuation CASCADE")
        .await;
    let mut model = Model::default();
    for step in steps {
        take(control, slots, &mut model, step, batch).await?;
        compare(control, &model, false).await?;
        lanes::resume_all(control, batch).await.unwrap();
        compare(control, &model, true).await?;
    }
    prop_assert_eq!(lanes::repairs(control).await, 0);
    Ok(())
}

async fn take(
    control: &Sql,
    slots: &mut Slots,
    model: &mut Model,
    step: &Step,
    batch: i32,
) -> Result<(), TestCaseError> {
    match step {
        Step::Dispatch(tasks) => {
            let wanted: Vec<_> = tasks
                .iter()
                .map(|(x, s)| Wanted::new(x.iter().copied().map(name), s.iter().copied().map(name)))
                .collect();
            // Nobody is in the way here.
            if wanted.len() % 2 == 0 {
                let free = lanes::dispatch_free(control, &wanted).await.unwrap();
                prop_assert_eq!(free.len(), wanted.len());
            } else {
                lanes::dispatch(control, &wanted).await.unwrap();
            }
            for task in wanted {
                model.dispatch(task.id, task.exclusive, task.shared);
            }
        }
        Step::Claim(n) if !model.tasks.is_empty() && !slots.free.is_empty() => {
            let place = n % model.tasks.len();
            let session = slots.free.pop().expect("one is free");
            let (id, claim) = (model.tasks[place].id, Uuid::new_v4());
            let may = model.is_unblocked(place) && !model.tasks[place].running;
            let outcome = lanes::claim(&session, id, claim).await.unwrap();
            prop_assert_eq!(outcome, if may { "claimed" } else { "stale" });
            if may {
                model.tasks[place].running = true;
                slots.busy.insert(id, (session, claim));
            } else {
                slots.free.push(session);
            }
        }
        Step::Finish(n) if !slots.busy.is_empty() => {
            let (id, session, _) = held(slots, *n);
            lanes::finish(&session, id, batch).await.unwrap();
            slots.free.push(session);
            model.end(id);
        }
        Step::AskToStop(n) if !slots.busy.is_empty() => {
            let id = slots.busy.keys().nth(n % slots.busy.len()).unwrap();
            let ask = format!("UPDATE task SET state = 'canceling' WHERE pulp_id = '{id}'");
            control.run(&ask).await;
        }
        Step::HandBack(n) if !slots.busy.is_empty() => {
            let (id, session, claim) = held(slots, *n);
            if lanes::hand_back(&session, id, claim).await.unwrap() {
                model.tasks.iter_mut().find(|t| t.id == id).unwrap().running = false;
            } else {
                // It was asked to stop: then it ends.
                lanes::finish(&session, id, batch).await.unwrap();
                model.end(id);
            }
            slots.free.push(session);
        }
        Step::CancelWaiting(n) if !model.tasks.is_empty() => {
            let task = model.tasks[n % model.tasks.len()].clone();
            let (done, _) = lanes::cancel(control, task.id, batch).await.unwrap();
            prop_assert_eq!(done.is_some(), !task.running);
            if !task.running {
                model.end(task.id);
            }
        }
        _ => {}
    }
    Ok(())
}

fn held(slots: &mut Slots, n: usize) -> (Uuid, Sql, Uuid) {
    let id = *slots.busy.keys().nth(n % slots.busy.len()).unwrap();
    let (session, claim) = slots.busy.remove(&id).unwrap();
    (id, session, claim)
}

/// Nobody is ever unblocked too early; once continuations have run, nobody too late either.
async fn compare(control: &Sql, model: &Model, settled: bool) -> Result<(), TestCaseError> {
    let seen = lanes::incomplete(control).await;
    prop_assert_eq!(
        seen.iter().map(|s| s.id).collect::<Vec<_>>(),
        model.tasks.iter().map(|t| t.id).collect::<Vec<_>>()
    );
    let expected = model.unblocked();
    for (seen, task) in seen.iter().zip(&model.tasks) {
        prop_assert!(seen.consistent, "reservations of {:?} disagree", seen);
        prop_assert_eq!(seen.state != "waiting", task.running, "{:?}", seen);
        let may = expected.contains(&seen.id);
        prop_assert!(may || !seen.unblocked, "{:?} is unblocked too early", task);
        prop_assert!(
            !settled || !may || seen.unblocked,
            "{:?} is left behind",
            task
        );
    }
    Ok(())
}
