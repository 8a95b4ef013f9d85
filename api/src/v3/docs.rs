//! `docs/`: the OpenAPI document, and a page to read.

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::listing::page::pairs;
use crate::openapi::{self, Query};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::error::Error;
use serde_json::Value;

async fn document(app: Data<App>, request: &HttpRequest) -> ApiResult<Value> {
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
    let origin = {
        let info = request.connection_info();
        format!("{}://{}/", info.scheme(), info.host())
    };
    let turn = app.clone();
    let _turn = turn.documents.lock().await;
    let made =
        web::block(move || openapi::document(&super::table(), &app.catalog, &origin, &query));
    made.await.map_err(Error::internal)?
}

/// The document for programs.
pub async fn json(app: Data<App>, request: HttpRequest) -> ApiResult {
    Ok(HttpResponse::Ok().json(document(app, &request).await?))
}

/// The document for people.
pub async fn page(app: Data<App>, request: HttpRequest) -> ApiResult {
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(openapi::page(&document(app, &request).await?)))
}
