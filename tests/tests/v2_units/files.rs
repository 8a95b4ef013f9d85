//! What is removed with a unit, and what never is.

use super::{Pulp, done};
use millrace_tests::TestApp;
use serde_json::json;
use std::os::unix::fs::symlink;

const SHARED: &str = "content/shared/ostree/abc";

/// Removes all orphans; gives how many, and how much of what they store could not be removed.
async fn remove(pulp: &Pulp) -> (i64, i64) {
    let task = pulp.removed("delete_all_orphans", json!({})).await;
    let count = task["result"]["erratum"].as_i64().unwrap_or(0);
    (count, done(&task, "clean-up.failed").unwrap())
}

/// Has everything tried again that waits for that.
async fn hurry(pulp: &Pulp) {
    let now = "UPDATE unit_tombstone SET not_before = now()";
    pulp.sql.run(now).await;
}

#[tokio::test]
async fn delete_directory_recursive_file_unlink_symlink_never_recursive() {
    let pulp = Pulp::start().await;
    pulp.write("content/t/dir/a/b");
    pulp.write("content/t/file");
    pulp.write("published/kept");
    symlink(pulp.at("published"), pulp.at("content/t/link")).unwrap();
    for name in ["dir", "file", "link"] {
        pulp.erratum(name, Some(&pulp.text(&format!("content/t/{name}"))));
    }
    assert_eq!(remove(&pulp).await, (3, 0));
    assert_eq!(std::fs::read_dir(pulp.at("content/t")).unwrap().count(), 0);
    assert!(pulp.is("published/kept"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn missing_path_is_a_no_op_and_its_parents_stay() {
    let pulp = Pulp::start().await;
    std::fs::create_dir_all(pulp.at("content/t/a/b")).unwrap();
    pulp.erratum("lazy", Some(&pulp.text("content/t/a/b/never-downloaded")));
    assert_eq!(remove(&pulp).await, (1, 0));
    assert!(pulp.is("content/t/a/b"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn os_error_is_logged_not_raised_counted_as_failed_and_tried_again() {
    let pulp = Pulp::start().await;
    pulp.write("elsewhere/deep/file");
    pulp.write("content/t/other");
    symlink(pulp.at("elsewhere"), pulp.at("content/t/way")).unwrap();
    pulp.erratum("behind a link", Some(&pulp.text("content/t/way/deep/file")));
    pulp.erratum("other", Some(&pulp.text("content/t/other")));
    assert_eq!(
        remove(&pulp).await,
        (2, 1),
        "the units are gone all the same"
    );
    assert!(pulp.is("elsewhere/deep/file") && !pulp.is("content/t/other"));
    assert!(pulp.workers[0].log().contains("a link is on the way"));
    // Once it can be removed, it is.
    std::fs::remove_file(pulp.at("content/t/way")).unwrap();
    std::fs::rename(pulp.at("elsewhere"), pulp.at("content/t/way")).unwrap();
    hurry(&pulp).await;
    pulp.until_removed().await;
    assert!(!pulp.is("content/t/way") && pulp.is("content/t"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn links_left_keep_the_target_and_the_last_link_removes_it() {
    let pulp = Pulp::start().await;
    pulp.write(&format!("{SHARED}/content/deep/file"));
    std::fs::create_dir_all(pulp.at(&format!("{SHARED}/links"))).unwrap();
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let link = format!("{SHARED}/links/{name}");
        symlink("../content", pulp.at(&link)).unwrap();
        ids.push(pulp.erratum(name, Some(&pulp.text(&link))));
    }
    let one = json!({"content_unit_list": [{"content_type_id": "erratum", "unit_id": ids[0]}]});
    assert_eq!(
        pulp.remove("delete_orphans_by_id", one).await,
        json!({"erratum": 1})
    );
    assert!(!pulp.is(&format!("{SHARED}/links/one")));
    assert!(pulp.is(&format!("{SHARED}/content/deep/file")));
    assert_eq!(remove(&pulp).await, (1, 0));
    assert!(!pulp.is(&format!("{SHARED}/content")) && pulp.is(&format!("{SHARED}/links")));
    pulp.app.finish().await;
}

#[tokio::test]
async fn both_links_of_one_batch_remove_the_target() {
    let pulp = Pulp::start().await;
    pulp.write(&format!("{SHARED}/content/file"));
    std::fs::create_dir_all(pulp.at(&format!("{SHARED}/links"))).unwrap();
    for name in ["one", "two"] {
        let link = format!("{SHARED}/links/{name}");
        symlink(pulp.at(&format!("{SHARED}/content")), pulp.at(&link)).unwrap();
        pulp.erratum(name, Some(&pulp.text(&link)));
    }
    assert_eq!(remove(&pulp).await, (2, 0));
    assert_eq!(pulp.files(), 0);
    pulp.app.finish().await;
}

#[tokio::test]
async fn target_not_a_sibling_is_kept() {
    let pulp = Pulp::start().await;
    pulp.write("content/elsewhere/file");
    std::fs::create_dir_all(pulp.at(&format!("{SHARED}/links"))).unwrap();
    let link = format!("{SHARED}/links/one");
    symlink("../../../../elsewhere", pulp.at(&link)).unwrap();
    pulp.erratum("one", Some(&pulp.text(&link)));
    assert_eq!(remove(&pulp).await, (1, 0));
    assert!(!pulp.is(&link) && pulp.is("content/elsewhere/file"));
    pulp.app.finish().await;
}

/// A relative path is refused where units come in; one that is there nevertheless harms nobody.
#[tokio::test]
async fn path_escaping_the_storage_root_is_never_followed() {
    let pulp = Pulp::start().await;
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("file");
    std::fs::write(&file, "bytes").unwrap();
    pulp.write("published/file");
    let up = format!(
        "{}/../../../../../../..{}",
        pulp.text("content/t"),
        file.display()
    );
    let paths = [
        file.to_str().unwrap().to_owned(),
        up,
        pulp.text("published/file"),
        pulp.text("content"),
        "content/t/file".to_owned(),
        String::new(),
    ];
    pulp.write("content/t/file");
    for (n, path) in paths.iter().enumerate() {
        let id = pulp.erratum(&format!("{n}"), None);
        let stored =
            format!("INSERT INTO unit_storage (content_id, path) VALUES ('{id}', '{path}')");
        pulp.sql.run(&stored).await;
    }
    assert_eq!(remove(&pulp).await, (6, 6));
    assert!(file.exists() && pulp.is("published/file") && pulp.is("content/t/file"));
    assert_eq!(
        pulp.sql.number("SELECT count(*) FROM unit_tombstone").await,
        6
    );
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_path_that_another_unit_names_stays_until_that_one_goes() {
    let pulp = Pulp::start().await;
    let path = pulp.write("content/t/a/file");
    let first = pulp.erratum("first", Some(&path));
    pulp.erratum("second", Some(&path.replace("/t/", "//t/./")));
    let one = json!({"content_unit_list": [{"content_type_id": "erratum", "unit_id": first}]});
    let task = pulp.removed("delete_orphans_by_id", one).await;
    assert_eq!(done(&task, "clean-up.failed"), Some(0));
    assert!(pulp.is("content/t/a/file"));
    assert_eq!(remove(&pulp).await, (1, 0));
    assert!(!pulp.is("content/t/a"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn two_units_of_one_path_that_go_together_take_it_with_them() {
    let pulp = Pulp::start().await;
    let path = pulp.write("content/t/a/file");
    pulp.erratum("first", Some(&path));
    pulp.erratum("second", Some(&path));
    assert_eq!(remove(&pulp).await, (2, 0));
    assert!(!pulp.is("content/t/a"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_directory_stays_while_other_units_lie_in_it() {
    let pulp = Pulp::start().await;
    pulp.write("content/t/dir/own");
    let inner = pulp.write("content/t/dir/deep/inner");
    let outer = pulp.erratum("outer", Some(&pulp.text("content/t/dir")));
    pulp.erratum("inner", Some(&inner));
    let one = json!({"content_unit_list": [{"content_type_id": "erratum", "unit_id": outer}]});
    let task = pulp.removed("delete_orphans_by_id", one).await;
    assert_eq!(done(&task, "clean-up.failed"), Some(1));
    assert!(pulp.is("content/t/dir/own") && pulp.is("content/t/dir/deep/inner"));
    remove(&pulp).await;
    hurry(&pulp).await;
    pulp.until_removed().await;
    assert!(!pulp.is("content/t/dir"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn what_lies_in_the_directory_of_another_unit_goes_with_that() {
    let pulp = Pulp::start().await;
    let inner = pulp.write("content/t/dir/deep/inner");
    pulp.erratum("outer", Some(&pulp.text("content/t/dir")));
    let inner = pulp.erratum("inner", Some(&inner));
    let one = json!({"content_unit_list": [{"content_type_id": "erratum", "unit_id": inner}]});
    let task = pulp.removed("delete_orphans_by_id", one).await;
    assert_eq!(done(&task, "clean-up.failed"), Some(0));
    assert!(pulp.is("content/t/dir/deep/inner"));
    assert_eq!(remove(&pulp).await, (1, 0));
    assert!(!pulp.is("content/t/dir"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn what_a_shared_link_leads_to_stays_while_other_units_lie_in_it() {
    let pulp = Pulp::start().await;
    let inner = pulp.write(&format!("{SHARED}/content/deep/inner"));
    std::fs::create_dir_all(pulp.at(&format!("{SHARED}/links"))).unwrap();
    let link = format!("{SHARED}/links/one");
    symlink("../content", pulp.at(&link)).unwrap();
    let linked = pulp.erratum("linked", Some(&pulp.text(&link)));
    pulp.erratum("inner", Some(&inner));
    let one = json!({"content_unit_list": [{"content_type_id": "erratum", "unit_id": linked}]});
    let task = pulp.removed("delete_orphans_by_id", one).await;
    assert_eq!(done(&task, "clean-up.failed"), Some(1));
    assert!(pulp.is(&format!("{SHARED}/content/deep/inner")));
    remove(&pulp).await;
    hurry(&pulp).await;
    pulp.until_removed().await;
    assert!(!pulp.is(&format!("{SHARED}/content")) && !pulp.is(&link));
    pulp.app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_reached_as_nothing_is_mounted_waits() {
    let pulp = Pulp::start().await;
    pulp.erratum("one", Some(&pulp.write("content/t/file")));
    std::fs::rename(pulp.at("content"), pulp.at("away")).unwrap();
    assert_eq!(remove(&pulp).await, (1, 1));
    assert!(pulp.workers[0].log().contains("cannot be removed now"));
    std::fs::rename(pulp.at("away"), pulp.at("content")).unwrap();
    hurry(&pulp).await;
    pulp.until_removed().await;
    assert!(!pulp.is("content/t/file"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn however_a_unit_goes_what_it_stores_goes_after_it() {
    let pulp = Pulp::start().await;
    pulp.erratum("one", Some(&pulp.write("content/t/file")));
    pulp.sql.run("DELETE FROM content").await;
    pulp.until_removed().await;
    assert!(!pulp.is("content/t/file"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_unit_that_comes_again_keeps_what_it_stores() {
    // Nobody removes anything meanwhile.
    let mut pulp = Pulp::with(TestApp::builder()).await;
    let path = pulp.write("content/t/file");
    pulp.erratum("one", Some(&path));
    pulp.sql.run("DELETE FROM content").await;
    pulp.erratum("one", Some(&path));
    pulp.app.spawn_worker(&[]);
    pulp.until_removed().await;
    assert!(pulp.is("content/t/file"));
    assert_eq!(remove(&pulp).await, (1, 0));
    assert!(!pulp.is("content/t/file"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn nothing_is_removed_while_units_come_in() {
    let pulp = Pulp::start().await;
    pulp.erratum("one", Some(&pulp.write("content/t/file")));
    // As an import holds it.
    let importer = pulp.db.sql().await;
    let hold = "SELECT pg_advisory_lock(hashtextextended('unit storage', 7121))";
    importer.run(hold).await;
    assert_eq!(remove(&pulp).await, (1, 1));
    assert!(pulp.is("content/t/file"));
    drop(importer);
    hurry(&pulp).await;
    pulp.until_removed().await;
    assert!(!pulp.is("content/t/file"));
    pulp.app.finish().await;
}
