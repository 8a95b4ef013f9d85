//! The artifact store, keys, and directories outside of it.

use super::report::Report;
use bytes::Bytes;
use futures_util::TryStreamExt;
use millrace_common::cause::chain;
use millrace_common::config::{Settings, StorageBackend};
use millrace_common::error::Error;
use millrace_common::secrets::Keyring;
use millrace_common::storage::{Storage, StorageKey};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longest wait for a store that does not answer.
const PATIENCE: Duration = Duration::from_secs(30);
const LITTLE: u64 = 1 << 30;
const PROBE: &[u8] = b"A probe of millrace-api doctor; it may be deleted.\n";

/// Looks at them.
pub(super) async fn check(settings: &Settings, report: &mut Report) {
    storage(settings, report).await;
    match Keyring::load(&settings.secrets.key_files) {
        Ok(_) => report.ok(
            "secrets.keys",
            format!("{} key files", settings.secrets.key_files.len()),
        ),
        Err(error) => report.fail(
            "secrets.keys",
            chain(&error),
            "Let secrets.key_files name files with one base64 key of 32 bytes each, readable for this user, the same \
             on all processes.",
        ),
    }
    directories(
        "exports.allowed_paths",
        &settings.exports.allowed_paths,
        report,
    );
    directories(
        "remotes.import_paths",
        &settings.remotes.allowed_import_paths,
        report,
    );
}

async fn storage(settings: &Settings, report: &mut Report) {
    let place = match settings.storage.backend {
        StorageBackend::Filesystem => settings.storage.root.display().to_string(),
        StorageBackend::S3 => format!("bucket {}", settings.storage.bucket),
    };
    let mend = match settings.storage.backend {
        StorageBackend::Filesystem => {
            "Let storage.root be a directory that all processes share and this user may write, with room and inodes left."
        }
        StorageBackend::S3 => {
            "Correct storage.bucket, region, endpoint and keys, and allow to put, get, list and delete objects there."
        }
    };
    let started = Instant::now();
    let probed = async {
        let storage = Storage::open(&settings.storage)?;
        storage.check().await?;
        probe(&storage).await?;
        Ok::<_, Error>(storage)
    };
    match tokio::time::timeout(PATIENCE, probed).await {
        Ok(Ok(storage)) => {
            let took = started.elapsed().as_millis();
            let seen = format!("{place}: written, synced, read and deleted in {took} ms");
            report.ok("storage.probe", seen);
            room(&storage, report).await;
        }
        Ok(Err(error)) => report.fail("storage.probe", format!("{place}: {}", chain(&error)), mend),
        Err(_elapsed) => report.fail("storage.probe", format!("{place}: no answer"), mend),
    }
}

/// Writes a file as an upload does, reads it and removes it, also where it reads wrong.
async fn probe(storage: &Storage) -> Result<(), Error> {
    let key = StorageKey::new();
    let mut writer = storage.writer(&key)?;
    writer.write(Bytes::from_static(PROBE)).await?;
    writer.finish().await?;
    let read = async {
        let stream = storage.read(&key, None).await?;
        let bytes: Vec<Bytes> = stream.try_collect().await?;
        Ok::<_, Error>(bytes.concat())
    };
    let read = read.await;
    storage.delete(&key).await?;
    if read? != PROBE {
        return Err(Error::Conflict(
            "what was read is not what was written".to_owned(),
        ));
    }
    match storage.size(&key).await? {
        None => Ok(()),
        Some(_) => Err(Error::Conflict("a deleted file is still there".to_owned())),
    }
}

async fn room(storage: &Storage, report: &mut Report) {
    const NAME: &str = "storage.room";
    match storage.usage().await {
        Ok(Some(usage)) => {
            let seen = format!("{} of {} bytes are free", usage.free, usage.total);
            if usage.free < LITTLE || usage.free < usage.total / 20 {
                report.warn(
                    NAME,
                    seen,
                    "Make room: clean up orphans, reclaim space, or enlarge the file system.",
                );
            } else {
                report.ok(NAME, seen);
            }
        }
        Ok(None) => report.ok(NAME, "the store has no limit that it tells"),
        Err(error) => report.fail(NAME, chain(&error), "See whether the file system answers."),
    }
}

fn directories(name: &'static str, paths: &[PathBuf], report: &mut Report) {
    let missing: Vec<String> = paths
        .iter()
        .filter(|path| !path.is_dir())
        .map(|path| path.display().to_string())
        .collect();
    if missing.is_empty() {
        report.ok(name, format!("{} directories", paths.len()));
    } else {
        report.warn(
            name,
            format!("not a directory here: {}", missing.join(", ")),
            "Make or mount it on the hosts that run workers, or take it out of the setting.",
        );
    }
}
