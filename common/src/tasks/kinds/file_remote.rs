//! File remotes: creating, changing, deleting (contract 1.5, 4.8).
//!
//! A change holds secrets in the clear until [`seal`] makes tokens of them.

use super::{Data, FieldErrors, Fields, Kind, Scope, completed, object};
use crate::config::Remotes;
use crate::content::file::PULP_TYPE;
use crate::db::Conn;
use crate::download::{certificates, check_headers, local};
use crate::error::Error;
use crate::ids::{DomainId, RemoteId};
use crate::models::{Remote, RemoteChange};
use crate::prn;
use crate::representation::FileRemote;
use crate::secrets::Keyring;
use crate::tasking::{Resources, TaskError};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

/// The component that file remotes belong to.
pub const APP_LABEL: &str = "file";
/// The name of their validator.
pub const SERIALIZER: &str = "FileRemoteSerializer";

/// Longest name in bytes: it is a key of an index.
const NAME_BYTES: usize = 2000;
/// Longest address in bytes: more than servers take.
const URL_BYTES: usize = 2000;

const POLICIES: [&str; 3] = ["immediate", "on_demand", "streamed"];

pub(super) const KIND: Kind = Kind {
    app_label: APP_LABEL,
    serializer_name: SERIALIZER,
    prn: |id| prn::remote(PULP_TYPE, RemoteId(id)),
    fields: &[
        "name",
        "pulp_labels",
        "url",
        "policy",
        "ca_cert",
        "client_cert",
        "client_key",
        "tls_validation",
        "username",
        "password",
        "proxy_url",
        "proxy_username",
        "proxy_password",
        "headers",
        "download_concurrency",
        "max_retries",
        "rate_limit",
        "total_timeout",
        "connect_timeout",
        "sock_connect_timeout",
        "sock_read_timeout",
    ],
    defaults,
    check: |data, partial| read(data, partial).map(|_| ()),
    lanes: |_| Resources::default(),
    create: None,
    update: |conn, scope, id, data| Box::pin(update(conn, scope, id, data)),
    delete: |conn, scope, id| Box::pin(delete(conn, scope.domain, id)),
};

fn defaults() -> Data {
    object(json!({"policy": "immediate", "tls_validation": true}))
}

/// Reads a body. A partial one changes only what it names; a whole one must name what has no default,
/// and gives what has one its default (contract 4.1). Secrets are in the clear.
///
/// # Errors
/// What is wrong with which field.
pub fn read(data: &Data, partial: bool) -> Result<RemoteChange, FieldErrors> {
    let given = if partial {
        data.clone()
    } else {
        completed(data, defaults())
    };
    let mut fields = Fields::new(given);
    let missing = |field: &str| !partial && !data.contains_key(field);
    let change = RemoteChange {
        name: fields.text("name"),
        pulp_labels: fields.labels("pulp_labels"),
        url: fields.text("url"),
        policy: fields.choice("policy", &POLICIES),
        ca_cert: certificate(&mut fields, "ca_cert"),
        client_cert: certificate(&mut fields, "client_cert"),
        client_key: fields.secret("client_key"),
        tls_validation: fields.boolean("tls_validation"),
        username: fields.secret("username"),
        password: fields.secret("password"),
        proxy_url: fields.nullable_text("proxy_url"),
        proxy_username: fields.secret("proxy_username"),
        proxy_password: fields.secret("proxy_password"),
        headers: headers(&mut fields),
        download_concurrency: fields.nullable_count("download_concurrency"),
        max_retries: fields.nullable_integer("max_retries", 0),
        rate_limit: fields.nullable_count("rate_limit"),
        total_timeout: fields.nullable_seconds("total_timeout"),
        connect_timeout: fields.nullable_seconds("connect_timeout"),
        sock_connect_timeout: fields.nullable_seconds("sock_connect_timeout"),
        sock_read_timeout: fields.nullable_seconds("sock_read_timeout"),
    };
    if change.name.as_ref().is_some_and(|n| n.len() > NAME_BYTES) {
        let message = format!("Ensure this field has no more than {NAME_BYTES} bytes.");
        fields.refuse("name", message);
    }
    if change.url.as_ref().is_some_and(|url| url.len() > URL_BYTES) {
        let message = format!("Ensure this field has no more than {URL_BYTES} bytes.");
        fields.refuse("url", message);
    }
    if let Some(Err(message)) = change.url.as_deref().map(check_url) {
        fields.refuse("url", message);
    }
    if let Some(Some(proxy)) = &change.proxy_url {
        if proxy.contains('@') {
            fields.refuse("proxy_url", "proxy_url must not contain credentials");
        } else if !Url::parse(proxy).is_ok_and(|url| is_web(&url)) {
            fields.refuse("proxy_url", NO_URL);
        }
    }
    for field in ["name", "url"] {
        if missing(field) {
            fields.require(field);
        }
    }
    fields.finish(change)
}

