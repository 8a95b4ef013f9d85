//! Dispatching as a process of ours does it, without an API in between: for tests of the engine and
//! of workers, and for load.

use diesel_async::{AsyncConnection, AsyncPgConnection};
use millrace_common::broker::Publisher;
use millrace_common::catalog::Catalog;
use millrace_common::config::Settings;
use millrace_common::db::{self, Db};
use millrace_common::ids::TaskId;
use millrace_common::secrets::Keyring;
use millrace_common::tasking::{self, Dispatched, NewTask, Resources};
use serde_json::Value;
use std::sync::Arc;

/// Dispatches any task of the built-in catalog and of the example plug-in. One a session.
pub struct Dispatcher {
    catalog: Arc<Catalog>,
    keyring: Keyring,
    publisher: Publisher,
    db: Db,
    conn: AsyncPgConnection,
    url: String,
}

impl Dispatcher {
    /// One with these settings.
    pub async fn connect(variables: &[(String, String)]) -> Self {
        let settings = Settings::from_variables(None, variables.iter().cloned()).unwrap();
        let catalog = Catalog::load(&settings, millrace_plugin_example::register).unwrap();
        let db = Db::new(&settings.database, "test").unwrap();
        let url = settings.database.url.expose().to_owned();
        Self {
            catalog: Arc::new(catalog),
            keyring: Keyring::load(&settings.secrets.key_files).unwrap(),
            publisher: Publisher::start(&settings.broker, db.clone(), "test"),
            db,
            conn: AsyncPgConnection::establish(&url).await.unwrap(),
            url,
        }
    }

    /// Another one with a session of its own and the same publisher.
    pub async fn another(&self) -> Self {
        Self {
            catalog: Arc::clone(&self.catalog),
            keyring: self.keyring.clone(),
            publisher: self.publisher.clone(),
            db: self.db.clone(),
            conn: AsyncPgConnection::establish(&self.url).await.unwrap(),
            url: self.url.clone(),
        }
    }

    /// A task that can be dispatched.
    #[must_use]
    pub fn task(&self, name: &str, arguments: Value, resources: Resources) -> NewTask {
        let Value::Object(arguments) = arguments else {
            panic!("arguments are an object")
        };
        NewTask::named(&self.catalog.tasks, name, Vec::new(), arguments)
            .unwrap()
            .resources(resources)
    }

    /// Dispatches one task that writes so many lines into the ledger, with pauses between them.
    pub async fn ledger(&mut self, steps: u32, pause_ms: u64, resources: Resources) -> TaskId {
        let arguments = serde_json::json!({"steps": steps, "pause_ms": pause_ms});
        let task = self.task("plugin.tasks.ledger", arguments, resources);
        self.dispatch(&[task]).await[0].id
    }

    /// Dispatches in one transaction, and announces what can start.
    pub async fn dispatch(&mut self, tasks: &[NewTask]) -> Vec<Dispatched> {
        let keyring = &self.keyring;
        let dispatched = db::retrying(&mut self.conn, async |conn| {
            tasking::dispatch_many(conn, keyring, tasks).await
        })
        .await
        .unwrap();
        for one in &dispatched {
            one.clone().publish(&self.publisher);
        }
        dispatched
    }

    /// Dispatches any number of tasks, 250 in a transaction, in this order.
    pub async fn dispatch_all(&mut self, tasks: &[NewTask]) -> Vec<Dispatched> {
        let mut all = Vec::with_capacity(tasks.len());
        for part in tasks.chunks(250) {
            all.extend(self.dispatch(part).await);
        }
        all
    }

    /// Asks for a cancel, and announces what can start now.
    pub async fn cancel(&mut self, id: TaskId) {
        let outcome = tasking::cancel(&mut self.conn, id).await.unwrap();
        if let tasking::CancelOutcome::Canceled(settled) = outcome {
            settled.publish(&self.publisher, id);
        }
    }

    /// A pool as the programs have it.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The task types that can be dispatched.
    #[must_use]
    pub fn registry(&self) -> &millrace_common::tasking::Registry {
        &self.catalog.tasks
    }

    /// True once announcements reach the broker.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.publisher.is_connected()
    }
}
