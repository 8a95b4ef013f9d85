use super::*;
use crate::config::Settings;
use futures_util::{FutureExt, TryStreamExt};

fn open(root: &Path) -> Storage {
    let mut settings = Settings::from_variables::<&str, &str>(None, [])
        .unwrap()
        .storage;
    settings.root = root.to_owned();
    Storage::open(&settings).unwrap()
}

async fn store(storage: &Storage, bytes: Vec<u8>) -> (StorageKey, u64, Digests) {
    let key = StorageKey::new();
    let mut writer = storage.writer(&key).unwrap();
    for piece in bytes.chunks(70_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let (size, digests) = writer.finish().await.unwrap();
    (key, size, digests)
}

#[tokio::test]
async fn files_of_any_size_come_back_as_they_were_written() {
    let root = tempfile::tempdir().unwrap();
    let storage = open(root.path());
    for size in [
        0,
        1,
        LOCAL_PART_BYTES,
        LOCAL_PART_BYTES + 1,
        2 * LOCAL_PART_BYTES,
        3 * LOCAL_PART_BYTES + 17,
    ] {
        let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
        let (key, written, digests) = store(&storage, bytes.clone()).await;
        assert_eq!(written, size as u64);
        assert_eq!(storage.size(&key).await.unwrap(), Some(size as u64));
        let stream = storage.read(&key, None).await.unwrap();
        let back: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert_eq!(back.concat(), bytes);
        let mut hashers = Hashers::new(storage.checksums()).unwrap();
        hashers.update(&bytes);
        assert_eq!(digests, hashers.finish());
    }
}

#[tokio::test]
async fn a_file_as_long_as_one_part_is_written_as_a_whole() {
    let root = tempfile::tempdir().unwrap();
    let storage = open(root.path());
    let key = StorageKey::new();
    let staged = root.path().join(format!("{key}#1"));
    let mut writer = storage.writer(&key).unwrap();
    let part = Bytes::from(vec![0; LOCAL_PART_BYTES]);
    writer.write(part.clone()).await.unwrap();
    assert!(!staged.exists());
    writer.finish().await.unwrap();
    assert_eq!(storage.size(&key).await.unwrap(), Some(part.len() as u64));
}

#[tokio::test]
async fn a_byte_more_than_one_part_comes_in_parts() {
    let root = tempfile::tempdir().unwrap();
    let storage = open(root.path());
    let key = StorageKey::new();
    let mut writer = storage.writer(&key).unwrap();
    writer
        .write(Bytes::from(vec![0; LOCAL_PART_BYTES + 1]))
        .await
        .unwrap();
    assert!(root.path().join(format!("{key}#1")).exists());
}

#[tokio::test]
async fn a_range_is_read_without_the_rest() {
    let root = tempfile::tempdir().unwrap();
    let storage = open(root.path());
    let (key, ..) = store(&storage, b"0123456789".to_vec()).await;
    let stream = storage.read(&key, Some(2..5)).await.unwrap();
    let back: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(back.concat(), b"234");
}

#[tokio::test]
async fn deleting_takes_what_a_killed_upload_left_and_tolerates_what_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let storage = open(root.path());
    let (key, ..) = store(&storage, b"x".to_vec()).await;
    storage.delete(&key).await.unwrap();
    assert_eq!(storage.size(&key).await.unwrap(), None);
    let staged = root.path().join(format!("{key}#1"));
    std::fs::write(&staged, b"half").unwrap();
    storage.delete(&key).await.unwrap();
    assert!(!staged.exists());
    storage.delete(&key).await.unwrap();
    assert!(matches!(
        storage.read(&key, None).await.err(),
        Some(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_no_file_under_its_key() {
    let root = tempfile::tempdir().unwrap();
    let storage = open(root.path());
    let key = StorageKey::new();
    let mut writer = storage.writer(&key).unwrap();
    writer
        .write(Bytes::from(vec![1; 2 * LOCAL_PART_BYTES]))
        .await
        .unwrap();
    drop(writer);
    assert_eq!(storage.size(&key).await.unwrap(), None);
}

#[tokio::test]
async fn the_file_system_tells_its_room() {
    let root = tempfile::tempdir().unwrap();
    let usage = open(root.path()).usage().await.unwrap().unwrap();
    assert!(usage.total > 0 && usage.total >= usage.used);
}

#[test]
fn a_root_that_cannot_be_made_is_named() {
    let mut settings = Settings::from_variables::<&str, &str>(None, [])
        .unwrap()
        .storage;
    settings.root = "/dev/null/media".into();
    let error = Storage::open(&settings).unwrap_err().to_string();
    assert!(
        error.starts_with("storage.root: /dev/null/media"),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_process_left_that_died_while_it_tried_the_directory_goes_with_the_next() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join(".probe"), "").unwrap();
    open(root.path());
    let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only `artifact`: {left:?}");
}

#[tokio::test]
async fn no_file_is_missing_in_a_store_that_went_away() {
    let root = tempfile::tempdir().unwrap();
    let storage = open(root.path());
    let (key, size, _) = store(&storage, b"0123456789".to_vec()).await;
    let size = i64::try_from(size).unwrap();
    let hash = |hashers: Hashers, _: Bytes| std::future::ready(Ok::<_, Error>(hashers)).boxed();
    let look = async || storage.look::<Error>(&key, size, None, &hash).await;
    assert_eq!(look().await.unwrap(), Verdict::Whole);
    let (here, away) = (root.path().join(DIRECTORY), root.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    assert!(matches!(look().await, Err(Error::Unavailable { .. })));
    assert!(storage.still_there().await.is_err());
    std::fs::rename(&away, &here).unwrap();
    assert!(storage.still_there().await.is_ok());
    storage.delete(&key).await.unwrap();
    assert_eq!(look().await.unwrap(), Verdict::Missing);
}
