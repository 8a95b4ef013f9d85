//! What a task costs the database: bytes of its log, commits, statements; on a server of its own.

use crate::{SLOTS, WORKERS, compare, lanes, storm};
use millrace_tests::paper::Paper;
use millrace_tests::stack::Instance;
use millrace_tests::{TestApp, TestDb};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TASKS: usize = 1000;
const LONG: Duration = crate::LONG;

/// What the server has counted since its start.
#[derive(Clone, Copy, Default)]
struct Counted {
    wal: f64,
    syncs: f64,
    commits: f64,
    statements: f64,
}

impl Counted {
    async fn now(app: &TestApp) -> Self {
        let number = async |statement: &str| app.sql.number(statement).await as f64;
        Self {
            wal: number("SELECT wal_bytes FROM pg_stat_wal").await,
            syncs: number("SELECT wal_sync FROM pg_stat_wal").await,
            commits: number(
                "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()",
            )
            .await,
            // BEGIN and COMMIT are statements, too: each is a message to the server.
            statements: number("SELECT sum(calls) FROM pg_stat_statements WHERE toplevel").await,
        }
    }

    fn less(self, other: Self) -> Self {
        Self {
            wal: self.wal - other.wal,
            syncs: self.syncs - other.syncs,
            commits: self.commits - other.commits,
            statements: self.statements - other.statements,
        }
    }

    fn times(self, factor: f64) -> Self {
        Self {
            wal: self.wal * factor,
            syncs: self.syncs * factor,
            commits: self.commits * factor,
            statements: self.statements * factor,
        }
    }
}

/// Figures a task: of those that do nothing, one after the other, by REST, in bulk, and of `modify`.
///
/// # Errors
/// A task that does not complete.
pub async fn cost(paper: &Paper) -> anyhow::Result<()> {
    paper.heading(&format!(
        "What one of {TASKS} tasks costs the database, less what an idle system does"
    ));
    let lines = [
        "shared_preload_libraries = 'pg_stat_statements'",
        "pg_stat_statements.track_planning = on",
    ];
    let server = tokio::task::spawn_blocking(move || Instance::postgresql(&lines)).await?;
    let db = TestDb::create_on(server.database_url()).await;
    let app = TestApp::builder()
        .db(db)
        .workers(WORKERS)
        .set("worker.slots.default", SLOTS)
        .set("database.pool_size", 10)
        .set("log.filter", "warn")
        .start()
        .await;
    app.sql.run("CREATE EXTENSION pg_stat_statements").await;
    let side = compare::own(&app).await?;
    crate::engine::warm_up(&app).await;
    let before = Counted::now(&app).await;
    let span = Duration::from_secs(5);
    tokio::time::sleep(span).await;
    let idle = Counted::now(&app)
        .await
        .less(before)
        .times(1.0 / span.as_secs_f64());
    let taken = async |what: &str, work: Work| {
        // What the last has left: confirmations are noted a moment later.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (before, start) = (Counted::now(&app).await, Instant::now());
        work.run(&app, &side).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let all = Counted::now(&app).await.less(before);
        let one = all
            .less(idle.times(start.elapsed().as_secs_f64()))
            .times(1.0 / TASKS as f64);
        let Counted {
            wal,
            syncs,
            commits,
            statements,
        } = one;
        let text = format!(
            "{wal:>7.0} bytes of WAL   {syncs:.2} syncs   {commits:.2} commits   {statements:.1} statements"
        );
        paper.fact(what, &text);
        anyhow::Ok(())
    };
    taken("16 by REST", Work::Nothing).await?;
    taken("in bulk", Work::Bulk).await?;
    let repositories = storm::repositories(&side, "cost", 100).await?;
    let mut units = Vec::new();
    for n in 0..10 {
        units.push(app.unit(&format!("cost-{n}"), &n.to_string()).await);
    }
    app.sql.run("SELECT pg_stat_statements_reset()").await;
    taken(
        "modify, REST",
        Work::Modify(storm::modify(repositories, units)),
    )
    .await?;
    for line in spent(&app).await {
        paper.fact("", &line);
    }
    let text = format!(
        "{:.0} bytes of WAL, {:.1} commits, {:.1} statements a second",
        idle.wal, idle.commits, idle.statements
    );
    paper.fact("idle", &text);
    Ok(())
}

/// Where the time of the database went, a task: all of it, then by what took most.
async fn spent(app: &TestApp) -> Vec<String> {
    let line = "round(sum(total_plan_time)::numeric / {tasks}, 3) || ' ms planned, ' || round(sum(total_exec_time)::numeric / {tasks}, 3)
            || ' ms run, ' || round(sum(calls) / {tasks}::numeric, 2) || ' times'"
        .replace("{tasks}", &TASKS.to_string());
    let from = "FROM pg_stat_statements WHERE toplevel AND query !~ 'pg_stat|beat'";
    let all = format!("SELECT {line} {from}");
    let by_time = format!(
        "SELECT {line} || ': ' || left(regexp_replace(query, '\\s+', ' ', 'g'), 90) {from} GROUP BY query
          ORDER BY sum(total_plan_time + total_exec_time) DESC LIMIT 24"
    );
    let mut lines = app.sql.texts(&all).await;
    lines.extend(app.sql.texts(&by_time).await);
    lines
}

enum Work {
    Nothing,
    Bulk,
    Modify(Arc<storm::Request>),
}

impl Work {
    async fn run(self, app: &TestApp, side: &crate::side::Side) -> anyhow::Result<()> {
        match self {
            Self::Nothing => drop(storm::storm(side, TASKS, LONG, storm::nothing(200)).await?),
            Self::Modify(request) => drop(storm::storm(side, TASKS, LONG, request).await?),
            Self::Bulk => {
                let mut dispatcher = app.dispatcher().await;
                let tasks = lanes::free(&dispatcher, TASKS);
                lanes::through(app, &mut dispatcher, &tasks, lanes::MANY).await;
            }
        }
        Ok(())
    }
}
