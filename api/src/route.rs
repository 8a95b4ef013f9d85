//! One entry of a URL table: the source of an actix route and of an operation of the OpenAPI document.

use crate::auth;
use crate::dispatch_headers::{self, IDEMPOTENCY_KEY, TASK_DEADLINE};
use crate::error::ApiError;
use crate::listing::{Filters, Kind};
use crate::openapi::{
    MakeSchema, Parameter, SchemaDoc, list_parameters, minimal_parameter, read_parameters,
};
use actix_web::body::BoxBody;
use actix_web::dev::{ResourceDef, ServiceRequest};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Responder, Route};
use serde_json::json;
use utoipa::ToSchema;

/// Media types of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON, form, multipart.
    Any,
    /// Multipart and form: the body may carry a file.
    Upload,
}

/// A method on a path.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path behind the root; a `{…_href}` stands for the id of one object.
    pub path: &'static str,
    /// `operationId`.
    pub operation: &'static str,
    /// Group of operations, a class in generated clients.
    pub tag: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// True where no credentials are asked for.
    pub public: bool,
    /// True where the document leaves it out.
    pub hidden: bool,
    /// The body that it takes.
    pub body: Option<(Media, MakeSchema)>,
    /// Statuses and what comes with them.
    pub answers: Vec<(u16, Option<MakeSchema>)>,
    /// Parameters in the query and in headers.
    pub query: Vec<Parameter>,
    /// True where a task may be dispatched.
    pub is_dispatching: bool,
    /// True where the answer is a stream of events.
    pub is_stream: bool,
    route: Box<dyn Fn(Route) -> Route>,
}

fn endpoint<F, Args>(
    method: Method,
    path: &'static str,
    operation: &'static str,
    handler: F,
) -> Endpoint
where
    F: Handler<Args> + Clone,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Endpoint {
        query: if method == Method::GET {
            read_parameters()
        } else {
            Vec::new()
        },
        method,
        path,
        operation,
        tag: "",
        summary: "",
        public: false,
        hidden: false,
        body: None,
        answers: Vec::new(),
        is_dispatching: false,
        is_stream: false,
        route: Box::new(move |route| route.to(handler.clone())),
    }
}

macro_rules! methods {
    ($($name:ident => $method:ident, $doc:literal;)+) => {$(
        #[doc = $doc]
        pub fn $name<F, Args>(path: &'static str, operation: &'static str, handler: F) -> Endpoint
        where
            F: Handler<Args> + Clone,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            endpoint(Method::$method, path, operation, handler)
        }
    )+};
}

methods! {
    get => GET, "GET, and HEAD with it.";
    post => POST, "POST.";
    put => PUT, "PUT.";
    patch => PATCH, "PATCH.";
    delete => DELETE, "DELETE.";
}

/// The answer to a dispatch.
#[derive(serde::Serialize, ToSchema)]
pub struct AsyncOperationResponse {
    /// The href of the task.
    pub task: String,
}

impl Endpoint {
    /// Sets the tag.
    #[must_use]
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// Sets the summary.
    #[must_use]
    pub fn about(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Asks for no credentials. Such an answer is whole: no fields of it are selected.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.public = true;
        self.query.clear();
        self
    }

    /// Leaves it out of the document.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Offers `minimal=true`.
    #[must_use]
    pub fn minimal(mut self) -> Self {
        self.query.push(minimal_parameter());
        self
    }

    /// Takes a body of this type.
    #[must_use]
    pub fn accepts<T: ToSchema>(mut self) -> Self {
        self.body = Some((Media::Any, SchemaDoc::of::<T>));
        self
    }

    /// Takes some fields of a body of this type (PATCH): all are optional.
    #[must_use]
    pub fn accepts_some_of<T: ToSchema>(mut self) -> Self {
        self.body = Some((Media::Any, || SchemaDoc::of::<T>().patched()));
        self
    }

    /// Takes a body of this type that may carry files.
    #[must_use]
    pub fn accepts_upload<T: ToSchema>(mut self) -> Self {
        self.body = Some((Media::Upload, SchemaDoc::of::<T>));
        self
    }

    /// Takes a header that must be there.
    #[must_use]
    pub fn needs_header(mut self, name: &str, help: &str) -> Self {
        let header = Parameter::header(name, help, Kind::Text);
        self.query.push(header.required());
        self
    }

