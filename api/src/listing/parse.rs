//! Query parameters into a selection.

use super::expression;
use super::fields::Wanted;
use super::filters::{Defaults, Filters};
use crate::body::json::NUL;
use crate::error::{ApiError, ApiResult};
use millrace_common::models::selection::{Selection, SortKey, Sorting};
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// Rows of a page when the client does not say.
pub const DEFAULT_LIMIT: i64 = 100;

/// Parameters that are no filters.
const EXEMPT: [&str; 8] = [
    "fields",
    "exclude_fields",
    "limit",
    "offset",
    "page_size",
    "minimal",
    "ordering",
    "format",
];

/// What a request asks of a list.
pub struct Parsed<T> {
    pub selection: Selection<T>,
    pub wanted: Wanted,
    /// The first regular-expression filter in use: the database judges it.
    pub regex: Option<String>,
    /// The filter and its value, where it is the only one and the order is the list's own.
    pub only: Option<(String, String)>,
}

/// Reads the parameters of a list.
///
/// # Errors
/// 400 that names every wrong parameter.
pub fn parse<T>(
    pairs: &[(String, String)],
    filters: &Filters<T>,
    defaults: Defaults<'_>,
) -> ApiResult<Parsed<T>> {
    let values = last_values(pairs, filters)?;
    let (mut predicate, mut errors, mut regex) = (filters.base(), Map::new(), None);
    let mut asked = Vec::new();
    for (name, value) in &values {
        let read = match (filters.get(name), name.as_str()) {
            _ if value.contains('\0') => Err(NUL.to_owned()),
            (Some(filter), _) if value.is_empty() && !filter.empty_counts => continue,
            (Some(filter), _) => {
                if filter.regex {
                    regex.get_or_insert_with(|| name.clone());
                }
                (filter.parse)(value, defaults)
            }
            (None, "q") if !value.is_empty() => {
                if value.contains("regex") {
                    regex.get_or_insert_with(|| name.clone());
                }
                expression::parse(value, filters, defaults)
            }
            _ => continue,
        };
        match read {
            Ok(condition) => {
                predicate = predicate.and(condition);
                asked.push((name.clone(), value.clone()));
            }
            Err(message) => {
                errors.insert(name.clone(), json!([message]));
            }
        }
    }
    let sorting = sorting(values.get("ordering"), filters, &mut errors);
    if !errors.is_empty() {
        return Err(ApiError::fields(errors));
    }
    let is_ordered = values
        .get("ordering")
        .is_some_and(|order| !order.is_empty());
    let only = asked.pop().filter(|_| asked.is_empty() && !is_ordered);
    Ok(Parsed {
        only,
        selection: Selection {
            predicate,
            sorting: Sorting::new(sorting),
            limit: whole(values.get("limit"), 1)
                .map_or(DEFAULT_LIMIT, |l| l.min(defaults.page_limit)),
            offset: offset(values.get("offset")),
        },
        wanted: Wanted::from_pairs(pairs),
        regex,
    })
}

/// The value of each parameter: the last one, but lists add up. Unknown ones are refused.
fn last_values<T>(
    pairs: &[(String, String)],
    filters: &Filters<T>,
) -> ApiResult<BTreeMap<String, String>> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (name, value) in pairs {
        let is_list = filters.get(name).is_some_and(|f| f.kind.is_list()) || name == "ordering";
        if filters.get(name).is_none() && name != "q" && !EXEMPT.contains(&name.as_str()) {
            unknown.push(format!("Invalid Filter: '{}'", name.replace('\0', "")));
            continue;
        }
        match values.get_mut(name) {
            Some(earlier) if is_list => {
                earlier.push(',');
                earlier.push_str(value);
            }
            _ => {
                values.insert(name.clone(), value.clone());
            }
        }
    }
    if unknown.is_empty() {
        Ok(values)
    } else {
        Err(ApiError::fields(
            [("errors".to_owned(), json!(unknown))]
                .into_iter()
                .collect(),
        ))
    }
}

