//! `plugins/types/`: the definitions of content types (contract 2, 3.2).

use super::answer::{document_id, href, ok};
use super::problem::{Answer, Problem};
use super::segment;
use crate::app::App;
use actix_web::HttpRequest;
use actix_web::web::Data;
use millrace_common::content::Definition;
use serde_json::{Value, json};
use std::future::{Ready, ready};

/// All types.
///
/// # Errors
/// None.
pub fn list(app: Data<App>) -> Ready<Answer> {
    let all: Vec<Value> = app.catalog.content.definitions().map(shown).collect();
    ready(ok(&all))
}

/// One type.
///
/// # Errors
/// 404.
pub fn read(app: Data<App>, request: HttpRequest) -> Ready<Answer> {
    let id = segment(&request, "type_id");
    ready(match app.catalog.content.by_id(&id) {
        Some(definition) => ok(&shown(definition)),
        None => Err(Problem::missing(&[("type", &id)])),
    })
}

fn shown(definition: &Definition) -> Value {
    json!({
        "_href": href(&["plugins", "types", &definition.id]),
        "_id": { "$oid": document_id(&definition.id) },
        "_ns": "content_types",
        "id": definition.id,
        "display_name": definition.display_name,
        "description": definition.description,
        "unit_key": definition.unit_key,
        "search_indexes": definition.search_indexes,
        "referenced_types": definition.referenced_types,
    })
}
