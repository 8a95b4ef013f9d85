//! The HTTP clients of a remote.

use crate::VERSION;
use crate::cause;
use crate::error::Error;
use crate::models::Remote;
use crate::secrets::Keyring;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::tls::Certificate;
use reqwest::{Client, ClientBuilder, Identity, Proxy, RequestBuilder, redirect};
use serde_json::Value;
use std::time::Duration;
use url::{Origin, Url};

/// Nothing waits for ever, even where a remote sets no limit.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);
/// Longest limit in seconds, about three years: clocks overflow where there is none.
pub const SECONDS: f64 = 1e8;
/// Headers of a remote, and the bytes of their names and values.
const HEADERS: usize = 100;
const HEADER_BYTES: usize = 16 * 1024;

/// Two clients: what the remote trusts its own server with (credentials, headers, a certificate) goes
/// there only, not to where that server redirects to.
pub struct Clients {
    own: Client,
    foreign: Client,
    origin: Option<Origin>,
    headers: HeaderMap,
    login: Option<(String, String)>,
    /// Longest time of one download, from its first request to its last byte.
    pub total: Option<Duration>,
}

impl Clients {
    pub fn new(remote: &Remote, keyring: &Keyring) -> Result<Self, Error> {
        let secret = |field: &str, token: &Option<String>| {
            let Some(token) = token.as_deref().filter(|token| !token.is_empty()) else {
                return Ok(None);
            };
            let plain = keyring.decrypt(token);
            let plain = plain.map_err(|e| unusable(field, &e.to_string()))?;
            Ok::<_, Error>(Some(plain).filter(|plain| !plain.is_empty()))
        };
        let username = secret("username", &remote.username)?;
        let password = secret("password", &remote.password)?;
        let key = secret("client_key", &remote.client_key)?;
        let proxy = match remote.proxy_url.as_deref().filter(|url| !url.is_empty()) {
            None => None,
            Some(url) => Some(proxy(
                url,
                secret("proxy_username", &remote.proxy_username)?,
                secret("proxy_password", &remote.proxy_password)?,
            )?),
        };
        let foreign = build(base(remote, proxy.clone())?)?;
        let own = match identity(remote, key)? {
            None => foreign.clone(),
            Some(identity) => build(base(remote, proxy)?.identity(identity))?,
        };
        Ok(Self {
            own,
            foreign,
            origin: Url::parse(&remote.url).ok().map(|url| url.origin()),
            headers: headers(remote.headers.as_ref())?,
            login: username.map(|user| (user, password.unwrap_or_default())),
            total: seconds(remote.total_timeout),
        })
    }

    /// A request for this address, with what its server may know.
    pub fn get(&self, url: Url) -> RequestBuilder {
        if self.origin.as_ref() != Some(&url.origin()) {
            return self.foreign.get(url);
        }
        let request = self.own.get(url).headers(self.headers.clone());
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }
}

fn unusable(field: &str, why: &str) -> Error {
    Error::Conflict(format!("the {field} of the remote cannot be used: {why}"))
}

fn base(remote: &Remote, proxy: Option<Proxy>) -> Result<ClientBuilder, Error> {
    let connect = [remote.connect_timeout, remote.sock_connect_timeout];
    let connect = connect.into_iter().filter_map(seconds).min();
    let mut builder = Client::builder()
        .user_agent(format!("millrace/{VERSION}"))
        .default_headers(
            [(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]
                .into_iter()
                .collect(),
        )
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(connect.unwrap_or(CONNECT))
        .read_timeout(seconds(remote.sock_read_timeout).unwrap_or(SILENCE));
    if let Some(proxy) = proxy {
        builder = builder.proxy(proxy);
    }
    if let Some(pem) = remote.ca_cert.as_deref().filter(|pem| !pem.is_empty()) {
        let roots = Certificate::from_pem_bundle(pem.as_bytes());
        builder =
            builder.tls_certs_only(roots.map_err(|e| unusable("ca_cert", &cause::chain(&e)))?);
    }
    if !remote.tls_validation {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    Ok(builder)
}

fn build(builder: ClientBuilder) -> Result<Client, Error> {
    builder
        .build()
        .map_err(|e| unusable("TLS configuration", &cause::chain(&e)))
}

fn identity(remote: &Remote, key: Option<String>) -> Result<Option<Identity>, Error> {
    let Some(certificate) = remote.client_cert.as_deref().filter(|pem| !pem.is_empty()) else {
        return Ok(None);
    };
    // Without a key of its own, the key may stand beside the certificate.
    let pem = format!("{certificate}\n{}", key.unwrap_or_default());
    Identity::from_pem(pem.as_bytes())
        .map(Some)
        .map_err(|e| unusable("client_cert", &cause::chain(&e)))
}

fn proxy(url: &str, user: Option<String>, password: Option<String>) -> Result<Proxy, Error> {
    let proxy = Proxy::all(url).map_err(|e| unusable("proxy_url", &cause::chain(&e)))?;
    Ok(match user {
        Some(user) => proxy.basic_auth(&user, &password.unwrap_or_default()),
        None => proxy,
    })
}

fn seconds(limit: Option<f64>) -> Option<Duration> {
    limit
        .filter(|limit| *limit > 0.0)
        .and_then(|limit| Duration::try_from_secs_f64(limit.min(SECONDS)).ok())
}

/// The headers of a remote: a list of objects, each with names and values.
fn headers(given: Option<&Value>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let objects = given.and_then(Value::as_array).into_iter().flatten();
    for (name, value) in objects.filter_map(Value::as_object).flatten() {
        let (name, value) = header(name, value).map_err(|why| unusable("headers", &why))?;
        let added = headers.try_append(name, value);
        added.map_err(|e| unusable("headers", &e.to_string()))?;
    }
    Ok(headers)
}

fn header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), String> {
    let odd = || format!("`{name}` is not a header with a value.");
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(odd()),
    };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_cause| odd())?;
    let value = HeaderValue::from_str(&text).map_err(|_cause| odd())?;
    Ok((name, value))
}

/// Checks what a client gives as headers: a list of objects with names and values.
///
/// # Errors
/// What is wrong, for the client; no value is in it.
pub fn check_headers(given: &Value) -> Result<(), String> {
    let Some(objects) = given.as_array() else {
        return Err("Expected a list of items.".to_owned());
    };
    let (mut count, mut bytes) = (0, 0);
    for object in objects {
        let Some(object) = object.as_object() else {
            return Err("Expected a list of dictionaries.".to_owned());
        };
        for (name, value) in object {
            let (_, value) = header(name, value)?;
            count += 1;
            bytes += name.len() + value.len();
        }
    }
    if count > HEADERS {
        return Err(format!("Ensure there are no more than {HEADERS} headers."));
    }
    if bytes > HEADER_BYTES {
        return Err(format!(
            "Ensure the headers have no more than {HEADER_BYTES} bytes."
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn more_headers_than_a_request_holds_are_refused() {
        let of = |count: usize, text: &str| {
            let object = (0..count).map(|n| (format!("x-{n}"), json!(text)));
            check_headers(&json!([object.collect::<serde_json::Map<_, _>>()]))
        };
        assert_eq!(of(100, "v"), Ok(()));
        assert!(of(101, "v").unwrap_err().contains("100 headers"));
        assert!(
            of(2, &"v".repeat(9000))
                .unwrap_err()
                .contains("16384 bytes")
        );
    }
}
