//! What a fault hits, for the line that a run prints about it, and the events that it waits for.

use super::world::World;
use millrace_tests::client::Client;
use millrace_tests::eventually::holds;
use millrace_tests::{Sql, eventually};
use reqwest::Method;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Longest wait for something that must come.
const LONG: Duration = Duration::from_secs(60);
/// Longest wait for something that mostly comes: then the fault hits less, and says so.
const SHORT: Duration = Duration::from_secs(15);

const UNDER_WAY: &str = "SELECT count(*) FROM task WHERE state IN ('running', 'canceling')";

/// Asks until the number is as large as that, or the time is over; gives the last one.
async fn up_to(sql: &Sql, statement: &str, wanted: i64) -> i64 {
    let begun = Instant::now();
    loop {
        let number = sql.number(statement).await;
        if number >= wanted || begun.elapsed() > SHORT {
            return number;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the worker in this place has under way, once that is something.
pub async fn worker(world: &World, place: usize) -> String {
    let name = &world.app.workers[place].name;
    let tasks = up_to(&world.sql().await, &of_worker(name), 1).await;
    format!("{name} with {tasks} tasks under way")
}

fn of_worker(name: &str) -> String {
    format!(
        "{UNDER_WAY} AND worker_id = (SELECT pulp_id FROM app_status WHERE name = '{name}' ORDER BY pulp_created DESC LIMIT 1)"
    )
}

/// Waits until a worker that was told to stop has ended some of its tasks, or has none.
pub async fn some_have_ended(world: &World, place: usize) {
    let name = &world.app.workers[place].name;
    let (sql, tasks) = (world.sql().await, of_worker(name));
    let before = sql.number(&tasks).await;
    let fewer = format!("SELECT ({before} = 0 OR ({tasks}) < {before})::int::bigint");
    up_to(&sql, &fewer, 1).await;
}

/// Waits until others have ended the sessions with locks of a worker that does not move, and have its tasks.
pub async fn taken_over(world: &World, place: usize) {
    let name = &world.app.workers[place].name;
    let sql = world.sql().await;
    let sessions = format!(
        "SELECT count(DISTINCT pid) FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory' \
            AND datname = current_database() AND application_name ~ '{name}\\M'"
    );
    let tasks = of_worker(name);
    eventually(LONG, async || {
        let (sessions, tasks) = (sql.number(&sessions).await, sql.number(&tasks).await);
        holds(sessions == 0 && tasks == 0, || {
            format!("{name} has {sessions} sessions with locks and {tasks} tasks still")
        })
    })
    .await;
}

/// Sessions of the programs with the database, and what runs.
pub async fn database(world: &World) -> String {
    let sql = world.sql().await;
    let sessions = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND application_name LIKE 'millrace%'";
    let tasks = up_to(&sql, UNDER_WAY, 1).await;
    format!(
        "{} sessions, {tasks} tasks under way",
        sql.number(sessions).await
    )
}

/// Connections of the programs with the broker, and what runs.
pub async fn broker(world: &World) -> String {
    let connections = world.app.vhost.connections().await;
    let tasks = up_to(&world.sql().await, UNDER_WAY, 1).await;
    format!("{connections} connections, {tasks} tasks under way")
}

/// Connections over the lines, and what the worker at their end runs.
pub async fn lines(world: &World, place: usize) -> String {
    let (database, broker) = (
        world.to_database.connections(),
        world.to_broker.connections(),
    );
    let worker = worker(world, place).await;
    format!("{database} connections with PostgreSQL, {broker} with RabbitMQ; {worker}")
}

/// Waits until so many more tasks have been accepted, by whichever API.
pub async fn more_accepted(world: &World, count: i64) {
    let (sql, all) = (world.sql().await, "SELECT count(*) FROM task");
    let before = sql.number(all).await;
    up_to(&sql, all, before + count).await;
}

/// Waits until so many more tasks have ended.
pub async fn more_ended(world: &World, count: i64) {
    let ended = "SELECT count(*) FROM task WHERE state NOT IN ('waiting', 'running', 'canceling')";
    let sql = world.sql().await;
    let before = sql.number(ended).await;
    up_to(&sql, ended, before + count).await;
}

/// Waits until an API says that this part of what it needs (`database`, `broker`) is not there.
pub async fn noticed(api: &Client, part: &str) {
    eventually(LONG, async || {
        let request = api.anonymous(Method::GET, "readyz/");
        let answer = api.try_send(request.timeout(Duration::from_secs(20))).await;
        let said: Value = answer.map_err(|error| error.to_string())?.json();
        holds(said[part] == false, || format!("{part}: {said}"))
    })
    .await;
}
