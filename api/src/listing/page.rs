//! A list request, and its answer: `count`, `next`, `previous`, `results`.

use super::fields::Wanted;
use super::filters::{Defaults, Filters};
use super::parse::{Parsed, parse};
use crate::app::App;
use crate::auth::Access;
use crate::error::{ApiError, ApiResult};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::models::selection::{Predicate, Selection};
use serde::Serialize;
use serde_json::json;
use url::Url;
use url::form_urlencoded;

/// A list request that was understood.
pub struct Listing<T> {
    /// What it asks of the table. A handler may add conditions of its own.
    pub selection: Selection<T>,
    /// Which fields it wants to see.
    pub wanted: Wanted,
    /// The filter and its value, where it is the only one and the order is the list's own: a handler may
    /// know a shorter way to such a page.
    pub only: Option<(String, String)>,
    paging: Paging,
    regex: Option<String>,
}

/// Where the pages of a list are.
pub struct Paging {
    url: Option<Url>,
    limit: i64,
    offset: i64,
}

/// The pairs of a query.
#[must_use]
pub fn pairs(request: &HttpRequest) -> Vec<(String, String)> {
    form_urlencoded::parse(request.query_string().as_bytes())
        .into_owned()
        .collect()
}

impl Wanted {
    /// What the request for one object wants to see.
    #[must_use]
    pub fn from_request(request: &HttpRequest) -> Self {
        Self::from_pairs(&pairs(request))
    }
}

impl Wanted {
    /// The answer with one object: the first.
    ///
    /// # Errors
    /// 500 where there is none, or it cannot be written as JSON.
    pub fn answer_one<V: Serialize>(&self, shown: Vec<V>) -> ApiResult {
        let one = shown
            .first()
            .ok_or_else(|| ApiError::internal("nothing to show"))?;
        let answer = self.of(one).map_err(ApiError::internal)?;
        Ok(HttpResponse::Ok().json(answer))
    }
}

impl<T> Listing<T> {
    /// Reads the parameters of a list request of somebody with this access.
    ///
    /// # Errors
    /// 400 that names every wrong parameter.
    pub fn from_request(
        app: &App,
        access: &Access,
        request: &HttpRequest,
        filters: &Filters<T>,
    ) -> ApiResult<Self> {
        let defaults = Defaults {
            page_limit: app.settings.api.page_limit,
            orphan_protection_time: app.settings.tasks.orphan_protection_time,
            types: &app.catalog.content,
            access,
        };
        let Parsed {
            selection,
            wanted,
            regex,
            only,
        } = parse(&pairs(request), filters, defaults)?;
        let paging = Paging::new(request, selection.limit, selection.offset);
        Ok(Self {
            selection,
            wanted,
            only,
            paging,
            regex,
        })
    }

    /// Lists only what fulfils this condition too.
    pub fn narrow(&mut self, to: Predicate<T>) {
        let asked = std::mem::replace(&mut self.selection.predicate, Predicate::always());
        self.selection.predicate = to.and(asked);
    }

    /// Turns what the database says about a regular expression into a refusal of its filter.
    #[must_use]
    pub fn blame(&self, error: diesel::result::Error) -> ApiError {
        let text = error.to_string();
        let message = if text.contains("invalid regular expression") {
            "Enter a valid regular expression."
        } else if text.contains("statement timeout") {
            "This regular expression takes too long."
        } else {
            return error.into();
        };
        match &self.regex {
            Some(filter) => ApiError::field(filter, message),
            None => error.into(),
        }
    }

    /// The answer, from the count of all that match and the page as clients see it.
    ///
    /// # Errors
    /// Only where a row cannot be written as JSON.
    pub fn answer<V: Serialize>(&self, count: i64, results: &[V]) -> ApiResult {
        let results = results
            .iter()
            .map(|row| self.wanted.of(row))
            .collect::<Result<Vec<_>, _>>()
            .map_err(ApiError::internal)?;
        Ok(HttpResponse::Ok().json(json!({
            "count": count,
            "next": self.paging.next(count),
            "previous": self.paging.previous(),
            "results": results,
        })))
    }
}

/// The address of a request; a Host header that is none counts as missing.
fn address(request: &HttpRequest) -> Option<Url> {
    let info = request.connection_info();
    let path = request.uri().path_and_query()?;
    Url::parse(&format!("{}://{}{path}", info.scheme(), info.host()))
        .or_else(|_invalid| Url::parse(&format!("http://localhost{path}")))
        .ok()
}

impl Paging {
    fn new(request: &HttpRequest, limit: i64, offset: i64) -> Self {
        Self {
            url: address(request),
            limit,
            offset,
        }
    }

    fn at(&self, offset: i64) -> Option<String> {
        let mut url = self.url.clone()?;
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .into_owned()
            .filter(|(name, _)| name != "limit" && name != "offset")
            .collect();
        {
            let mut query = url.query_pairs_mut();
            query.clear().extend_pairs(kept);
            query.append_pair("limit", &self.limit.to_string());
            if offset > 0 {
                query.append_pair("offset", &offset.to_string());
            }
        }
        Some(url.into())
    }

    /// The page behind this one.
    #[must_use]
    pub fn next(&self, count: i64) -> Option<String> {
        let behind = self.offset.checked_add(self.limit)?;
        (behind < count).then(|| self.at(behind)).flatten()
    }

    /// The page in front of this one.
    #[must_use]
    pub fn previous(&self) -> Option<String> {
        (self.offset > 0)
            .then(|| self.at((self.offset - self.limit).max(0)))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn paging(query: &str, limit: i64, offset: i64) -> Paging {
        let request = TestRequest::with_uri(&format!("/pulp/api/v3/tasks/?{query}"))
            .insert_header(("host", "h:1"))
            .to_http_request();
        Paging::new(&request, limit, offset)
    }

    #[test]
    fn pages_are_absolute_and_keep_the_filters() {
        let paging = paging("name=a%26b&limit=1000000&offset=50", 1000, 50);
        assert_eq!(
            paging.next(2000).unwrap(),
            "http://h:1/pulp/api/v3/tasks/?name=a%26b&limit=1000&offset=1050"
        );
        assert_eq!(
            paging.previous().unwrap(),
            "http://h:1/pulp/api/v3/tasks/?name=a%26b&limit=1000"
        );
        assert_eq!(paging.next(1050), None);
    }

    #[test]
    fn the_first_page_has_nothing_in_front() {
        assert_eq!(paging("", 100, 0).previous(), None);
        assert_eq!(paging("", 100, i64::MAX).next(5), None);
    }
}