    /// Answers this status with a body of this type.
    #[must_use]
    pub fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        self.answers.push((status, Some(SchemaDoc::of::<T>)));
        self
    }

    /// Answers 200 with a stream of server-sent events, with these parameters in the query.
    #[must_use]
    pub fn streams(mut self, parameters: Vec<Parameter>) -> Self {
        self.is_stream = true;
        self.query = parameters;
        self.answers.push((200, None));
        self
    }

    /// Answers this status without a body.
    #[must_use]
    pub fn answers_nothing(mut self, status: u16) -> Self {
        self.answers.push((status, None));
        self
    }

    /// Answers 202 with the task.
    #[must_use]
    pub fn dispatches(mut self) -> Self {
        let help =
            "By when the task is to be over: a moment (RFC 3339), or whole seconds from now.";
        self.query
            .push(Parameter::header(TASK_DEADLINE, help, Kind::Text));
        if self.method == Method::POST {
            let help =
                "A name of the client's own for this request: sent again, it is the same task.";
            self.query
                .push(Parameter::header(IDEMPOTENCY_KEY, help, Kind::Text));
        }
        self.is_dispatching = true;
        self.answers::<AsyncOperationResponse>(202)
    }

    /// Answers a page of this type; takes these filters.
    #[must_use]
    pub fn lists<T: ToSchema, Table>(mut self, filters: &Filters<Table>) -> Self {
        self.query = list_parameters(filters);
        self.answers
            .push((200, Some(|| SchemaDoc::of::<T>().paginated())));
        self
    }
}

/// Registers a table under its root.
pub fn register(root: &str, table: Vec<Endpoint>, config: &mut ServiceConfig) {
    let mut by_path: Vec<(&'static str, Vec<Endpoint>)> = Vec::new();
    for endpoint in table {
        match by_path.iter_mut().find(|(path, _)| *path == endpoint.path) {
            Some((_, same)) => same.push(endpoint),
            None => by_path.push((endpoint.path, vec![endpoint])),
        }
    }
    // `tasks/purge/` must be tried before `tasks/{task_href}/`.
    by_path.sort_by_key(|(path, _)| path.contains('{'));
    for (path, endpoints) in by_path {
        let allowed = allowed(&endpoints);
        let public = endpoints.iter().all(|endpoint| endpoint.public);
        let mut resource = web::resource(format!("{root}{path}"));
        for endpoint in &endpoints {
            if endpoint.method == Method::GET {
                resource = resource.route((endpoint.route)(web::head()));
            }
            let mut route = (endpoint.route)(web::method(endpoint.method.clone()));
            if endpoint.is_dispatching {
                let takes_body = endpoint.body.is_some();
                route = route.wrap(from_fn(
                    move |request: ServiceRequest, next: Next<BoxBody>| {
                        dispatch_headers::layer(takes_body, request, next)
                    },
                ));
            }
            resource = resource.route(route);
        }
        let (options, others) = (allowed.clone(), allowed);
        let resource = resource
            .route(
                web::method(Method::OPTIONS)
                    .to(move || std::future::ready(describe(path, &options))),
            )
            .default_service(web::to(move |request: actix_web::HttpRequest| {
                std::future::ready(refuse_method(request.method(), &others))
            }));
        if public {
            config.service(resource);
        } else {
            config.service(resource.wrap(from_fn(auth::layer)));
        }
    }
}

fn allowed(endpoints: &[Endpoint]) -> String {
    let mut methods: Vec<&str> = endpoints.iter().map(|e| e.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

fn describe(path: &str, allowed: &str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::ALLOW, allowed))
        .json(json!({
            "name": path.trim_end_matches('/'),
            "description": "",
            "renders": ["application/json"],
            "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
        }))
}

fn refuse_method(method: &Method, allowed: &str) -> Result<HttpResponse, ApiError> {
    let refusal = ApiError::detail(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("Method \"{method}\" not allowed."),
    );
    Err(match HeaderValue::from_str(allowed) {
        Ok(value) => refusal.header(header::ALLOW, value),
        Err(_) => refusal,
    })
}

/// The paths of a table, to recognise one that lacks its trailing slash.
pub fn paths(root: &str, table: &[Endpoint]) -> Vec<ResourceDef> {
    table
        .iter()
        .map(|endpoint| ResourceDef::new(format!("{root}{}", endpoint.path)))
        .collect()
}
