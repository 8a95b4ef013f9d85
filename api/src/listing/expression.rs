//! The `q` parameter: filters joined by NOT, AND, OR and parentheses (contract 4.1).

use super::filters::{Defaults, Filters};
use millrace_common::models::selection::Predicate;

/// Terms and operators that one expression may have.
const COMPLEXITY: usize = 8;
/// Parentheses that one expression may open: each takes room on the stack.
const PARENTHESES: usize = 64;
const SYNTAX: &str = "Syntax error in expression.";

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Not,
    And,
    Or,
    Term(String, String),
}

/// Reads an expression. Also gives the name of a regular-expression filter in it, if there is one.
///
/// # Errors
/// The message for `q`, or that of the filter that refused its value.
pub fn parse<T>(
    text: &str,
    filters: &Filters<T>,
    defaults: Defaults<'_>,
) -> Result<Predicate<T>, String> {
    let tokens = tokens(text).ok_or(SYNTAX)?;
    let weight = tokens
        .iter()
        .filter(|token| !matches!(token, Token::Open | Token::Close))
        .count();
    let opened = tokens.iter().filter(|t| **t == Token::Open).count();
    let mut reader = Reader {
        tokens: tokens.into_iter().peekable(),
        filters,
        defaults,
    };
    if weight > COMPLEXITY || opened > PARENTHESES {
        return Err("Filter expression exceeds allowed complexity.".to_owned());
    }
    let predicate = reader.either()?;
    match reader.tokens.next() {
        None => Ok(predicate),
        Some(_) => Err(SYNTAX.to_owned()),
    }
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ',' | '_' | '*' | '-')
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, behind) = match first {
            '(' => (Token::Open, rest.get(1..)?),
            ')' => (Token::Close, rest.get(1..)?),
            _ => word(rest)?,
        };
        tokens.push(token);
        rest = behind.trim_start();
    }
    Some(tokens)
}

fn word(text: &str) -> Option<(Token, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    match word.to_ascii_uppercase().as_str() {
        "NOT" => return Some((Token::Not, rest)),
        "AND" => return Some((Token::And, rest)),
        "OR" => return Some((Token::Or, rest)),
        "" => return None,
        _ => {}
    }
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, rest) = match rest.chars().next()? {
        quote @ ('"' | '\'') => quoted(rest, quote)?,
        _ => {
            let end = rest.find(|c: char| !is_bare(c)).unwrap_or(rest.len());
            let (value, rest) = rest.split_at(end);
            (value.to_owned(), rest)
        }
    };
    (!value.is_empty() || rest.len() < text.len())
        .then(|| (Token::Term(word.to_owned(), value), rest))
}

fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            c if c == quote => return Some((value, text.get(at + 1..)?)),
            c => value.push(c),
        }
    }
    None
}

struct Reader<'f, T> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    filters: &'f Filters<T>,
    defaults: Defaults<'f>,
}

impl<T> Reader<'_, T> {
    fn either(&mut self) -> Result<Predicate<T>, String> {
        let mut left = self.both()?;
        while self.tokens.next_if_eq(&Token::Or).is_some() {
            left = left.or(self.both()?);
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Predicate<T>, String> {
        let mut left = self.one()?;
        while self.tokens.next_if_eq(&Token::And).is_some() {
            left = left.and(self.one()?);
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Predicate<T>, String> {
        match self.tokens.next() {
            Some(Token::Not) => Ok(self.one()?.negated()),
            Some(Token::Open) => {
                let inner = self.either()?;
                self.tokens
                    .next_if_eq(&Token::Close)
                    .map(|_| inner)
                    .ok_or_else(|| SYNTAX.to_owned())
            }
            Some(Token::Term(name, value)) => {
                let filter = self
                    .filters
                    .get(&name)
                    .ok_or_else(|| format!("Filter '{name}' does not exist."))?;
                (filter.parse)(&value, self.defaults)
            }
            _ => Err(SYNTAX.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Access;
    use diesel::pg::Pg;
    use millrace_common::content::ContentTypes;
    use millrace_common::schema::task;

    fn read(text: &str) -> Result<String, String> {
        let filters = Filters::<task::table>::newest_first(task::pulp_created, task::pulp_id)
            .exact("name", task::name)
            .exact("state", task::state);
        let defaults = Defaults {
            page_limit: 100,
            orphan_protection_time: 5,
            types: &ContentTypes::default(),
            access: &Access::UNLIMITED,
        };
        let predicate = parse(text, &filters, defaults)?;
        Ok(diesel::debug_query::<Pg, _>(&predicate).to_string())
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closest() {
        let sql = read(r#"NOT name=a AND state="b c" OR (name=d)"#).unwrap();
        assert!(
            sql.starts_with("((((\"task\".\"name\" = $1)) IS NOT TRUE AND "),
            "{sql}"
        );
        assert!(sql.contains(" OR "), "{sql}");
    }

    #[test]
    fn faults_get_the_messages_of_the_contract() {
        for bad in [
            "",
            "name",
            "name=a AND",
            "(name=a",
            "name=a name=b",
            "name=a)",
            "=a",
            "name=\"a",
        ] {
            assert_eq!(read(bad).unwrap_err(), SYNTAX, "{bad}");
        }
        assert_eq!(read("foo=1").unwrap_err(), "Filter 'foo' does not exist.");
        assert_eq!(read("q=1").unwrap_err(), "Filter 'q' does not exist.");
        let long = ["name=a"; 5].join(" AND ");
        assert_eq!(
            read(&long).unwrap_err(),
            "Filter expression exceeds allowed complexity."
        );
        assert!(read(&["name=a"; 4].join(" OR ")).is_ok());
        let nested = |depth| "(".repeat(depth) + "name=a" + &")".repeat(depth);
        assert!(read(&nested(PARENTHESES)).is_ok());
        assert_eq!(
            read(&nested(100_000)).unwrap_err(),
            "Filter expression exceeds allowed complexity."
        );
    }
}
