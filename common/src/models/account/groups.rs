//! The groups that accounts are in.

use super::Account;
use crate::db::Conn;
use crate::schema::{account_group, account_group_member};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use std::collections::HashMap;

/// A group that an account is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOfAccount {
    /// Its id.
    pub id: i32,
    /// Its name.
    pub name: String,
}

impl Account {
    /// The groups that these accounts are in, by account and sorted by name.
    ///
    /// # Errors
    /// As the session.
    pub async fn groups(
        conn: &mut Conn,
        ids: &[i32],
    ) -> QueryResult<HashMap<i32, Vec<GroupOfAccount>>> {
        let rows: Vec<(i32, i32, String)> = account_group_member::table
            .inner_join(account_group::table)
            .filter(account_group_member::account_id.eq_any(ids))
            .order((account_group::name, account_group::id))
            .select((
                account_group_member::account_id,
                account_group::id,
                account_group::name,
            ))
            .load(conn)
            .await?;
        let mut groups: HashMap<i32, Vec<GroupOfAccount>> = HashMap::new();
        for (account, id, name) in rows {
            let of = groups.entry(account).or_default();
            of.push(GroupOfAccount { id, name });
        }
        Ok(groups)
    }
}
