//! Where content comes from.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{DomainId, RemoteId};
use crate::schema::remote;
use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// A place that content is fetched from. Its credentials (`client_key`, `username`, `password`,
/// `proxy_username`, `proxy_password`) are tokens of the keyring.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = remote)]
#[expect(missing_docs, reason = "the contract describes the columns (1.5)")]
pub struct Remote {
    pub pulp_id: RemoteId,
    #[diesel(skip_insertion)]
    pub pulp_created: DateTime<Utc>,
    #[diesel(skip_insertion)]
    pub pulp_last_updated: DateTime<Utc>,
    pub pulp_domain: DomainId,
    pub pulp_type: String,
    pub name: String,
    pub pulp_labels: Value,
    pub url: String,
    pub policy: String,
    pub ca_cert: Option<String>,
    pub client_cert: Option<String>,
    pub client_key: Option<String>,
    pub tls_validation: bool,
    pub username: Option<String>,
    pub password: Option<String>,
    pub proxy_url: Option<String>,
    pub proxy_username: Option<String>,
    pub proxy_password: Option<String>,
    pub headers: Option<Value>,
    pub download_concurrency: Option<i32>,
    pub max_retries: Option<i32>,
    pub rate_limit: Option<i32>,
    pub total_timeout: Option<f64>,
    pub connect_timeout: Option<f64>,
    pub sock_connect_timeout: Option<f64>,
    pub sock_read_timeout: Option<f64>,
}

/// New values of a remote; `None` leaves a column as it is.
#[derive(Clone, Debug, Default, PartialEq, AsChangeset)]
#[diesel(table_name = remote)]
#[expect(missing_docs, reason = "the contract describes the columns (1.5)")]
pub struct RemoteChange {
    pub name: Option<String>,
    pub pulp_labels: Option<Value>,
    pub url: Option<String>,
    pub policy: Option<String>,
    pub ca_cert: Option<Option<String>>,
    pub client_cert: Option<Option<String>>,
    pub client_key: Option<Option<String>>,
    pub tls_validation: Option<bool>,
    pub username: Option<Option<String>>,
    pub password: Option<Option<String>>,
    pub proxy_url: Option<Option<String>>,
    pub proxy_username: Option<Option<String>>,
    pub proxy_password: Option<Option<String>>,
    pub headers: Option<Option<Value>>,
    pub download_concurrency: Option<Option<i32>>,
    pub max_retries: Option<Option<i32>>,
    pub rate_limit: Option<Option<i32>>,
    pub total_timeout: Option<Option<f64>>,
    pub connect_timeout: Option<Option<f64>>,
    pub sock_connect_timeout: Option<Option<f64>>,
    pub sock_read_timeout: Option<Option<f64>>,
}

impl Remote {
    /// A remote of this type with nothing but an address, as yet without a row.
    #[must_use]
    pub fn bare(domain: DomainId, pulp_type: &str, name: &str, url: &str) -> Self {
        let today = Utc::now();
        Self {
            pulp_id: RemoteId::new(),
            pulp_created: today,
            pulp_last_updated: today,
            pulp_domain: domain,
            pulp_type: pulp_type.to_owned(),
            name: name.to_owned(),
            pulp_labels: Value::Object(serde_json::Map::new()),
            url: url.to_owned(),
            policy: "immediate".to_owned(),
            ca_cert: None,
            client_cert: None,
            client_key: None,
            tls_validation: true,
            username: None,
            password: None,
            proxy_url: None,
            proxy_username: None,
            proxy_password: None,
            headers: None,
            download_concurrency: None,
            max_retries: None,
            rate_limit: None,
            total_timeout: None,
            connect_timeout: None,
            sock_connect_timeout: None,
            sock_read_timeout: None,
        }
    }

    /// Inserts the row; a name that the domain has already is a unique violation.
    ///
    /// # Errors
    /// As the session.
    pub async fn insert(&self, conn: &mut Conn) -> QueryResult<()> {
        diesel::insert_into(remote::table)
            .values(self)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// The remote with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        domain: DomainId,
        id: RemoteId,
    ) -> QueryResult<Option<Self>> {
        remote::table
            .find(id)
            .filter(remote::pulp_domain.eq(domain))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of remotes.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<remote::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, remote::table, Self, selection)
    }

    /// The same, locked until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(
        conn: &mut Conn,
        domain: DomainId,
        id: RemoteId,
    ) -> QueryResult<Option<Self>> {
        remote::table
            .find(id)
            .filter(remote::pulp_domain.eq(domain))
            .select(Self::as_select())
            .for_no_key_update()
            .first(conn)
            .await
            .optional()
    }

    /// The types of these remotes.
    ///
    /// # Errors
    /// As the session.
    pub async fn types(conn: &mut Conn, ids: &[RemoteId]) -> QueryResult<Vec<(RemoteId, String)>> {
        remote::table
            .filter(remote::pulp_id.eq_any(ids))
            .select((remote::pulp_id, remote::pulp_type))
            .load(conn)
            .await
    }

    /// True where another remote of the domain has this name.
    ///
    /// # Errors
    /// As the session.
    pub async fn name_taken(
        conn: &mut Conn,
        domain: DomainId,
        name: &str,
        but: Option<RemoteId>,
    ) -> QueryResult<bool> {
        let holder: Option<RemoteId> = remote::table
            .filter(remote::pulp_domain.eq(domain))
            .filter(remote::name.eq(name))
            .select(remote::pulp_id)
            .first(conn)
            .await
            .optional()?;
        Ok(holder.is_some_and(|id| Some(id) != but))
    }

    /// Writes new values; gives the row as it is then.
    ///
    /// # Errors
    /// As the session; [`diesel::result::Error::NotFound`] when it is gone.
    pub async fn change(conn: &mut Conn, id: RemoteId, change: &RemoteChange) -> QueryResult<Self> {
        diesel::update(remote::table.find(id))
            .set((change, remote::pulp_last_updated.eq(now)))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Deletes it, with what it knew about where files are; repositories lose it. False: it was gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, domain: DomainId, id: RemoteId) -> QueryResult<bool> {
        let gone = diesel::delete(
            remote::table
                .find(id)
                .filter(remote::pulp_domain.eq(domain)),
        )
        .execute(conn)
        .await?;
        Ok(gone == 1)
    }
}
