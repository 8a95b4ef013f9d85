//! The part of the URL table about accounts, groups, roles and logging in.

use super::assignments::{
    self, GroupRoleRequest, GroupRoleResponse, Groups, UserRoleRequest, UserRoleResponse, Users,
};
use super::audit_log::{self, AuditEntryResponse};
use super::group_members::{self, GroupUserRequest, GroupUserResponse};
use super::groups::{self, GroupRequest, GroupResponse};
use super::login::{self, LoginResponse, LoginUpdateRequest, LoginUpdateResponse};
use super::roles::{self, RoleRequest, RoleResponse};
use super::users::{self, UserRequest, UserResponse};
use crate::route::{Endpoint, delete, get, patch, post, put};

/// Its calls.
pub fn table() -> Vec<Endpoint> {
    [
        logins(),
        of_users(),
        roles_of_users(),
        of_groups(),
        members(),
        roles_of_groups(),
        of_roles(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn logins() -> Vec<Endpoint> {
    const LOGIN: &str = "login/";
    vec![
        get(LOGIN, "login_read", login::read)
            .tag("Login")
            .about("Who makes the request")
            .answers::<LoginResponse>(200),
        post(LOGIN, "login", login::create)
            .tag("Login")
            .about("Begin a session")
            .answers::<LoginResponse>(201),
        patch(LOGIN, "login_update", login::update)
            .tag("Login")
            .about("Change one's own names or password")
            .accepts_some_of::<LoginUpdateRequest>()
            .answers::<LoginUpdateResponse>(200),
        delete(LOGIN, "logout", login::remove)
            .tag("Login")
            .about("End the session")
            .answers_nothing(204),
        get("audit-log/", "audit_log_list", audit_log::list)
            .tag("Audit Log")
            .about("Who changed what about accounts and permissions; for administrators")
            .lists::<AuditEntryResponse, _>(&audit_log::FILTERS),
    ]
}

fn of_users() -> Vec<Endpoint> {
    const LIST: &str = "users/";
    const ONE: &str = "users/{auth_user_href}/";
    const TAG: &str = "Users";
    vec![
        get(LIST, "users_list", users::list)
            .tag(TAG)
            .about("Accounts, the newest first; for administrators")
            .lists::<UserResponse, _>(&users::FILTERS),
        post(LIST, "users_create", users::create)
            .tag(TAG)
            .about("Make an account")
            .accepts::<UserRequest>()
            .answers::<UserResponse>(201),
        get(ONE, "users_read", users::read)
            .tag(TAG)
            .about("One account")
            .answers::<UserResponse>(200),
        put(ONE, "users_update", users::update)
            .tag(TAG)
            .about("Replace the values of an account")
            .accepts::<UserRequest>()
            .answers::<UserResponse>(200),
        patch(ONE, "users_partial_update", users::partial_update)
            .tag(TAG)
            .about("Change some values of an account")
            .accepts_some_of::<UserRequest>()
            .answers::<UserResponse>(200),
        delete(ONE, "users_delete", users::remove)
            .tag(TAG)
            .about("Delete an account")
            .answers_nothing(204),
    ]
}

fn roles_of_users() -> Vec<Endpoint> {
    const LIST: &str = "users/{auth_user_href}/roles/";
    const ONE: &str = "users/{auth_user_href}/roles/{auth_users_user_role_href}/";
    const TAG: &str = "Users: Roles";
    vec![
        get(LIST, "users_roles_list", assignments::list::<Users>)
            .tag(TAG)
            .about("Roles that an account holds")
            .lists::<UserRoleResponse, _>(&assignments::FILTERS),
        post(LIST, "users_roles_create", assignments::create::<Users>)
            .tag(TAG)
            .about("Give an account a role")
            .accepts::<UserRoleRequest>()
            .answers::<UserRoleResponse>(201),
        get(ONE, "users_roles_read", assignments::read::<Users>)
            .tag(TAG)
            .about("One role that an account holds")
            .answers::<UserRoleResponse>(200),
        delete(ONE, "users_roles_delete", assignments::remove::<Users>)
            .tag(TAG)
            .about("Take a role from an account")
            .answers_nothing(204),
    ]
}

fn of_groups() -> Vec<Endpoint> {
    const LIST: &str = "groups/";
    const ONE: &str = "groups/{group_href}/";
    const TAG: &str = "Groups";
    vec![
        get(LIST, "groups_list", groups::list)
            .tag(TAG)
            .about("Groups, the newest first")
            .lists::<GroupResponse, _>(&groups::FILTERS),
        post(LIST, "groups_create", groups::create)
            .tag(TAG)
            .about("Make a group")
            .accepts::<GroupRequest>()
            .answers::<GroupResponse>(201),
        get(ONE, "groups_read", groups::read)
            .tag(TAG)
            .about("One group")
            .answers::<GroupResponse>(200),
        put(ONE, "groups_update", groups::update)
            .tag(TAG)
            .about("Rename a group")
            .accepts::<GroupRequest>()
            .answers::<GroupResponse>(200),
        patch(ONE, "groups_partial_update", groups::partial_update)
            .tag(TAG)
            .about("Rename a group")
            .accepts_some_of::<GroupRequest>()
            .answers::<GroupResponse>(200),
        delete(ONE, "groups_delete", groups::remove)
            .tag(TAG)
            .about("Delete a group; its members stay")
            .answers_nothing(204),
    ]
}

fn members() -> Vec<Endpoint> {
    const LIST: &str = "groups/{group_href}/users/";
    const TAG: &str = "Groups: Users";
    vec![
        get(LIST, "groups_users_list", group_members::list)
            .tag(TAG)
            .about("Members of a group")
            .lists::<GroupUserResponse, _>(&group_members::FILTERS),
        post(LIST, "groups_users_create", group_members::add)
            .tag(TAG)
            .about("Add an account to a group")
            .accepts::<GroupUserRequest>()
            .answers::<GroupUserResponse>(201),
        delete(
            "groups/{group_href}/users/{groups_user_href}/",
            "groups_users_delete",
            group_members::remove,
        )
        .tag(TAG)
        .about("Take an account out of a group")
        .answers_nothing(204),
    ]
}

fn roles_of_groups() -> Vec<Endpoint> {
    const LIST: &str = "groups/{group_href}/roles/";
    const ONE: &str = "groups/{group_href}/roles/{groups_group_role_href}/";
    const TAG: &str = "Groups: Roles";
    vec![
        get(LIST, "groups_roles_list", assignments::list::<Groups>)
            .tag(TAG)
            .about("Roles that a group holds")
            .lists::<GroupRoleResponse, _>(&assignments::FILTERS),
        post(LIST, "groups_roles_create", assignments::create::<Groups>)
            .tag(TAG)
            .about("Give a group a role")
            .accepts::<GroupRoleRequest>()
            .answers::<GroupRoleResponse>(201),
        get(ONE, "groups_roles_read", assignments::read::<Groups>)
            .tag(TAG)
            .about("One role that a group holds")
            .answers::<GroupRoleResponse>(200),
        delete(ONE, "groups_roles_delete", assignments::remove::<Groups>)
            .tag(TAG)
            .about("Take a role from a group")
            .answers_nothing(204),
    ]
}

fn of_roles() -> Vec<Endpoint> {
    const LIST: &str = "roles/";
    const ONE: &str = "roles/{role_href}/";
    const TAG: &str = "Roles";
    vec![
        get(LIST, "roles_list", roles::list)
            .tag(TAG)
            .about("Roles, the newest first")
            .lists::<RoleResponse, _>(&roles::FILTERS),
        post(LIST, "roles_create", roles::create)
            .tag(TAG)
            .about("Make a role")
            .accepts::<RoleRequest>()
            .answers::<RoleResponse>(201),
        get(ONE, "roles_read", roles::read)
            .tag(TAG)
            .about("One role")
            .answers::<RoleResponse>(200),
        put(ONE, "roles_update", roles::update)
            .tag(TAG)
            .about("Replace the values of a role")
            .accepts::<RoleRequest>()
            .answers::<RoleResponse>(200),
        patch(ONE, "roles_partial_update", roles::partial_update)
            .tag(TAG)
            .about("Change some values of a role")
            .accepts_some_of::<RoleRequest>()
            .answers::<RoleResponse>(200),
        delete(ONE, "roles_delete", roles::remove)
            .tag(TAG)
            .about("Delete a role; who held it holds it no more")
            .answers_nothing(204),
    ]
}
