//! Which rows of a table a listing shows: a condition put together at run time, an order, a page.
//!
//! A [`Predicate`] is tied to its table by type, so a filter of one listing cannot be used on another.
//! Values are always bound, never written into the statement.

use chrono::{DateTime, Utc};
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, TypedExpressionType, ValidGrouping,
    is_aggregate,
};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use std::marker::PhantomData;
use std::sync::Arc;
use uuid::Uuid;

/// One piece of a condition.
#[derive(Clone)]
enum Part {
    Sql(&'static str),
    Fragment(Arc<dyn QueryFragment<Pg> + Send + Sync>),
    Bind(Bind),
}

/// A value of a condition.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named after what they hold")]
pub enum Bind {
    Bool(bool),
    Integer(i64),
    Text(String),
    Texts(Vec<String>),
    Time(DateTime<Utc>),
    Uuid(Uuid),
    Uuids(Vec<Uuid>),
    Json(serde_json::Value),
}

#[derive(Clone)]
enum Node {
    Leaf(Vec<Part>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
}

/// A condition on rows of the table `T`.
pub struct Predicate<T> {
    node: Node,
    table: PhantomData<fn(T)>,
}

impl<T> Clone for Predicate<T> {
    fn clone(&self) -> Self {
        Self::from(self.node.clone())
    }
}

impl<T> From<Node> for Predicate<T> {
    fn from(node: Node) -> Self {
        Self {
            node,
            table: PhantomData,
        }
    }
}

impl<T> Predicate<T> {
    /// True for every row.
    #[must_use]
    pub fn always() -> Self {
        Node::All(Vec::new()).into()
    }

    /// True for no row.
    #[must_use]
    pub fn never() -> Self {
        Node::Any(Vec::new()).into()
    }

    /// Begins a condition with a piece of SQL; [`Predicate::then`], [`Predicate::column`] and
    /// [`Predicate::bind`] add to it.
    #[must_use]
    pub fn sql(sql: &'static str) -> Self {
        Node::Leaf(vec![Part::Sql(sql)]).into()
    }

    /// A condition written with diesel.
    pub fn of<E>(expression: E) -> Self
    where
        E: Expression + AppearsOnTable<T> + QueryFragment<Pg> + Send + Sync + 'static,
    {
        Node::Leaf(vec![Part::Fragment(Arc::new(expression))]).into()
    }

    /// A condition that begins with a column of the table.
    pub fn on<C>(column: C) -> Self
    where
        C: Expression + AppearsOnTable<T> + QueryFragment<Pg> + Send + Sync + 'static,
    {
        Node::Leaf(vec![Part::Fragment(Arc::new(column))]).into()
    }

    /// Adds SQL.
    #[must_use]
    pub fn then(self, sql: &'static str) -> Self {
        self.push(Part::Sql(sql))
    }

    /// Adds a column of the table.
    #[must_use]
    pub fn column<C>(self, column: C) -> Self
    where
        C: Expression + AppearsOnTable<T> + QueryFragment<Pg> + Send + Sync + 'static,
    {
        self.push(Part::Fragment(Arc::new(column)))
    }

    /// Adds a value.
    #[must_use]
    pub fn bind(self, value: Bind) -> Self {
        self.push(Part::Bind(value))
    }

    fn push(self, part: Part) -> Self {
        match self.node {
            Node::Leaf(mut parts) => {
                parts.push(part);
                Node::Leaf(parts).into()
            }
            other => Node::All(vec![other, Node::Leaf(vec![part])]).into(),
        }
    }

    /// Both conditions.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self.node {
            Node::All(mut nodes) => {
                nodes.push(other.node);
                Node::All(nodes).into()
            }
            node => Node::All(vec![node, other.node]).into(),
        }
    }

    /// Either condition.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Node::Any(vec![self.node, other.node]).into()
    }

    /// The rows for which the condition is not true; unknown (NULL) counts as not true.
    #[must_use]
    pub fn negated(self) -> Self {
        Node::Not(Box::new(self.node)).into()
    }

    /// True where the condition admits every row.
    #[must_use]
    pub fn is_always(&self) -> bool {
        matches!(&self.node, Node::All(nodes) if nodes.is_empty())
    }
}

fn walk_bind<'b>(value: &'b Bind, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
    match value {
        Bind::Bool(v) => out.push_bind_param::<Bool, _>(v),
        Bind::Integer(v) => out.push_bind_param::<BigInt, _>(v),
        Bind::Text(v) => out.push_bind_param::<Text, _>(v),
        Bind::Texts(v) => out.push_bind_param::<Array<Text>, _>(v),
        Bind::Time(v) => out.push_bind_param::<Timestamptz, _>(v),
        Bind::Uuid(v) => out.push_bind_param::<SqlUuid, _>(v),
        Bind::Uuids(v) => out.push_bind_param::<Array<SqlUuid>, _>(v),
        Bind::Json(v) => out.push_bind_param::<Jsonb, _>(v),
    }
}

fn walk_list<'b>(
    nodes: &'b [Node],
    joined: &str,
    empty: &str,
    mut out: AstPass<'_, 'b, Pg>,
) -> QueryResult<()> {
    if nodes.is_empty() {
        out.push_sql(empty);
        return Ok(());
    }
    for (i, node) in nodes.iter().enumerate() {
        out.push_sql(if i == 0 { "(" } else { joined });
        walk(node, out.reborrow())?;
    }
    out.push_sql(")");
    Ok(())
}

fn walk<'b>(node: &'b Node, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
    match node {
        Node::All(nodes) => walk_list(nodes, " AND ", "TRUE", out),
        Node::Any(nodes) => walk_list(nodes, " OR ", "FALSE", out),
        Node::Not(inner) => {
            out.push_sql("(");
            walk(inner, out.reborrow())?;
            out.push_sql(") IS NOT TRUE");
            Ok(())
        }
        Node::Leaf(parts) => {
            out.push_sql("(");
            for part in parts {
                match part {
                    Part::Sql(sql) => out.push_sql(sql),
                    Part::Fragment(fragment) => fragment.walk_ast(out.reborrow())?,
                    Part::Bind(value) => walk_bind(value, out.reborrow())?,
                }
            }
            out.push_sql(")");
            Ok(())
        }
    }
}

impl<T> QueryFragment<Pg> for Predicate<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Texts differ with every combination of filters: kept ones would pile up on the session.
        if !self.is_always() {
            out.unsafe_to_cache_prepared();
        }
        walk(&self.node, out)
    }
}

impl<T> QueryId for Predicate<T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T> Expression for Predicate<T> {
    type SqlType = Nullable<Bool>;
}

impl<T> AppearsOnTable<T> for Predicate<T> {}
impl<T> SelectableExpression<T> for Predicate<T> {}

impl<T, GB> ValidGrouping<GB> for Predicate<T> {
    type IsAggregate = is_aggregate::No;
}

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
                r#"((("task"."name" = $1) OR ("task"."state" = $2))) IS NOT TRUE AND FALSE"#
            ),
            "{sql}"
        );
        assert!(sql.contains(r#"ORDER BY "task"."pulp_id" DESC"#), "{sql}");
        assert!(!sql.split("--").next().unwrap().contains("OR 1=1"), "{sql}");
    }
}
