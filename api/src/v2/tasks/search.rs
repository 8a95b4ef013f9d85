//! `tasks/search/`: the part of Pulp 2's criteria that tells tasks apart.

use super::list::{number, stream_of, task_id, with_tags};
use super::response::{shown_name, states_of};
use crate::app::App;
use crate::v2::body::Sent;
use crate::v2::problem::{Answer, Problem};
use actix_web::HttpRequest;
use actix_web::web::Data;
use millrace_common::models::listed_task::TasksOf;
use millrace_common::tasking::Registry;
use serde_json::{Map, Value};
use url::form_urlencoded;

/// What is asked for.
#[derive(Default)]
struct Criteria {
    of: TasksOf,
    skip: i64,
    limit: Option<i64>,
}

/// Tasks by criteria in the query: `filters` (JSON), `limit`, `skip`.
///
/// # Errors
/// 400 for a criterion that is not offered.
pub async fn search(app: Data<App>, request: HttpRequest) -> Answer {
    let mut criteria = Criteria::default();
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        match &*name {
            "filters" => {
                let filters = serde_json::from_str(&value).ok();
                let filters = filters.ok_or_else(|| Problem::invalid(&["filters"]))?;
                criteria.of = read_filters(&app.catalog.tasks, &filters)?;
            }
            "skip" => criteria.skip = number("skip", &value)?,
            "limit" => criteria.limit = Some(number("limit", &value)?),
            other => return Err(Problem::invalid(&[other])),
        }
    }
    answer(app, &request, criteria).await
}

/// Tasks by the `criteria` of a body.
///
/// # Errors
/// As [`search`].
pub async fn search_by_body(app: Data<App>, request: HttpRequest, body: Sent) -> Answer {
    let Value::Object(mut sent) = body.json().await? else {
        return Err(Problem::not_of_type("dict"));
    };
    let Some(Value::Object(given)) = sent.remove("criteria") else {
        return Err(Problem::invalid(&["criteria"]));
    };
    let mut criteria = Criteria::default();
    for (name, value) in given {
        match name.as_str() {
            _ if value.is_null() => {}
            "filters" => criteria.of = read_filters(&app.catalog.tasks, &value)?,
            "skip" => criteria.skip = number(&name, &value.to_string())?,
            "limit" => criteria.limit = Some(number(&name, &value.to_string())?),
            _ => return Err(Problem::invalid(&[&name])),
        }
    }
    answer(app, &request, criteria).await
}

async fn answer(app: Data<App>, request: &HttpRequest, criteria: Criteria) -> Answer {
    stream_of(app, request, criteria.of, criteria.skip, criteria.limit).await
}

/// Each filter is a value, or `{"$in": [values]}`.
fn read_filters(registry: &Registry, filters: &Value) -> Answer<TasksOf> {
    let Value::Object(filters) = filters else {
        return Err(Problem::invalid(&["filters"]));
    };
    let mut of = TasksOf::default();
    for (name, value) in filters {
        let values = texts(value).ok_or_else(|| Problem::invalid(&[name]))?;
        match name.as_str() {
            "state" => {
                let ours = values.iter().filter_map(|state| states_of(state)).flatten();
                of.states = Some(ours.map(|state| state.as_str().to_owned()).collect());
            }
            "task_id" => of.ids = Some(values.iter().filter_map(|id| task_id(id)).collect()),
            "task_type" => {
                let known = registry.types().map(|one| one.name);
                let named = known.filter(|name| values.iter().any(|v| v == shown_name(name)));
                let named = named.map(str::to_owned).collect();
                of.names = Some(both(of.names, named));
            }
            // As an array holds a value in Mongo's criteria: one of them is enough.
            "tags" => {
                let one = |tag: &String| with_tags(registry, std::slice::from_ref(tag));
                let tagged = values.iter().filter_map(one).flatten().collect();
                of.names = Some(both(of.names, tagged));
            }
            _ => return Err(Problem::invalid(&[name])),
        }
    }
    Ok(of)
}

fn both(earlier: Option<Vec<String>>, names: Vec<String>) -> Vec<String> {
    match earlier {
        None => names,
        Some(earlier) => earlier.into_iter().filter(|n| names.contains(n)).collect(),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Object(operators) => one_in(operators)?.iter().map(text).collect(),
        _ => None,
    }
}

fn one_in(operators: &Map<String, Value>) -> Option<&Vec<Value>> {
    let values = operators.get("$in")?.as_array()?;
    (operators.len() == 1).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(filters: &Value) -> Answer<TasksOf> {
        let mut registry = Registry::default();
        millrace_common::tasks::register_all(&mut registry, false);
        read_filters(&registry, filters)
    }

    #[test]
    fn filters_are_values_or_lists_of_them() {
        let of = read(&json!({"state": "running", "tags": "pulp:action:delete_orphans"})).unwrap();
        assert_eq!(of.states.unwrap(), ["running", "canceling"]);
        assert_eq!(of.names.unwrap().len(), 1);
        let of = read(&json!({"state": {"$in": ["finished", "odd"]}, "task_id": "x"})).unwrap();
        assert_eq!(of.states.unwrap(), ["completed"]);
        assert_eq!(of.ids.unwrap(), []);
        let by_id = "pulp.server.managers.content.orphan.delete_orphans_by_id";
        let of = read(&json!({"task_type": by_id})).unwrap();
        assert_eq!(of.names.unwrap().len(), 2, "and that of a list");
    }

    #[test]
    fn a_criterion_that_is_not_offered_is_named() {
        for (filters, named) in [
            (json!([]), "filters"),
            (json!({"worker_name": "x"}), "worker_name"),
            (json!({"state": {"$ne": "x"}}), "state"),
            (json!({"state": 5}), "state"),
        ] {
            let refused = read(&filters).unwrap_err().details();
            assert_eq!(refused["data"]["property_names"], json!([named]));
        }
    }
}
