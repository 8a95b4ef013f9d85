//! The REST API, version 2: orphaned content, the tasks that remove it, and who may (contract 2). A sibling of
//! version 3 over the same functions; neither knows the other.
//!
//! [`table`] is the whole of it. A call says what it asks of its caller; that is looked at before anything of the body
//! is, and before it is told what exists.

mod actions;
mod answer;
mod auth;
mod body;
mod orphans;
mod permissions;
mod problem;
mod route;
mod status;
mod tasks;
mod types;
mod units;

use crate::correlation;
use actix_web::http::Method;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, ServiceConfig};
use answer::JSON;
use auth::Needs::{Administrator, Grant};
use millrace_common::models::permission_grant::Operation::{Delete, Execute, Read};
use route::{Call, call};

/// Where this version begins.
const ROOT: &str = "/pulp/api/v2/";

/// Registers the calls.
pub fn configure(config: &mut ServiceConfig) {
    let scope = web::scope(ROOT.trim_end_matches('/'))
        .wrap(from_fn(route::layer))
        .wrap(Compress::default())
        .wrap(from_fn(correlation::layer))
        .configure(|config| route::register(table(), config));
    config.service(scope);
}

/// Every call that there is. `tasks/search/` is tried before `tasks/{task_id}/`.
fn table() -> Vec<Call> {
    const ORPHANS: &str = "content/orphans/";
    const OF_TYPE: &str = "content/orphans/{type_id}/";
    const ONE: &str = "content/orphans/{type_id}/{unit_id}/";
    const TASKS: &str = "tasks/";
    const SEARCH: &str = "tasks/search/";
    const TASK: &str = "tasks/{task_id}/";
    vec![
        call(Method::GET, "status/", None, status::read),
        call(Method::GET, ORPHANS, Grant(Read), orphans::summary),
        call(Method::DELETE, ORPHANS, Grant(Delete), orphans::remove_all),
        call(Method::GET, OF_TYPE, Grant(Read), orphans::list),
        call(Method::DELETE, OF_TYPE, Grant(Delete), orphans::remove_type),
        call(Method::GET, ONE, Grant(Read), orphans::read),
        call(Method::DELETE, ONE, Grant(Delete), orphans::remove_one),
        call(
            Method::POST,
            "content/actions/delete_orphans/",
            Grant(Delete),
            actions::delete_orphans,
        ),
        call(Method::GET, "plugins/types/", Grant(Read), types::list),
        call(
            Method::GET,
            "plugins/types/{type_id}/",
            Grant(Read),
            types::read,
        ),
        call(Method::GET, TASKS, Grant(Read), tasks::list),
        call(Method::DELETE, TASKS, Grant(Delete), tasks::purge),
        call(Method::GET, SEARCH, Grant(Read), tasks::search),
        call(Method::POST, SEARCH, Grant(Read), tasks::search_by_body),
        call(Method::GET, TASK, Grant(Read), tasks::read),
        call(Method::DELETE, TASK, Grant(Delete), tasks::cancel),
        call(
            Method::POST,
            "permissions/actions/grant_to_user/",
            Administrator(Execute),
            permissions::grant_to_user,
        ),
        call(
            Method::POST,
            "permissions/actions/grant_to_role/",
            Administrator(Execute),
            permissions::grant_to_role,
        ),
        call(
            Method::POST,
            "permissions/actions/revoke_from_user/",
            Administrator(Execute),
            permissions::revoke_from_user,
        ),
        call(
            Method::POST,
            "permissions/actions/revoke_from_role/",
            Administrator(Execute),
            permissions::revoke_from_role,
        ),
    ]
}

/// What a path names there, decoded. Text that is no UTF-8 names nothing that exists.
fn segment(request: &actix_web::HttpRequest, name: &str) -> String {
    let raw = request.match_info().get(name).unwrap_or_default();
    percent_encoding::percent_decode_str(raw)
        .decode_utf8_lossy()
        .into_owned()
}
