//! `remotes/`: remotes of all types (contract 4.8).

use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::error::ApiResult;
use crate::listing::{Filters, Listing, Types};
use crate::v3::{content, href, time};
use actix_web::HttpRequest;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use millrace_common::models::Remote;
use millrace_common::prn;
use millrace_common::representation::{FileRemote, HiddenField};
use millrace_common::schema::remote;
use serde::Serialize;
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A remote of any type.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct RemoteResponse {
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
    pub name: String,
    pub url: String,
    pub ca_cert: Option<String>,
    pub client_cert: Option<String>,
    pub tls_validation: bool,
    pub proxy_url: Option<String>,
    #[schema(value_type = Object)]
    pub pulp_labels: Value,
    pub download_concurrency: Option<i32>,
    pub max_retries: Option<i32>,
    pub policy: String,
    pub total_timeout: Option<f64>,
    pub connect_timeout: Option<f64>,
    pub sock_connect_timeout: Option<f64>,
    pub sock_read_timeout: Option<f64>,
    #[schema(value_type = Option<Vec<Object>>)]
    pub headers: Option<Value>,
    pub rate_limit: Option<i32>,
    #[schema(read_only)]
    pub hidden_fields: Vec<HiddenField>,
}

/// The filters that lists of remotes of any type share.
#[must_use]
pub fn common_filters() -> Filters<remote::table> {
    Filters::newest_first(remote::pulp_created, remote::pulp_id)
        .in_domain(remote::pulp_domain)
        .sortable("pulp_last_updated", remote::pulp_last_updated)
        .sortable("pulp_type", remote::pulp_type)
        .sortable("name", remote::name)
        .sortable("pulp_labels", remote::pulp_labels)
        .sortable("url", remote::url)
        .sortable("policy", remote::policy)
        .sortable("tls_validation", remote::tls_validation)
        .sortable("proxy_url", remote::proxy_url)
        .sortable("download_concurrency", remote::download_concurrency)
        .sortable("max_retries", remote::max_retries)
        .sortable("rate_limit", remote::rate_limit)
        .sortable("total_timeout", remote::total_timeout)
        .sortable("connect_timeout", remote::connect_timeout)
        .sortable("sock_connect_timeout", remote::sock_connect_timeout)
        .sortable("sock_read_timeout", remote::sock_read_timeout)
        .identities(remote::pulp_id)
        .names("name", remote::name)
        .dates("pulp_last_updated", remote::pulp_last_updated)
        .labels(remote::pulp_labels)
}

/// The types that there are.
const TYPES: &[&str] = &["file.file"];

/// The filters of `remotes/`.
pub static FILTERS: LazyLock<Filters<remote::table>> =
    LazyLock::new(|| content::by_type(common_filters(), "remote.pulp_type", Types::Named(TYPES)));

/// A page of remotes.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Remote("")).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let visible = access.rows_of_types("remote", TYPES, (remote::pulp_id, remote::pulp_type));
    listing.narrow(visible);
    let mut conn = app.db.get().await?;
    let page = Remote::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<_> = page.rows.into_iter().map(show).collect();
    listing.answer(page.count, &results)
}

fn show(row: Remote) -> RemoteResponse {
    let (kind, id) = (row.pulp_type.clone(), row.pulp_id);
    let (created, updated) = (row.pulp_created, row.pulp_last_updated);
    // The one type that there is shows what all have.
    let file = FileRemote::from(row);
    RemoteResponse {
        pulp_href: href::detail("remote", &kind, id),
        prn: prn::remote(&kind, id).to_string(),
        pulp_created: created,
        pulp_last_updated: updated,
        name: file.name,
        url: file.url,
        ca_cert: file.ca_cert,
        client_cert: file.client_cert,
        tls_validation: file.tls_validation,
        proxy_url: file.proxy_url,
        pulp_labels: file.pulp_labels,
        download_concurrency: file.download_concurrency,
        max_retries: file.max_retries,
        policy: file.policy,
        total_timeout: file.total_timeout,
        connect_timeout: file.connect_timeout,
        sock_connect_timeout: file.sock_connect_timeout,
        sock_read_timeout: file.sock_read_timeout,
        headers: file.headers,
        rate_limit: file.rate_limit,
        hidden_fields: file.hidden_fields,
    }
}
