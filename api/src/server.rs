//! The HTTP server.

use crate::app::App;
use crate::error::ApiError;
use crate::v3::href::ROOT;
use crate::{content, correlation, metrics, negotiation, process, route, v2, v3};
use actix_web::dev::{ResourceDef, Server};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, HttpServer};
use log::info;
use millrace_common::config::Settings;
use millrace_common::tls::server::Identity;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Connections that were idle for so long are closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// On SIGTERM requests may finish within this time.
const DRAIN_SECONDS: u64 = 30;

/// Serves until told to stop: https, where there is something to show.
///
/// # Errors
/// An address that cannot be listened on.
pub async fn serve(app: App, identity: Option<Identity>) -> std::io::Result<()> {
    let app = Data::new(app);
    let (server, addresses) = bind(&app, identity.as_ref())?;
    if let Some(metrics) = metrics::bind(&app)? {
        tokio::spawn(metrics);
    }
    let path = if app.serves.api() {
        ROOT
    } else {
        &app.settings.content.path_prefix
    };
    let scheme = identity.as_ref().map_or("http", |_| "https");
    for address in addresses {
        info!(address:% = address; "listening on {scheme}://{address}{path}");
    }
    if let Some(identity) = identity {
        tokio::spawn(identity.keep());
    }
    let stop = CancellationToken::new();
    let beat = tokio::spawn(process::keep(app.clone(), stop.clone()));
    if app.serves.api() {
        let listening = app.events.clone();
        tokio::spawn(listening.keep(app.settings.clone(), app.db.clone()));
    }
    let handle = server.handle();
    let events = app.events.clone();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        info!("stopping: requests may finish within {DRAIN_SECONDS} s");
        events.stop();
        handle.stop(true).await;
    });
    let served = server.await;
    stop.cancel();
    // Both are bounded: the row goes stale, the janitor announces what was not published.
    let _ = beat.await;
    app.publisher
        .close(app.settings.broker.timeout_ms.get())
        .await;
    served
}

fn threads(settings: &Settings) -> usize {
    match settings.api.threads {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        threads => threads,
    }
}

fn bind(
    app: &Data<App>,
    identity: Option<&Identity>,
) -> std::io::Result<(Server, Vec<SocketAddr>)> {
    let settings = &app.settings;
    let shared = app.clone();
    let server = HttpServer::new(move || {
        let mut table = v3::table();
        if !shared.serves.api() {
            table.retain(|endpoint| [v3::LIVEZ, v3::READYZ].contains(&endpoint.path));
        }
        let paths = Rc::new(route::paths(ROOT, &table));
        let api = web::scope("")
            .wrap(from_fn(negotiation::layer))
            .wrap(Compress::default())
            .wrap(from_fn(correlation::layer))
            .configure(|config| route::register(ROOT, table, config))
            .default_service(web::to(move |request: HttpRequest| {
                std::future::ready(elsewhere(&request, &paths))
            }));
        actix_web::App::new()
            .app_data(shared.clone())
            .wrap(from_fn(metrics::layer))
            .configure(|config| {
                if shared.serves.content() {
                    content::register(&shared, config);
                }
                if shared.serves.api() {
                    v2::configure(config);
                }
            })
            .service(api)
    })
    .workers(threads(settings))
    .client_request_timeout(settings.api.request_timeout_ms.get())
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(DRAIN_SECONDS)
    .disable_signals();
    let listen = &settings.api.listen;
    let server = match identity {
        None => server.bind(listen)?,
        Some(identity) => {
            let config = identity.config().map_err(std::io::Error::other)?;
            let patience = settings.api.request_timeout_ms.get();
            server
                .tls_handshake_timeout(patience)
                .bind_rustls_0_23(listen, config)?
        }
    };
    let addresses = server.addrs();
    Ok((server.run(), addresses))
}

/// Redirects where only the trailing slash is missing; else there is nothing.
fn elsewhere(request: &HttpRequest, paths: &[ResourceDef]) -> Result<HttpResponse, ApiError> {
    let slashed = format!("{}/", request.path());
    if request.path().ends_with('/') || !paths.iter().any(|path| path.is_match(&slashed)) {
        return Err(ApiError::not_found());
    }
    let location = match request.query_string() {
        "" => slashed,
        query => format!("{slashed}?{query}"),
    };
    let status = if matches!(*request.method(), Method::GET | Method::HEAD) {
        StatusCode::MOVED_PERMANENTLY
    } else {
        // Keeps the method and the body.
        StatusCode::PERMANENT_REDIRECT
    };
    Ok(HttpResponse::build(status)
        .insert_header((header::LOCATION, location))
        .finish())
}
