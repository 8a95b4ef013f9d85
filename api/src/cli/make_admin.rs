//! `millrace-api make-admin`

use super::Failure;
use millrace_common::config::Settings;
use millrace_common::db::{self, Db};
use millrace_common::error::Error;
use millrace_common::models::audit_entry::By;
use millrace_common::models::{Account, AuditEntry};
use serde_json::json;

/// Makes an account an administrator, or one like any other. The last active administrator stays one.
pub async fn make_admin(
    settings: &Settings,
    username: &str,
    is_admin: bool,
) -> Result<(), Failure> {
    let db = Db::new(&settings.database, "millrace-api")?;
    let mut conn = db.get().await?;
    let refusal = db::transaction(&mut conn, async |conn| {
        let admins = Account::lock_admins(conn).await?;
        let Some(account) = Account::by_name(conn, username).await? else {
            return Ok(Some(format!("there is no account `{username}`")));
        };
        if !is_admin && admins == [account.id] {
            let text = format!("`{username}` is the last active administrator, and stays one");
            return Ok(Some(text));
        }
        if Account::set_superuser(conn, account.id, is_admin).await? {
            let details = json!({"is_superuser": is_admin});
            AuditEntry::write(conn, By::default(), "user.update", username, &details).await?;
        }
        Ok::<_, Error>(None)
    })
    .await?;
    refusal.map_or(Ok(()), |refusal| Err(refusal.into()))
}
