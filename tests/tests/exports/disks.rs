//! Directories on other file systems: full, read-only, or only another device.

use super::shop::{Shop, href, texts, tree};
use millrace_tests::TestApp;
use serde_json::json;
use std::path::Path;
use std::process::Command;

const MIB: usize = 1 << 20;
/// What a file of [`large`] has: so little that those an export writes at once (8) leave room for whole ones.
const FILE: usize = MIB / 4;

/// A small file system at a path; goes with its test.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None`, and a word of it, where this user may not mount one.
    fn mount(path: &'a Path) -> Option<Self> {
        std::fs::create_dir(path).unwrap();
        let room = format!("size={}", 4 * MIB);
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &room, "tmpfs"])
            .arg(path)
            .output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self(path));
        }
        println!("NOT RUN: only root may mount a small file system");
        None
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.0)
            .status();
        assert!(done.unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: processes of the test may still have it open.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// A shop with files of [`FILE`] bytes, so many; gives its version.
async fn large(files: usize) -> (Shop, String) {
    let shop = Shop::with(TestApp::builder().workers(1)).await;
    let mut units = Vec::new();
    for n in 0..files {
        let artifact = shop.app.upload(vec![u8::try_from(n).unwrap(); FILE]).await;
        units.push(shop.app.file(&artifact, &format!("d/{n}")).await);
    }
    let task = shop.app.modify(&shop.repository, &units, &[]).await;
    let version = task["created_resources"][0].as_str().unwrap().to_owned();
    (shop, version)
}

#[tokio::test]
async fn an_export_that_does_not_fit_fails_by_name_and_leaves_whole_files_only() {
    let (shop, version) = large(24).await;
    let path = shop.at("disk");
    let Some(disk) = SmallDisk::mount(&path) else {
        return;
    };
    let exporter = shop.exporter("disk", "write").await;
    let body = json!({"repository_version": version});
    let error = shop.fails(&exporter, &body).await;
    let begin = format!("There is no room left to write '{}/d/", path.display());
    assert!(error.starts_with(&begin), "{error}");
    let files = tree(&path);
    assert!((8..=16).contains(&files.len()), "{} files", files.len());
    for (name, bytes) in files {
        let n = name.strip_prefix("d/").unwrap().parse::<u8>().unwrap();
        assert!(
            bytes.len() == FILE && bytes.iter().all(|b| *b == n),
            "{name}"
        );
    }
    for entry in std::fs::read_dir(&path).unwrap() {
        assert_eq!(entry.unwrap().file_name(), "d");
    }
    std::fs::remove_dir_all(path.join("d")).unwrap();
    disk.remount("size=16m");
    shop.export(&exporter, &body).await;
    assert_eq!(tree(&path).len(), 24);
    shop.app.finish().await;
}

#[tokio::test]
async fn a_read_only_directory_fails_by_name() {
    let (shop, version) = large(1).await;
    let path = shop.at("disk");
    let Some(disk) = SmallDisk::mount(&path) else {
        return;
    };
    disk.remount("ro");
    let exporter = shop.exporter("disk", "write").await;
    let error = shop
        .fails(&exporter, &json!({"repository_version": version}))
        .await;
    let begin = format!("'{}", path.display());
    assert!(
        error.starts_with(&begin) && error.ends_with("the file system is read-only."),
        "{error}"
    );
    shop.app.finish().await;
}

#[tokio::test]
async fn files_that_cannot_be_linked_across_devices_are_copied() {
    let shop = Shop::open(1).await;
    let files = [("a", "one"), ("b/c", "two")];
    let version = shop.add(&files).await;
    let path = shop.at("disk");
    let Some(_disk) = SmallDisk::mount(&path) else {
        return;
    };
    let body = json!({"repository_version": version});
    let exporter = shop.exporter("disk", "hardlink").await;
    shop.export(&exporter, &body).await;
    assert_eq!(tree(&path), texts(&files));
    let text = "Hard link cannot be created, file will be copied.";
    assert_eq!(shop.app.workers[0].log().matches(text).count(), 1);
    assert!(!href(&shop.repository).is_empty());
    shop.app.finish().await;
}
