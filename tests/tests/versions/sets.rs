//! What versions are expected to be: sets of units by number.

use millrace_tests::TestApp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Addresses of units.
pub type Set = BTreeSet<String>;

pub fn set(units: &[&String]) -> Set {
    units.iter().map(|unit| (*unit).clone()).collect()
}

pub fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

/// Posts a modify and waits for its task, however that ends.
pub async fn modify(app: &TestApp, repository: &Value, body: &Value) -> Value {
    let path = format!("{}modify/", href(repository));
    let task = app.post(&path, body).await.task();
    app.finished(&task).await
}

/// The numbers of the versions of a repository, in order.
pub async fn numbers(app: &TestApp, repository: &Value) -> Vec<i64> {
    let list = format!("{}versions/?ordering=number", href(repository));
    let page = app.get(&list).await.expect(200);
    let all = page["results"].as_array().unwrap().iter();
    all.map(|version| version["number"].as_i64().unwrap())
        .collect()
}

/// The newest version of a repository, as the repository says.
pub async fn newest(app: &TestApp, repository: &Value) -> Version {
    let repository = app.get(href(repository)).await.expect(200);
    let newest = repository["latest_version_href"].as_str().unwrap();
    Version(app.get(newest).await.expect(200))
}

pub fn base(version: &Version) -> Option<String> {
    version.0["base_version"].as_str().map(str::to_owned)
}

/// A version as clients see it.
#[derive(Debug)]
pub struct Version(pub Value);

impl Version {
    fn count(&self, kind: &str) -> i64 {
        let counts = self.0["content_summary"][kind].as_object().unwrap();
        match counts.get("file.file") {
            Some(found) => {
                let count = found["count"].as_i64().unwrap();
                assert!(count > 0, "types without units are left out: {counts:?}");
                count
            }
            None => {
                assert!(counts.is_empty(), "{counts:?}");
                0
            }
        }
    }

    /// How many units it added, removed and holds, as it says itself.
    pub fn counts(&self) -> (i64, i64, i64) {
        (
            self.count("added"),
            self.count("removed"),
            self.count("present"),
        )
    }

    async fn listed(&self, app: &TestApp, filter: &str) -> Set {
        let list = format!("content/file/files/?{filter}={}", href(&self.0));
        app.hrefs(&list).await.into_iter().collect()
    }

    /// The units that it holds, by the list of units.
    pub async fn held(&self, app: &TestApp) -> Set {
        self.listed(app, "repository_version").await
    }

    /// It holds these units, and added and removed what tells it from the version before it, by its
    /// own counts, by the lists of units, and by the addresses that it names.
    pub async fn assert_is(&self, app: &TestApp, before: &Set, holds: &Set) {
        let number = &self.0["number"];
        let added: Set = holds.difference(before).cloned().collect();
        let removed: Set = before.difference(holds).cloned().collect();
        for (kind, filter, expected) in [
            ("present", "repository_version", holds),
            ("added", "repository_version_added", &added),
            ("removed", "repository_version_removed", &removed),
        ] {
            let listed = self.listed(app, filter).await;
            assert_eq!(&listed, expected, "{kind} of version {number}");
            let count = i64::try_from(expected.len()).unwrap();
            assert_eq!(self.count(kind), count, "{kind} of version {number}");
            if count > 0 {
                let list = &self.0["content_summary"][kind]["file.file"]["href"];
                let named = app.hrefs(list.as_str().unwrap()).await;
                let named: Set = named.into_iter().collect();
                assert_eq!(&named, expected, "{kind} of version {number}");
            }
        }
    }
}

/// A repository has these versions and no other; each holds its set, and counts its changes against
/// the version before it that is still there.
pub async fn assert_versions(app: &TestApp, repository: &Value, expected: &BTreeMap<i64, Set>) {
    let there: Vec<i64> = expected.keys().copied().collect();
    assert_eq!(numbers(app, repository).await, there);
    let mut before = Set::new();
    for (number, holds) in expected {
        let path = format!("{}versions/{number}/", href(repository));
        let version = Version(app.get(&path).await.expect(200));
        version.assert_is(app, &before, holds).await;
        before.clone_from(holds);
    }
}
