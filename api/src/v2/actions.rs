//! `content/actions/delete_orphans/`: the removal of a list of units (contract 2, 1.6).

use super::auth::Caller;
use super::body::Sent;
use super::orphans::{dispatch, protection};
use super::problem::{Answer, Problem};
use crate::app::App;
use actix_web::web::Data;
use millrace_common::tasks::orphan_removal::{DeleteOrphans, UnitName};
use serde_json::Value;
use std::collections::HashSet;

const TYPE: &str = "content_type_id";
const UNIT: &str = "unit_id";

/// Deletes those of these units that are orphans, in a task. Nothing at all deletes nothing.
///
/// # Errors
/// 400 for what is no such list, 413 for one that is too long.
pub async fn delete_orphans(app: Data<App>, caller: Caller, body: Sent) -> Answer {
    let limit = app.settings.api.delete_orphans_limit;
    let content_unit_list = match body.or_empty(limit).await? {
        Some(sent) => units(sent)?,
        None => Vec::new(),
    };
    let task = DeleteOrphans {
        content_unit_list,
        orphan_protection_time: protection(&app),
    };
    dispatch(&app, &caller, &task).await
}

/// The units of a list, each once. What else their objects hold does not count.
fn units(sent: Value) -> Answer<Vec<UnitName>> {
    let Value::Array(sent) = sent else {
        return Err(Problem::not_of_type("list"));
    };
    let mut seen = HashSet::new();
    let mut units = Vec::new();
    for one in sent {
        let text = |name| one.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(content_type_id), Some(unit_id)) = (text(TYPE), text(UNIT)) else {
            return Err(Problem::invalid(&[TYPE, UNIT]));
        };
        let unit = UnitName {
            content_type_id,
            unit_id,
        };
        if seen.insert(unit.clone()) {
            units.push(unit);
        }
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(sent: Value) -> String {
        let refused = units(sent.clone()).expect_err(&sent.to_string());
        refused.details()["code"].as_str().unwrap().to_owned()
    }

    #[test]
    fn units_are_named_by_two_texts_and_count_once() {
        let one = json!({"content_type_id": "rpm", "unit_id": "a", "more": [1]});
        assert_eq!(units(json!([one, one])).unwrap().len(), 1);
        assert_eq!(units(json!([])).unwrap(), []);
    }

    #[test]
    fn what_is_no_list_of_such_is_refused() {
        for odd in [
            json!({}),
            json!({"a": 1}),
            json!("x"),
            json!(5),
            Value::Null,
        ] {
            assert_eq!(code(odd), "PLP1015");
        }
        for odd in [
            json!([1]),
            json!([{}]),
            json!([["content_type_id", "unit_id"]]),
            json!([{"content_type_id": "rpm"}]),
            json!([{"content_type_id": "rpm", "unit_id": 5}]),
            json!([{"content_type_id": "rpm", "unit_id": "a"}, {"unit_id": "a"}]),
        ] {
            assert_eq!(code(odd), "PLP0015");
        }
    }
}
