//! Conditional requests and ranges (RFC 9110, sections 13 and 14).

use super::Problem;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::ops::Range;
use std::time::SystemTime;

/// What conditions are about.
#[derive(Debug)]
pub struct About {
    /// Bytes, where that is known.
    pub size: Option<u64>,
    /// `"<sha256>"`
    pub etag: Option<HeaderValue>,
    /// Since when these bytes are here, to the second.
    pub modified: Option<SystemTime>,
}

/// What of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These bytes of it.
    Part(Range<u64>),
    /// Nothing: the client has it.
    Nothing,
}

/// What a request wants of a file that it found.
///
/// # Errors
/// 412 and 416.
pub fn wanted(method: &Method, headers: &HeaderMap, file: &About) -> Result<Wanted, Problem> {
    if headers.contains_key(header::IF_MATCH) {
        if !names(list(headers, &header::IF_MATCH), tag(file), Weak::Differs) {
            return Err(Problem::Precondition);
        }
    } else if let Some(time) = date(headers, &header::IF_UNMODIFIED_SINCE)
        && file.modified.is_some_and(|modified| modified > time)
    {
        return Err(Problem::Precondition);
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        let tags = list(headers, &header::IF_NONE_MATCH);
        if names(tags, tag(file), Weak::Equals) {
            return Ok(Wanted::Nothing);
        }
    // Equal, not merely older: a path may go back to a file that was here before.
    } else if is_from(date(headers, &header::IF_MODIFIED_SINCE), file) {
        return Ok(Wanted::Nothing);
    }
    let Some(range) = text(headers, &header::RANGE) else {
        return Ok(Wanted::Whole);
    };
    if method != Method::GET || !is_same(headers, file) {
        return Ok(Wanted::Whole);
    }
    file.size
        .map_or(Ok(Wanted::Whole), |size| part(range, size))
}

/// True where the part that the client has is of this file.
fn is_same(headers: &HeaderMap, file: &About) -> bool {
    match headers.get(header::IF_RANGE) {
        None => true,
        Some(value) if value.as_bytes().ends_with(b"\"") => Some(value) == file.etag.as_ref(),
        Some(_) => is_from(date(headers, &header::IF_RANGE), file),
    }
}

fn is_from(date: Option<SystemTime>, file: &About) -> bool {
    date.is_some() && date == file.modified
}

/// One range of bytes. Several are answered by the whole file, and so is what cannot be read.
fn part(range: &str, size: u64) -> Result<Wanted, Problem> {
    let Some((unit, spec)) = range.split_once('=') else {
        return Ok(Wanted::Whole);
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Ok(Wanted::Whole);
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ok(Wanted::Whole);
    }
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (Some(first), None) if last.trim().is_empty() => first..size,
        (None, Some(last)) if first.trim().is_empty() => size.saturating_sub(last)..size,
        _ => return Ok(Wanted::Whole),
    };
    if range.is_empty() {
        return Err(Problem::Range(size));
    }
    Ok(Wanted::Part(range))
}

/// Digits only; one beyond all numbers is the greatest.
fn number(digits: &str) -> Option<u64> {
    let digits = digits.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weak {
    Equals,
    Differs,
}

/// True where one of the tags is the file's own; without one, `*` alone is.
fn names<'a>(mut tags: impl Iterator<Item = &'a str>, own: Option<&str>, weak: Weak) -> bool {
    tags.any(|tag| {
        let strong = tag.strip_prefix("W/");
        let equals = |tag: Option<&str>| tag.is_some() && tag == own;
        tag == "*" || equals(Some(tag)) || (weak == Weak::Equals && equals(strong))
    })
}

/// The elements of a header that is a list, on however many lines. A line that is no text names nothing.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

fn tag(file: &About) -> Option<&str> {
    file.etag.as_ref().and_then(|tag| tag.to_str().ok())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let date: header::HttpDate = text(headers, name)?.parse().ok()?;
    Some(date.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_range_is_a_part_and_anything_else_the_whole() {
        for (range, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=0-99", Wanted::Part(0..100)),
            ("bytes=0-1000", Wanted::Part(0..100)),
            ("bytes=10-", Wanted::Part(10..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=99-99999999999999999999999", Wanted::Part(99..100)),
            ("Bytes=5-6", Wanted::Part(5..7)),
            ("bytes=6-5", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(part(range, 100).unwrap(), wanted, "{range}");
        }
        for range in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert!(
                matches!(part(range, 100), Err(Problem::Range(100))),
                "{range}"
            );
        }
        assert!(matches!(part("bytes=0-", 0), Err(Problem::Range(0))));
    }

    fn headers(name: HeaderName, lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_static(line));
        }
        headers
    }

    fn about(etag: Option<&'static str>) -> About {
        About {
            size: Some(5),
            etag: etag.map(HeaderValue::from_static),
            modified: None,
        }
    }

    #[test]
    fn tags_are_compared_strongly_and_weakly() {
        for (lines, strongly, weakly) in [
            (&["\"a\", \"b\""][..], true, true),
            (&["\"a\"", "\"b\""], true, true),
            (&["*"], true, true),
            (&["W/\"b\""], false, true),
            (&["\"a\""], false, false),
            (&["", ","], false, false),
        ] {
            let file = about(Some("\"b\""));
            let asked = headers(header::IF_MATCH, lines);
            let found = wanted(&Method::GET, &asked, &file);
            assert_eq!(found.is_ok(), strongly, "{lines:?}");
            let asked = headers(header::IF_NONE_MATCH, lines);
            let found = wanted(&Method::GET, &asked, &file).unwrap();
            assert_eq!(found == Wanted::Nothing, weakly, "{lines:?}");
        }
    }

    #[test]
    fn a_file_without_a_tag_is_named_by_none() {
        for line in ["", ",", "W/", "\"\"", "\"a\""] {
            let asked = headers(header::IF_NONE_MATCH, &[line]);
            let found = wanted(&Method::GET, &asked, &about(None)).unwrap();
            assert_eq!(found, Wanted::Whole, "{line}");
            let asked = headers(header::IF_MATCH, &[line]);
            assert!(
                wanted(&Method::GET, &asked, &about(None)).is_err(),
                "{line}"
            );
        }
    }
}
