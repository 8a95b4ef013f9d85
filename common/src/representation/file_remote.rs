//! A file remote, without its secrets.

use super::{file_remote_href, moment};
use crate::models::Remote;
use crate::prn;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Whether a field that is never shown has a value.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FileRemoteHiddenField)]
pub struct HiddenField {
    /// The field.
    pub name: &'static str,
    /// True: it has one.
    pub is_set: bool,
}

/// A file remote.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = file::FileRemoteResponse)]
#[expect(missing_docs, reason = "the contract describes the fields (1.5)")]
pub struct FileRemote {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_created: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_last_updated: String,
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

impl From<Remote> for FileRemote {
    /// What clients see of this remote. Needs no key: that a secret is set can be told without it.
    fn from(row: Remote) -> Self {
        let hidden = [
            ("client_key", &row.client_key),
            ("proxy_username", &row.proxy_username),
            ("proxy_password", &row.proxy_password),
            ("username", &row.username),
            ("password", &row.password),
        ];
        let hidden_fields = hidden.map(|(name, token)| HiddenField {
            name,
            is_set: token.as_ref().is_some_and(|token| !token.is_empty()),
        });
        Self {
            pulp_href: file_remote_href(row.pulp_id),
            prn: prn::remote(&row.pulp_type, row.pulp_id).to_string(),
            pulp_created: moment(row.pulp_created),
            pulp_last_updated: moment(row.pulp_last_updated),
            hidden_fields: hidden_fields.into(),
            name: row.name,
            url: row.url,
            ca_cert: row.ca_cert,
            client_cert: row.client_cert,
            tls_validation: row.tls_validation,
            proxy_url: row.proxy_url,
            pulp_labels: row.pulp_labels,
            download_concurrency: row.download_concurrency,
            max_retries: row.max_retries,
            policy: row.policy,
            total_timeout: row.total_timeout,
            connect_timeout: row.connect_timeout,
            sock_connect_timeout: row.sock_connect_timeout,
            sock_read_timeout: row.sock_read_timeout,
            headers: row.headers,
            rate_limit: row.rate_limit,
        }
    }
}
