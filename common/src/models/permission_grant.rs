//! What may be done below a path of the second version's API: grants to accounts and to the holders of roles. They only
//! add; there is no denial.

use crate::db::Conn;
use crate::ids::RoleId;
use crate::schema::permission_grant;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Bool, Integer, Text};
use diesel_async::RunQueryDsl;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// What may be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named after what they allow")]
pub enum Operation {
    Create,
    Read,
    Update,
    Delete,
    Execute,
}

impl Operation {
    const ALL: [Self; 5] = [
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Delete,
        Self::Execute,
    ];

    /// As clients and the database write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Read => "READ",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Execute => "EXECUTE",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|operation| operation.as_str() == text).ok_or(())
    }
}

/// Whom something is granted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// An account.
    Account(i32),
    /// Whoever holds this role everywhere.
    Role(RoleId),
}

impl Grantee {
    fn columns(self) -> (Option<i32>, Option<RoleId>) {
        match self {
            Self::Account(id) => (Some(id), None),
            Self::Role(id) => (None, Some(id)),
        }
    }
}

/// Deepest path that is looked at: a longer one has no grants of its own.
const DEPTH: usize = 100;
/// Bytes of the longest path that something is granted on.
pub const LONGEST: usize = 1000;

/// The path with a slash at both ends, and all that it lies below, up to `/`. `None`: nothing can be granted on such a
/// path.
#[must_use]
pub fn levels(path: &str) -> Option<Vec<String>> {
    if path.contains('\0') {
        return None;
    }
    let mut levels = vec!["/".to_owned()];
    let mut level = "/".to_owned();
    let path = path.trim_matches('/');
    let segments = path.split('/').filter(|_| !path.is_empty());
    for segment in segments.take(DEPTH) {
        level = format!("{level}{segment}/");
        if level.len() > LONGEST {
            break;
        }
        levels.push(level.clone());
    }
    levels.reverse();
    Some(levels)
}

/// The rows of the table, and what they allow.
pub struct PermissionGrant;

#[derive(QueryableByName)]
struct Covered {
    #[diesel(sql_type = Bool)]
    covered: bool,
}

impl PermissionGrant {
    /// True where one of these paths grants the operation to the account, or to a role that it holds everywhere, directly
    /// or through a group.
    ///
    /// # Errors
    /// As the session.
    pub async fn covers(
        conn: &mut Conn,
        account: i32,
        levels: &[String],
        operation: Operation,
    ) -> QueryResult<bool> {
        let found: Covered = sql_query(include_str!("permission_grant_covers.sql"))
            .bind::<Integer, _>(account)
            .bind::<Array<Text>, _>(levels)
            .bind::<Text, _>(operation.as_str())
            .get_result(conn)
            .await?;
        Ok(found.covered)
    }

    /// Grants operations; those that are granted stay so. Gives those that are new.
    ///
    /// # Errors
    /// A foreign key violation where the account or the role is gone.
    pub async fn grant(
        conn: &mut Conn,
        to: Grantee,
        resource: &str,
        operations: &[Operation],
    ) -> QueryResult<usize> {
        let (account, role) = to.columns();
        let row = |operation: &Operation| {
            (
                permission_grant::pulp_id.eq(Uuid::now_v7()),
                permission_grant::account_id.eq(account),
                permission_grant::role_id.eq(role),
                permission_grant::resource.eq(resource),
                permission_grant::operation.eq(operation.as_str()),
            )
        };
        diesel::insert_into(permission_grant::table)
            .values(operations.iter().map(row).collect::<Vec<_>>())
            .on_conflict_do_nothing()
            .execute(conn)
            .await
    }

    /// Takes operations back, on exactly this path. Gives how many were granted.
    ///
    /// # Errors
    /// As the session.
    pub async fn revoke(
        conn: &mut Conn,
        from: Grantee,
        resource: &str,
        operations: &[Operation],
    ) -> QueryResult<usize> {
        let (account, role) = from.columns();
        let words = operations.iter().map(|operation| operation.as_str());
        diesel::delete(permission_grant::table)
            .filter(permission_grant::account_id.is_not_distinct_from(account))
            .filter(permission_grant::role_id.is_not_distinct_from(role))
            .filter(permission_grant::resource.eq(resource))
            .filter(permission_grant::operation.eq_any(words))
            .execute(conn)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_goes_from_the_whole_path_up_to_the_root() {
        let up = ["/v2/content/orphans/", "/v2/content/", "/v2/", "/"];
        assert_eq!(levels("/v2/content/orphans/").unwrap(), up);
        assert_eq!(levels("v2/content/orphans").unwrap(), up);
        assert_eq!(levels("/a\0/"), None);
        let deep = levels(&"/x".repeat(10_000)).unwrap();
        assert!(deep.len() <= DEPTH + 1 && deep.last().unwrap() == "/");
        let long = levels(&format!("/v2/{}/x/", "y".repeat(LONGEST))).unwrap();
        assert_eq!(long, ["/v2/", "/"]);
    }

    #[test]
    fn an_operation_has_its_word() {
        for operation in Operation::ALL {
            assert_eq!(operation.as_str().parse(), Ok(operation));
        }
        for odd in ["read", "", "READ ", "WRITE"] {
            assert_eq!(odd.parse::<Operation>(), Err(()));
        }
    }
}
