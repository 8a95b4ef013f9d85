//! What is under the paths of publications, as far as it is remembered.
//!
//! A publication never changes, and neither does what is stored under a key, so an entry is right for as
//! long as anybody asks for it. Only files that are in the store are remembered. A key may lose its file
//! (clean-up, reclaim, repair): then the entry is forgotten and the database asked again.

use super::body;
use super::conditions::About;
use crate::app::App;
use actix_web::http::header::{HeaderValue, HttpDate};
use bytes::Bytes;
use futures_util::TryStreamExt;
use log::error;
use millrace_common::error::Error;
use millrace_common::ids::PublicationId;
use millrace_common::models::{ServedFile, ServedPublication, StoredFile};
use millrace_common::storage::{Hashers, Storage, StorageKey};
use moka::future::Cache;
use std::sync::Arc;
use std::time::SystemTime;

/// Files up to so many bytes are kept in memory.
const SMALL: u64 = 16 * 1024;

/// What an entry takes beside its bytes and its path, about.
const ENTRY: usize = 512;

/// The files of a process that were served lately; cheap to clone.
#[derive(Clone)]
pub struct Files {
    cache: Cache<String, Arc<File>>,
}

/// A file in the store, ready to be served.
pub struct File {
    /// Its key.
    pub key: StorageKey,
    /// Its bytes.
    pub size: u64,
    /// What conditions are about.
    pub about: About,
    /// Since when its bytes are here, as text.
    pub last_modified: HeaderValue,
    /// By the extension of its path.
    pub media: HeaderValue,
    /// `X-PULP-ARTIFACT-SIZE`
    pub artifact_size: HeaderValue,
    /// All of it, where it is small.
    pub bytes: Option<Bytes>,
}

/// What is under a path.
pub enum Found {
    /// A file in the store.
    Here(Arc<File>),
    /// A file that has not been downloaded.
    Away(ServedFile),
}

impl Files {
    /// Remembers up to so many bytes.
    pub fn new(bytes: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(|path: &String, file: &Arc<File>| {
                let bytes = file.bytes.as_ref().map_or(0, Bytes::len);
                u32::try_from(ENTRY + path.len() + bytes).unwrap_or(u32::MAX)
            })
            .build();
        Self { cache }
    }

    /// The file under a path of a publication as the database has it now, where it may be read without us:
    /// we would not see that it is gone. Its bytes are not read.
    ///
    /// # Errors
    /// As the database.
    pub async fn look_up(
        &self,
        app: &App,
        publication: ServedPublication,
        path: &str,
    ) -> Result<Option<Found>, Error> {
        let mut conn = app.db.get().await?;
        let Some(found) = publication.file(&mut conn, path).await? else {
            return Ok(None);
        };
        Ok(Some(match found.stored() {
            Some(stored) => Found::Here(Arc::new(File::new(stored, path, None)?)),
            None => Found::Away(found),
        }))
    }

    /// Finds the file under a path of a publication.
    ///
    /// # Errors
    /// As the database and the store.
    pub async fn find(
        &self,
        app: &App,
        publication: ServedPublication,
        path: &str,
    ) -> Result<Option<Found>, Error> {
        let key = key(publication.id, path);
        if let Some(file) = self.cache.get(&key).await {
            return Ok(Some(Found::Here(file)));
        }
        let mut conn = app.db.get().await?;
        let Some(found) = publication.file(&mut conn, path).await? else {
            return Ok(None);
        };
        drop(conn);
        let Some(stored) = found.stored() else {
            return Ok(Some(Found::Away(found)));
        };
        let file = Arc::new(File::load(&app.storage, stored, path).await?);
        self.cache.insert(key, Arc::clone(&file)).await;
        Ok(Some(Found::Here(file)))
    }

    /// Forgets a path: its file is not where it was.
    pub async fn forget(&self, publication: ServedPublication, path: &str) {
        self.cache.invalidate(&key(publication.id, path)).await;
    }
}

fn key(publication: PublicationId, path: &str) -> String {
    let mut buffer = uuid::Uuid::encode_buffer();
    let id: &str = publication.0.simple().encode_lower(&mut buffer);
    let mut key = String::with_capacity(id.len() + path.len());
    key.push_str(id);
    key.push_str(path);
    key
}

impl File {
    /// Makes the headers, and reads the bytes of a small file. A missing file is found when it is opened.
    ///
    /// # Errors
    /// As the store.
    pub async fn load(storage: &Storage, stored: StoredFile, path: &str) -> Result<Self, Error> {
        let bytes = if stored.size <= SMALL {
            read(storage, &stored).await?
        } else {
            None
        };
        Self::new(stored, path, bytes)
    }

    fn new(stored: StoredFile, path: &str, bytes: Option<Bytes>) -> Result<Self, Error> {
        let modified = whole_seconds(stored.modified.into());
        Ok(Self {
            about: About {
                size: Some(stored.size),
                etag: Some(tag(&stored.sha256)?),
                modified: Some(modified),
            },
            last_modified: text(&HttpDate::from(modified).to_string())?,
            media: media(path),
            artifact_size: HeaderValue::from(stored.size),
            key: stored.key,
            size: stored.size,
            bytes,
        })
    }
}

async fn read(storage: &Storage, stored: &StoredFile) -> Result<Option<Bytes>, Error> {
    let read = async {
        let pieces: Vec<Bytes> = storage.read(&stored.key, None).await?.try_collect().await?;
        Ok(pieces.concat())
    };
    match read.await {
        Ok(bytes) if is_whole(stored, &bytes)? => Ok(Some(bytes.into())),
        Ok(_) => {
            let key = stored.key.as_str();
            error!(key = key; "the file {key} is damaged; it is to be repaired");
            Ok(None)
        }
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// False for a file that was damaged since it was stored: memory would keep that beyond its repair.
fn is_whole(stored: &StoredFile, bytes: &[u8]) -> Result<bool, Error> {
    let mut hashers = Hashers::new(&["sha256".to_owned()])?;
    hashers.update(bytes);
    Ok(bytes.len() as u64 == stored.size && hashers.finish().sha256() == stored.sha256)
}

/// The type of a path by its extension.
pub fn media(path: &str) -> HeaderValue {
    mime_guess::from_path(path)
        .first_raw()
        .map_or(body::BYTES, HeaderValue::from_static)
}

/// The tag of a file with this digest.
///
/// # Errors
/// A digest that is none.
pub fn tag(sha256: &str) -> Result<HeaderValue, Error> {
    text(&format!("\"{sha256}\""))
}

fn text(value: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(value).map_err(Error::internal)
}

/// A date of HTTP has no fractions.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())
}
