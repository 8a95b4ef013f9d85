//! Requests by route.

use crate::app::App;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::Data;
use millrace_common::metrics::HistogramFamily;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Instant;

const SECONDS: [f64; 10] = [0.002, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 30.0];

/// The route of a request that none takes.
const NONE: &str = "none";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    route: String,
    method: &'static str,
    status: &'static str,
}

/// Counts and times of requests.
pub(super) struct Http {
    seconds: HistogramFamily<Of>,
    in_flight: Gauge,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            seconds: HistogramFamily::new_with_constructor(|| Histogram::new(SECONDS)),
            in_flight: Gauge::default(),
        }
    }
}

impl Http {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_request_seconds",
            "From a request to the head of its answer, by the pattern of its route, method and class of status",
            self.seconds.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests that have no answer yet",
            self.in_flight.clone(),
        );
    }
}

/// A request that is being answered, also where its client goes away.
struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts a request by its route's pattern: what clients write into paths is never a label.
///
/// # Errors
/// Those of the layers inside.
pub async fn layer(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let Some(app) = request.app_data::<Data<App>>().cloned() else {
        return next.call(request).await;
    };
    let http = &app.metrics.http;
    http.in_flight.inc();
    let in_flight = InFlight(&http.in_flight);
    let started = Instant::now();
    let answer = next.call(request).await;
    drop(in_flight);
    let (route, method, status) = match &answer {
        Ok(answer) => {
            let request = answer.request();
            (
                route(&app, request.path(), request.match_pattern()),
                method(request.method()),
                class(answer.status().as_u16()),
            )
        }
        Err(error) => {
            let status = error.as_response_error().status_code();
            (NONE.to_owned(), "other", class(status.as_u16()))
        }
    };
    http.seconds
        .get_or_create(&Of {
            route,
            method,
            status,
        })
        .observe(started.elapsed().as_secs_f64());
    answer
}

fn route(app: &App, path: &str, pattern: Option<String>) -> String {
    let content = &app.settings.content.path_prefix;
    if app.serves.content() && path.starts_with(content.as_str()) {
        return format!("{content}{{path}}");
    }
    pattern
        .filter(|pattern| !pattern.is_empty())
        .unwrap_or_else(|| NONE.to_owned())
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
