//! The path of a request.

use super::Problem;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Longest path in bytes: a base path and a path in a repository have 2,000 each.
const LONGEST: usize = 4096;

/// What a path below the prefix means; a directory's ends with a slash, the root's is empty.
///
/// # Errors
/// [`Problem::Malformed`] for what is no text, [`Problem::NotFound`] for what no path can be.
pub fn decode(raw: &str) -> Result<Cow<'_, str>, Problem> {
    if raw.len() > 3 * LONGEST {
        return Err(Problem::NotFound);
    }
    let path = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_not_utf8| Problem::Malformed)?;
    if path.contains('\0') {
        return Err(Problem::Malformed);
    }
    let mut segments = path.split('/');
    // Empty behind the slash of a directory.
    let last = segments.next_back().unwrap_or_default();
    let bad = |segment: &str| matches!(segment, "." | "..");
    if path.len() > LONGEST || bad(last) || segments.any(|s| s.is_empty() || bad(s)) {
        return Err(Problem::NotFound);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once() {
        for (raw, path) in [
            ("", ""),
            ("a/b.txt", "a/b.txt"),
            ("a/", "a/"),
            ("a%2Fb", "a/b"),
            ("%c3%bc%20x", "ü x"),
            ("%252e", "%2e"),
            ("a..b/.hidden", "a..b/.hidden"),
            ("100%", "100%"),
        ] {
            assert_eq!(decode(raw).unwrap(), path, "{raw}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for raw in [
            "/",
            "//",
            "a//b",
            "/a",
            "..",
            "a/../b",
            "a/..",
            "%2e%2e/a",
            ".",
            "./a",
            "a/./b",
            "..%2f..%2fetc%2fpasswd",
            "a%2f%2fb",
        ] {
            assert!(matches!(decode(raw), Err(Problem::NotFound)), "{raw}");
        }
        for raw in ["%ff", "a%00b", "%c3"] {
            assert!(matches!(decode(raw), Err(Problem::Malformed)), "{raw}");
        }
        for raw in ["x".repeat(LONGEST + 1), "%41".repeat(LONGEST + 1)] {
            assert!(matches!(decode(&raw), Err(Problem::NotFound)));
        }
    }
}
