//! Changing an account, with all that hangs on it.

use crate::app::App;
use crate::auth::Actor;
use crate::error::{ApiError, ApiResult};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use millrace_common::db;
use millrace_common::models::{Account, AccountChange, LoginSession};
use serde_json::{Map, Value, json};

/// Changes an account, notes it, and ends its sessions where it has another password or is not active any more.
/// `None`: there is no such account.
///
/// # Errors
/// 400 for a name that is taken, and for the last active administrator who would be none.
pub async fn apply(
    app: &App,
    actor: Actor,
    id: i32,
    change: &AccountChange,
) -> ApiResult<Option<Account>> {
    let mut conn = app.db.get().await?;
    if change.is_empty() {
        return Ok(Account::find(&mut conn, id).await?);
    }
    let ends_sessions = change.password.is_some() || change.is_active == Some(false);
    let changed = db::transaction(&mut conn, async |conn| {
        let shut = if change.is_active == Some(false) {
            Some(("is_active", "be deactivated"))
        } else {
            let is_taken = change.password.as_deref() == Some("");
            is_taken.then_some(("password", "be left without a password"))
        };
        if let Some((field, what)) = shut
            && Account::lock_admins(conn).await? == [id]
        {
            let message = format!("The last active administrator cannot {what}.");
            return Err(ApiError::field(field, message));
        }
        let Some(before) = Account::lock(conn, id).await? else {
            return Ok(None);
        };
        let row = Account::change(conn, id, change).await.map_err(taken)?;
        let ended = if ends_sessions {
            LoginSession::end_all(conn, id).await?
        } else {
            0
        };
        let details = details(change, ended);
        actor
            .note(conn, "user.update", &before.username, &details)
            .await?;
        Ok(Some(row))
    })
    .await?;
    app.credentials.forget(id).await;
    Ok(changed)
}

/// What changes, for the audit log: of a password only that it does.
#[must_use]
pub fn details(change: &AccountChange, sessions_ended: usize) -> Value {
    let mut all = Map::new();
    let texts = [
        ("username", &change.username),
        ("first_name", &change.first_name),
        ("last_name", &change.last_name),
        ("email", &change.email),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            all.insert(name.to_owned(), json!(value));
        }
    }
    for (name, value) in [
        ("is_staff", change.is_staff),
        ("is_active", change.is_active),
    ] {
        if let Some(value) = value {
            all.insert(name.to_owned(), json!(value));
        }
    }
    if let Some(hash) = &change.password {
        let what = if hash.is_empty() { "removed" } else { "set" };
        all.insert("password".to_owned(), json!(what));
    }
    if sessions_ended > 0 {
        all.insert("sessions_ended".to_owned(), json!(sessions_ended));
    }
    Value::Object(all)
}

pub(super) fn taken(error: DieselError) -> ApiError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
            ApiError::field("username", "A user with that username already exists.")
        }
        error => error.into(),
    }
}
