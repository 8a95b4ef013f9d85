//! What an API process counts, and how things stand in the database: served at an address of its own.

mod gauges;
mod http;

pub use http::layer;

use crate::app::App;
use actix_web::dev::Server;
use actix_web::web::{self, Data};
use actix_web::{HttpResponse, HttpServer};
use gauges::Gauges;
use http::Http;
use log::info;
use millrace_common::metrics::{CONTENT_TYPE, Process, engine, know_tasks, registry, render};
use millrace_common::tasking::Registry as Tasks;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// The metrics of a process.
pub struct Metrics {
    registry: Registry,
    process: Process,
    http: Http,
    gauges: Gauges,
    store_size: Gauge,
    store_free: Gauge,
}

impl Metrics {
    /// Those of a process that knows these tasks.
    #[must_use]
    pub fn new(tasks: &Tasks) -> Self {
        know_tasks(tasks.types().map(|task| task.name));
        let mut registry = registry();
        let (process, http) = (Process::default(), Http::default());
        let gauges = Gauges::new(tasks);
        engine().register(&mut registry);
        process.register(&mut registry);
        http.register(&mut registry);
        gauges.register(&mut registry);
        let (store_size, store_free) = (Gauge::default(), Gauge::default());
        registry.register(
            "storage_size_bytes",
            "Size of the file system with the artifacts; 0 for an object store",
            store_size.clone(),
        );
        registry.register(
            "storage_free_bytes",
            "What may still be written there; 0 for an object store",
            store_free.clone(),
        );
        Self {
            store_size,
            store_free,
            registry,
            process,
            http,
            gauges,
        }
    }

    /// All of them, as text.
    async fn text(&self, app: &App) -> String {
        self.process.read(&app.db, &app.publisher);
        self.read_store(app).await;
        // Nobody else changes the gauges until they have been written.
        let _turn = self.gauges.read(app).await;
        render(&self.registry)
    }

    async fn read_store(&self, app: &App) {
        let usage = tokio::time::timeout(PATIENCE, app.storage.usage()).await;
        if let Ok(Ok(Some(usage))) = usage {
            let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            self.store_size.set(bytes(usage.total));
            self.store_free.set(bytes(usage.free));
        }
    }
}

/// Longest wait for a file system.
const PATIENCE: Duration = Duration::from_secs(1);

/// The server of `/metrics`, where an address is set.
///
/// # Errors
/// An address that cannot be listened on.
pub fn bind(app: &Data<App>) -> std::io::Result<Option<Server>> {
    let address = &app.settings.api.metrics_listen;
    if address.is_empty() {
        return Ok(None);
    }
    let shared = app.clone();
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(shared.clone())
            .route("/metrics", web::get().to(text))
    })
    .workers(1)
    .disable_signals()
    .bind(address)
    .map_err(|e| std::io::Error::new(e.kind(), format!("api.metrics_listen: {address}: {e}")))?;
    for address in server.addrs() {
        info!(address:% = address; "metrics at http://{address}/metrics");
    }
    Ok(Some(server.run()))
}

async fn text(app: Data<App>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(CONTENT_TYPE)
        .body(app.metrics.text(&app).await)
}
