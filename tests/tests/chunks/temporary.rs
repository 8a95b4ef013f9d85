//! Files that wait for a task to take them over.

use millrace_common::config::Settings;
use millrace_common::db::{Db, transaction};
use millrace_common::error::Error;
use millrace_common::ids::{DomainId, TemporaryFileId};
use millrace_common::models::TemporaryFile;
use millrace_common::storage::{Saved, Storage, StorageKey, Stored, Upload, tombstones};
use millrace_tests::eventually::holds;
use millrace_tests::{TestDb, eventually};
use std::time::Duration;

struct Place {
    db: Db,
    storage: Storage,
    test: TestDb,
    _root: tempfile::TempDir,
}

impl Place {
    async fn make() -> Self {
        let test = TestDb::create().await;
        let root = tempfile::tempdir().unwrap();
        let variables = [
            ("MILLRACE__DATABASE__URL", test.url()),
            (
                "MILLRACE__STORAGE__ROOT",
                root.path().to_str().unwrap().to_owned(),
            ),
        ];
        let settings = Settings::from_variables(None, variables).unwrap();
        Self {
            db: Db::new(&settings.database, "test").unwrap(),
            storage: Storage::open(&settings.storage).unwrap(),
            test,
            _root: root,
        }
    }

    async fn stored(&self) -> Stored {
        let mut upload = Upload::begin(&self.db, &self.storage).await.unwrap();
        upload.write(b"abc".as_slice().into()).await.unwrap();
        upload.finish().await.unwrap()
    }

    async fn record(&self, stored: &Stored) -> TemporaryFile {
        let mut conn = self.db.get().await.unwrap();
        transaction(&mut conn, async |conn| {
            TemporaryFile::create(conn, DomainId::DEFAULT, stored).await
        })
        .await
        .unwrap()
    }

    async fn find(&self, id: TemporaryFileId) -> Option<TemporaryFile> {
        let mut conn = self.db.get().await.unwrap();
        TemporaryFile::find(&mut conn, DomainId::DEFAULT, id)
            .await
            .unwrap()
    }

    async fn has(&self, key: &StorageKey) -> bool {
        self.storage.size(key).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_temporary_file_is_there_until_its_burial_and_then_gone() {
    let place = Place::make().await;
    let stored = place.stored().await;
    let file = place.record(&stored).await;
    stored.recorded();
    assert_eq!((file.size, file.sha256.as_str()), (3, ABC));
    assert_eq!(
        place.find(file.pulp_id).await.unwrap().storage_key,
        file.storage_key
    );
    assert!(place.has(&file.storage_key).await);

    let mut conn = place.db.get().await.unwrap();
    let buried = transaction(&mut conn, async |conn| {
        Ok::<_, Error>(TemporaryFile::bury(conn, file.pulp_id).await?)
    })
    .await
    .unwrap()
    .unwrap();
    let again = TemporaryFile::bury(&mut conn, file.pulp_id).await.unwrap();
    assert!(again.is_none());
    drop(conn);
    tombstones::unlink(&place.db, &place.storage, &[buried])
        .await
        .unwrap();
    assert!(!place.has(&file.storage_key).await);
    assert!(place.find(file.pulp_id).await.is_none());
}

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[tokio::test]
async fn a_file_whose_commit_went_unheard_is_kept_and_one_that_was_rolled_back_goes() {
    let place = Place::make().await;
    // The answer to the commit was lost: the upload is dropped as if nothing had been written.
    let stored = place.stored().await;
    let kept = place.record(&stored).await;
    drop(stored);
    let stored = place.stored().await;
    let mut conn = place.db.get().await.unwrap();
    let failed: Result<(), Error> = transaction(&mut conn, async |conn| {
        TemporaryFile::create(conn, DomainId::DEFAULT, &stored).await?;
        Err(Error::Conflict("no".into()))
    })
    .await;
    failed.unwrap_err();
    drop(stored);
    let sql = place.test.sql().await;
    eventually(Duration::from_secs(10), async || {
        let left = "SELECT (SELECT count(*) FROM intent) + (SELECT count(*) FROM tombstone)";
        let left = sql.number(left).await;
        holds(left == 0, || format!("{left} are on their way"))
    })
    .await;
    assert!(place.has(&kept.storage_key).await);
    assert_eq!(sql.number("SELECT count(*) FROM temporary_file").await, 1);
    let files = millrace_tests::app::files_below(place.storage.root().unwrap());
    assert_eq!(files.len(), 1, "{files:?}");
}

#[tokio::test]
async fn a_copy_takes_the_place_of_a_file_that_is_out_of_sight_and_buries_only_a_wrong_one() {
    let place = Place::make().await;
    let save = async || place.stored().await.save(DomainId::DEFAULT).await.unwrap();
    let Saved::New(first) = save().await else {
        panic!("the artifact is new");
    };
    assert!(matches!(save().await, Saved::Existing(_)));
    let sql = place.test.sql().await;
    let buried = "SELECT storage_key FROM tombstone";
    let path = |key: &StorageKey| place.storage.root().unwrap().join(key.as_str());

    // Out of sight: its file may be a good one.
    std::fs::remove_file(path(&first.storage_key)).unwrap();
    let Saved::Restored(second) = save().await else {
        panic!("the file was missing");
    };
    assert_eq!(second.pulp_id, first.pulp_id);
    assert_ne!(second.storage_key, first.storage_key);
    assert!(sql.texts(buried).await.is_empty());

    std::fs::write(path(&second.storage_key), "ab").unwrap();
    let Saved::Restored(third) = save().await else {
        panic!("the file had another size");
    };
    assert_eq!(sql.texts(buried).await, [second.storage_key.as_str()]);
    assert!(place.has(&third.storage_key).await);
}
