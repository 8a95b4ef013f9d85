//! The usual sets of filters on one column (contract 4.1).

use super::filters::{Filters, Kind};
use super::labels::label_select;
use crate::body::parse_time;
use crate::v3::href;
use diesel::expression::{AppearsOnTable, Expression};
use diesel::pg::Pg;
use diesel::query_builder::QueryFragment;
use millrace_common::models::selection::{Bind, Predicate};
use uuid::Uuid;

/// A column of the table `T`.
pub trait ColumnOf<T>:
    Expression + AppearsOnTable<T> + QueryFragment<Pg> + Copy + Send + Sync + 'static
{
}

impl<T, C> ColumnOf<T> for C where
    C: Expression + AppearsOnTable<T> + QueryFragment<Pg> + Copy + Send + Sync + 'static
{
}

/// The parts of a comma-separated value.
pub(super) fn parts(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// A text as a pattern of LIKE that stands for itself.
pub fn pattern(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn time(value: &str) -> Result<Bind, String> {
    parse_time(value)
        .map(Bind::Time)
        .ok_or_else(|| "Enter a valid date/time.".to_owned())
}

fn integer(value: &str) -> Result<Bind, String> {
    value
        .trim()
        .parse()
        .map(Bind::Integer)
        .map_err(|_reason| "Enter a number.".to_owned())
}

/// Reads a truth value of a query parameter.
pub fn truth(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" => Ok(true),
        "false" | "f" | "0" | "no" => Ok(false),
        _ => Err("Must be a valid boolean.".to_owned()),
    }
}

fn compare<T, C: ColumnOf<T>>(column: C, operator: &'static str, value: Bind) -> Predicate<T> {
    Predicate::on(column).then(operator).bind(value)
}

fn is_null<T, C: ColumnOf<T>>(column: C, value: &str) -> Result<Predicate<T>, String> {
    let test = if truth(value)? {
        " IS NULL"
    } else {
        " IS NOT NULL"
    };
    Ok(Predicate::on(column).then(test))
}

fn range<T, C: ColumnOf<T>>(
    column: C,
    value: &str,
    read: fn(&str) -> Result<Bind, String>,
) -> Result<Predicate<T>, String> {
    let ends: Vec<&str> = value.split(',').collect();
    let [from, to] = ends.as_slice() else {
        return Err("Range query expects two values.".to_owned());
    };
    Ok(Predicate::on(column)
        .then(" BETWEEN ")
        .bind(read(from)?)
        .then(" AND ")
        .bind(read(to)?))
}

impl<T: 'static> Filters<T> {
    /// Exactly this text.
    #[must_use]
    pub fn exact<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.filter(name, Kind::Text, format!("{name} is"), move |v| {
            Ok(compare(column, " = ", Bind::Text(v.to_owned())))
        })
    }

    /// One of these texts.
    #[must_use]
    pub fn one_of<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.filter(
            format!("{name}__in"),
            Kind::Texts,
            format!("{name} is one of"),
            move |v| {
                let texts = parts(v).map(str::to_owned).collect();
                Ok(Predicate::on(column)
                    .then(" = ANY (")
                    .bind(Bind::Texts(texts))
                    .then(")"))
            },
        )
    }

    /// Not this text.
    #[must_use]
    pub fn not_equal<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.filter(
            format!("{name}__ne"),
            Kind::Text,
            format!("{name} is not"),
            move |v| Ok(compare(column, " <> ", Bind::Text(v.to_owned()))),
        )
    }

    /// Holds this text.
    #[must_use]
    pub fn contains<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.like(name, "contains", column, " LIKE ", "%", "%")
    }

    /// Holds this text, in any case.
    #[must_use]
    pub fn contains_in_any_case<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.like(name, "icontains", column, " ILIKE ", "%", "%")
    }

    fn like<C: ColumnOf<T>>(
        self,
        name: &str,
        suffix: &str,
        column: C,
        operator: &'static str,
        before: &'static str,
        after: &'static str,
    ) -> Self {
        let full = format!("{name}__{suffix}");
        self.filter(full, Kind::Text, format!("{name} {suffix}"), move |v| {
            let pattern = format!("{before}{}{after}", pattern(v));
            Ok(compare(column, operator, Bind::Text(pattern)))
        })
    }

    fn regex<C: ColumnOf<T>>(
        self,
        name: &str,
        suffix: &str,
        column: C,
        operator: &'static str,
    ) -> Self {
        let full = format!("{name}__{suffix}");
        self.filter(
            full,
            Kind::Text,
            format!("{name} matches this regular expression"),
            move |v| Ok(compare(column, operator, Bind::Text(v.to_owned()))),
        )
        .last(|filter| filter.regex = true)
    }

    /// The NAME set: text, case, lists, parts, regular expressions.
    #[must_use]
    pub fn names<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.exact(name, column)
            .one_of(name, column)
            .contains(name, column)
            .like(name, "iexact", column, " ILIKE ", "", "")
            .contains_in_any_case(name, column)
            .like(name, "startswith", column, " LIKE ", "", "%")
            .like(name, "istartswith", column, " ILIKE ", "", "%")
            .regex(name, "regex", column, " ~ ")
            .regex(name, "iregex", column, " ~* ")
    }

    /// The DATE set.
    #[must_use]
    pub fn dates<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.comparisons(name, column, (Kind::Time, Kind::Times), time)
    }

    /// The NUM set.
    #[must_use]
    pub fn numbers<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.comparisons(name, column, (Kind::Integer, Kind::Integers), integer)
            .filter(
                format!("{name}__ne"),
                Kind::Integer,
                format!("{name} is not"),
                move |v| Ok(compare(column, " <> ", integer(v)?)),
            )
    }

    fn comparisons<C: ColumnOf<T>>(
        mut self,
        name: &str,
        column: C,
        (kind, list): (Kind, Kind),
        read: fn(&str) -> Result<Bind, String>,
    ) -> Self {
        for (suffix, operator, help) in [
            ("", " = ", "is"),
            ("__lt", " < ", "is below"),
            ("__lte", " <= ", "is at most"),
            ("__gt", " > ", "is above"),
            ("__gte", " >= ", "is at least"),
        ] {
            self = self.filter(
                format!("{name}{suffix}"),
                kind,
                format!("{name} {help}"),
                move |v| Ok(compare(column, operator, read(v)?)),
            );
        }
        self.filter(
            format!("{name}__range"),
            list,
            format!("{name} is between"),
            move |v| range(column, v, read),
        )
        .filter(
            format!("{name}__isnull"),
            Kind::Boolean,
            format!("{name} is null"),
            move |v| is_null(column, v),
        )
    }

    /// One of a type's words.
    #[must_use]
    pub fn choice<C: ColumnOf<T>>(
        self,
        name: &str,
        column: C,
        words: &'static [&'static str],
    ) -> Self {
        let check = move |word: &str| {
            if words.contains(&word) {
                Ok(word.to_owned())
            } else {
                Err(format!(
                    "Select a valid choice. {word} is not one of the available choices."
                ))
            }
        };
        self.filter(name, Kind::Words(words), format!("{name} is"), move |v| {
            Ok(compare(column, " = ", Bind::Text(check(v)?)))
        })
        .filter(
            format!("{name}__in"),
            Kind::WordList(words),
            format!("{name} is one of"),
            move |v| {
                let texts = parts(v).map(check).collect::<Result<_, _>>()?;
                Ok(Predicate::on(column)
                    .then(" = ANY (")
                    .bind(Bind::Texts(texts))
                    .then(")"))
            },
        )
        .filter(
            format!("{name}__ne"),
            Kind::Words(words),
            format!("{name} is not"),
            move |v| Ok(compare(column, " <> ", Bind::Text(check(v)?))),
        )
    }

    /// `pulp_id__in`, `pulp_href__in`, `prn__in`: every filterable list has them.
    #[must_use]
    pub fn identities<C: ColumnOf<T>>(self, id: C) -> Self {
        let any = move |ids: Vec<Uuid>| {
            Predicate::on(id)
                .then(" = ANY (")
                .bind(Bind::Uuids(ids))
                .then(")")
        };
        let references = move |v: &str| {
            let ids = parts(v)
                .map(|part| {
                    href::reference_id(part).ok_or_else(|| format!("URI not valid: {part}"))
                })
                .collect::<Result<_, _>>()?;
            Ok(any(ids))
        };
        self.filter("pulp_id__in", Kind::Uuids, "id is one of", move |v| {
            let read = |part: &str| {
                part.parse()
                    .map_err(|_reason| "Enter a valid UUID.".to_owned())
            };
            Ok(any(parts(v).map(read).collect::<Result<_, _>>()?))
        })
        .filter("pulp_href__in", Kind::Texts, "href is one of", references)
        .filter("prn__in", Kind::Texts, "PRN is one of", references)
    }

    /// As [`Filters::identities`], for objects of this model that are numbered.
    #[must_use]
    pub fn numbered_identities<C: ColumnOf<T>>(self, id: C, model: &'static str) -> Self {
        // Numbers were read before they become a text again: nothing else gets there.
        let any = move |ids: Vec<i32>| {
            let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
            Predicate::on(id)
                .then(" = ANY ((")
                .bind(Bind::Texts(ids))
                .then(")::integer[])")
        };
        let references = move |v: &str| {
            let read = |part: &str| {
                href::reference_number(part, model).ok_or_else(|| format!("URI not valid: {part}"))
            };
            Ok(any(parts(v).map(read).collect::<Result<_, _>>()?))
        };
        let numbers = move |v: &str| {
            let read = |part: &str| {
                part.parse()
                    .map_err(|_reason| "Enter a whole number.".to_owned())
            };
            Ok(any(parts(v).map(read).collect::<Result<_, _>>()?))
        };
        self.filter("pulp_id__in", Kind::Integers, "id is one of", numbers)
            .filter("pulp_href__in", Kind::Texts, "href is one of", references)
            .filter("prn__in", Kind::Texts, "PRN is one of", references)
            .filter("id__in", Kind::Integers, "id is one of", numbers)
            .filter("id", Kind::Integer, "id is", numbers)
    }

    /// A column that is true or false.
    #[must_use]
    pub fn boolean<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.filter(name, Kind::Boolean, format!("{name} is"), move |v| {
            Ok(compare(column, " = ", Bind::Bool(truth(v)?)))
        })
    }

    /// A column that holds an id, given by href or PRN; `null` or nothing asks for no object.
    #[must_use]
    pub fn reference<C: ColumnOf<T>>(self, name: &str, column: C) -> Self {
        self.filter(
            name,
            Kind::Reference,
            format!("{name} is this object, by href or PRN"),
            move |v| {
                if v.is_empty() || v == "null" {
                    return Ok(Predicate::on(column).then(" IS NULL"));
                }
                let id = href::reference_id(v).ok_or_else(|| format!("URI not valid: {v}"))?;
                Ok(compare(column, " = ", Bind::Uuid(id)))
            },
        )
        .also_empty()
    }

    /// `pulp_label_select` on a column of labels.
    #[must_use]
    pub fn labels<C: ColumnOf<T>>(self, column: C) -> Self {
        self.filter(
            "pulp_label_select",
            Kind::Text,
            "Labels: k, !k, k=v, k!=v, k~v; a comma means and",
            move |v| label_select(v, column),
        )
    }
}
