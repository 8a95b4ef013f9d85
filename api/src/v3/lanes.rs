//! `lanes/`: busy resources, who holds them, and who waits for them. For administrators.

use super::tasks::{BusyEntry, Seen};
use super::time;
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::error::ApiResult;
use crate::listing::{Filters, Kind, Listing, truth};
use crate::v3::href::{self, Target};
use actix_web::HttpRequest;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use millrace_common::db::Conn;
use millrace_common::models::Lane;
use millrace_common::models::selection::{Bind, Page, Predicate, SortKey};
use millrace_common::schema::lane;
use millrace_common::tasking::Resources;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A busy resource.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LaneResponse {
    /// The name under which it is reserved.
    pub resource: String,
    /// `exclusive` or `shared` as it is held, `idle` where nobody holds it.
    pub mode: String,
    /// Who holds it: the first ten.
    pub holders: Vec<BusyEntry>,
    /// How many hold it.
    pub holder_count: i64,
    /// Tasks that wait and reserve it.
    pub waiting: i64,
    /// Since when the first of them has waited.
    #[serde(serialize_with = "time::maybe_micros")]
    pub oldest_wait: Option<DateTime<Utc>>,
    /// True while tasks that reserve it do not start.
    pub paused: bool,
    /// Why.
    pub pause_reason: Option<String>,
}

/// The filters of `lanes/`.
pub static FILTERS: LazyLock<Filters<lane::table>> = LazyLock::new(|| {
    let longest = SortKey::new(lane::waiting, true);
    Filters::ordered_by(vec![longest, SortKey::new(lane::resource, false)])
        .sortable("waiting", lane::waiting)
        .sortable("resource", lane::resource)
        .sortable("holder_count", lane::holders)
        .sortable("mode", lane::mode)
        .filter(
            "resource",
            Kind::Text,
            "is this, by name, href or PRN",
            |v| Ok(is(v)),
        )
        .contains("resource", lane::resource)
        .choice("mode", lane::mode, &["exclusive", "shared", "idle"])
        .filter("paused", Kind::Boolean, "is paused", |v| {
            let paused = Predicate::on(lane::paused);
            Ok(if truth(v)? { paused } else { paused.negated() })
        })
});

fn is(value: &str) -> Predicate<lane::table> {
    let is = Predicate::on(lane::resource).then(" = ");
    if let Some(Target::Version { repository, number }) = href::parse(value) {
        return is
            .then("(SELECT 'prn:core.repositoryversion:' || v.pulp_id FROM repository_version v WHERE v.repository_id = ")
            .bind(Bind::Uuid(repository.uuid().unwrap_or_default()))
            .then(" AND v.number = ")
            .bind(Bind::Integer(number.into()))
            .then(")");
    }
    let named = Resources::exclusive(value);
    let name = named.exclusive_names().next().unwrap_or_default();
    is.bind(Bind::Text(name.to_owned()))
}

/// A page of lanes.
///
/// # Errors
/// 400 for a filter; 403.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Lane).await?;
    let listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let mut conn = app.db.get().await?;
    let Page { count, rows } = Lane::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results = render(&mut conn, rows, Seen::of(&actor)).await?;
    listing.answer(count, &results)
}

async fn render(conn: &mut Conn, rows: Vec<Lane>, seen: Seen) -> QueryResult<Vec<LaneResponse>> {
    let names: Vec<&str> = rows.iter().map(|row| row.resource.as_str()).collect();
    let mut oldest: HashMap<String, DateTime<Utc>> = Lane::oldest_waits(conn, &names)
        .await?
        .into_iter()
        .collect();
    let mut holders: HashMap<String, Vec<BusyEntry>> = HashMap::new();
    for holder in Lane::holders(conn, &names).await? {
        let entry = seen.holder(&holder);
        holders.entry(holder.resource).or_default().push(entry);
    }
    Ok(rows
        .into_iter()
        .map(|row| LaneResponse {
            holders: holders.remove(&row.resource).unwrap_or_default(),
            oldest_wait: oldest.remove(&row.resource),
            resource: row.resource,
            mode: row.mode,
            holder_count: row.holders,
            waiting: row.waiting,
            paused: row.paused,
            pause_reason: row.pause_reason,
        })
        .collect())
}
