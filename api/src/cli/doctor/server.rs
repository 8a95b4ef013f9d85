//! Settings of the PostgreSQL server that promises rest on.

use super::report::Report;
use chrono::Utc;
use millrace_common::config::Settings;
use millrace_common::db::Conn;
use millrace_common::models::server::{self, ServerFacts};
use std::collections::BTreeMap;

/// Advisory locks that a claim of the largest task takes, with room for as many others.
const LOCKS: i64 = 25_600;

/// The oldest version that has all that is used, and the oldest that the tests run on.
const OLDEST: i64 = 140_000;
const TRIED: i64 = 150_000;

/// Addresses that are good for a while, and the notes of a store, suffer from clocks that differ by more.
const SKEW_MS: i64 = 2_000;
const FAR_SKEW_MS: i64 = 60_000;

const NAMES: [&str; 15] = [
    "server_version_num",
    "server_version",
    "max_connections",
    "superuser_reserved_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
    "log_timezone",
];

struct Server {
    settings: BTreeMap<String, String>,
    facts: ServerFacts,
    skew_ms: i64,
}

impl Server {
    fn text(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }
}

/// Looks at the server through this session.
pub(super) async fn check(settings: &Settings, conn: &mut Conn, report: &mut Report) {
    let asked = async {
        let settings = server::settings(conn, &NAMES).await?;
        let before = Utc::now();
        let facts = server::facts(conn).await?;
        let middle = before + (Utc::now() - before) / 2;
        let skew_ms = (facts.now - middle).num_milliseconds();
        Ok::<_, millrace_common::error::Error>(Server {
            settings,
            facts,
            skew_ms,
        })
    };
    match asked.await {
        Ok(server) => {
            version(&server, report);
            durability(&server, report);
            standby(&server, report);
            timeouts(&server, report);
            check_interval(&server, report);
            lock_table(&server, report);
            sessions(settings, &server, conn, report).await;
            clock(&server, report);
        }
        Err(error) => report.fail(
            "database.server",
            error,
            "Let the role of database.url read pg_settings and pg_stat_replication.",
        ),
    }
}

fn version(server: &Server, report: &mut Report) {
    const NAME: &str = "database.version";
    let seen = format!(
        "PostgreSQL {}, {}",
        server.text("server_version"),
        server.facts.encoding
    );
    let number = server.number("server_version_num");
    if server.facts.encoding != "UTF8" {
        report.fail(NAME, seen, "Create the database with ENCODING 'UTF8'.");
    } else if number < OLDEST {
        report.fail(NAME, seen, "Upgrade to PostgreSQL 15 or later.");
    } else if number < TRIED {
        report.warn(NAME, seen, "Only 15 and later are tested: upgrade.");
    } else {
        report.ok(NAME, seen);
    }
}

fn durability(server: &Server, report: &mut Report) {
    const NAME: &str = "database.durability";
    let names = ["fsync", "full_page_writes", "synchronous_commit"];
    let seen = names.map(|name| format!("{name} = {}", server.text(name)));
    let off: Vec<&str> = names
        .into_iter()
        .filter(|name| server.text(name) == "off")
        .collect();
    if off.is_empty() {
        report.ok(NAME, seen.join(", "));
    } else {
        let mend = format!(
            "Set {} = on: a crash may lose accepted tasks.",
            off.join(" = on, ")
        );
        report.fail(NAME, seen.join(", "), mend);
    }
}

fn standby(server: &Server, report: &mut Report) {
    const NAME: &str = "database.standby";
    let facts = &server.facts;
    if facts.in_recovery {
        report.fail(
            NAME,
            "the server is a standby",
            "Point database.url at the primary.",
        );
    } else if facts.standbys == 0 {
        report.ok(NAME, "no standby");
    } else if facts.synchronous == 0 {
        report.warn(
            NAME,
            format!("{} standbys, none of them synchronous", facts.standbys),
            "A failover may lose the last accepted tasks: set synchronous_standby_names.",
        );
    } else {
        let (synchronous, all) = (facts.synchronous, facts.standbys);
        report.ok(
            NAME,
            format!("{synchronous} of {all} standbys are synchronous"),
        );
    }
}

