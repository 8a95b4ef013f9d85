//! The first administrator, and the built-in roles.

use super::Failure;
use crate::auth::{faults, hash_password};
use log::{info, warn};
use millrace_common::config::Settings;
use millrace_common::db::{self, Db};
use millrace_common::error::Error;
use millrace_common::models::audit_entry::By;
use millrace_common::models::{Account, AuditEntry, Role};
use millrace_common::roles;
use serde_json::json;

/// Brings the built-in roles to what this program knows of them.
pub async fn build_in_roles(settings: &Settings) -> Result<(), Failure> {
    let db = Db::new(&settings.database, "millrace-api")?;
    let mut conn = db.get().await?;
    Role::build_in(&mut conn, &roles::built_in()).await?;
    Ok(())
}

/// Makes built-in roles that are missing, and the first administrator where nobody can log in yet. Roles that are there
/// stay as they are: a program of another release may have made them.
///
/// # Errors
/// A text that says what to set, where no password is set.
pub async fn ensure(settings: &Settings) -> Result<(), Failure> {
    let db = Db::new(&settings.database, "millrace-api")?;
    let mut conn = db.get().await?;
    Role::add_built_in(&mut conn, &roles::built_in()).await?;
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
    // Who keeps the settings has to start somehow: he is told.
    for fault in faults(&password, &[("username", &admin.username)]) {
        warn!("admin.password: {fault} Set a better one with `millrace-api set-password`.");
    }
    let hash = tokio::task::spawn_blocking(move || hash_password(&password)).await??;
    let made = db::transaction(&mut conn, async |conn| {
        let made = Account::make_first_admin(conn, &admin.username, &hash).await?;
        if made {
            let details = json!({"is_superuser": true});
            let name = &admin.username;
            AuditEntry::write(conn, By::default(), "user.create", name, &details).await?;
        }
        Ok::<_, Error>(made)
    })
    .await?;
    if made {
        info!(username = admin.username.as_str(); "made the first administrator {}", admin.username);
    }
    Ok(())
}
