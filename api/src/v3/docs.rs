//! `docs/`: the OpenAPI document, and a page to read.

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::listing::page::pairs;
use crate::openapi::{self, Query};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

fn document(app: &App, request: &HttpRequest) -> ApiResult<Value> {
    let mut query = Query::default();
    for (name, value) in pairs(request) {
        match name.as_str() {
            "pk_path" => query.pk_path = true,
            "component" => query.components.extend(
                value
                    .split(',')
                    .filter(|c| !c.is_empty())
                    .map(str::to_owned),
            ),
            "plugin" => {
                return Err(ApiError::field("plugin", "Use `component` instead."));
            }
            _ => {}
        }
    }
    let info = request.connection_info();
    let origin = format!("{}://{}/", info.scheme(), info.host());
    app.documents.document(&origin, &query)
}

/// The document for programs.
pub async fn json(app: Data<App>, request: HttpRequest) -> ApiResult {
    Ok(HttpResponse::Ok().json(document(&app, &request)?))
}

/// The document for people.
pub async fn page(app: Data<App>, request: HttpRequest) -> ApiResult {
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(openapi::page(&document(&app, &request)?)))
}
