//! The source `file_url` of a unit: an address that the task fetches the file from (contract 4.9).

use super::kinds::{FieldErrors, file_remote};
use crate::config::Remotes;
use crate::download::{Downloader, Expected};
use crate::ids::{ArtifactId, DomainId};
use crate::models::{RemoteChange, task_use};
use crate::tasking::{TaskContext, TaskError};
use serde_json::{Map, Value};

/// The field that holds the address.
pub const FILE_URL: &str = "file_url";
/// The field that holds how it is reached.
pub const CONFIG: &str = "downloader_config";

/// Checks an address, and what it takes to reach it: fields of a remote that say how to download.
///
/// # Errors
/// What is wrong with which of the two fields.
pub fn check(
    url: &str,
    config: Option<&Map<String, Value>>,
    settings: &Remotes,
) -> Result<(), FieldErrors> {
    read(url, config, settings).map(drop)
}

fn read(
    url: &str,
    config: Option<&Map<String, Value>>,
    settings: &Remotes,
) -> Result<RemoteChange, FieldErrors> {
    const OTHERS: [&str; 6] = [
        "name",
        "url",
        "policy",
        "pulp_labels",
        "download_concurrency",
        "rate_limit",
    ];
    let mut data = config.cloned().unwrap_or_default();
    if let Some(other) = OTHERS.iter().find(|other| data.contains_key(**other)) {
        return Err(FieldErrors::one(
            CONFIG,
            format!("{other}: Unexpected field"),
        ));
    }
    data.insert("name".to_owned(), FILE_URL.into());
    data.insert("url".to_owned(), url.into());
    let change = file_remote::read(&data, false).map_err(renamed)?;
    file_remote::check_whole(None, &change, settings).map_err(renamed)?;
    Ok(change)
}

/// What is wrong with the remote that the client does not see, by the fields that he does.
fn renamed(errors: FieldErrors) -> FieldErrors {
    let mut seen = FieldErrors::default();
    for (field, messages) in errors.0 {
        for message in messages {
            match field.as_str() {
                "url" => seen.add(FILE_URL, message),
                "non_field_errors" => seen.add(CONFIG, message),
                field => seen.add(CONFIG, format!("{field}: {message}")),
            }
        }
    }
    seen
}

/// Makes an artifact of the file at this address. A run after a lost one finds the artifact among what
/// its task uses, where clean-ups spare it.
///
/// # Errors
/// The address and what went wrong with it; [`TaskError::Canceled`].
pub async fn download(
    ctx: &TaskContext,
    url: &str,
    config: Option<&Map<String, Value>>,
) -> Result<ArtifactId, TaskError> {
    // Whatever the number of the attempt says: a run that is handed back does not count.
    let earlier = task_use::artifact_of(&mut *ctx.session().await, ctx.task()).await?;
    if let Some(earlier) = earlier {
        return Ok(earlier);
    }
    let settings = &ctx.settings().remotes;
    let change = read(url, config, settings).map_err(|e| TaskError::failed(e.to_string()))?;
    let remote = file_remote::build(change, DomainId::DEFAULT, ctx.keyring())?;
    let downloader = Downloader::new(&remote, ctx.keyring(), settings)?;
    let anything = Expected::default();
    let fetched = downloader.fetch(url, &anything, ctx.db(), ctx.storage());
    let mut stored = ctx.unless_stopped(async { Ok(fetched.await?) }).await?;
    stored.probe(ctx.domain()).await?;
    let artifact = ctx
        .fenced(async |conn| {
            let artifact = stored.record(conn, ctx.domain()).await?.into_artifact();
            task_use::add(conn, ctx.task(), &[artifact.pulp_id.0]).await?;
            Ok(artifact.pulp_id)
        })
        .await?;
    stored.recorded();
    Ok(artifact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::List;
    use serde_json::json;

    #[test]
    fn what_is_wrong_is_told_by_the_fields_of_the_unit() {
        let settings = Remotes {
            allowed_import_paths: List::default(),
        };
        let fault = |url: &str, config: Value| {
            let checked = check(url, config.as_object(), &settings);
            checked.map_err(|errors| errors.to_string())
        };
        assert_eq!(fault("http://h/a", json!({"username": "u"})), Ok(()));
        for (url, config, text) in [
            ("x", json!({}), r#"{"file_url":["Enter a valid URL."]}"#),
            (
                "http://h/",
                json!({"policy": "immediate"}),
                "policy: Unexpected field",
            ),
            (
                "http://h/",
                json!({"max_retries": -1}),
                "max_retries: Ensure",
            ),
            (
                "http://h/",
                json!({"proxy_username": "u", "proxy_password": "p"}),
                "without a proxy",
            ),
            (
                "file:///etc/passwd",
                json!({}),
                "does not start with any of the allowed",
            ),
        ] {
            let error = fault(url, config).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
