//! Roles that somebody holds, as clients see them.

use super::Holders;
use crate::error::ApiResult;
use crate::v3::{href, time};
use chrono::{DateTime, Utc};
use millrace_common::db::Conn;
use millrace_common::models::{AccountGroup, RoleAssignment};
use millrace_common::prn::Prn;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! answer {
    ($name:ident, $holder:literal) => {
        #[doc = concat!("A role that ", $holder, " holds.")]
        #[derive(Clone, Debug, Serialize, ToSchema)]
        #[expect(missing_docs, reason = "named as in the contract")]
        pub struct $name {
            #[schema(read_only)]
            pub pulp_href: String,
            #[schema(read_only)]
            pub prn: String,
            #[serde(serialize_with = "time::micros")]
            #[schema(read_only)]
            pub pulp_created: DateTime<Utc>,
            #[serde(serialize_with = "time::micros")]
            #[schema(read_only)]
            pub pulp_last_updated: DateTime<Utc>,
            pub role: String,
            /// The object on which it is held; null: everywhere, or in the domain.
            pub content_object: Option<String>,
            pub content_object_prn: Option<String>,
            #[schema(read_only)]
            pub description: Option<String>,
            #[schema(read_only)]
            pub permissions: Vec<String>,
            pub domain: Option<String>,
        }
    };
}

answer!(UserRoleResponse, "an account");
answer!(GroupRoleResponse, "a group");

/// Assignments as clients see them, whoever holds them: two statements, however many.
///
/// # Errors
/// As the session.
pub async fn render<H: Holders>(
    conn: &mut Conn,
    holder: i32,
    rows: Vec<RoleAssignment>,
) -> ApiResult<Vec<UserRoleResponse>> {
    let mut roles = RoleAssignment::roles(conn, &rows).await?;
    let groups: Vec<Uuid> = rows
        .iter()
        .filter(|row| row.object_model.as_deref() == Some("core.group"))
        .filter_map(|row| row.object_id)
        .collect();
    let groups = AccountGroup::by_objects(conn, &groups).await?;
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        // One that went meanwhile took its assignments with it.
        let Some(role) = roles.get_mut(&row.role_id) else {
            continue;
        };
        let object = row.object_model.zip(row.object_id);
        let object = object.map(|(model, id)| match groups.get(&id) {
            Some(number) => Prn::new(model, number),
            None => Prn::new(model, id),
        });
        shown.push(UserRoleResponse {
            pulp_href: format!("{}roles/{}/", H::href(holder), row.pulp_id),
            prn: Prn::new(H::ASSIGNMENT, row.pulp_id).to_string(),
            pulp_created: row.pulp_created,
            pulp_last_updated: row.pulp_created,
            role: role.name.clone(),
            content_object: object
                .as_ref()
                .and_then(|prn| href::of_object(&prn.model, &prn.id)),
            content_object_prn: object.map(|prn| prn.to_string()),
            description: role.description.clone(),
            permissions: role.permissions.clone(),
            domain: row
                .pulp_domain
                .and_then(|domain| href::of_object("core.domain", domain)),
        });
    }
    Ok(shown)
}
