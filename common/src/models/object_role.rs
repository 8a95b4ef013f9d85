//! Who holds which role on an object, by name.

use super::Role;
use super::permission::DISPATCHER_ROLES;
use super::role_assignment::keep_object;
use crate::db::Conn;
use crate::ids::AssignmentId;
use crate::schema::{account, account_group, role_assignment};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Who holds a role on an object.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct ObjectRole {
    /// The name of the role.
    #[diesel(sql_type = Text)]
    pub role: String,
    /// Names of accounts, sorted.
    #[diesel(sql_type = Array<Text>)]
    pub users: Vec<String>,
    /// Names of groups, sorted.
    #[diesel(sql_type = Array<Text>)]
    pub groups: Vec<String>,
}

/// The object of assignments.
#[derive(Clone, Copy, Debug)]
pub struct ObjectKey<'a> {
    /// Its model, as names of resources have it: `file.filerepository`.
    pub model: &'a str,
    /// Its id.
    pub id: Uuid,
}

/// Ids of accounts or groups by their names.
pub type Ids = BTreeMap<String, i32>;

#[derive(QueryableByName)]
struct Changed {
    #[diesel(sql_type = Nullable<Integer>)]
    account_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    group_id: Option<i32>,
}

/// Accounts and groups, by name.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    /// Accounts.
    pub users: Ids,
    /// Groups.
    pub groups: Ids,
}

impl Holders {
    /// Those of these names that there are; they stay until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn keep(conn: &mut Conn, users: &[String], groups: &[String]) -> QueryResult<Self> {
        let found: Vec<(String, i32)> = account::table
            .filter(account::username.eq_any(users))
            .filter(account::gone.eq(false))
            .order(account::id)
            .select((account::username, account::id))
            .for_key_share()
            .load(conn)
            .await?;
        let users = found.into_iter().collect();
        let found: Vec<(String, i32)> = account_group::table
            .filter(account_group::name.eq_any(groups))
            .order(account_group::id)
            .select((account_group::name, account_group::id))
            .for_key_share()
            .load(conn)
            .await?;
        Ok(Self {
            users,
            groups: found.into_iter().collect(),
        })
    }

    fn ids(&self) -> (Vec<Option<i32>>, Vec<Option<i32>>) {
        let users = self.users.values().map(|id| (Some(*id), None));
        let groups = self.groups.values().map(|id| (None, Some(*id)));
        users.chain(groups).unzip()
    }

    /// Those of whom nothing was changed.
    fn but(&self, changed: &[Changed]) -> Self {
        let users: BTreeSet<i32> = changed.iter().filter_map(|row| row.account_id).collect();
        let groups: BTreeSet<i32> = changed.iter().filter_map(|row| row.group_id).collect();
        let others = |all: &Ids, changed: &BTreeSet<i32>| {
            let others = all.iter().filter(|(_, id)| !changed.contains(*id));
            others.map(|(name, id)| (name.clone(), *id)).collect()
        };
        Self {
            users: others(&self.users, &users),
            groups: others(&self.groups, &groups),
        }
    }
}

impl ObjectRole {
    /// The roles that are held on an object.
    ///
    /// # Errors
    /// As the session.
    pub async fn list(conn: &mut Conn, object: ObjectKey<'_>) -> QueryResult<Vec<Self>> {
        sql_query(include_str!("object_role_list.sql"))
            .bind::<Text, _>(object.model)
            .bind::<SqlUuid, _>(object.id)
            .bind::<Array<Text>, _>(DISPATCHER_ROLES.as_slice())
            .load(conn)
            .await
    }

    /// Gives them all a role on an object; gives those who have it already. `None`: the object is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn give(
        conn: &mut Conn,
        object: ObjectKey<'_>,
        role: &Role,
        to: &Holders,
    ) -> QueryResult<Option<Holders>> {
        if !keep_object(conn, object.model, object.id).await? {
            return Ok(None);
        }
        let (users, groups) = to.ids();
        let assignments: Vec<AssignmentId> = users.iter().map(|_| AssignmentId::new()).collect();
        let given: Vec<Changed> = sql_query(
            "INSERT INTO role_assignment (pulp_id, role_id, account_id, group_id, object_model, object_id) \
             SELECT w.id, $1, w.account, w.\"group\", $2, $3 FROM unnest($4, $5, $6) w (id, account, \"group\") \
                 ON CONFLICT DO NOTHING RETURNING account_id, group_id",
        )
        .bind::<SqlUuid, _>(role.pulp_id)
        .bind::<Text, _>(object.model)
        .bind::<SqlUuid, _>(object.id)
        .bind::<Array<SqlUuid>, _>(assignments)
        .bind::<Array<Nullable<Integer>>, _>(users)
        .bind::<Array<Nullable<Integer>>, _>(groups)
        .load(conn)
        .await?;
        Ok(Some(to.but(&given)))
    }

    /// Takes a role on an object away from them all; gives those who do not have it.
    ///
    /// # Errors
    /// As the session.
    pub async fn take(
        conn: &mut Conn,
        object: ObjectKey<'_>,
        role: &Role,
        from: &Holders,
    ) -> QueryResult<Holders> {
        let users: Vec<i32> = from.users.values().copied().collect();
        let groups: Vec<i32> = from.groups.values().copied().collect();
        let taken: Vec<(Option<i32>, Option<i32>)> = diesel::delete(
            role_assignment::table
                .filter(role_assignment::role_id.eq(role.pulp_id))
                .filter(role_assignment::object_model.eq(object.model))
                .filter(role_assignment::object_id.eq(object.id))
                .filter(
                    role_assignment::account_id
                        .eq_any(users)
                        .or(role_assignment::group_id.eq_any(groups)),
                ),
        )
        .returning((role_assignment::account_id, role_assignment::group_id))
        .get_results(conn)
        .await?;
        let taken = taken.into_iter().map(|(account_id, group_id)| Changed {
            account_id,
            group_id,
        });
        Ok(from.but(&taken.collect::<Vec<_>>()))
    }
}
