//! Directories that are not as they should be.

use super::{assert_clean, fsck, fsck_under, names};
use crate::full_disk::SmallDisk;
use millrace_tests::TestApp;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[tokio::test]
async fn a_store_that_is_not_there_is_no_empty_one_and_is_not_made() {
    let app = TestApp::start().await;
    let beside = app.dir().join("beside");
    let missing = beside.join("media");
    std::fs::create_dir(&beside).unwrap();
    for (root, said) in [
        (&missing, "No such file or directory"),
        (&beside, "no store is there"),
    ] {
        for arguments in [&["fsck"][..], &["fsck", "--repair"]] {
            let setting = ("storage.root", root.to_str().unwrap());
            let (code, text) = app.end_command(arguments, &[setting]).await;
            assert_eq!(code, 2, "{text}");
            assert!(text.contains("storage.root"), "{text}");
            assert!(text.contains(said), "{text}");
            let made = std::fs::read_dir(&beside).unwrap().count();
            assert_eq!(made, 0, "{arguments:?} made something");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_read_only_is_looked_at_and_not_repaired() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let builder = TestApp::builder().set("storage.root", disk.root().display());
    let app = builder.start().await;
    app.upload(vec![1; 3000]).await;
    disk.remount("ro");
    let (code, findings, summary) = fsck(&app, &["--digests", "--min-age", "0"]).await;
    assert_eq!((code, findings.len()), (0, 0), "{findings:#?}");
    assert_eq!(summary["files"], 1);
    let (code, text) = app.end_command(&["fsck", "--repair"], &[]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
    disk.remount("rw");
    assert_clean(&app).await;
}

#[tokio::test]
async fn names_of_the_file_system_itself_are_passed_over() {
    let exports = tempfile::tempdir().unwrap();
    let allowed = exports.path().to_str().unwrap();
    let builder = TestApp::builder().set("exports.allowed_paths", allowed);
    let app = builder.start().await;
    app.upload(vec![1; 3000]).await;
    let store = app.media().join("artifact");
    for directory in ["lost+found", "ab/lost+found"] {
        std::fs::create_dir_all(store.join(directory).join("#123")).unwrap();
    }
    std::fs::write(store.join("ab/.nfs000000000012"), "removed while open").unwrap();
    std::fs::create_dir_all(exports.path().join("lost+found/#1")).unwrap();
    let mine = [".nfs", ".nfs12-notes"];
    for name in mine {
        std::fs::write(store.join("ab").join(name), "mine").unwrap();
    }
    let (_, findings, _) = fsck(&app, &[]).await;
    assert_eq!(
        names(&findings, "foreign_file"),
        mine.map(|name| format!("artifact/ab/{name}"))
    );
    for name in mine {
        std::fs::remove_file(store.join("ab").join(name)).unwrap();
    }
    let (code, findings, summary) = fsck(&app, &["--repair", "--min-age", "0"]).await;
    assert_eq!((code, findings.len()), (0, 0), "{findings:#?}");
    assert_eq!(
        (&summary["files"], &summary["passed"]),
        (&1.into(), &4.into())
    );
    assert!(store.join("ab/.nfs000000000012").exists());
    let (_, text) = app.end_command(&["fsck"], &[]).await;
    assert!(text.contains("4 names of the file system's own"), "{text}");
}

/// What takes the right to read everything from root; nothing where that is not who tests.
fn without_rights() -> &'static [&'static str] {
    if !rustix::process::geteuid().is_root() {
        return &[];
    }
    &[
        "setpriv",
        "--bounding-set",
        "-dac_override,-dac_read_search",
    ]
}

fn permit(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_read_is_told_and_all_else_is_looked_at() {
    let app = TestApp::start().await;
    for n in 0..3_u8 {
        app.upload(vec![n; 3000]).await;
    }
    let store = app.media().join("artifact");
    let closed = store.join("zz");
    std::fs::create_dir(&closed).unwrap();
    let beside = super::without_row(&app, "");
    permit(&closed, 0);
    // It has no row: that its bytes are closed as well is nothing to stop at.
    permit(&app.media().join(&beside), 0);
    let look = ["--min-age", "0"];
    let (code, findings, summary) = fsck_under(&app, without_rights(), &look).await;
    assert_eq!((code, findings.len()), (1, 2), "{findings:#?}");
    assert_eq!(names(&findings, "unreadable"), ["artifact/zz"]);
    assert_eq!(names(&findings, "file_without_row"), [beside]);
    assert_eq!(summary["files"], 4);
    // All of it: then nothing can be said.
    permit(&store, 0);
    let arguments = ["fsck"];
    let (code, text) = app
        .end_command_under(without_rights(), &arguments, &[])
        .await;
    assert_eq!(code, 2, "{text}");
    permit(&store, 0o755);
    permit(&closed, 0o755);
}
