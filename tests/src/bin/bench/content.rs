//! Content: many memberships at once, and a repository of a million units.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of an answer ends the benchmark"
)]

use crate::LONG;
use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use millrace_tests::paper::Paper;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Units that the bulk modify adds.
const BULK: usize = 100_000;
/// What makes the big repository; `$units` stands for their number.
pub const FILL: &str = include_str!("sql/big_repository.sql");

/// Milliseconds from the start of a task's body to its end, by the database's clock.
pub async fn run_time(app: &TestApp, task: &str) -> f64 {
    let task = app.finished_within(task, LONG).await;
    assert_eq!(task["state"], "completed", "{task:#}");
    let id = id_of(task["pulp_href"].as_str().unwrap_or_default());
    let micros = format!(
        "SELECT (extract(epoch FROM finished_at - started_at) * 1000000)::bigint FROM task \
          WHERE pulp_id = '{id}'"
    );
    app.sql.number(&micros).await as f64 / 1000.0
}

/// Milliseconds that plain INSERTs of the rows of these tables that meet these conditions into empty copies with the same indexes take, in
/// one transaction. The copies have neither foreign keys nor triggers.
///
/// # Errors
/// As the database.
pub async fn beside(app: &TestApp, tables: &[(&str, &str)]) -> anyhow::Result<f64> {
    for (table, _) in tables {
        let copy = format!("CREATE TABLE beside_{table} (LIKE {table} INCLUDING ALL)");
        app.sql.batch_execute(&copy).await?;
    }
    let inserts = tables.iter().fold(String::new(), |text, (table, rows)| {
        text + &format!("INSERT INTO beside_{table} SELECT * FROM {table} WHERE {rows};")
    });
    let start = Instant::now();
    app.sql
        .batch_execute(&format!("BEGIN;{inserts}COMMIT"))
        .await?;
    let time = millis(start.elapsed());
    for (table, _) in tables {
        app.sql
            .batch_execute(&format!("DROP TABLE beside_{table}"))
            .await?;
    }
    Ok(time)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn spread(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let at = |part: usize| figures.get(figures.len() * part / 100).or(figures.last());
    format!(
        "p50 {:.1} ms   p99 {:.1} ms",
        at(50).copied().unwrap_or_default(),
        at(99).copied().unwrap_or_default()
    )
}

/// Milliseconds of the body of a change.
pub async fn modify(app: &TestApp, repository: &str, add: &[String], remove: &[String]) -> f64 {
    let body = json!({"add_content_units": add, "remove_content_units": remove});
    let task = app.post(&format!("{repository}modify/"), &body).await;
    run_time(app, &task.task()).await
}

fn unit(id: &str) -> String {
    format!("/pulp/api/v3/content/file/files/{id}/")
}

/// Memberships that one modify writes in a second.
///
/// # Errors
/// A database that does not answer.
pub async fn bulk(app: &TestApp, paper: &Paper) -> anyhow::Result<()> {
    paper.heading(&format!("One modify of {BULK} units"));
    let statement = format!(
        "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields)
         SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256(('bulk' || n)::bytea), sha256(('b/' || n)::bytea),
                jsonb_build_object('relative_path', 'b/' || n, 'digest', encode(sha256(n::text::bytea), 'hex'))
           FROM generate_series(1, {BULK}) n, domain d"
    );
    app.sql.run(&statement).await;
    let ids = "SELECT pulp_id::text FROM content WHERE fields ->> 'relative_path' LIKE 'b/%'";
    let units: Vec<String> = app.sql.texts(ids).await.iter().map(|id| unit(id)).collect();
    let repository = app.repository("bulk").await;
    let href = repository["pulp_href"].as_str().unwrap_or_default();
    for (what, add, remove) in [
        ("added", units.as_slice(), &[][..]),
        ("removed", &[], units.as_slice()),
        ("added again", units.as_slice(), &[]),
    ] {
        let start = Instant::now();
        let time = modify(app, href, add, remove).await;
        let whole = start.elapsed().as_secs_f64();
        let rate = BULK as f64 * 1000.0 / time;
        paper.fact(
            what,
            &format!(
                "{rate:>7.0} a second in the task, {:.0} with the request",
                BULK as f64 / whole
            ),
        );
        if what == "added" {
            let rows = format!("repository_id = '{}'", id_of(href));
            let limit = beside(app, &[("repository_content", &rows)]).await?;
            let (rate, ratio) = (BULK as f64 * 1000.0 / limit, limit / time);
            paper.fact(
                "plain INSERT",
                &format!("{rate:>7.0} a second beside it   ratio {ratio:.2}"),
            );
        }
    }
    Ok(())
}

/// What a repository of so many units costs.
///
/// # Errors
/// A database that cannot be filled.
pub async fn big(app: &TestApp, paper: &Paper, units: i64) -> anyhow::Result<()> {
    paper.heading(&format!("A repository of {units} units"));
    let start = Instant::now();
    let fill = FILL.replace("$units", &units.to_string());
    app.sql.batch_execute(&fill).await?;
    app.sql.batch_execute("VACUUM ANALYZE").await?;
    paper.fact("filled", &format!("{:.0} s", start.elapsed().as_secs_f64()));
    let id = app
        .sql
        .text("SELECT pulp_id::text FROM repository WHERE name = 'big'")
        .await;
    let repository = format!("/pulp/api/v3/repositories/file/file/{id}/");
    small_changes(app, paper, &repository).await;
    listings(app, paper, &repository, units).await;
    deletions(app, paper, &repository).await;
    Ok(())
}

async fn small_changes(app: &TestApp, paper: &Paper, repository: &str) {
    let mut times = Vec::new();
    for round in 0..20 {
        let mut add = Vec::new();
        for n in 0..10 {
            add.push(
                app.unit(&format!("pool/{n}/new-{round}"), &format!("{round}/{n}"))
                    .await,
            );
        }
        times.push(modify(app, repository, &add, &[]).await);
    }
    paper.fact("modify of 10 units", &spread(times));
}

/// Milliseconds of one page of units, and what is on it.
pub async fn page(app: &TestApp, query: &str) -> (f64, Value) {
    let start = Instant::now();
    let page = app
        .get(&format!("content/file/files/?{query}"))
        .await
        .expect(200);
    (millis(start.elapsed()), page)
}

async fn listings(app: &TestApp, paper: &Paper, repository: &str, units: i64) {
    let version = format!("repository_version={repository}versions/1/");
    let mut times = Vec::new();
    for offset in (0..1000).step_by(100) {
        let (time, found) = page(app, &format!("{version}&limit=100&offset={offset}")).await;
        assert_eq!(found["count"], units);
        times.push(time);
    }
    paper.fact("first ten pages", &spread(times));
    let (time, found) = page(
        app,
        &format!("{version}&limit=100&offset={}", units * 9 / 10),
    )
    .await;
    assert_eq!(found["results"].as_array().map(Vec::len), Some(100));
    paper.fact("a page at nine tenths", &format!("{time:.0} ms"));
    for filter in [
        "relative_path=pool/7/package-7.rpm",
        "relative_path__startswith=pool/77/package-1",
        "relative_path__in=pool/7/package-7.rpm,pool/8/package-8.rpm",
        "sha256=5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
        "pulp_label_select=absent",
    ] {
        let (time, _) = page(app, &format!("{version}&{filter}")).await;
        paper.fact("with a filter", &format!("{time:>5.1} ms   {filter}"));
    }
}

async fn deletions(app: &TestApp, paper: &Paper, repository: &str) {
    let few = run_time(
        app,
        &app.delete(&format!("{repository}versions/5/")).await.task(),
    )
    .await;
    paper.fact("version of 10 changes", &format!("deleted in {few:.1} ms"));
    for share in [100, 10] {
        let ids = format!(
            "SELECT pulp_id::text FROM content WHERE fields ->> 'relative_path' LIKE 'pool/%/package-%' \
                AND ('x' || right(pulp_id::text, 4))::bit(16)::int % {share} = 0"
        );
        let units: Vec<String> = app
            .sql
            .texts(&ids)
            .await
            .iter()
            .map(|id| unit(id))
            .collect();
        modify(app, repository, &[], &units).await;
        modify(app, repository, &units, &[]).await;
        let number = "SELECT max(number) FROM repository_version v JOIN repository r \
                        ON r.pulp_id = v.repository_id WHERE r.name = 'big'";
        let number = app.sql.number(number).await - 1;
        let href = format!("{repository}versions/{number}/");
        let time = run_time(app, &app.delete(&href).await.task()).await;
        paper.fact(
            "version of",
            &format!("{} changes deleted in {time:.0} ms", units.len()),
        );
    }
}
