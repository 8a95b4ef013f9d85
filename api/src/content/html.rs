//! The pages of directories.

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;

/// What needs no encoding in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a directory holds under one name.
pub struct Entry {
    /// The name; that of a directory ends with a slash.
    pub name: String,
    /// Of a file: since when it is here.
    pub modified: Option<DateTime<Utc>>,
    /// Of a file: its bytes, where that is known.
    pub size: Option<i64>,
}

/// The beginning of a page.
pub fn begin(path: &str) -> String {
    let title = escape(&format!("Index of /{path}"));
    let mut page = format!(
        "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n<hr>\n<pre>\n"
    );
    if !path.is_empty() {
        page.push_str("<a href=\"../\">../</a>\n");
    }
    page
}

/// Its end.
pub const END: &str = "</pre>\n<hr>\n</body>\n</html>\n";

/// Appends one line.
pub fn line(page: &mut String, entry: &Entry) {
    let name = entry.name.trim_end_matches('/');
    let slash = if entry.name.ends_with('/') { "/" } else { "" };
    let href = utf8_percent_encode(name, SEGMENT);
    let pad = 60usize.saturating_sub(entry.name.chars().count());
    let modified = entry.modified.map_or_else(
        || "-".to_owned(),
        |at| at.format("%d-%b-%Y %H:%M").to_string(),
    );
    let size = entry
        .size
        .map_or_else(|| "-".to_owned(), |size| size.to_string());
    // A `./` before it: a name with a colon would be taken for a scheme.
    let _ = writeln!(
        page,
        "<a href=\"./{href}{slash}\">{}{slash}</a>{:pad$} {modified:>17} {size:>15}",
        escape(name),
        ""
    );
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_twice_over() {
        let mut page = String::new();
        let entry = Entry {
            name: "<script>\"'&?#%:ü".to_owned(),
            modified: None,
            size: Some(5),
        };
        line(&mut page, &entry);
        assert!(
            page.contains("href=\"./%3Cscript%3E%22%27%26%3F%23%25%3A%C3%BC\""),
            "{page}"
        );
        assert!(
            page.contains(">&lt;script&gt;&quot;&#39;&amp;?#%:ü</a>"),
            "{page}"
        );
        assert!(!begin("<b>/").contains("<b>"));
    }
}