/// Those that the role or the database sets for everybody: sessions of slots live as long as their worker.
fn timeouts(server: &Server, report: &mut Report) {
    const NAME: &str = "database.timeouts";
    let set = |name: &&str| !matches!(server.text(name), "" | "0");
    let deadly: Vec<&str> = ["idle_session_timeout", "transaction_timeout"]
        .into_iter()
        .filter(set)
        .collect();
    let short: Vec<&str> = [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
    ]
    .into_iter()
    .filter(set)
    .collect();
    if !deadly.is_empty() {
        report.fail(
            NAME,
            format!("set for all sessions: {}", deadly.join(", ")),
            "Set them to 0 for the role of database.url: they end the sessions that hold the locks of tasks.",
        );
    } else if !short.is_empty() {
        report.warn(
            NAME,
            format!("set for all sessions: {}", short.join(", ")),
            "Set them to 0 for the role of database.url: long statements of tasks fail by them; Millrace sets its own.",
        );
    } else {
        report.ok(NAME, "none is set for all sessions");
    }
}

fn check_interval(server: &Server, report: &mut Report) {
    const NAME: &str = "database.check_interval";
    let seen = &server.facts.check_interval;
    if seen == "0" {
        report.fail(
            NAME,
            "client_connection_check_interval has no effect",
            "Run PostgreSQL on a system that supports it (Linux): the locks of a worker that died inside a statement \
             would stay until its end.",
        );
    } else {
        report.ok(NAME, seen);
    }
}

fn lock_table(server: &Server, report: &mut Report) {
    const NAME: &str = "database.lock_table";
    let entries = server.number("max_locks_per_transaction")
        * (server.number("max_connections") + server.number("max_prepared_transactions"));
    let seen = format!(
        "{entries} entries (max_locks_per_transaction = {})",
        server.number("max_locks_per_transaction")
    );
    if entries < LOCKS {
        let each = LOCKS / server.number("max_connections").max(1) + 1;
        report.warn(
            NAME,
            seen,
            format!("Tasks with thousands of resources may wait for ever: set max_locks_per_transaction = {each}."),
        );
    } else {
        report.ok(NAME, seen);
    }
}

/// What the programs that are online need at most, each with the settings of this one; one of each where none is.
async fn sessions(settings: &Settings, server: &Server, conn: &mut Conn, report: &mut Report) {
    const NAME: &str = "database.sessions";
    // Before the first migration nobody is online.
    let online = server::online(conn).await.unwrap_or_default();
    let count = |kind: &str| online.get(kind).copied().unwrap_or_default().max(1);
    let pool = i64::try_from(settings.database.pool_size).unwrap_or(i64::MAX / 1000);
    let slots: i64 = settings.worker.slots.values().copied().map(i64::from).sum();
    let metrics = i64::from(!settings.api.metrics_listen.is_empty());
    let need = count("api") * (pool + 2 + metrics) + count("worker") * (pool + slots + 4);
    let room = server.number("max_connections") - server.number("superuser_reserved_connections");
    let seen = format!("{need} needed at most, {room} there (max_connections)");
    let mend = "Raise max_connections, or lower database.pool_size, worker.slots or the number of processes.";
    if need > room {
        report.fail(NAME, seen, mend);
    } else if need * 10 > room * 8 {
        report.warn(NAME, seen, mend);
    } else {
        report.ok(NAME, seen);
    }
}

fn clock(server: &Server, report: &mut Report) {
    const NAME: &str = "database.clock";
    let skew = server.skew_ms;
    let seen = format!("{skew} ms ahead of this host");
    let mend = "Keep the clocks of all hosts with NTP: only the database's counts for tasks, but addresses that \
                expire and certificates go by the host's.";
    if skew.abs() > FAR_SKEW_MS {
        report.fail(NAME, seen, mend);
    } else if skew.abs() > SKEW_MS {
        report.warn(NAME, seen, mend);
    } else {
        report.ok(NAME, seen);
    }
}
