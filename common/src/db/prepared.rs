//! Statements that a session keeps.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Untyped;

/// A statement that a session parses once and then knows by its text.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<Q>(Q);

/// Statements written as text. Diesel keeps none of them, as nobody tells it how many there are: each run costs a
/// round trip and the parsing again.
pub trait Prepare: Sized {
    /// Has this statement kept by the session that runs it, for as long as that lives. So its text must be one of
    /// few; it must name the columns that it gives, as a kept statement whose `*` means others after an upgrade is
    /// refused; and it must fare well with a plan that was made for any values.
    fn prepared(self) -> Prepared<Self> {
        Prepared(self)
    }
}

impl<Q: QueryFragment<Pg>> Prepare for Q {}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q> Query for Prepared<Q> {
    type SqlType = Untyped;
}
