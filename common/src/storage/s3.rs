//! An object store that speaks S3.

use super::unavailable;
use crate::cause;
use crate::config;
use crate::error::Error;
use log::warn;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path as Location;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{BackoffConfig, ClientOptions, ObjectStoreExt, RetryConfig};
use reqwest::Method;
use std::time::Duration;
use url::Url;

/// Bytes of the first parts of a file.
pub(super) const PART_BYTES: usize = 8 << 20;
/// After so many parts they double: with 10,000 of them, all that the protocol knows, a file may
/// have 300 GB, and no part more than eight times the first.
pub(super) const PARTS_OF_A_SIZE: usize = 2500;

/// Connections come about within this time, and then something arrives within that.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(30);

/// What cannot be done within this time is not tried again: a request waits for it.
const RETRIES: Duration = Duration::from_secs(20);

/// The store that the settings describe. Connects to nothing.
///
/// # Errors
/// [`Error::Invalid`] with the setting that cannot be used.
pub(super) fn open(settings: &config::Storage) -> Result<AmazonS3, Error> {
    let endpoint = settings.endpoint.trim_end_matches('/');
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_allow_http(settings.allow_http)
        .with_client_options(ClientOptions::new().with_allow_http(settings.allow_http))
        .with_http_connector(Connector)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 5,
            retry_timeout: RETRIES,
        });
    if !endpoint.is_empty() {
        builder = builder.with_endpoint(bucket_endpoint(endpoint, settings));
    }
    if !settings.access_key.is_empty() {
        builder = builder
            .with_access_key_id(&settings.access_key)
            .with_secret_access_key(settings.secret_key.expose());
    }
    builder
        .build()
        .map_err(|e| Error::invalid("storage.bucket", e.to_string()))
}

/// Where the bucket is, if its name is a part of the host's: the client takes the endpoint as it is then.
fn bucket_endpoint(endpoint: &str, settings: &config::Storage) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) if !settings.path_style => {
            format!("{scheme}://{}.{host}", settings.bucket)
        }
        _ => endpoint.to_owned(),
    }
}

/// Asks the store for a file that is not there, so that a wrong bucket or key is known at the start: reading
/// is all that this needs to be allowed. A store that does not answer is no fault of the settings: it may
/// come back.
///
/// # Errors
/// [`Error::Invalid`] with the setting that is refused.
pub(super) async fn check(store: &AmazonS3, missing: &Location) -> Result<(), Error> {
    let Err(error) = store.get(missing).await else {
        return Ok(());
    };
    // The client keeps the code of the answer in its text only.
    let text = cause::chain(&error);
    let says = |code: &str| text.contains(code);
    if says("NoSuchBucket") {
        return Err(Error::invalid("storage.bucket", "there is no such bucket"));
    }
    if says("InvalidAccessKeyId") {
        return Err(Error::invalid(
            "storage.access_key",
            "the store does not know it",
        ));
    }
    if says("SignatureDoesNotMatch") {
        return Err(Error::invalid(
            "storage.secret_key",
            "it is not that of the access key",
        ));
    }
    if !matches!(error, object_store::Error::NotFound { .. }) {
        warn!("the object store does not answer as it should: {text}");
    }
    Ok(())
}

/// What the answer to an address says beside the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presigned<'a> {
    /// True: for HEAD, else for GET.
    pub head: bool,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Content-Disposition`.
    pub content_disposition: Option<&'a str>,
}

/// An address that is good for a while.
///
/// # Errors
/// [`Error::Unavailable`] when there are no credentials to sign it with.
pub(super) async fn presigned(
    store: &AmazonS3,
    location: &Location,
    expires: Duration,
    answer: &Presigned<'_>,
) -> Result<Url, Error> {
    let headers = [
        ("response-content-type", answer.content_type),
        ("response-content-disposition", answer.content_disposition),
    ];
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let options = SignedUrlOptions::new().with_query(headers);
    let method = if answer.head {
        Method::HEAD
    } else {
        Method::GET
    };
    let url = store.signed_url_opts(method, location, expires, &options);
    url.await.map_err(unavailable)
}

/// Makes HTTP clients that heed no variables of the environment.
#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build();
        let client = client.map_err(|e| object_store::Error::Generic {
            store: "S3",
            source: e.into(),
        })?;
        Ok(HttpClient::new(client))
    }
}
