//! What can go wrong, each from its beginning to its end.

use super::messages;
use super::world::{FAR, World, pause};
use millrace_tests::proxy::Line;
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
            Self::DatabaseKilled => {
                world.database.run("kill-pg").await;
                world.database.run("start-pg").await;
            }
            Self::DatabaseFrozen => {
                world.database.run("freeze-pg").await;
                pause(8.0).await;
                world.database.run("thaw-pg").await;
            }
            Self::SessionsEnded => end_sessions(world).await,
            Self::LocksExhausted => exhaust_locks(world).await,
            Self::BrokerRestarted => world.broker.run("restart-rabbitmq").await,
            Self::BrokerKilled => {
                world.broker.run("kill-rabbitmq").await;
                world.broker.run("start-rabbitmq").await;
            }
            Self::BrokerWiped => {
                world.broker.run("wipe-rabbitmq").await;
                world.app.vhost.make().await;
            }
            Self::BrokerFrozen => {
                world.broker.run("freeze-rabbitmq").await;
                pause(8.0).await;
                world.broker.run("thaw-rabbitmq").await;
            }
            Self::BrokerAlarm => {
                world.broker.run("alarm-rabbitmq").await;
                pause(6.0).await;
                world.broker.run("calm-rabbitmq").await;
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
            Self::CutFromDatabase => {
                world.to_database.set(Line::Cut);
                pause(7.0).await;
                world.to_database.set(Line::Open);
            }
            Self::CutFromBroker => {
                world.to_broker.set(Line::Cut);
                pause(7.0).await;
                world.to_broker.set(Line::Open);
            }
            Self::CutFromBoth => {
                world.lines(Line::Cut);
                pause(12.0).await;
                world.lines(Line::Open);
            }
            Self::StalledUp => stall(world, Line::StalledUp, Line::Open).await,
            Self::StalledDown => stall(world, Line::StalledDown, Line::Open).await,
            Self::BrokerStalledUp => stall(world, Line::Open, Line::StalledUp).await,
            Self::BrokerStalledDown => stall(world, Line::Open, Line::StalledDown).await,
            Self::HalfOpen => {
                world.to_database.forget_connections();
                world.to_broker.forget_connections();
            }
            Self::Slow => {
                world.lines(Line::Delayed(Duration::from_millis(80)));
                pause(6.0).await;
                world.lines(Line::Open);
            }
        }
    }
}

async fn stall(world: &World, database: Line, broker: Line) {
    world.to_database.set(database);
    world.to_broker.set(broker);
    pause(10.0).await;
    world.lines(Line::Open);
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
