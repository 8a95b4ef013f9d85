//! Selecting objects by their labels: `pulp_label_select` (contract 4.1).

use super::sets::{ColumnOf, pattern};
use millrace_common::models::selection::{Bind, Predicate};
use serde_json::json;

/// Reads a label selection (contract 4.1).
///
/// # Errors
/// The message for `pulp_label_select`.
pub fn label_select<T, C: ColumnOf<T>>(value: &str, labels: C) -> Result<Predicate<T>, String> {
    let mut all = Predicate::always();
    for term in label_terms(value) {
        all = all.and(label_term(&term, labels)?);
    }
    Ok(all)
}

/// Terms between commas; `\,` is a comma inside a term.
fn label_terms(value: &str) -> Vec<String> {
    let (mut terms, mut term, mut chars) = (Vec::new(), String::new(), value.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&',') => term.extend(chars.next()),
            ',' => terms.push(std::mem::take(&mut term)),
            c => term.push(c),
        }
    }
    terms.push(term);
    terms
}

fn label_term<T, C: ColumnOf<T>>(term: &str, labels: C) -> Result<Predicate<T>, String> {
    let invalid = || format!("Invalid search term: '{term}'.");
    let (negated, rest) = match term.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, term),
    };
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ' ' | '-' | '.')))
        .unwrap_or(rest.len());
    let (key, tail) = rest.split_at(end);
    if key.trim().is_empty() {
        return Err(invalid());
    }
    let has_key = Predicate::on(labels)
        .then(" ? ")
        .bind(Bind::Text(key.to_owned()));
    let value = |sql| {
        Predicate::on(labels)
            .then(" ->> ")
            .bind(Bind::Text(key.to_owned()))
            .then(sql)
    };
    match (negated, tail.is_empty()) {
        (true, true) => return Ok(has_key.negated()),
        (true, false) => return Err(format!("Cannot use an operator with '!{key}'.")),
        (false, true) => return Ok(has_key),
        (false, false) => {}
    }
    // The index on labels knows keys and pairs, not values of keys.
    if let Some(v) = tail.strip_prefix("!=") {
        Ok(has_key.and(value(" IS DISTINCT FROM ").bind(Bind::Text(v.to_owned()))))
    } else if let Some(v) = tail.strip_prefix('=') {
        let pair = Bind::Json(json!({ key: v }));
        Ok(Predicate::on(labels).then(" @> ").bind(pair))
    } else if let Some(v) = tail.strip_prefix('~') {
        Ok(has_key.and(value(" ILIKE ").bind(Bind::Text(format!("%{}%", pattern(v))))))
    } else {
        Err(invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diesel::pg::Pg;
    use millrace_common::schema::repository;

    fn select(value: &str) -> Result<String, String> {
        let predicate = label_select::<repository::table, _>(value, repository::pulp_labels)?;
        Ok(diesel::debug_query::<Pg, _>(&predicate).to_string())
    }

    #[test]
    fn a_label_selection_is_read_term_by_term() {
        assert!(select("a,!b,c=d,e!=f,g~h").is_ok());
        assert!(select("c=d").unwrap().contains(" @> "));
        assert!(select(r"a=x\,y").unwrap().contains("x,y"));
        assert_eq!(
            select("!k=v").unwrap_err(),
            "Cannot use an operator with '!k'."
        );
        assert_eq!(select("=v").unwrap_err(), "Invalid search term: '=v'.");
        assert_eq!(select("").unwrap_err(), "Invalid search term: ''.");
    }
}