const NO_URL: &str = "Enter a valid URL.";

fn is_web(url: &Url) -> bool {
    ["http", "https"].contains(&url.scheme()) && url.has_host()
}

fn check_url(url: &str) -> Result<(), &'static str> {
    if local::path_of(url).is_some() {
        return Ok(());
    }
    let parsed = Url::parse(url).map_err(|_cause| NO_URL)?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("The remote url contains username or password. \
                    Please use remote username or password instead.");
    }
    if is_web(&parsed) { Ok(()) } else { Err(NO_URL) }
}

fn certificate(fields: &mut Fields, field: &str) -> Option<Option<String>> {
    let Some(text) = fields.nullable_text(field)? else {
        return Some(None);
    };
    match certificates::clean(field, &text) {
        Ok(clean) => Some(Some(clean)),
        Err(message) => {
            fields.refuse(field, message);
            None
        }
    }
}

fn headers(fields: &mut Fields) -> Option<Option<Value>> {
    let value = match fields.take("headers")? {
        Value::Null => return Some(None),
        Value::String(text) if text.is_empty() => return Some(None),
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        value => value,
    };
    match check_headers(&value) {
        Ok(()) => Some(Some(value)),
        Err(message) => {
            fields.refuse("headers", message);
            None
        }
    }
}

/// Checks what one field alone does not tell: where `file://` may lie, and that a proxy's credentials
/// come together and with a proxy. `row`: what the change is for; nothing, for a new remote.
///
/// # Errors
/// What is wrong with which field.
pub fn check_whole(
    row: Option<&Remote>,
    change: &RemoteChange,
    settings: &Remotes,
) -> Result<(), FieldErrors> {
    if let Some(url) = &change.url
        && let Some(path) = local::path_of(url)
        && let Err(refusal) = local::check(path, &settings.allowed_import_paths)
    {
        let message = match refusal {
            local::Refusal::Relative => {
                format!("The path '{path}' needs to be an absolute pathname.")
            }
            local::Refusal::Outside => {
                format!("The path '{path}' does not start with any of the allowed import paths")
            }
        };
        return Err(FieldErrors::one("url", message));
    }
    let is_set = |new: &Option<Option<String>>, old: fn(&Remote) -> &Option<String>| match new {
        Some(new) => new.is_some(),
        None => row.is_some_and(|row| old(row).is_some()),
    };
    let proxy = is_set(&change.proxy_url, |row| &row.proxy_url);
    let user = is_set(&change.proxy_username, |row| &row.proxy_username);
    let password = is_set(&change.proxy_password, |row| &row.proxy_password);
    let message = if !proxy && (user || password) {
        "proxy credentials cannot be specified without a proxy"
    } else if user != password {
        "proxy username and password can only be specified together"
    } else {
        return Ok(());
    };
    Err(FieldErrors::one("non_field_errors", message))
}

/// The secrets of a change, as a list that can be worked through.
fn secrets(change: &mut RemoteChange) -> [&mut Option<Option<String>>; 5] {
    [
        &mut change.client_key,
        &mut change.username,
        &mut change.password,
        &mut change.proxy_username,
        &mut change.proxy_password,
    ]
}

/// Makes tokens of the secrets of a change.
///
/// # Errors
/// [`Error::Internal`] when the keyring refuses.
pub fn seal(mut change: RemoteChange, keyring: &Keyring) -> Result<RemoteChange, Error> {
    for secret in secrets(&mut change).into_iter().flatten().flatten() {
        *secret = keyring.encrypt(secret).map_err(Error::internal)?;
    }
    Ok(change)
}

