//! `permissions/actions/`: granting and revoking, for administrators (contract 2, 5.2).

use super::answer::ok;
use super::auth::Caller;
use super::body::Sent;
use super::problem::{Answer, Problem};
use crate::app::App;
use actix_web::web::Data;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use millrace_common::db::{self, Conn, RetryCause};
use millrace_common::models::Role;
use millrace_common::models::account::Account;
use millrace_common::models::permission_grant::{
    Grantee, LONGEST, Operation, PermissionGrant, levels,
};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// The role of Pulp 2 whose holders may do everything. Here that is a mark of the account.
const SUPER_USERS: &str = "super-users";

/// Whether something is given or taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Grant,
    Revoke,
}

/// Who is named, by which field of the body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Login,
    RoleId,
}

impl Whose {
    fn field(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::RoleId => "role_id",
        }
    }
}

/// Grants operations on a resource to an account.
///
/// # Errors
/// 400 that names what is wrong, 404 for an account that is not there.
pub async fn grant_to_user(app: Data<App>, caller: Caller, body: Sent) -> Answer {
    change(&app, &caller, body, Change::Grant, Whose::Login).await
}

/// Grants operations on a resource to whoever holds a role everywhere.
///
/// # Errors
/// As [`grant_to_user`].
pub async fn grant_to_role(app: Data<App>, caller: Caller, body: Sent) -> Answer {
    change(&app, &caller, body, Change::Grant, Whose::RoleId).await
}

/// Takes operations on a resource from an account.
///
/// # Errors
/// As [`grant_to_user`].
pub async fn revoke_from_user(app: Data<App>, caller: Caller, body: Sent) -> Answer {
    change(&app, &caller, body, Change::Revoke, Whose::Login).await
}

/// Takes operations on a resource from a role.
///
/// # Errors
/// As [`grant_to_user`].
pub async fn revoke_from_role(app: Data<App>, caller: Caller, body: Sent) -> Answer {
    change(&app, &caller, body, Change::Revoke, Whose::RoleId).await
}

async fn change(app: &App, caller: &Caller, body: Sent, change: Change, whose: Whose) -> Answer {
    let Value::Object(sent) = body.json().await? else {
        return Err(Problem::not_of_type("dict"));
    };
    let request = Request::read(&sent, whose)?;
    let mut conn = app.db.get().await?;
    db::transaction(&mut conn, async |conn| {
        let to = request.grantee(conn, whose).await?;
        let (resource, operations) = (&request.resource, &request.operations);
        let (action, changed) = match change {
            Change::Grant => (
                "permission.grant",
                PermissionGrant::grant(conn, to, resource, operations).await?,
            ),
            Change::Revoke => (
                "permission.revoke",
                PermissionGrant::revoke(conn, to, resource, operations).await?,
            ),
        };
        if changed > 0 {
            let details = request.details(whose);
            caller.actor.note(conn, action, resource, &details).await?;
        }
        Ok::<_, Problem>(())
    })
    .await
    .map_err(|problem| request.unless_gone(problem, whose))?;
    ok(&Value::Null)
}

/// What is to be granted or revoked.
struct Request {
    /// The login, or the name of the role.
    name: String,
    /// With a slash at both ends.
    resource: String,
    operations: Vec<Operation>,
}

impl Request {
    /// All that is wrong is named at once.
    fn read(sent: &Map<String, Value>, whose: Whose) -> Answer<Self> {
        let text = |field: &str| sent.get(field).and_then(Value::as_str);
        let name = text(whose.field()).filter(|name| !name.is_empty() && !name.contains('\0'));
        let name = name.filter(|name| whose == Whose::Login || *name != SUPER_USERS);
        let resource = text("resource").and_then(normalised);
        let operations = sent.get("operations").and_then(read_operations);
        match (name, resource, operations) {
            (Some(name), Some(resource), Some(operations)) => Ok(Self {
                name: name.to_owned(),
                resource,
                operations,
            }),
            (name, resource, operations) => {
                let wrong = [
                    (whose.field(), name.is_none()),
                    ("resource", resource.is_none()),
                    ("operations", operations.is_none()),
                ];
                let wrong = wrong.iter().filter(|(_, is_wrong)| *is_wrong);
                let names: Vec<&str> = wrong.map(|(field, _)| *field).collect();
                Err(Problem::invalid(&names))
            }
        }
    }

