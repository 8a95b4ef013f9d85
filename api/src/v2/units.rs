//! Orphaned units as clients of this dialect see them, and the listing of many, which is never whole in memory.

use super::answer::{JSON, href, moment};
use super::problem::Answer;
use crate::app::App;
use crate::correlation;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use futures_util::stream::{self, Stream};
use log::error;
use millrace_common::cause::chain;
use millrace_common::content::{Definition, file};
use millrace_common::error::Error;
use millrace_common::models::listed_orphan::{Orphan, OrphanCursor, OrphansOf};
use millrace_common::storage::Storage;
use serde_json::{Map, Value, json};

/// A unit. What every unit has wins over fields of the same names.
pub fn body(storage: &Storage, definition: &Definition, unit: Orphan) -> Value {
    let mut shown = match unit.fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let size = unit.file.as_ref().map(|(_, bytes)| *bytes);
    if definition.row_type() == file::PULP_TYPE {
        add_to_file(&mut shown, size);
    }
    let id = unit.pulp_id.to_string();
    let in_store = unit.file.and_then(|(key, _)| storage.local_path(&key));
    let in_store = in_store.map(|path| path.to_string_lossy().into_owned());
    let common = json!({
        "_id": id,
        "_content_type_id": definition.id,
        "_href": href(&["content", "orphans", &definition.id, &id]),
        "_ns": format!("units_{}", definition.id),
        "_storage_path": unit.path.or(in_store),
        "_last_updated": moment(unit.pulp_last_updated),
    });
    if let Value::Object(common) = common {
        shown.extend(common);
    }
    Value::Object(shown)
}

/// The names under which Pulp 2 has what a file is told by, beside our own.
fn add_to_file(shown: &mut Map<String, Value>, size: Option<i64>) {
    for (name, of) in [("name", "relative_path"), ("checksum", "digest")] {
        let value = shown.get(of).cloned().unwrap_or_default();
        shown.insert(name.to_owned(), value);
    }
    shown.insert("checksumtype".to_owned(), json!("sha256"));
    shown.insert("size".to_owned(), json!(size));
}

/// A listing on its way: what is to be sent before the next page, and from where that goes on.
struct Listing {
    app: Data<App>,
    definition: Definition,
    of: OrphansOf,
    behind: Option<OrphanCursor>,
    is_first: bool,
}

/// 200 with the array of these orphans, a page at a time: the next one is read once the client has taken the one before,
/// and none where it is gone. No statement and no session is kept over that.
///
/// # Errors
/// As the session, before anything is sent. Later the answer is cut off.
pub async fn list(app: Data<App>, definition: Definition, of: OrphansOf) -> Answer {
    let mut listing = Listing {
        app,
        definition,
        of,
        behind: Some(OrphanCursor::default()),
        is_first: true,
    };
    // What is wrong now can be told.
    let first = listing.next().await?;
    let cid = correlation::current();
    let pages = pages(listing, first, cid);
    Ok(HttpResponse::build(StatusCode::OK)
        .content_type(JSON)
        .streaming(pages))
}

fn pages(
    listing: Listing,
    first: Option<Bytes>,
    cid: String,
) -> impl Stream<Item = Result<Bytes, Error>> {
    let first = stream::iter(first.map(Ok));
    let rest = stream::try_unfold((listing, cid), async |(mut listing, cid)| {
        match listing.next().await {
            Ok(Some(bytes)) => Ok(Some((bytes, (listing, cid)))),
            Ok(None) => Ok(None),
            Err(cause) => {
                error!(cid = cid.as_str(); "a listing is cut off: {}", chain(&cause));
                Err(cause)
            }
        }
    });
    futures_util::StreamExt::chain(first, rest)
}

impl Listing {
    /// The next piece of the array; `None` behind its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(behind) = self.behind.take() {
            let page = {
                let mut conn = self.app.db.get().await?;
                self.of.page(&mut conn, behind).await?
            };
            let Some((units, cursor)) = page else {
                let end = if self.is_first { "[]" } else { "]" };
                return Ok(Some(Bytes::from_static(end.as_bytes())));
            };
            self.behind = Some(cursor);
            if !units.is_empty() {
                return Ok(Some(self.write(units)));
            }
        }
        Ok(None)
    }

    fn write(&mut self, units: Vec<Orphan>) -> Bytes {
        let mut text = String::new();
        for unit in units {
            text.push(if self.is_first { '[' } else { ',' });
            self.is_first = false;
            let shown = body(&self.app.storage, &self.definition, unit);
            text.push_str(&shown.to_string());
        }
        text.into()
    }
}
