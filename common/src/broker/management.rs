//! What the broker's management API tells that AMQP does not, for `doctor`.

use crate::config::Broker;
use reqwest::StatusCode;
use reqwest::tls::Certificate;
use serde_json::Value;
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
    /// The file with its authority cannot be read.
    #[error("broker.ca_file: {0}")]
    Authority(#[source] std::io::Error),
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
    /// [`ManagementError::Address`], [`ManagementError::Authority`].
    pub fn of(settings: &Broker) -> Result<Self, ManagementError> {
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
        if !settings.ca_file.as_os_str().is_empty() {
            let authorities =
                std::fs::read(&settings.ca_file).map_err(ManagementError::Authority)?;
            http = http.tls_certs_only(Certificate::from_pem_bundle(&authorities)?);
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
