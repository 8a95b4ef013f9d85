//! The filters of a list, declared once.

use crate::auth::Access;
use diesel::expression::{AppearsOnTable, Expression};
use diesel::pg::Pg;
use diesel::query_builder::QueryFragment;
use millrace_common::content::ContentTypes;
use millrace_common::ids::DomainId;
use millrace_common::models::selection::{Bind, Predicate, SortKey};
use std::collections::{BTreeMap, BTreeSet};

/// Reads a value into a condition; the error is the message for the parameter.
type Parse<T> = Box<dyn Fn(&str, Defaults<'_>) -> Result<Predicate<T>, String> + Send + Sync>;

/// What lists depend on beside the parameters of a request.
#[derive(Clone, Copy)]
pub struct Defaults<'a> {
    /// Rows of a page at most.
    pub page_limit: i64,
    /// Minutes that an orphan is kept.
    pub orphan_protection_time: u32,
    /// The content types that there are.
    pub types: &'a ContentTypes,
    /// What who asks may see: a filter must not tell him of other objects.
    pub access: &'a Access,
}

impl Defaults<'_> {
    /// The rows of which this column is the id of a repository that may be seen.
    #[must_use]
    pub fn of_repositories<T: 'static>(&self, column: &'static str) -> Predicate<T> {
        self.access.of_repositories(self.types, column)
    }

    /// The rows of which this column is the id of a unit that may be seen.
    #[must_use]
    pub fn of_units<T: 'static>(&self, column: &'static str) -> Predicate<T> {
        self.access.of_units(self.types, column)
    }
}

/// Which names of types a filter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// Those of units, as the registry has them.
    Units,
    /// Those of repositories, as the registry has them.
    Repositories,
    /// These.
    Named(&'static [&'static str]),
}

impl Types {
    /// The names.
    #[must_use]
    pub fn names(self, types: &ContentTypes) -> BTreeSet<&str> {
        match self {
            Self::Units => types.unit_types(),
            Self::Repositories => types.repository_types(),
            Self::Named(names) => names.iter().copied().collect(),
        }
    }
}

/// What the values of a filter look like, for the OpenAPI document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the values")]
pub enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Time,
    Uuid,
    /// An href or a PRN.
    Reference,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Comma-separated values of a kind.
    Texts,
    Times,
    Integers,
    Uuids,
    WordList(&'static [&'static str]),
    /// The name of a type.
    Type(Types),
    TypeList(Types),
}

/// One query parameter of a list.
pub struct Filter<T> {
    /// Its name.
    pub name: String,
    /// What its values look like.
    pub kind: Kind,
    /// What it does.
    pub help: String,
    /// True where an empty value asks for something; elsewhere it is as if not given.
    pub(super) empty_counts: bool,
    /// True for regular expressions, which the database alone can judge.
    pub(super) regex: bool,
    pub(super) parse: Parse<T>,
}

/// The filters and sort keys of a list over the table `T`.
pub struct Filters<T> {
    list: Vec<Filter<T>>,
    /// Holds for every row of the list.
    base: Predicate<T>,
    sort_keys: BTreeMap<&'static str, SortKey>,
    /// Added to every order, so that pages neither overlap nor skip: newest first.
    default: Vec<SortKey>,
    minimal: bool,
}

impl<T> Filters<T> {
    /// No filters yet; without another order, by `created` and `id`, the greatest first.
    pub fn newest_first<C, I>(created: C, id: I) -> Self
    where
        C: QueryFragment<Pg> + Copy + Send + Sync + 'static,
        I: QueryFragment<Pg> + Copy + Send + Sync + 'static,
    {
        Self::ordered_by(vec![SortKey::new(created, true), SortKey::new(id, true)])
            .sortable("pulp_created", created)
            .sortable("pulp_id", id)
            .sortable("pk", id)
    }

    /// No filters yet; without another order, by these keys, the last of which is unique.
    #[must_use]
    pub fn ordered_by(default: Vec<SortKey>) -> Self {
        Self {
            list: Vec::new(),
            base: Predicate::always(),
            sort_keys: BTreeMap::new(),
            default,
            minimal: false,
        }
    }

