//! A database for each test, copied from a template that is migrated once.

use crate::{Sql, stack};
use millrace_common::config::Settings;
use millrace_common::db;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;
use url::Url;

static NEXT: AtomicU32 = AtomicU32::new(0);
static TEMPLATE: OnceCell<()> = OnceCell::const_new();

/// A migrated database of a test's own; dropped at the end.
pub struct TestDb {
    server: String,
    name: String,
}

impl TestDb {
    /// One on the shared server.
    pub async fn create() -> Self {
        let server = stack::database_url();
        TEMPLATE.get_or_init(|| prepare(&server)).await;
        Self::copy(server).await
    }

    /// One on a test's own server.
    pub async fn create_on(server: String) -> Self {
        prepare(&server).await;
        Self::copy(server).await
    }

    async fn copy(server: String) -> Self {
        let name = stack::own_name(NEXT.fetch_add(1, Ordering::Relaxed));
        let sql = Sql::connect(&server).await;
        // An earlier process with this id may have been killed.
        sql.run(&drop_database(&name)).await;
        sql.run(&format!(
            "CREATE DATABASE \"{name}\" TEMPLATE \"{}\" STRATEGY file_copy",
            template()
        ))
        .await;
        Self { server, name }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        with_database(&self.server, &self.name)
    }

    /// A session with it.
    pub async fn sql(&self) -> Sql {
        Sql::connect(&self.url()).await
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        in_own_runtime(async move {
            if let Ok((client, connection)) =
                tokio_postgres::connect(&server, tokio_postgres::NoTls).await
            {
                tokio::spawn(connection);
                let _ = client.batch_execute(&drop_database(&name)).await;
            }
        });
    }
}

/// Runs a future where no runtime may be entered: in `drop`, or for code that blocks.
pub(crate) fn in_own_runtime<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
            .block_on(work)
    })
    .join()
    .unwrap()
}

/// Settings with this database, and all others at their defaults.
#[must_use]
pub fn settings(url: &str) -> Settings {
    Settings::from_variables(None, [("MILLRACE__DATABASE__URL", url)]).unwrap()
}

fn drop_database(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")
}

fn with_database(server: &str, name: &str) -> String {
    let mut url = Url::parse(server).unwrap();
    url.set_path(name);
    url.into()
}

/// Named after what it was made from, so that another state of the tree has one of its own.
fn template() -> String {
    format!("millrace_template_{}", db::MIGRATIONS_STATE)
}

/// Makes the template, where it is missing; many processes may come here at once. Clears away what
/// runs that were killed have left behind.
async fn prepare(server: &str) {
    let sql = Sql::connect(server).await;
    sql.run("SELECT pg_advisory_lock(7199, 1)").await;
    let databases = sql.texts("SELECT datname::text FROM pg_database").await;
    for name in databases.iter().filter(|name| stack::is_left_behind(name)) {
        sql.run(&drop_database(name)).await;
    }
    let (name, half) = (template(), format!("{}_half", template()));
    if !databases.contains(&name) {
        sql.run(&drop_database(&half)).await;
        sql.run(&format!("CREATE DATABASE \"{half}\"")).await;
        let settings = settings(&with_database(server, &half));
        in_own_runtime(async move { db::migrate(&settings.database).await })
            .expect("the migrations run");
        sql.run(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{half}'"
        ))
        .await;
        sql.run(&format!("ALTER DATABASE \"{half}\" RENAME TO \"{name}\""))
            .await;
    }
    sql.run("SELECT pg_advisory_unlock(7199, 1)").await;
}
