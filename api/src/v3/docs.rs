//! `docs/`: the OpenAPI document, and a page to read.

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::listing::page::pairs;
use crate::openapi::{self, Query};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::error::Error;
use serde_json::Value;

/// What is made of the document, off the async threads; a client that goes does not give its turn to the next before it is done.
async fn made<T: Send + 'static>(
    app: Data<App>,
    request: &HttpRequest,
    make: impl FnOnce(&Value) -> Result<T, Error> + Send + 'static,
) -> ApiResult<T> {
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
    let turn = app.documents.clone().lock_owned().await;
    let work = web::block(move || {
        let _turn = turn;
        let document = openapi::document(&super::table(), &app.catalog, &origin, &query)?;
        Ok(make(&document)?)
    });
    work.await.map_err(Error::internal)?
}

/// The document for programs.
pub async fn json(app: Data<App>, request: HttpRequest) -> ApiResult {
    let text = made(app, &request, |document| {
        serde_json::to_vec(document).map_err(Error::internal)
    });
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(text.await?))
}

/// The document for people.
pub async fn page(app: Data<App>, request: HttpRequest) -> ApiResult {
    let page = made(app, &request, |document| Ok(openapi::page(document)));
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(page.await?))
}
