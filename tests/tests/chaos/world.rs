//! A whole system on servers of its own: two APIs and three workers, of which one each sits behind lines that can
//! be cut.

use millrace_tests::client::Client;
use millrace_tests::process::Process;
use millrace_tests::proxy::Proxy;
use millrace_tests::stack::Instance;
use millrace_tests::{Sql, TestApp, TestDb, Vhost};
use std::net::SocketAddr;
use std::time::Duration;
use url::Url;

/// The place of the worker that is far away, among the workers.
pub const FAR: usize = 2;

/// That of the shipped configuration takes minutes to fill.
const SMALL_LOCK_TABLE: &str = "max_locks_per_transaction = 64";

pub struct World {
    pub app: TestApp,
    pub database: Instance,
    pub broker: Instance,
    /// Lines of the worker and of the API that are far away.
    pub to_database: Proxy,
    pub to_broker: Proxy,
    pub far_api: Process,
    pub far_client: Client,
}

impl World {
    pub async fn build() -> Self {
        let servers = tokio::task::spawn_blocking(|| {
            // The broker takes longest; both start at the same time.
            let broker = std::thread::spawn(|| Instance::rabbitmq(&[]));
            (
                Instance::postgresql(&[SMALL_LOCK_TABLE]),
                broker.join().unwrap(),
            )
        });
        let (database, broker) = servers.await.unwrap();
        let db = TestDb::create_on(database.database_url()).await;
        let vhost = Vhost::create_on(&broker.broker_url(), &broker.management_url()).await;
        let to_database = Proxy::to(address(&db.url())).await;
        let to_broker = Proxy::to(address(&vhost.url())).await;
        let far = [
            ("database.url", to_database.url(&db.url())),
            ("broker.url", to_broker.url(&vhost.url())),
        ];
        let builder = TestApp::builder().plugin().db(db).vhost(vhost);
        let mut app = builder.workers(2).start().await;
        let far: Vec<(&str, &str)> = far.iter().map(|(key, url)| (*key, url.as_str())).collect();
        app.spawn_worker(&far);
        let (far_api, far_client) = app.another_api(&["serve"], &far).await;
        app.workers_online(3).await;
        Self {
            app,
            database,
            broker,
            to_database,
            to_broker,
            far_api,
            far_client,
        }
    }

    /// Clients of both APIs.
    pub fn clients(&self) -> [Client; 2] {
        [self.app.client(), self.far_client.clone()]
    }

    /// Starts a worker in the place of one that was killed.
    pub fn replace_worker(&mut self, place: usize) {
        self.app.workers[place].kill();
        let far = [
            ("database.url", self.to_database.url(&self.app.db.url())),
            ("broker.url", self.to_broker.url(&self.app.vhost.url())),
        ];
        let far: Vec<(&str, &str)> = far.iter().map(|(key, url)| (*key, url.as_str())).collect();
        let settings = if place == FAR { far.as_slice() } else { &[] };
        let new = self.app.spawn_worker(settings);
        self.app.workers.swap_remove(place);
        debug_assert_eq!(new, self.app.workers.len());
    }

    /// A session of its own with the database, past all lines.
    pub async fn sql(&self) -> Sql {
        self.app.db.sql().await
    }

    /// Names of processes that have ended although nobody killed them.
    pub fn ended(&mut self) -> Vec<String> {
        let mut all: Vec<&mut Process> = self.app.workers.iter_mut().collect();
        all.extend(self.app.api.as_mut());
        all.push(&mut self.far_api);
        let ended = all.into_iter().filter_map(|process| {
            let status = process.ended()?;
            Some(format!("{} ended by itself: {status}", process.name))
        });
        ended.collect()
    }
}

/// Where the server of this address listens.
pub fn address(url: &str) -> SocketAddr {
    let url = Url::parse(url).unwrap();
    let host = url.host_str().unwrap();
    format!("{host}:{}", url.port().unwrap()).parse().unwrap()
}

/// A while in which clients do theirs, before the next fault.
pub async fn pause(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}