    /// As [`Filters::newest_first`], for a table whose ids sort by age (version 7): without another order, by
    /// the id alone.
    pub fn newest_id_first<C, I>(created: C, id: I) -> Self
    where
        C: QueryFragment<Pg> + Copy + Send + Sync + 'static,
        I: QueryFragment<Pg> + Copy + Send + Sync + 'static,
    {
        Self {
            default: vec![SortKey::new(id, true)],
            ..Self::newest_first(created, id)
        }
    }

    /// Lists only objects of the default domain, by the column that names theirs: the indexes on names
    /// and digests begin with it.
    #[must_use]
    pub fn in_domain<C>(mut self, column: C) -> Self
    where
        C: Expression + AppearsOnTable<T> + QueryFragment<Pg> + Send + Sync + 'static,
    {
        self.base = Predicate::on(column)
            .then(" = ")
            .bind(Bind::Uuid(DomainId::DEFAULT.0));
        self
    }

    /// Lists only rows for which this holds too.
    #[must_use]
    pub fn only(mut self, condition: Predicate<T>) -> Self {
        self.base = self.base.and(condition);
        self
    }

    /// What holds for every row of the list.
    pub(super) fn base(&self) -> Predicate<T> {
        self.base.clone()
    }

    /// Lets clients sort by this column.
    #[must_use]
    pub fn sortable<C: QueryFragment<Pg> + Send + Sync + 'static>(
        mut self,
        name: &'static str,
        column: C,
    ) -> Self {
        self.sort_keys.insert(name, SortKey::new(column, false));
        self
    }

    /// Offers `minimal=true`.
    #[must_use]
    pub fn with_minimal(mut self) -> Self {
        self.minimal = true;
        self
    }

    /// Adds a filter.
    #[must_use]
    pub fn filter(
        self,
        name: impl Into<String>,
        kind: Kind,
        help: impl Into<String>,
        parse: impl Fn(&str) -> Result<Predicate<T>, String> + Send + Sync + 'static,
    ) -> Self {
        self.filter_by_settings(name, kind, help, move |value, _| parse(value))
    }

    /// Adds a filter that depends on settings, or on the types that there are.
    #[must_use]
    pub fn filter_by_settings(
        mut self,
        name: impl Into<String>,
        kind: Kind,
        help: impl Into<String>,
        parse: impl Fn(&str, Defaults<'_>) -> Result<Predicate<T>, String> + Send + Sync + 'static,
    ) -> Self {
        self.list.push(Filter {
            name: name.into(),
            kind,
            help: help.into(),
            empty_counts: false,
            regex: false,
            parse: Box::new(parse),
        });
        self
    }

    /// Changes the filter that was added last.
    #[must_use]
    pub(super) fn last(mut self, change: impl FnOnce(&mut Filter<T>)) -> Self {
        if let Some(filter) = self.list.last_mut() {
            change(filter);
        }
        self
    }

    /// Lets an empty value of the filter that was added last count as a value.
    #[must_use]
    pub fn also_empty(self) -> Self {
        self.last(|filter| filter.empty_counts = true)
    }

    /// The filter of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Filter<T>> {
        self.list.iter().find(|filter| filter.name == name)
    }

    /// All filters, as declared.
    pub fn iter(&self) -> impl Iterator<Item = &Filter<T>> {
        self.list.iter()
    }

    /// Names that `ordering` takes.
    pub fn sort_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.sort_keys.keys().copied()
    }

    pub(super) fn sort_key(&self, name: &str) -> Option<&SortKey> {
        self.sort_keys.get(name)
    }

    pub(super) fn default_order(&self) -> &[SortKey] {
        &self.default
    }

    /// True where `minimal` is offered.
    #[must_use]
    pub fn has_minimal(&self) -> bool {
        self.minimal
    }
}

impl Kind {
    /// True where a value is several, separated by commas.
    #[must_use]
    pub fn is_list(self) -> bool {
        matches!(
            self,
            Self::Texts
                | Self::Times
                | Self::Integers
                | Self::Uuids
                | Self::WordList(_)
                | Self::TypeList(_)
        )
    }
}
