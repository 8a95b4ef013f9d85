//! `millrace-api serve`

use super::{Failure, admin};
use crate::app::{App, Serves};
use crate::server;
use log::warn;
use millrace_common::catalog::Catalog;
use millrace_common::config::Settings;
use millrace_common::db;
use millrace_common::tls::server::Identity;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Every client has a connection, and each that is sent a file has that open too: asks for all that the
/// system allows. Where that is refused, clients wait for their turn.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(error:% = error; "the limit of open files stays as it is: {error}");
    }
}

/// Checks that the schema fits and that somebody can log in, then serves.
pub async fn serve(
    settings: Settings,
    register: fn(&mut Catalog),
    serves: Serves,
) -> Result<(), Failure> {
    let identity = identity(&settings).await?;
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
    raise_file_limit();
    let catalog = Catalog::load(&settings, register)?;
    let app = App::new(settings, catalog, serves)?;
    app.storage.check().await?;
    server::serve(app, identity).await?;
    Ok(())
}

/// What is shown to clients of https.
async fn identity(settings: &Settings) -> Result<Option<Identity>, Failure> {
    let api = &settings.api;
    if !api.is_https() {
        return Ok(None);
    }
    let loaded = Identity::load(&api.certificate_file, &api.key_file).await;
    let identity =
        loaded.map_err(|error| format!("api.certificate_file, api.key_file: {error}"))?;
    Ok(Some(identity))
}
