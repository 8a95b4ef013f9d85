//! Uploads of processes that are gone.

use crate::db::Conn;
use crate::error::Error;
use crate::models::Intent;

/// Gives up to `limit` uploads of dead processes up: their intents become tombstones. Gives their
/// number. Never call it on the session that holds the caller's own process lock: to that session the
/// lock looks free.
///
/// # Errors
/// As the session.
pub async fn bury_abandoned(conn: &mut Conn, limit: i64) -> Result<u64, Error> {
    Ok(Intent::bury_abandoned(conn, limit).await? as u64)
}
