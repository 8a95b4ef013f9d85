//! What the broker's management API tells that AMQP does not, for `doctor`.

use super::connect::tls;
use crate::config::Broker;
use crate::tls::TlsError;
use reqwest::StatusCode;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The management API, with the credentials of its address, or those of the broker's.
pub struct Management {
    http: reqwest::Client,
    root: Url,
    vhost: String,
}

/// Why the management API told nothing. No text of it holds an address with credentials.
#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    /// It cannot be reached, or answers no JSON.
    #[error("{0}")]
    Http(#[source] reqwest::Error),
    /// It answers with this status.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// The setting is no address.
    #[error("the address cannot be used")]
    Address,
    /// The authorities that its certificate is verified by cannot be had.
    #[error("broker.ca_file: {0}")]
    Authorities(#[from] TlsError),
}

impl From<reqwest::Error> for ManagementError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

impl Management {
    /// The one that the settings name.
    ///
    /// # Errors
    /// [`ManagementError::Address`], [`ManagementError::Authorities`].
    pub async fn of(settings: &Broker) -> Result<Self, ManagementError> {
        let address = |text: &str| Url::parse(text).map_err(|_error| ManagementError::Address);
        let mut root = address(settings.management_url.expose())?;
        let broker = address(settings.url.expose())?;
        if root.username().is_empty() {
            let taken = root
                .set_username(broker.username())
                .and_then(|()| root.set_password(broker.password()));
            taken.map_err(|()| ManagementError::Address)?;
        }
        // No path, and a slash, are the default; else it is given encoded, as the API wants it.
        let vhost = match broker.path() {
            "" | "/" => "%2F",
            path => path.trim_start_matches('/'),
        };
        let mut http = reqwest::Client::builder().timeout(Duration::from_secs(5));
        if root.scheme() == "https" {
            http = http.tls_backend_preconfigured(Arc::unwrap_or_clone(tls(settings).await?));
        }
        Ok(Self {
            http: http.build()?,
            root,
            vhost: vhost.to_owned(),
        })
    }

    /// GET of a path below `/api/`; `{vhost}` in it stands for the broker's virtual host.
    ///
    /// # Errors
    /// See [`ManagementError`].
    pub async fn get(&self, path: &str) -> Result<Value, ManagementError> {
        let path = path.replace("{vhost}", &self.vhost);
        let url = format!("{}/api/{path}", self.root.as_str().trim_end_matches('/'));
        let answer = self.http.get(url).send().await?;
        if !answer.status().is_success() {
            return Err(ManagementError::Status(answer.status()));
        }
        Ok(answer.json().await?)
    }
}
