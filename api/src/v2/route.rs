//! The table of this dialect: paths, methods, what is asked of the caller, and what becomes of all other requests.

use super::auth::{self, Needs};
use super::problem::{ASKED, Asked};
use super::{JSON, ROOT};
use actix_web::body::BoxBody;
use actix_web::dev::{ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Responder, Route};
use std::rc::Rc;

/// A method on a path.
pub struct Call {
    method: Method,
    /// Behind the root.
    path: &'static str,
    /// `None`: everybody may.
    needs: Option<Needs>,
    route: Box<dyn Fn(Route) -> Route>,
}

/// A call, and HEAD with a GET.
pub fn call<F, Args>(
    method: Method,
    path: &'static str,
    needs: impl Into<Option<Needs>>,
    handler: F,
) -> Call
where
    F: Handler<Args> + Clone,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Call {
        method,
        path,
        needs: needs.into(),
        route: Box::new(move |route| route.to(handler.clone())),
    }
}

impl Call {
    fn route(&self, method: Method) -> Route {
        let route = (self.route)(web::method(method));
        match self.needs {
            None => route,
            Some(needs) => route.wrap(from_fn(
                move |request: ServiceRequest, next: Next<BoxBody>| {
                    auth::layer(needs, request, next)
                },
            )),
        }
    }
}

/// Registers the table. The paths that are tried first come first in it.
pub fn register(table: Vec<Call>, config: &mut ServiceConfig) {
    let mut by_path: Vec<(&'static str, Vec<Call>)> = Vec::new();
    for call in table {
        match by_path.iter_mut().find(|(path, _)| *path == call.path) {
            Some((_, same)) => same.push(call),
            None => by_path.push((call.path, vec![call])),
        }
    }
    let patterns = by_path
        .iter()
        .map(|(path, _)| ResourceDef::new(format!("{ROOT}{path}")))
        .collect::<Vec<_>>();
    for (path, calls) in by_path {
        let allowed = allowed(&calls);
        let mut resource = web::resource(format!("/{path}"));
        for call in &calls {
            if call.method == Method::GET {
                resource = resource.route(call.route(Method::HEAD));
            }
            resource = resource.route(call.route(call.method.clone()));
        }
        config.service(
            resource.default_service(web::to(move |request: HttpRequest| {
                std::future::ready(other_method(request.method(), &allowed))
            })),
        );
    }
    let patterns = Rc::new(patterns);
    config.default_service(web::to(move |request: HttpRequest| {
        std::future::ready(elsewhere(&request, &patterns))
    }));
}

fn allowed(calls: &[Call]) -> String {
    let mut methods: Vec<&str> = calls.iter().map(|call| call.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

/// OPTIONS says what there is; any other method is none. Neither asks who is there.
fn other_method(method: &Method, allowed: &str) -> HttpResponse {
    let status = if *method == Method::OPTIONS {
        StatusCode::OK
    } else {
        StatusCode::METHOD_NOT_ALLOWED
    };
    HttpResponse::build(status)
        .insert_header((header::ALLOW, allowed))
        .finish()
}

fn not_found() -> HttpResponse {
    HttpResponse::NotFound().content_type(JSON).body("null")
}

/// Redirects where only the trailing slash is missing; else there is nothing.
fn elsewhere(request: &HttpRequest, patterns: &[ResourceDef]) -> HttpResponse {
    let slashed = format!("{}/", request.path());
    if request.path().ends_with('/') || !patterns.iter().any(|path| path.is_match(&slashed)) {
        return not_found();
    }
    let path = request.uri().path();
    let location = match request.query_string() {
        "" => format!("{path}/"),
        query => format!("{path}/?{query}"),
    };
    let status = if matches!(*request.method(), Method::GET | Method::HEAD) {
        StatusCode::MOVED_PERMANENTLY
    } else {
        // Keeps the method and the body.
        StatusCode::PERMANENT_REDIRECT
    };
    HttpResponse::build(status)
        .insert_header((header::LOCATION, location))
        .finish()
}

/// Around every request of the dialect: notes what was asked, for the envelope of a refusal.
///
/// # Errors
/// None: the layers inside answer their errors.
pub async fn layer(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // One that is encoded would be a slash to whoever decodes the path before he looks at it.
    if request.uri().path().to_ascii_lowercase().contains("%2f") {
        return Ok(request.into_response(not_found()));
    }
    let asked = Asked {
        href: request.uri().to_string(),
        method: request.method().clone(),
    };
    ASKED.scope(asked, next.call(request)).await
}
