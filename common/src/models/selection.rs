//! Which rows of a table a listing shows: a condition, an order, a page.

pub use super::predicate::{Bind, Predicate};

use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, TypedExpressionType, ValidGrouping,
    is_aggregate,
};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use std::marker::PhantomData;
use std::sync::Arc;

/// A column to sort by.
#[derive(Clone)]
pub struct SortKey {
    column: Arc<dyn QueryFragment<Pg> + Send + Sync>,
    descending: bool,
}

impl SortKey {
    /// Sorts by this column.
    pub fn new<C: QueryFragment<Pg> + Send + Sync + 'static>(column: C, descending: bool) -> Self {
        Self {
            column: Arc::new(column),
            descending,
        }
    }

    /// The same column in this direction.
    #[must_use]
    pub fn descending(&self, descending: bool) -> Self {
        Self {
            column: Arc::clone(&self.column),
            descending,
        }
    }
}

/// The order of a listing.
pub struct Sorting<T> {
    keys: Vec<SortKey>,
    table: PhantomData<fn(T)>,
}

impl<T> Clone for Sorting<T> {
    fn clone(&self) -> Self {
        Self::new(self.keys.clone())
    }
}

impl<T> Sorting<T> {
    /// Sorts by these columns, the first first.
    #[must_use]
    pub fn new(keys: Vec<SortKey>) -> Self {
        Self {
            keys,
            table: PhantomData,
        }
    }
}

/// The type of an order: it has no value.
#[derive(Clone, Copy, Debug)]
pub struct NoValue;

impl TypedExpressionType for NoValue {}

impl<T> QueryFragment<Pg> for Sorting<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        for (i, key) in self.keys.iter().enumerate() {
            if i > 0 {
                out.push_sql(", ");
            }
            key.column.walk_ast(out.reborrow())?;
            out.push_sql(if key.descending { " DESC" } else { " ASC" });
        }
        Ok(())
    }
}

impl<T> QueryId for Sorting<T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T> Expression for Sorting<T> {
    type SqlType = NoValue;
}

impl<T> AppearsOnTable<T> for Sorting<T> {}
impl<T> SelectableExpression<T> for Sorting<T> {}

impl<T, GB> ValidGrouping<GB> for Sorting<T> {
    type IsAggregate = is_aggregate::No;
}

/// What a listing asks of a table.
pub struct Selection<T> {
    /// Which rows.
    pub predicate: Predicate<T>,
    /// In which order; must end with a unique column.
    pub sorting: Sorting<T>,
    /// At most so many rows.
    pub limit: i64,
    /// So many rows are left out first.
    pub offset: i64,
}

/// One page of a listing, and how many rows there are in all.
#[derive(Clone, Debug)]
pub struct Page<R> {
    /// Rows that match.
    pub count: i64,
    /// Rows of this page.
    pub rows: Vec<R>,
}

/// Reads a page: `page!(conn, table, Row, selection)` gives `QueryResult<Page<Row>>`.
#[macro_export]
macro_rules! page {
    ($conn:expr, $table:expr, $row:ty, $selection:expr) => {{
        use diesel::{QueryDsl as _, SelectableHelper as _};
        use diesel_async::RunQueryDsl as _;
        let count: i64 = $table
            .filter($selection.predicate.clone())
            .count()
            .get_result($conn)
            .await?;
        let rows: Vec<$row> = $table
            .filter($selection.predicate.clone())
            .order_by($selection.sorting.clone())
            .limit($selection.limit)
            .offset($selection.offset)
            .select(<$row>::as_select())
            .load($conn)
            .await?;
        Ok($crate::models::selection::Page { count, rows })
    }};
}

/// Loads the rows of a query whose column is one of these ids: `load_of!(conn, query, column, ids)`. One id is the rule, asked
/// for again and again: compared by `=` it is planned once a session, where a list is planned anew each time.
#[macro_export]
macro_rules! load_of {
    ($conn:expr, $query:expr, $column:expr, $ids:expr) => {
        match $ids {
            [one] => $query.filter($column.eq(one)).load($conn).await,
            many => $query.filter($column.eq_any(many)).load($conn).await,
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::task;
    use diesel::prelude::*;

    #[test]
    fn conditions_nest_and_values_are_bound() {
        let name = Predicate::<task::table>::on(task::name)
            .then(" = ")
            .bind(Bind::Text("x' OR 1=1".into()));
        let state = Predicate::of(task::state.eq("waiting"));
        let query = task::table
            .filter(name.or(state).negated().and(Predicate::never()))
            .order_by(Sorting::<task::table>::new(vec![SortKey::new(
                task::pulp_id,
                true,
            )]))
            .select(task::pulp_id);
        let sql = diesel::debug_query::<Pg, _>(&query).to_string();
        assert!(
            sql.contains(
                r#"(("task"."name" = $1) OR (("task"."state" = $2)))) IS NOT TRUE AND FALSE"#
            ),
            "{sql}"
        );
        assert!(sql.contains(r#"ORDER BY "task"."pulp_id" DESC"#), "{sql}");
        assert!(!sql.split("--").next().unwrap().contains("OR 1=1"), "{sql}");
    }
}
