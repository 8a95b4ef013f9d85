//! Random changes of repositories against sets in memory.

use super::sets::{Set, assert_versions, href, modify};
use millrace_tests::{TestApp, stack};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const STEPS: usize = 80;
/// `a` cannot be beside `a/b`: a path is a file or a directory.
const PATHS: [&str; 5] = ["a", "a/b", "c", "d", "e"];

/// A unit, by its place in the list of all: two of each path.
type Unit = usize;
type Units = BTreeSet<Unit>;

fn path(unit: Unit) -> usize {
    unit / 2
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Failed(&'static str),
    Unchanged,
    Version(Units),
}

#[derive(Clone, Debug)]
struct Change {
    add: Units,
    remove: Units,
    all: bool,
    base: Option<(usize, i64)>,
    overwrite: bool,
}

/// What the distribution of a repository serves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Serves {
    #[default]
    Nothing,
    Version(i64),
    Publication(i64),
    Repository,
}

/// What the contract says of one repository.
#[derive(Default)]
struct Repository {
    object: Value,
    distribution: String,
    serves: Serves,
    /// The newest publication of each version that has one.
    published: BTreeMap<i64, String>,
    versions: BTreeMap<i64, Units>,
    next: i64,
    keep: Option<usize>,
}

impl Repository {
    fn newest(&self) -> &Units {
        self.versions.last_key_value().unwrap().1
    }

    /// Contract 1.7.
    fn protected(&self) -> Option<i64> {
        match self.serves {
            Serves::Nothing => None,
            Serves::Version(number) | Serves::Publication(number) => Some(number),
            Serves::Repository => {
                let newest = self.versions.last_key_value().map(|(number, _)| *number);
                self.published
                    .last_key_value()
                    .map(|(number, _)| *number)
                    .or(newest)
            }
        }
    }

    fn retain(&mut self) {
        let Some(keep) = self.keep else { return };
        let protected = self.protected();
        let counted = self
            .versions
            .keys()
            .rev()
            .filter(|number| Some(**number) != protected);
        for number in counted.skip(keep).copied().collect::<Vec<_>>() {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: i64) {
        self.versions.remove(&number);
        self.published.remove(&number);
    }

    /// Contract 3.1 and 1.8.
    fn outcome(&self, change: &Change, start: &Units) -> Outcome {
        let going = if change.all {
            self.newest()
        } else {
            &change.remove
        };
        let rival = |new: &Unit, old: &Unit| new != old && path(*new) == path(*old);
        if !change.overwrite {
            let mut staying = start.difference(going);
            if staying.any(|old| change.add.iter().any(|new| rival(new, old))) {
                return Outcome::Failed("[PLP0023]");
            }
        }
        let mut now: Units = start.difference(going).copied().collect();
        now.extend(&change.add);
        let new: Units = now.difference(start).copied().collect();
        now.retain(|old| !(start.contains(old) && new.iter().any(|new| rival(new, old))));
        let paths: BTreeSet<usize> = now.iter().map(|unit| path(*unit)).collect();
        if paths.len() < now.len() {
            Outcome::Failed("[PLP0022]")
        } else if paths.contains(&0) && paths.contains(&1) {
            Outcome::Failed("Repository version errors : Path errors found.")
        } else if now == *self.newest() {
            Outcome::Unchanged
        } else {
            Outcome::Version(now)
        }
    }
}

struct Play {
    app: TestApp,
    rng: StdRng,
    units: Vec<String>,
    repositories: Vec<Repository>,
    seen: BTreeMap<&'static str, usize>,
}

impl Play {
    async fn open(seed: u64) -> Self {
        let app = TestApp::with_workers(1).await;
        let mut units = Vec::new();
        for path in PATHS {
            for text in ["one", "other"] {
                units.push(app.unit(path, &format!("{path} {text}")).await);
            }
        }
        let mut repositories = Vec::new();
        for name in ["one", "other"] {
            let body = json!({"name": name, "base_path": name});
            let task = app.post("distributions/file/file/", &body).await.task();
            let distribution = app.completed(&task).await["result"].clone();
            repositories.push(Repository {
                object: app.repository(name).await,
                distribution: href(&distribution).to_owned(),
                versions: BTreeMap::from([(0, Units::new())]),
                next: 1,
                ..Repository::default()
            });
        }
        Self {
            app,
            rng: StdRng::seed_from_u64(seed),
            units,
            repositories,
            seen: BTreeMap::new(),
        }
    }

    fn some_units(&mut self, most: usize) -> Units {
        let count = self.rng.random_range(0..=most);
        let all = self.units.len();
        (0..count).map(|_| self.rng.random_range(0..all)).collect()
    }

    fn some_version(&mut self, of: usize) -> (usize, i64) {
        let numbers: Vec<i64> = self.repositories[of].versions.keys().copied().collect();
        let at = self.rng.random_range(0..numbers.len());
        (of, numbers[at])
    }

    fn some_change(&mut self, of: usize) -> Change {
        let base = match self.rng.random_range(0..10) {
            0..=5 => None,
            6..=8 => Some(self.some_version(of)),
            _ => Some(self.some_version(1 - of)),
        };
        Change {
            add: self.some_units(3),
            remove: self.some_units(3),
            all: self.rng.random_bool(0.15),
            base,
            overwrite: self.rng.random_bool(0.75),
        }
    }

    async fn retain(&mut self, of: usize) {
        let keep = match self.rng.random_range(0..5) {
            0 => None,
            n => Some(n),
        };
        let repository = &mut self.repositories[of];
        let body = json!({"retain_repo_versions": keep});
        let answer = self.app.patch(href(&repository.object), &body).await;
        if repository.keep == keep {
            answer.expect(200);
        } else {
            self.app.completed(&answer.task()).await;
        }
        repository.keep = keep;
        repository.retain();
    }

