//! What can go wrong, each from its beginning to its end.

use super::load::flood;
use super::world::{FAR, World, pause};
use super::{hits, messages};
use millrace_tests::client::Client;
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
    BrokerDiskAlarm "RabbitMQ: disk alarm",
    BrokerMemoryAlarm "RabbitMQ: memory alarm",
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
    /// Lets it happen, and ends it. What it did hit.
    pub async fn happen(self, world: &mut World, rng: &mut StdRng) -> String {
        let near = rng.random_range(0..FAR);
        let any = rng.random_range(0..=FAR);
        match self {
            Self::WorkerKilled => {
                let hit = hits::worker(world, any).await;
                world.replace_worker(any);
                hit
            }
            Self::WorkerStopped => {
                let hit = hits::worker(world, any).await;
                world.app.workers[any].signal("STOP");
                hits::taken_over(world, any).await;
                world.app.workers[any].signal("CONT");
                hit
            }
            Self::WorkerTold => {
                let hit = hits::worker(world, near).await;
                world.app.workers[near].signal("TERM");
                hits::some_have_ended(world, near).await;
                world.app.workers[near].signal("TERM");
                let limit = Duration::from_secs(60);
                world.app.workers[near].end(limit).await;
                world.replace_worker(near);
                hit
            }
            Self::ApiKilled | Self::ApiStopped => self.on_api(world).await,
            Self::DatabaseRestarted
            | Self::DatabaseKilled
            | Self::DatabaseFrozen
            | Self::SessionsEnded
            | Self::LocksExhausted => self.on_database(world).await,
            Self::BrokerRestarted
            | Self::BrokerKilled
            | Self::BrokerWiped
            | Self::BrokerFrozen
            | Self::BrokerDiskAlarm
            | Self::BrokerMemoryAlarm => self.on_broker(world).await,
            Self::ConnectionsClosed => {
                let hit = hits::broker(world).await;
                world.app.vhost.close_connections().await;
                hit
            }
            Self::QueuesDeleted => {
                let queues = world.app.vhost.queues().await;
                for queue in &queues {
                    world.app.vhost.delete_queue(queue).await;
                }
                format!("{} queues: {}", queues.len(), queues.join(", "))
            }
            Self::MessagesLost | Self::MessagesDoubled => {
                // Idle workers would take each message at once.
                for worker in &world.app.workers {
                    worker.signal("STOP");
                }
                let hit = if self == Self::MessagesLost {
                    messages::lose(world).await
                } else {
                    messages::double(world).await
                };
                for worker in &world.app.workers {
                    worker.signal("CONT");
                }
                format!("{hit} messages")
            }
            Self::MessagesPoisonous => {
                let (sent, dead) = messages::poison(&world.app.vhost).await;
                format!("{sent} messages, {dead} of them for the dead-letter queue")
            }
            _ => self.on_lines(world).await,
        }
    }

    async fn on_api(self, world: &mut World) -> String {
        let tasks = "SELECT count(*) FROM task WHERE state IN ('waiting', 'running', 'canceling')";
        let open = world.sql().await.number(tasks).await;
        if self == Self::ApiKilled {
            world.app.api.take().unwrap().kill();
            world.app.start_api().await;
        } else {
            world.app.api.as_ref().unwrap().signal("STOP");
            // All that come go to the other one.
            hits::more_accepted(world, 40).await;
            world.app.api.as_ref().unwrap().signal("CONT");
        }
        format!("one of two APIs, {open} tasks open")
    }

    async fn on_database(self, world: &mut World) -> String {
        let hit = hits::database(world).await;
        match self {
            Self::DatabaseRestarted => world.database.run("restart-pg").await,
            Self::DatabaseKilled => {
                world.database.run("kill-pg").await;
                world.database.run("start-pg").await;
            }
            Self::DatabaseFrozen => {
                world.database.run("freeze-pg").await;
                for api in world.clients() {
                    hits::noticed(&api, "database").await;
                }
                world.database.run("thaw-pg").await;
            }
            Self::SessionsEnded => return end_sessions(world).await,
            _ => return exhaust_locks(world).await,
        }
        hit
    }

    async fn on_broker(self, world: &mut World) -> String {
        let hit = hits::broker(world).await;
        let [begin, end] = match self {
            Self::BrokerRestarted => {
                world.broker.run("restart-rabbitmq").await;
                return hit;
            }
            Self::BrokerWiped => {
                world.broker.run("wipe-rabbitmq").await;
                world.app.vhost.make().await;
                return hit;
            }
            Self::BrokerKilled => ["kill-rabbitmq", "start-rabbitmq"],
            Self::BrokerFrozen => ["freeze-rabbitmq", "thaw-rabbitmq"],
            Self::BrokerMemoryAlarm => ["starve-rabbitmq", "feed-rabbitmq"],
            _ => ["alarm-rabbitmq", "calm-rabbitmq"],
        };
        world.broker.run(begin).await;
        for api in world.clients() {
            // A broker with an alarm tells of it who publishes.
            tokio::select! {
                () = hits::noticed(&api, "broker") => {}
                () = keep_publishing(&api) => {}
            }
        }
        hits::more_accepted(world, 20).await;
        world.broker.run(end).await;
        hit
    }

    /// To the lines of what is far away.
    async fn on_lines(self, world: &mut World) -> String {
        let hit = hits::lines(world, FAR).await;
        let (open, cut) = (Line::Open, Line::Cut);
        let (up, down) = (Line::StalledUp, Line::StalledDown);
        let (database, broker) = match self {
            Self::CutFromDatabase => (cut, open),
            Self::CutFromBroker => (open, cut),
            Self::CutFromBoth => (cut, cut),
            Self::StalledUp => (up, open),
            Self::StalledDown => (down, open),
            Self::BrokerStalledUp => (open, up),
            Self::BrokerStalledDown => (open, down),
            Self::HalfOpen => {
                world.to_database.forget_connections();
                world.to_broker.forget_connections();
                return hit;
            }
            _ => {
                let slow = Line::Delayed(Duration::from_millis(80));
                (slow, slow)
            }
        };
        world.to_database.set(database);
        world.to_broker.set(broker);
        match self {
            Self::Slow => hits::more_ended(world, 60).await,
            // Until the worker there has lost what it had.
            Self::StalledUp | Self::StalledDown => hits::taken_over(world, FAR).await,
            _ if database == cut => hits::noticed(&world.far_client, "database").await,
            _ => hits::noticed(&world.far_client, "broker").await,
        }
        world.to_database.set(open);
        world.to_broker.set(open);
        hit
    }
}

/// Dispatches a task now and then, for ever.
async fn keep_publishing(api: &Client) {
    loop {
        flood(api, 0..1).await;
        pause(0.5).await;
    }
}

/// Ends the sessions that hold locks of tasks: those of slots.
async fn end_sessions(world: &World) -> String {
    let ended = world
        .sql()
        .await
        .number(
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT DISTINCT pid FROM pg_locks
              WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()) held",
        )
        .await;
    format!("{ended} sessions with locks")
}

/// Takes locks from outside until there is no room, and keeps them for a while: no event tells of it, as nobody gets a
/// session then, and bodies wait no longer than some seconds for a lock.
async fn exhaust_locks(world: &World) -> String {
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
    // Longer than any number of quick attempts.
    pause(15.0).await;
    format!("{taken} locks taken")
}
