//! Reaching the database, directly and with our schema.

use super::report::Report;
use millrace_common::cause::chain;
use millrace_common::config::Settings;
use millrace_common::db::{self, Conn, Db};
use millrace_common::models::account::Account;

/// A session, where there can be one.
pub(super) async fn check(settings: &Settings, report: &mut Report) -> Option<Conn> {
    let opened = async {
        let db = Db::new(&settings.database, "millrace-api")?;
        let session = db.session("doctor").await?;
        Ok::<_, millrace_common::error::Error>((db, session.conn))
    };
    let (db, conn) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            report.fail(
                "database.connection",
                chain(&error),
                "Start PostgreSQL, or correct database.url: host, port, name, user and password.",
            );
            return None;
        }
    };
    report.ok("database.connection", &settings.database.url);
    match db.require_direct_sessions().await {
        Ok(()) => report.ok("database.direct", "sessions lead to the server itself"),
        Err(error) => report.fail(
            "database.direct",
            chain(&error),
            "Point database.url at PostgreSQL itself, or at a pooler in session mode; let it speak English.",
        ),
    }
    Some(conn)
}

/// True where the schema is that of this program.
pub(super) async fn migrations(settings: &Settings, report: &mut Report) -> bool {
    const NAME: &str = "database.migrations";
    match db::pending_migrations(&settings.database).await {
        Ok(pending) if pending.is_empty() => {
            report.ok(NAME, "all applied");
            true
        }
        Ok(pending) => {
            let seen = format!("{} are not applied: {}", pending.len(), pending.join(", "));
            report.fail(NAME, seen, "Run `millrace-api migrate`.");
            false
        }
        Err(error) => {
            report.fail(NAME, chain(&error), "Run `millrace-api migrate`.");
            false
        }
    }
}

/// Whether anybody can log in.
pub(super) async fn accounts(conn: &mut Conn, report: &mut Report) {
    const NAME: &str = "database.accounts";
    match Account::any(conn).await {
        Ok(true) => report.ok(NAME, "somebody can log in"),
        Ok(false) => report.warn(
            NAME,
            "there is no account",
            "Set admin.password and run `millrace-api migrate`.",
        ),
        Err(error) => report.fail(NAME, error, "See the log of PostgreSQL."),
    }
}
