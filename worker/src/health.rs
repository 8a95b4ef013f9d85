//! Health and metrics over HTTP, where an address is set.

use crate::slots::Phase;
use crate::worker::Shared;
use actix_web::{App, HttpResponse, HttpServer, web};
use millrace_common::error::Error;
use millrace_common::metrics::CONTENT_TYPE;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// A worker whose last beat was committed longer ago cannot claim.
const SILENCE: Duration = Duration::from_secs(10);

/// Serves `/livez`, `/readyz` and `/metrics` in the background, on a thread of its own: it answers when the others
/// do not.
pub(crate) fn serve(shared: &Arc<Shared>) -> Result<(), Error> {
    let address = shared.settings().worker.health_listen.clone();
    if address.is_empty() {
        return Ok(());
    }
    let data = web::Data::from(Arc::clone(shared));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .route("/livez", web::get().to(live))
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

fn answer(good: bool, body: serde_json::Value) -> HttpResponse {
    if good {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

/// Live: every loop of the worker turns. Where one is stuck only a new process helps.
async fn live(shared: web::Data<Shared>) -> HttpResponse {
    let stuck = shared.turns.stuck();
    answer(
        stuck.is_empty(),
        json!({"live": stuck.is_empty(), "stuck": stuck}),
    )
}

/// Ready: a message that comes now is received, and its task can be claimed, by some slot or as soon as one is free.
async fn ready(shared: web::Data<Shared>) -> HttpResponse {
    let slots = shared.slots.all();
    let with_session = slots.iter().any(|(_, phase)| *phase != Phase::Opening);
    let database = with_session && shared.turns.committed.ago() < SILENCE;
    let broker = shared.link.is_connected().await;
    let draining = shared.shutdown.drain.is_cancelled();
    let is_ready = database && broker && !draining;
    answer(
        is_ready,
        json!({"ready": is_ready, "database": database, "broker": broker, "draining": draining}),
    )
}

async fn metrics(shared: web::Data<Shared>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(CONTENT_TYPE)
        .body(shared.metrics.text(&shared))
}
