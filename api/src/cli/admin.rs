//! The first administrator.

use super::Failure;
use crate::auth::hash_password;
use log::info;
use millrace_common::config::Settings;
use millrace_common::db::Db;
use millrace_common::models::account::Account;

/// Makes the first administrator where nobody can log in yet.
///
/// # Errors
/// A text that says what to set, where no password is set.
pub async fn ensure(settings: &Settings) -> Result<(), Failure> {
    let db = Db::new(&settings.database, "millrace-api")?;
    let mut conn = db.get().await?;
    if Account::any(&mut conn).await? {
        return Ok(());
    }
    let admin = &settings.admin;
    if admin.password.expose().is_empty() {
        return Err(
            "there is no account yet: set admin.password (MILLRACE__ADMIN__PASSWORD), \
                    the password of the first administrator"
                .into(),
        );
    }
    let password = admin.password.expose().to_owned();
    let hash = tokio::task::spawn_blocking(move || hash_password(&password)).await??;
    if Account::make_first_admin(&mut conn, &admin.username, &hash).await? {
        info!(username = admin.username.as_str(); "made the first administrator {}", admin.username);
    }
    Ok(())
}
