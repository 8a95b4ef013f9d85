//! `millrace-api serve`

use super::{Failure, admin};
use crate::app::{App, Serves};
use crate::server;
use millrace_common::catalog::Catalog;
use millrace_common::config::Settings;
use millrace_common::db;

/// Checks that the schema fits and that somebody can log in, then serves.
pub async fn serve(
    settings: Settings,
    register: fn(&mut Catalog),
    serves: Serves,
) -> Result<(), Failure> {
    let pending = db::pending_migrations(&settings.database).await?;
    if !pending.is_empty() {
        return Err(format!(
            "the database lacks {} of this program's migrations ({}): run `millrace-api migrate` first",
            pending.len(),
            pending.join(", ")
        )
        .into());
    }
    if serves.api() {
        admin::ensure(&settings).await?;
    }
    let mut catalog = Catalog::builtin(settings.diagnostics.enabled);
    register(&mut catalog);
    server::serve(App::new(settings, catalog, serves)?).await?;
    Ok(())
}