/// A new remote from a whole body that was checked; the caller inserts it.
///
/// # Errors
/// [`Error::Internal`] when the keyring refuses.
pub fn build(change: RemoteChange, domain: DomainId, keyring: &Keyring) -> Result<Remote, Error> {
    let change = seal(change, keyring)?;
    let (name, url) = (
        change.name.unwrap_or_default(),
        change.url.unwrap_or_default(),
    );
    let bare = Remote::bare(domain, PULP_TYPE, &name, &url);
    Ok(Remote {
        pulp_labels: change.pulp_labels.unwrap_or(bare.pulp_labels),
        policy: change.policy.unwrap_or(bare.policy),
        ca_cert: change.ca_cert.flatten(),
        client_cert: change.client_cert.flatten(),
        client_key: change.client_key.flatten(),
        tls_validation: change.tls_validation.unwrap_or(true),
        username: change.username.flatten(),
        password: change.password.flatten(),
        proxy_url: change.proxy_url.flatten(),
        proxy_username: change.proxy_username.flatten(),
        proxy_password: change.proxy_password.flatten(),
        headers: change.headers.flatten(),
        download_concurrency: change.download_concurrency.flatten(),
        max_retries: change.max_retries.flatten(),
        rate_limit: change.rate_limit.flatten(),
        total_timeout: change.total_timeout.flatten(),
        connect_timeout: change.connect_timeout.flatten(),
        sock_connect_timeout: change.sock_connect_timeout.flatten(),
        sock_read_timeout: change.sock_read_timeout.flatten(),
        ..bare
    })
}

/// True where a change leaves a remote as it is. A secret whose key is lost counts as changed.
#[must_use]
pub fn changes_nothing(row: &Remote, change: &RemoteChange, keyring: &Keyring) -> bool {
    fn same<T: PartialEq>(new: Option<&T>, old: &T) -> bool {
        new.is_none_or(|new| new == old)
    }
    let kept = |new: &Option<Option<String>>, old: &Option<String>| match (new, old) {
        (None, _) | (Some(None), None) => true,
        (Some(Some(new)), Some(old)) => keyring.decrypt(old).is_ok_and(|old| old == *new),
        (Some(_), _) => false,
    };
    same(change.name.as_ref(), &row.name)
        && same(change.pulp_labels.as_ref(), &row.pulp_labels)
        && same(change.url.as_ref(), &row.url)
        && same(change.policy.as_ref(), &row.policy)
        && same(change.ca_cert.as_ref(), &row.ca_cert)
        && same(change.client_cert.as_ref(), &row.client_cert)
        && same(change.tls_validation.as_ref(), &row.tls_validation)
        && same(change.proxy_url.as_ref(), &row.proxy_url)
        && same(change.headers.as_ref(), &row.headers)
        && same(
            change.download_concurrency.as_ref(),
            &row.download_concurrency,
        )
        && same(change.max_retries.as_ref(), &row.max_retries)
        && same(change.rate_limit.as_ref(), &row.rate_limit)
        && same(change.total_timeout.as_ref(), &row.total_timeout)
        && same(change.connect_timeout.as_ref(), &row.connect_timeout)
        && same(
            change.sock_connect_timeout.as_ref(),
            &row.sock_connect_timeout,
        )
        && same(change.sock_read_timeout.as_ref(), &row.sock_read_timeout)
        && kept(&change.client_key, &row.client_key)
        && kept(&change.username, &row.username)
        && kept(&change.password, &row.password)
        && kept(&change.proxy_username, &row.proxy_username)
        && kept(&change.proxy_password, &row.proxy_password)
}

async fn update(conn: &mut Conn, scope: &Scope, id: Uuid, data: &Data) -> Result<Value, TaskError> {
    let failed = |errors: FieldErrors| TaskError::failed(errors.to_string());
    let change = read(data, true).map_err(failed)?;
    let id = RemoteId(id);
    let row = Remote::lock(conn, scope.domain, id).await?;
    let row = row.ok_or(Error::NotFound { what: "FileRemote" })?;
    check_whole(Some(&row), &change, &scope.settings.remotes).map_err(failed)?;
    let taken = || failed(FieldErrors::one("name", "This field must be unique."));
    if let Some(name) = &change.name
        && Remote::name_taken(conn, scope.domain, name, Some(id)).await?
    {
        return Err(taken());
    }
    let change = seal(change, &scope.keyring)?;
    let changed = Remote::change(conn, id, &change).await;
    let changed = changed.map_err(|error| match error {
        // Somebody took the name meanwhile; nothing else that changes is unique.
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => taken(),
        other => other.into(),
    })?;
    serde_json::to_value(FileRemote::from(changed)).map_err(TaskError::internal)
}

async fn delete(conn: &mut Conn, domain: DomainId, id: Uuid) -> Result<(), TaskError> {
    if Remote::delete(conn, domain, RemoteId(id)).await? {
        Ok(())
    } else {
        Err(Error::NotFound { what: "FileRemote" }.into())
    }
}
