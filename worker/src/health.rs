//! Health and metrics over HTTP, where an address is set.

use crate::worker::Shared;
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};
use millrace_common::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Serves `/livez`, `/readyz` and `/metrics` in the background.
pub(crate) fn serve(shared: &Arc<Shared>) -> Result<(), Error> {
    let address = shared.settings().worker.health_listen.clone();
    if address.is_empty() {
        return Ok(());
    }
    let data = web::Data::from(Arc::clone(shared));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .route("/livez", web::get().to(HttpResponse::Ok))
            .route("/readyz", web::get().to(ready))
            .route("/metrics", web::get().to(metrics))
    })
    .workers(1)
    .disable_signals()
    .bind(&address)
    .map_err(|e| Error::invalid("worker.health_listen", format!("{address}: {e}")))?
    .run();
    tokio::spawn(server);
    Ok(())
}

/// Ready: tasks are being run, or messages can be received.
async fn ready(shared: web::Data<Shared>) -> HttpResponse {
    let consuming = shared.consuming.load(Ordering::Relaxed) > 0 && shared.publisher.is_connected();
    let working = !shared.running.all().is_empty();
    let draining = shared.shutdown.drain.is_cancelled();
    let status = if (consuming || working) && !draining {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    HttpResponse::build(status).finish()
}

async fn metrics(shared: web::Data<Shared>) -> HttpResponse {
    let mut text = shared.metrics.render();
    let stats = shared.publisher.stats();
    let (dispatched, put_off) = shared.janitor.schedules();
    // Writing into a string does not fail.
    let _ = writeln!(
        text,
        "# TYPE millrace_running gauge\nmillrace_running {}\n\
         # TYPE millrace_sweep_repairs_total counter\nmillrace_sweep_repairs_total {}\n\
         # TYPE millrace_rescues_total counter\nmillrace_rescues_total {}\n\
         # TYPE millrace_deadlines_passed_total counter\nmillrace_deadlines_passed_total {}\n\
         # TYPE millrace_schedules_dispatched_total counter\nmillrace_schedules_dispatched_total {dispatched}\n\
         # TYPE millrace_schedules_put_off_total counter\nmillrace_schedules_put_off_total {put_off}\n\
         # TYPE millrace_announcements_confirmed_total counter\nmillrace_announcements_confirmed_total {}\n\
         # TYPE millrace_announcements_returned_total counter\nmillrace_announcements_returned_total {}\n\
         # TYPE millrace_announcements_dropped_total counter\nmillrace_announcements_dropped_total {}",
        shared.running.all().len(),
        shared.janitor.repairs(),
        shared.janitor.rescues(),
        shared.janitor.deadlines(),
        stats.confirmed,
        stats.returned,
        stats.dropped,
    );
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4")
        .body(text)
}
