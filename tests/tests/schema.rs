//! The shape of the database, and of the source, is what the documents say.

use millrace_tests::{Sql, TestDb};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const COLUMNS: &str = "SELECT table_name || '.' || column_name || ' ' || udt_name || ' ' || is_nullable \
     FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%' ORDER BY 1";

/// Columns, indexes, constraints, views, functions and statistics, as text.
async fn describe(sql: &Sql) -> Vec<String> {
    let mut all = sql.texts(COLUMNS).await;
    all.extend(sql.texts("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE '\\_\\_%' ORDER BY 1").await);
    all.extend(
        sql.texts(
            "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
              WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE '\\_\\_%' ORDER BY 1",
        )
        .await,
    );
    all.extend(
        sql.texts("SELECT viewname || ' ' || definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1")
            .await,
    );
    all.extend(
        sql.texts("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1")
            .await,
    );
    all.extend(
        sql.texts("SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext ORDER BY 1")
            .await,
    );
    all
}

fn migrations(file: &str) -> Vec<String> {
    let mut folders: Vec<_> = fs::read_dir(root().join("migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
        .iter()
        .map(|folder| fs::read_to_string(folder.join(file)).unwrap())
        .collect()
}

#[tokio::test]
async fn migrations_go_down_and_come_up_again_the_same() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let before = describe(&sql).await;
    assert!(before.len() > 100, "{before:?}");
    for down in migrations("down.sql").iter().rev() {
        sql.run(down).await;
    }
    assert_eq!(describe(&sql).await, Vec::<String>::new());
    for up in migrations("up.sql") {
        sql.run(&up).await;
    }
    assert_eq!(describe(&sql).await, before);
}

#[tokio::test]
async fn every_foreign_key_says_what_happens_on_delete_and_has_an_index() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let silent = sql
        .texts("SELECT conrelid::regclass || '.' || conname FROM pg_constraint WHERE contype = 'f' AND confdeltype = 'a' ORDER BY 1")
        .await;
    assert_eq!(
        silent,
        Vec::<String>::new(),
        "foreign keys without ON DELETE"
    );
    let bare = sql
        .texts(
            "SELECT c.conrelid::regclass || '.' || c.conname FROM pg_constraint c WHERE c.contype = 'f' \
                AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]) \
              ORDER BY 1",
        )
        .await;
    assert_eq!(
        bare,
        [
            // One row, or nearly: a domain is never deleted while it owns anything.
            "artifact.artifact_pulp_domain_fkey",
            "content.content_pulp_domain_fkey",
        ]
        .iter()
        .filter(|name| bare.contains(&(**name).to_owned()))
        .map(|name| (*name).to_owned())
        .collect::<Vec<_>>(),
        "foreign keys without an index"
    );
}

#[tokio::test]
async fn the_schema_in_the_source_is_that_of_the_database() {
    let db = TestDb::create().await;
    let stored: BTreeSet<String> = db.sql().await.texts(COLUMNS).await.into_iter().collect();
    let source = fs::read_to_string(root().join("common/src/schema.rs")).unwrap();
    let mut written = BTreeSet::new();
    let mut table = String::new();
    for line in source.lines().map(str::trim) {
        if let Some((column, kind)) = line
            .strip_suffix(',')
            .and_then(|line| line.split_once(" -> "))
        {
            let (kind, nullable) = match kind
                .strip_prefix("Nullable<")
                .and_then(|k| k.strip_suffix('>'))
            {
                Some(kind) => (kind, "YES"),
                None => (kind, "NO"),
            };
            let kind = match kind {
                "Array<Text>" => "_text".to_owned(),
                other => other.to_lowercase(),
            };
            written.insert(format!("{table}.{column} {kind} {nullable}"));
        } else if let Some((name, _)) = line
            .strip_suffix('{')
            .and_then(|line| line.split_once(" ("))
        {
            table = name.to_owned();
        }
    }
    let left_out: BTreeSet<_> = stored.difference(&written).collect();
    assert!(
        written.is_subset(&stored),
        "{:?}",
        written.difference(&stored)
    );
    let names: Vec<_> = left_out
        .iter()
        .filter_map(|column| column.split(' ').next())
        .collect();
    let of_the_engine = [
        "announce_after",
        "announce_no",
        "announced_at",
        "attempts",
        "claim_before",
        "claim_id",
        "enc_args",
        "losses",
        "not_before",
        "pause_id",
        "rerun_after_loss",
        "ticket",
    ];
    assert_eq!(names, of_the_engine.map(|column| format!("task.{column}")));
}

/// The import arrows of `docs/ARCHITECTURE.md`: what a module may not name.
#[test]
fn imports_go_one_way() {
    let forbidden: [(&str, &[&str]); 8] = [
        (
            "common/src/models",
            &[
                "crate::tasks",
                "crate::repository",
                "crate::broker",
                "crate::catalog",
            ],
        ),
        (
            "common/src/broker",
            &[
                "crate::tasking",
                "crate::tasks",
                "crate::repository",
                "crate::catalog",
            ],
        ),
        (
            "common/src/storage",
            &[
                "crate::tasking",
                "crate::tasks",
                "crate::repository",
                "crate::catalog",
            ],
        ),
        (
            "common/src/tasking",
            &["crate::tasks", "crate::repository", "crate::catalog"],
        ),
        (
            "common/src/repository",
            &["crate::tasks::", "crate::catalog"],
        ),
        (
            "common/src",
            &["millrace_api", "millrace_worker", "actix_web"],
        ),
        ("api/src", &["millrace_worker", "lapin"]),
        ("worker/src", &["millrace_api", "lapin"]),
    ];
    let mut wrong = Vec::new();
    for (folder, names) in forbidden {
        for file in sources(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            for line in text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                // The face for plug-ins hands on what tasks offer.
                let is_face = file.ends_with("tasking/mod.rs") && line.starts_with("pub use");
                if is_face {
                    continue;
                }
                if let Some(name) = names.iter().find(|name| line.contains(*name)) {
                    wrong.push(format!("{}: {name}: {}", file.display(), line.trim()));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}