fn sorting<T>(
    asked: Option<&String>,
    filters: &Filters<T>,
    errors: &mut Map<String, serde_json::Value>,
) -> Vec<SortKey> {
    let mut keys = Vec::new();
    for part in asked.map_or("", String::as_str).split(',') {
        let part = part.trim();
        let (descending, name) = match part.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, part),
        };
        match filters.sort_key(name) {
            Some(key) => keys.push(key.descending(descending)),
            None if name.is_empty() => {}
            None => {
                let message =
                    format!("Select a valid choice. {part} is not one of the available choices.");
                errors.insert("ordering".to_owned(), json!([message]));
            }
        }
    }
    keys.extend_from_slice(filters.default_order());
    keys
}

/// A number from `least` on; anything else is as if not given.
fn whole(value: Option<&String>, least: i64) -> Option<i64> {
    value?.parse().ok().filter(|number| *number >= least)
}

/// An offset beyond all numbers is past the end as well.
fn offset(value: Option<&String>) -> i64 {
    let is_huge = |text: &&String| text.len() > 18 && text.bytes().all(|b| b.is_ascii_digit());
    match value.filter(is_huge) {
        Some(_) => i64::MAX,
        None => whole(value, 0).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Access;
    use millrace_common::content::ContentTypes;
    use millrace_common::schema::task;

    fn parse_text(query: &str) -> Result<Parsed<task::table>, String> {
        let filters = Filters::newest_first(task::pulp_created, task::pulp_id)
            .names("name", task::name)
            .dates("started_at", task::started_at)
            .choice("state", task::state, &["waiting", "running"])
            .identities(task::pulp_id);
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let defaults = Defaults {
            page_limit: 1000,
            orphan_protection_time: 5,
            types: &ContentTypes::default(),
            access: &Access::UNLIMITED,
        };
        parse(&pairs, &filters, defaults).map_err(|e| e.to_string())
    }

    fn refusal(query: &str) -> String {
        parse_text(query).err().unwrap_or_default()
    }

    #[test]
    fn what_is_no_filter_is_refused_by_name() {
        assert!(refusal("foo=1&name=x").contains(r#"{"errors":["Invalid Filter: 'foo'"]}"#));
        assert_eq!(
            refusal("name=x&limit=5&fields=a&format=json&minimal=true"),
            ""
        );
    }

    #[test]
    fn every_bad_value_is_reported_under_its_parameter() {
        let text = refusal(
            "pulp_id__in=x&started_at__lt=y&state=lost&started_at__range=1&ordering=foo&name=a%00",
        );
        for part in [
            r#""pulp_id__in":["Enter a valid UUID."]"#,
            r#""started_at__lt":["Enter a valid date/time."]"#,
            r#""state":["Select a valid choice."#,
            r#""started_at__range":["Range query expects two values."]"#,
            r#""ordering":["Select a valid choice."#,
            r#""name":["Null characters are not allowed."]"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_filter_is_known_to_be_the_only_one() {
        let only = |query| parse_text(query).unwrap().only.map(|(name, _)| name);
        assert_eq!(only("name=x&limit=5&fields=a&state="), Some("name".into()));
        for query in ["", "name=x&state=waiting", "name=x&ordering=pulp_id"] {
            assert_eq!(only(query), None, "{query}");
        }
    }

    #[test]
    fn a_page_is_capped_and_odd_limits_fall_back() {
        let limit = |query| parse_text(query).map(|p| p.selection.limit).unwrap();
        assert_eq!(limit("limit=1000000000"), 1000);
        assert_eq!(limit("limit=99999999999999999999"), 100);
        for odd in ["limit=0", "limit=-1", "limit=x", ""] {
            assert_eq!(limit(odd), DEFAULT_LIMIT);
        }
    }

    #[test]
    fn lists_may_repeat_and_empty_values_ask_for_nothing() {
        assert_eq!(refusal("state__in=waiting&state__in=running"), "");
        assert!(refusal("state__in=waiting&state__in=lost").contains("lost"));
        assert!(
            parse_text("name=&state=")
                .unwrap()
                .selection
                .predicate
                .is_always()
        );
        assert_eq!(
            parse_text("name__regex=a").unwrap().regex.as_deref(),
            Some("name__regex")
        );
    }
}
