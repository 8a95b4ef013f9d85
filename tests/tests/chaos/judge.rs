//! Whether a run kept every promise: read from the tasks' own log, from the rows, and from the disk.

use millrace_tests::app::{files_below, ledger};
use millrace_tests::eventually::holds;
use millrace_tests::history::{read, rows, violations};
use millrace_tests::{TestApp, eventually};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// What a run was.
#[derive(Debug)]
pub struct Verdict {
    /// Tasks, and bodies that ran.
    pub tasks: usize,
    pub runs: usize,
    /// What is wrong; empty where every promise was kept.
    pub violations: Vec<String>,
}

/// Judges a run that is over: nothing may be unfinished any more. `accepted`: hrefs by key.
pub async fn judge(app: &TestApp, accepted: &BTreeMap<String, String>, file: &Path) -> Verdict {
    let rows = rows(&app.sql).await;
    let known: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let mut wrong = Vec::new();
    let mut hrefs = BTreeSet::new();
    for (key, href) in accepted {
        if !known.contains(millrace_tests::client::id_of(href)) {
            wrong.push(format!("{href} was accepted and is lost"));
        }
        if !hrefs.insert(href) {
            wrong.push(format!("{href} answers two requests, one is {key}"));
        }
    }
    let runs = read(file, &rows);
    wrong.extend(violations(&runs));
    for row in rows.iter() {
        let (id, name) = (row["id"].as_str().unwrap(), row["name"].as_str().unwrap());
        let state = row["state"].as_str().unwrap();
        let reasons = [
            "Worker has gone missing.",
            "The worker lost its database session.",
        ];
        let lost = row["reason"]
            .as_str()
            .is_some_and(|reason| reasons.contains(&reason))
            && (name == "plugin.tasks.ledger_once" || row["attempts"].as_i64() >= Some(3));
        if !(["completed", "canceled"].contains(&state) || state == "failed" && lost) {
            wrong.push(format!("ended wrongly: {row}"));
        }
        if name.starts_with("plugin.tasks.ledger") {
            let flips = ledger::count(&app.sql, id, "flip").await;
            if flips != i64::from(state == "completed") {
                wrong.push(format!("{flips} effects: {row}"));
            }
        }
    }
    for forbidden in ledger::forbidden_moves(&app.sql).await {
        wrong.push(format!("a state moved from {forbidden}"));
    }
    let overlaps = ledger::overlapping_claims(&app.sql).await;
    if overlaps > 0 {
        wrong.push(format!("{overlaps} claims wrote after their successors"));
    }
    wrong.extend(bytes(app).await);
    Verdict {
        tasks: rows.len(),
        runs: runs.len(),
        violations: wrong,
    }
}

/// Every byte that a row names is on disk, and nothing else is, once what is buried is gone.
async fn bytes(app: &TestApp) -> Vec<String> {
    eventually(Duration::from_secs(90), async || {
        let left = "SELECT (SELECT count(*) FROM tombstone) + (SELECT count(*) FROM intent)";
        let left = app.sql.number(left).await;
        holds(left == 0, || format!("{left} files are buried or begun"))
    })
    .await;
    let named = "SELECT storage_key || ' ' || sha256 FROM artifact";
    let named: BTreeMap<String, String> = app
        .sql
        .texts(named)
        .await
        .iter()
        .map(|row| row.split_once(' ').unwrap())
        .map(|(key, digest)| (key.to_owned(), digest.to_owned()))
        .collect();
    let mut wrong = Vec::new();
    let mut found = BTreeSet::new();
    for path in files_below(&app.media().join("artifact")) {
        let key = path.strip_prefix(app.media()).unwrap().to_str().unwrap();
        let digest = hex::encode(Sha256::digest(std::fs::read(&path).unwrap()));
        match named.get(key) {
            Some(wanted) if *wanted == digest => {}
            Some(_) => wrong.push(format!("{key} holds other bytes than its row says")),
            None => wrong.push(format!("{key} belongs to no row")),
        }
        found.insert(key.to_owned());
    }
    let missing = named.keys().filter(|key| !found.contains(*key));
    wrong.extend(missing.map(|key| format!("{key} is named by a row and is not there")));
    wrong
}
