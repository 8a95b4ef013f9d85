//! Who makes something owns it.

use crate::db::{Conn, Prepare};
use crate::ids::TaskId;
use crate::prn::Prn;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Who made objects.
#[derive(Clone, Copy, Debug)]
pub enum Maker<'a> {
    /// An account, by a request with this correlation id.
    Account(i32, &'a str),
    /// Whoever dispatched this task; nobody, where no account did.
    DispatcherOf(TaskId),
}

/// Gives who made objects the role of an owner on each that has one, and notes that in the audit log. Call it in the
/// transaction that makes them.
///
/// # Errors
/// As the session.
pub async fn own(conn: &mut Conn, maker: Maker<'_>, made: &[Prn]) -> QueryResult<()> {
    let owned = made
        .iter()
        .filter(|prn| crate::roles::owner_role(&prn.model).is_some())
        .filter_map(|prn| Some((prn.model.as_str(), prn.uuid()?)));
    let (models, ids): (Vec<&str>, Vec<Uuid>) = owned.unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let (account, task, cid) = match maker {
        Maker::Account(account, cid) => (Some(account), None, cid),
        Maker::DispatcherOf(task) => (None, Some(task), ""),
    };
    let assignments: Vec<Uuid> = ids.iter().map(|_| Uuid::now_v7()).collect();
    sql_query(include_str!("own.sql"))
        .bind::<Nullable<Integer>, _>(account)
        .bind::<Nullable<SqlUuid>, _>(task)
        .bind::<Text, _>(cid)
        .bind::<Array<SqlUuid>, _>(assignments)
        .bind::<Array<Text>, _>(models)
        .bind::<Array<SqlUuid>, _>(ids)
        .prepared()
        .execute(conn)
        .await?;
    Ok(())
}