    async fn grantee(&self, conn: &mut Conn, whose: Whose) -> Answer<Grantee> {
        let found = match whose {
            Whose::Login => {
                let account = Account::by_name(conn, &self.name).await?;
                account.map(|account| Grantee::Account(account.id))
            }
            Whose::RoleId => {
                let role = Role::by_name(conn, &self.name).await?;
                role.map(|role| Grantee::Role(role.pulp_id))
            }
        };
        found.ok_or_else(|| self.missing(whose))
    }

    /// Who is deleted while something is granted to him is not there.
    fn unless_gone(&self, problem: Problem, whose: Whose) -> Problem {
        let foreign_key = DatabaseErrorKind::ForeignKeyViolation;
        match problem.diesel() {
            Some(DieselError::DatabaseError(kind, _)) if *kind == foreign_key => {
                self.missing(whose)
            }
            _ => problem,
        }
    }

    fn missing(&self, whose: Whose) -> Problem {
        Problem::missing(&[(whose.field(), &self.name)])
    }

    fn details(&self, whose: Whose) -> Value {
        let operations: Vec<&str> = self.operations.iter().map(|one| one.as_str()).collect();
        json!({ whose.field(): self.name, "operations": operations })
    }
}

/// The resource as requests are compared with it: decoded, with a slash at both ends and without what stands in front of
/// all of them. `None`: it is none, or no request of this dialect has it.
fn normalised(resource: &str) -> Option<String> {
    let decoded = percent_decode_str(resource).decode_utf8().ok()?;
    let rest = decoded.strip_prefix("/pulp/api").unwrap_or(&decoded);
    let whole = levels(rest)?.into_iter().next()?;
    if whole != "/" && !whole.starts_with("/v2/") {
        return None;
    }
    let is_plain = !whole.contains("//") && whole.len() <= LONGEST;
    // Cut short where it is too long or too deep.
    let is_whole = whole.trim_matches('/') == rest.trim_matches('/');
    (is_plain && is_whole && !resource.is_empty()).then_some(whole)
}

/// Each once; `None` where one is none, or there are none.
fn read_operations(value: &Value) -> Option<Vec<Operation>> {
    let words = value.as_array().filter(|words| !words.is_empty())?;
    let read = words.iter().map(|word| word.as_str()?.parse().ok());
    let mut operations = read.collect::<Option<Vec<Operation>>>()?;
    operations.sort_unstable();
    operations.dedup();
    Some(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_a_slash_at_both_ends_and_nothing_in_front() {
        for same in [
            "/v2/content/orphans/",
            "/v2/content/%6frphans",
            "/pulp/api%2fv2/content/orphans",
            "v2/content/orphans",
            "/pulp/api/v2/content/orphans",
        ] {
            assert_eq!(normalised(same).as_deref(), Some("/v2/content/orphans/"));
        }
        assert_eq!(normalised("/").as_deref(), Some("/"));
        assert_eq!(normalised("/pulp/api/").as_deref(), Some("/"));
        assert_eq!(normalised("/pulp/api").as_deref(), Some("/"));
        let odd = normalised("/v2/content/orphans/a%20b/");
        assert_eq!(odd.as_deref(), Some("/v2/content/orphans/a b/"));
        let long = "x".repeat(LONGEST);
        for bad in [
            "",
            "/v2//tasks/",
            "/v2/a\0/",
            "/v2/%00/",
            "/v2/%ff/",
            "/content/orphans/",
            "/v3/tasks/",
            "/v20/",
            &format!("/v2/{long}"),
            &format!("/v2{}", "/x".repeat(200)),
        ] {
            assert_eq!(normalised(bad), None, "{bad}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        let read = |sent: Value| Request::read(sent.as_object().unwrap(), Whose::RoleId);
        let good =
            json!({"role_id": "r", "resource": "/", "operations": ["READ", "DELETE", "READ"]});
        assert_eq!(read(good).unwrap().operations.len(), 2);
        let wrong = json!({"role_id": SUPER_USERS, "operations": ["READ", "read"]});
        let refused = read(wrong).err().unwrap().details();
        assert_eq!(
            refused["data"]["property_names"],
            json!(["role_id", "resource", "operations"])
        );
        for odd in [json!([]), json!("READ"), json!([1]), Value::Null] {
            let sent = json!({"role_id": "r", "resource": "/", "operations": odd});
            assert!(read(sent).is_err());
        }
    }
}
