//! `retain_repo_versions`: which versions remain, and that they hold what they held.

use super::sets::{Set, assert_versions, href, modify, newest};
use millrace_tests::TestApp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

struct Shop {
    app: TestApp,
    repository: Value,
    units: Vec<String>,
    /// What was made, by number; those that were deleted since are in it too.
    made: BTreeMap<i64, Set>,
}

impl Shop {
    async fn open(retain: Value) -> Self {
        let app = TestApp::with_workers(1).await;
        let body = json!({"name": "shop", "retain_repo_versions": retain});
        let repository = app.post("repositories/file/file/", &body).await.expect(201);
        let mut units = Vec::new();
        for path in ["a", "b", "c", "d"] {
            units.push(app.unit(path, path).await);
        }
        Self {
            app,
            repository,
            units,
            made: BTreeMap::from([(0, Set::new())]),
        }
    }

    /// Makes a version that holds these units.
    async fn make(&mut self, holds: &[usize]) {
        let units: Set = holds.iter().map(|n| self.units[*n].clone()).collect();
        let body = json!({"add_content_units": units, "remove_content_units": ["*"]});
        let task = modify(&self.app, &self.repository, &body).await;
        let number = i64::try_from(self.made.len()).unwrap();
        let version = format!("{}versions/{number}/", href(&self.repository));
        assert_eq!(task["created_resources"], json!([version]), "{task:#}");
        self.made.insert(number, units);
    }

    /// A history in which units come, go, come again, and are there for one version only.
    async fn make_history(&mut self) {
        for holds in [
            &[0, 1][..],
            &[1, 2],
            &[0, 1, 2, 3],
            &[0, 1],
            &[1, 2],
            &[0, 2],
        ] {
            self.make(holds).await;
        }
    }

    async fn retain(&self, keep: Value) {
        let body = json!({"retain_repo_versions": keep});
        let task = self.app.patch(href(&self.repository), &body).await.task();
        self.app.completed(&task).await;
    }

    /// These versions remain, all others of the history are gone.
    async fn assert_remaining(&self, numbers: &[i64]) {
        let remaining = numbers.iter().map(|n| (*n, self.made[n].clone())).collect();
        assert_versions(&self.app, &self.repository, &remaining).await;
        let newest = newest(&self.app, &self.repository).await;
        assert_eq!(newest.0["number"], *numbers.last().unwrap());
        for number in self.made.keys().filter(|n| !numbers.contains(n)) {
            let path = format!("{}versions/{number}/", href(&self.repository));
            assert_eq!(self.app.get(&path).await.status, 404, "version {number}");
        }
    }
}

#[tokio::test]
async fn where_one_version_is_retained_it_added_all_that_it_holds() {
    let mut shop = Shop::open(json!(1)).await;
    shop.make(&[0, 1]).await;
    shop.assert_remaining(&[1]).await;
    shop.make(&[1, 2]).await;
    shop.assert_remaining(&[2]).await;
    let rows = "SELECT count(*) FROM repository_content";
    assert_eq!(shop.app.sql.number(rows).await, 2, "nothing of the others");
    // Nothing needs `a` any more.
    let orphans = shop.app.hrefs("content/file/files/?orphaned_for=0").await;
    assert!(orphans.contains(&shop.units[0]), "{orphans:?}");
    assert!(!orphans.contains(&shop.units[1]), "{orphans:?}");
    shop.app.finish().await;
}

#[tokio::test]
async fn where_two_versions_are_retained_the_older_one_added_all_that_it_holds() {
    let mut shop = Shop::open(json!(2)).await;
    shop.make_history().await;
    shop.assert_remaining(&[5, 6]).await;
    shop.app.finish().await;
}

#[tokio::test]
async fn retention_that_is_lowered_later_deletes_at_once_and_changes_no_other_version() {
    let mut shop = Shop::open(Value::Null).await;
    shop.make_history().await;
    shop.assert_remaining(&[0, 1, 2, 3, 4, 5, 6]).await;
    shop.retain(json!(10)).await;
    shop.assert_remaining(&[0, 1, 2, 3, 4, 5, 6]).await;
    shop.retain(json!(4)).await;
    shop.assert_remaining(&[3, 4, 5, 6]).await;
    shop.retain(json!(2)).await;
    shop.assert_remaining(&[5, 6]).await;

    // More may be retained from now on, what is gone stays gone, and no number comes twice.
    shop.retain(json!(3)).await;
    shop.make(&[3]).await;
    shop.assert_remaining(&[5, 6, 7]).await;
    shop.make(&[0, 1, 2, 3]).await;
    shop.assert_remaining(&[6, 7, 8]).await;
    shop.retain(Value::Null).await;
    shop.make(&[0, 3]).await;
    shop.assert_remaining(&[6, 7, 8, 9]).await;
    shop.retain(json!(1)).await;
    shop.assert_remaining(&[9]).await;
    shop.app.finish().await;
}

#[tokio::test]
async fn a_version_that_was_deleted_is_unavailable_to_the_task_that_made_it() {
    let shop = Shop::open(json!(1)).await;
    let body = |n: usize| json!({"add_content_units": [shop.units[n]]});
    let first = modify(&shop.app, &shop.repository, &body(0)).await;
    let prns = first["created_resource_prns"].clone();
    let second = modify(&shop.app, &shop.repository, &body(1)).await;
    let first = shop.app.task(href(&first)).await;
    assert_eq!(first["created_resources"], json!(["<unavailable>"]));
    assert_eq!(first["created_resource_prns"], prns);
    assert_ne!(second["created_resources"], json!(["<unavailable>"]));
    shop.app.finish().await;
}

async fn delete(shop: &Shop, number: i64) -> Value {
    let version = format!("{}versions/{number}/", href(&shop.repository));
    let task = shop.app.delete(&version).await.task();
    shop.app.finished(&task).await
}

#[tokio::test]
async fn a_version_in_the_middle_or_at_the_end_goes_and_the_others_hold_what_they_held() {
    let mut shop = Shop::open(Value::Null).await;
    shop.make_history().await;
    for (deleted, remaining) in [
        (2, &[0, 1, 3, 4, 5, 6][..]),
        (4, &[0, 1, 3, 5, 6]),
        (3, &[0, 1, 5, 6]),
        (6, &[0, 1, 5]),
        (0, &[1, 5]),
        (1, &[5]),
    ] {
        let task = delete(&shop, deleted).await;
        assert_eq!(task["state"], "completed", "{task:#}");
        assert_eq!(task["name"], "pulpcore.app.tasks.repository.delete_version");
        shop.assert_remaining(remaining).await;
    }
    let refused = delete(&shop, 5).await;
    let text = "[PLP0011] Cannot delete repository version. Repositories must have at least one repository version.";
    assert_eq!(refused["error"]["description"], text);
    shop.assert_remaining(&[5]).await;
    let debris = "SELECT count(*) FROM membership_debris";
    assert_eq!(shop.app.sql.number(debris).await, 0);
    let rows = "SELECT count(*) FROM repository_content";
    assert_eq!(shop.app.sql.number(rows).await, 2);
    // The number of what was the newest one is not used again.
    shop.make(&[0, 3]).await;
    shop.assert_remaining(&[5, 7]).await;
    shop.app.finish().await;
}
