//! What can go wrong, each from its beginning to its end.

use super::messages;
use super::world::{FAR, World, pause};
use millrace_tests::proxy::Line;
use millrace_tests::stack::Instance;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;

macro_rules! faults {
    ($($fault:ident $text:literal,)*) => {
        /// A fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($fault,)* }

        impl Fault {
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// As reports call it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$fault => $text,)* }
            }
        }
    };
}

faults! {
    WorkerKilled "worker: kill -9",
    WorkerStopped "worker: SIGSTOP, later SIGCONT",
    WorkerTold "worker: SIGTERM twice",
    ApiKilled "API: kill -9",
    ApiStopped "API: SIGSTOP, later SIGCONT",
    DatabaseRestarted "PostgreSQL: restarted",
    DatabaseKilled "PostgreSQL: killed",
    DatabaseFrozen "PostgreSQL: SIGSTOP, later SIGCONT",
    SessionsEnded "PostgreSQL: sessions of slots terminated",
    LocksExhausted "PostgreSQL: lock table full",
    BrokerRestarted "RabbitMQ: restarted",
    BrokerKilled "RabbitMQ: killed",
    BrokerWiped "RabbitMQ: wiped",
    BrokerFrozen "RabbitMQ: SIGSTOP, later SIGCONT",
    BrokerAlarm "RabbitMQ: disk alarm",
    ConnectionsClosed "RabbitMQ: connections closed",
    QueuesDeleted "RabbitMQ: queues deleted",
    MessagesLost "messages: purged",
    MessagesDoubled "messages: doubled and out of order",
    MessagesPoisonous "messages: poisonous",
    CutFromDatabase "line to PostgreSQL: cut",
    CutFromBroker "line to RabbitMQ: cut",
    CutFromBoth "both lines: cut",
    StalledUp "line to PostgreSQL: one-way stall, up",
    StalledDown "line to PostgreSQL: one-way stall, down",
    BrokerStalledUp "line to RabbitMQ: one-way stall, up",
    BrokerStalledDown "line to RabbitMQ: one-way stall, down",
    HalfOpen "both lines: half-open connections",
    Slow "both lines: 80 ms each way",
}

impl Fault {
    /// Lets it happen, and ends it.
    pub async fn happen(self, world: &mut World, rng: &mut StdRng) {
        let near = rng.random_range(0..FAR);
        let any = rng.random_range(0..=FAR);
        match self {
            Self::WorkerKilled => world.replace_worker(any),
            Self::WorkerStopped => {
                world.app.workers[any].signal("STOP");
                // Until its sessions have been ended by others and its tasks are taken over.
                pause(16.0).await;
                world.app.workers[any].signal("CONT");
            }
            Self::WorkerTold => {
                world.app.workers[near].signal("TERM");
                pause(0.5).await;
                world.app.workers[near].signal("TERM");
                let limit = Duration::from_secs(60);
                world.app.workers[near].end(limit).await;
                world.replace_worker(near);
            }
            Self::ApiKilled => {
                world.app.api.take().unwrap().kill();
                world.app.start_api().await;
            }
            Self::ApiStopped => {
                world.app.api.as_ref().unwrap().signal("STOP");
                pause(8.0).await;
                world.app.api.as_ref().unwrap().signal("CONT");
            }
            Self::DatabaseRestarted => world.database.run("restart-pg").await,
            Self::DatabaseKilled => between(&world.database, ["kill-pg", "start-pg"], 0.0).await,
            Self::DatabaseFrozen => between(&world.database, ["freeze-pg", "thaw-pg"], 8.0).await,
            Self::SessionsEnded => end_sessions(world).await,
            Self::LocksExhausted => exhaust_locks(world).await,
            Self::BrokerRestarted => world.broker.run("restart-rabbitmq").await,
            Self::BrokerKilled => {
                between(&world.broker, ["kill-rabbitmq", "start-rabbitmq"], 0.0).await;
            }
            Self::BrokerWiped => {
                world.broker.run("wipe-rabbitmq").await;
                world.app.vhost.make().await;
            }
            Self::BrokerFrozen => {
                between(&world.broker, ["freeze-rabbitmq", "thaw-rabbitmq"], 8.0).await;
            }
            Self::BrokerAlarm => {
                between(&world.broker, ["alarm-rabbitmq", "calm-rabbitmq"], 6.0).await;
            }
            Self::ConnectionsClosed => world.app.vhost.close_connections().await,
            Self::QueuesDeleted => {
                for queue in world.app.vhost.queues().await {
                    world.app.vhost.delete_queue(&queue).await;
                }
            }
            Self::MessagesLost => {
                for queue in world.app.vhost.queues().await {
                    world.app.vhost.purge(&queue).await;
                }
            }
            Self::MessagesDoubled => messages::double(&world.app.vhost).await,
            Self::MessagesPoisonous => messages::poison(&world.app.vhost).await,
            Self::CutFromDatabase => lines(world, Line::Cut, Line::Open, 7.0).await,
            Self::CutFromBroker => lines(world, Line::Open, Line::Cut, 7.0).await,
            Self::CutFromBoth => lines(world, Line::Cut, Line::Cut, 12.0).await,
            Self::StalledUp => lines(world, Line::StalledUp, Line::Open, 10.0).await,
            Self::StalledDown => lines(world, Line::StalledDown, Line::Open, 10.0).await,
            Self::BrokerStalledUp => lines(world, Line::Open, Line::StalledUp, 10.0).await,
            Self::BrokerStalledDown => lines(world, Line::Open, Line::StalledDown, 10.0).await,
            Self::HalfOpen => {
                world.to_database.forget_connections();
                world.to_broker.forget_connections();
            }
            Self::Slow => {
                let slow = Line::Delayed(Duration::from_millis(80));
                lines(world, slow, slow, 6.0).await;
            }
        }
    }
}

/// Two verbs of the stack, and so many seconds between them.
async fn between(server: &Instance, [begin, end]: [&str; 2], seconds: f64) {
    server.run(begin).await;
    pause(seconds).await;
    server.run(end).await;
}

/// The lines of what is far away are like that for so many seconds.
async fn lines(world: &World, database: Line, broker: Line, seconds: f64) {
    world.to_database.set(database);
    world.to_broker.set(broker);
    pause(seconds).await;
    world.to_database.set(Line::Open);
    world.to_broker.set(Line::Open);
}

/// Ends the sessions that hold locks of tasks: those of slots.
async fn end_sessions(world: &World) {
    world
        .sql()
        .await
        .run(
            "SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT pid FROM pg_locks
              WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()) held",
        )
        .await;
}

/// Takes locks from outside until there is no room, and keeps them for a while.
async fn exhaust_locks(world: &World) {
    let hog = world.sql().await;
    let mut taken = 0;
    // One statement in a transaction of its own each: what was taken before stays.
    loop {
        let more = format!(
            "SELECT pg_advisory_lock(-7, n) FROM generate_series({taken} + 1, {taken} + 500) n"
        );
        if hog.batch_execute(&more).await.is_err() {
            break;
        }
        taken += 500;
    }
    assert!(taken > 0);
    pause(5.0).await;
}