    async fn publish(&mut self, of: usize) {
        let (_, number) = self.some_version(of);
        let repository = &mut self.repositories[of];
        let version = format!("{}versions/{number}/", href(&repository.object));
        let body = json!({"repository_version": version});
        let task = self.app.post("publications/file/file/", &body).await.task();
        let made = self.app.completed(&task).await["result"].clone();
        repository.published.insert(number, href(&made).to_owned());
    }

    async fn serve(&mut self, of: usize) {
        let (_, number) = self.some_version(of);
        let wanted = self.rng.random_range(0..4);
        let repository = &mut self.repositories[of];
        let published = repository.published.first_key_value();
        let mut body = json!({"publication": null, "repository_version": null, "repository": null});
        let serves = match (wanted, published) {
            (0, _) => Serves::Nothing,
            (1, Some((number, publication))) => {
                body["publication"] = json!(publication);
                Serves::Publication(*number)
            }
            (1 | 2, _) => {
                let version = format!("{}versions/{number}/", href(&repository.object));
                body["repository_version"] = json!(version);
                Serves::Version(number)
            }
            _ => {
                body["repository"] = json!(href(&repository.object));
                Serves::Repository
            }
        };
        let answer = self.app.patch(&repository.distribution, &body).await;
        if answer.status == 202 {
            self.app.completed(&answer.task()).await;
        }
        repository.serves = serves;
    }

    async fn delete(&mut self, of: usize) {
        let (_, number) = self.some_version(of);
        let repository = &mut self.repositories[of];
        let version = format!("{}versions/{number}/", href(&repository.object));
        let answer = self.app.delete(&version).await;
        let kind = if repository.protected() == Some(number) {
            answer.expect(400);
            "protected"
        } else {
            let task = self.app.finished(&answer.task()).await;
            if repository.versions.len() == 1 {
                assert_eq!(task["error"]["error_code"], "PLP0011", "{task:#}");
                "only version"
            } else {
                assert_eq!(task["state"], "completed", "{task:#}");
                repository.forget(number);
                "deleted"
            }
        };
        *self.seen.entry(kind).or_default() += 1;
    }

    async fn change(&mut self, of: usize) {
        let change = self.some_change(of);
        let hrefs = |units: &Units| -> Vec<&String> {
            units.iter().map(|unit| &self.units[*unit]).collect()
        };
        let mut body = json!({"add_content_units": hrefs(&change.add), "overwrite": change.overwrite,
                              "remove_content_units": hrefs(&change.remove)});
        if change.all {
            body["remove_content_units"] = json!(["*"]);
        }
        let repository = &self.repositories[of];
        let mut start = repository.newest();
        if let Some((at, number)) = change.base {
            let base = &self.repositories[at];
            start = &base.versions[&number];
            body["base_version"] = json!(format!("{}versions/{number}/", href(&base.object)));
        }
        let expected = repository.outcome(&change, start);
        let task = modify(&self.app, &repository.object, &body).await;
        let text = task["error"]["description"].as_str().unwrap_or_default();
        let created = &task["created_resources"];
        let kind = match &expected {
            Outcome::Failed(why) => {
                assert!(text.starts_with(why), "{change:?}, {expected:?}: {task:#}");
                assert_eq!(created, &json!([]));
                *why
            }
            Outcome::Unchanged => {
                assert_eq!(task["state"], "completed", "{change:?}: {task:#}");
                assert_eq!(created, &json!([]), "{change:?}, {expected:?}");
                "unchanged"
            }
            Outcome::Version(_) => {
                assert_eq!(task["state"], "completed", "{change:?}: {task:#}");
                let version = format!("{}versions/{}/", href(&repository.object), repository.next);
                assert_eq!(created, &json!([version]), "{change:?}, {expected:?}");
                "version"
            }
        };
        *self.seen.entry(kind).or_default() += 1;
        if let Outcome::Version(units) = expected {
            let repository = &mut self.repositories[of];
            repository.versions.insert(repository.next, units);
            repository.next += 1;
            repository.retain();
        }
    }

    async fn check(&self) {
        for repository in &self.repositories {
            let hrefs = |units: &Units| -> Set {
                units.iter().map(|unit| self.units[*unit].clone()).collect()
            };
            let versions = repository.versions.iter();
            let versions = versions.map(|(number, units)| (*number, hrefs(units)));
            assert_versions(&self.app, &repository.object, &versions.collect()).await;
        }
    }
}

#[tokio::test]
async fn random_changes_make_what_sets_in_memory_make() {
    let seed = stack::seed();
    let mut play = Play::open(seed).await;
    for step in 1..=STEPS {
        let of = play.rng.random_range(0..2);
        match play.rng.random_range(0..100) {
            0..10 => play.retain(of).await,
            10..18 => play.publish(of).await,
            18..28 => play.serve(of).await,
            28..42 => play.delete(of).await,
            _ => play.change(of).await,
        }
        if step % 10 == 0 {
            play.check().await;
        }
    }
    println!("{:?}", play.seen);
    assert!(play.seen["version"] > STEPS / 8, "{:?}", play.seen);
    assert!(play.seen.contains_key("deleted"), "{:?}", play.seen);
    let debris = "SELECT count(*) FROM membership_debris";
    assert_eq!(play.app.sql.number(debris).await, 0);
    let unfinished = "SELECT count(*) FROM repository_version WHERE NOT complete";
    assert_eq!(play.app.sql.number(unfinished).await, 0);
    play.app.finish().await;
}
