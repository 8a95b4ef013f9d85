//! What every process says of itself when it is asked.

use crate::VERSION;
use crate::broker::Publisher;
use crate::db::Db;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Gauges of the pool and the broker, set when they are read.
#[derive(Default)]
pub struct Process {
    pool_size: Gauge,
    pool_in_use: Gauge,
    pool_limit: Gauge,
    pool_waiters: Gauge,
    connected: Gauge,
    blocked: Gauge,
    window_room: Gauge,
}

impl Process {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let build: Family<Vec<(&str, &str)>, Gauge> = Family::default();
        build.get_or_create(&vec![("version", VERSION)]).set(1);
        registry.register("build_info", "The version of this program; always 1", build);
        for (name, help, gauge) in [
            (
                "pool_sessions",
                "Database sessions that the pool has open",
                &self.pool_size,
            ),
            (
                "pool_sessions_in_use",
                "Database sessions of the pool that are lent",
                &self.pool_in_use,
            ),
            (
                "pool_sessions_limit",
                "Database sessions that the pool may open (database.pool_size)",
                &self.pool_limit,
            ),
            (
                "pool_waiters",
                "Those who wait for a database session of the pool",
                &self.pool_waiters,
            ),
            (
                "broker_connected",
                "1 while announcements can be published",
                &self.connected,
            ),
            (
                "broker_blocked",
                "1 while the broker refuses messages because of an alarm",
                &self.blocked,
            ),
            (
                "announcement_room",
                "Announcements that find room in the window now (broker.window)",
                &self.window_room,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// Reads them anew.
    pub fn read(&self, db: &Db, publisher: &Publisher) {
        let count = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let pool = db.pool();
        self.pool_size.set(count(pool.size));
        self.pool_in_use
            .set(count(pool.size.saturating_sub(pool.available)));
        self.pool_limit.set(count(pool.max_size));
        self.pool_waiters.set(count(pool.waiting));
        self.connected.set(publisher.is_connected().into());
        self.blocked.set(publisher.is_blocked().into());
        self.window_room.set(count(publisher.room()));
    }
}
