//! How a test says what it wants.

use super::{TestApp, free_port, ledger};
use crate::client::Client;
use crate::upstream::Authority;
use crate::{TestDb, Vhost};
use base64::Engine;
use std::path::Path;

const PASSWORD: &str = "test-password";

/// What a test wants otherwise than usual.
#[derive(Default)]
pub struct Builder {
    db: Option<TestDb>,
    database_url: Option<String>,
    vhost: Option<Vhost>,
    workers: usize,
    plugin: bool,
    no_broker: bool,
    no_api: bool,
    broker_url: Option<String>,
    authority: Option<Authority>,
    settings: Vec<(String, String)>,
}

impl Builder {
    /// With so many workers.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// With a setting (`worker.beat_ms`).
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.push(variable(key, &value.to_string()));
        self
    }

    /// With the programs of the example plug-in.
    #[must_use]
    pub fn plugin(mut self) -> Self {
        self.plugin = true;
        self
    }

    /// On this database.
    #[must_use]
    pub fn db(mut self, db: TestDb) -> Self {
        self.db = Some(db);
        self
    }

    /// Reaches the database by another address (a proxy).
    #[must_use]
    pub fn database_url(mut self, url: String) -> Self {
        self.database_url = Some(url);
        self
    }

    /// Reaches the broker by another address.
    #[must_use]
    pub fn broker_url(mut self, url: String) -> Self {
        self.broker_url = Some(url);
        self
    }

    /// With an API by https, whose certificate (`certificate.pem`, `certificate.key`) this authority signed.
    #[must_use]
    pub fn https(mut self, authority: Authority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// On this virtual host.
    #[must_use]
    pub fn vhost(mut self, vhost: Vhost) -> Self {
        self.vhost = Some(vhost);
        self
    }

    /// With an address of a broker where none is.
    #[must_use]
    pub fn without_broker(mut self) -> Self {
        self.no_broker = true;
        self
    }

    /// With workers only: the test dispatches by itself.
    #[must_use]
    pub fn without_api(mut self) -> Self {
        self.no_api = true;
        self
    }

    /// Starts it, and waits until it serves.
    pub async fn start(self) -> TestApp {
        let db = match self.db {
            Some(db) => db,
            None => TestDb::create().await,
        };
        let vhost = match self.vhost {
            Some(vhost) => vhost,
            None => Vhost::create().await,
        };
        let dir = tempfile::Builder::new()
            .prefix("millrace-test-")
            .tempdir()
            .unwrap();
        let broker = if self.no_broker {
            format!("amqp://guest:guest@127.0.0.1:{}/%2f", free_port())
        } else {
            self.broker_url.unwrap_or_else(|| vhost.url())
        };
        let database = self.database_url.unwrap_or_else(|| db.url());
        let port = free_port();
        let mut settings = defaults(&database, &broker, port, dir.path());
        settings.extend(self.settings);
        let client = match &self.authority {
            None => Client::new(&format!("http://127.0.0.1:{port}"), PASSWORD),
            Some(authority) => {
                settings.extend(certified(authority, dir.path()));
                let client = Client::new(&format!("https://127.0.0.1:{port}"), PASSWORD);
                client.trusting(&authority.certificate())
            }
        };
        let mut app = TestApp {
            client,
            sql: db.sql().await,
            db,
            vhost,
            api: None,
            workers: Vec::new(),
            settings,
            plugin: self.plugin,
            started: 0,
            dir,
        };
        if !self.no_api {
            app.start_api().await;
        }
        for _ in 0..self.workers {
            app.spawn_worker(&[]);
        }
        app.workers_online(self.workers).await;
        if app.plugin {
            ledger::make(&app.sql).await;
        }
        app
    }
}

/// Writes a certificate for this machine; gives the settings that name it.
fn certified(authority: &Authority, dir: &Path) -> [(String, String); 2] {
    let (certificate, key) = authority.server("127.0.0.1");
    let file = |name: &str, text: String| {
        std::fs::write(dir.join(name), text).unwrap();
        dir.join(name).to_str().unwrap().to_owned()
    };
    [
        variable(
            "api.certificate_file",
            &file("certificate.pem", certificate),
        ),
        variable("api.key_file", &file("certificate.key", key)),
    ]
}

pub(super) fn variable(key: &str, value: &str) -> (String, String) {
    let key = key.to_uppercase().replace('.', "__");
    (format!("MILLRACE__{key}"), value.to_owned())
}

fn defaults(database: &str, broker: &str, port: u16, dir: &Path) -> Vec<(String, String)> {
    let key = base64::engine::general_purpose::STANDARD.encode([7u8; 32]);
    std::fs::write(dir.join("key"), key).unwrap();
    std::fs::create_dir_all(dir.join("media")).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    [
        ("database.url", database.to_owned()),
        ("database.pool_size", "4".to_owned()),
        ("broker.url", broker.to_owned()),
        ("api.listen", format!("127.0.0.1:{port}")),
        ("admin.password", PASSWORD.to_owned()),
        ("storage.root", path("media")),
        ("units.storage_root", path("pulp")),
        ("secrets.key_files", path("key")),
        ("worker.slots.default", "4".to_owned()),
        ("worker.slots.storage", "1".to_owned()),
        ("worker.slots.immediate", "1".to_owned()),
        ("diagnostics.enabled", "true".to_owned()),
    ]
    .map(|(key, value)| variable(key, &value))
    .to_vec()
}
