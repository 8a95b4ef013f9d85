//! Conditions on rows that are put together at run time.
//!
//! A [`Predicate`] is tied to its table by type, so a filter of one listing cannot be used on another.
//! Values are always bound, never written into the statement.

use chrono::{DateTime, Utc};
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{
    Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
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
    Integers(Vec<i32>),
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
        Bind::Integers(v) => out.push_bind_param::<Array<Integer>, _>(v),
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
