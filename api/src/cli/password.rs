//! `millrace-api set-password`

use super::Failure;
use crate::auth::{faults, hash_password};
use millrace_common::config::Settings;
use millrace_common::db::{self, Db};
use millrace_common::error::Error;
use millrace_common::models::audit_entry::By;
use millrace_common::models::{Account, AuditEntry};
use serde_json::json;
use std::io::{BufRead, IsTerminal};

/// Sets the password of an account, and ends its sessions.
pub async fn set_password(settings: &Settings, username: Option<String>) -> Result<(), Failure> {
    let username = username.unwrap_or_else(|| settings.admin.username.clone());
    let password = tokio::task::spawn_blocking(read_password).await??;
    let db = Db::new(&settings.database, "millrace-api")?;
    let mut conn = db.get().await?;
    let found = Account::by_name(&mut conn, &username).await?;
    let account = found.ok_or_else(|| format!("there is no account `{username}`"))?;
    let faults = faults(&password, &account.called());
    if !faults.is_empty() {
        return Err(faults.join(" ").into());
    }
    let hash = tokio::task::spawn_blocking(move || hash_password(&password)).await??;
    let ended = db::transaction(&mut conn, async |conn| {
        let ended = Account::set_password(conn, &username, &hash).await?;
        if let Some(ended) = ended {
            let details = json!({"sessions_ended": ended});
            let action = "user.set_password";
            AuditEntry::write(conn, By::default(), action, &username, &details).await?;
        }
        Ok::<_, Error>(ended)
    })
    .await?;
    match ended {
        Some(_) => Ok(()),
        None => Err(format!("there is no account `{username}`").into()),
    }
}

fn read_password() -> std::io::Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password("New password: ");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
