//! Relative paths of files.

use crate::models::PathConflict;
use crate::tasking::TaskError;

/// Longest relative path in bytes: it is a key of an index.
const PATH_BYTES: usize = 2000;

/// True for a path that can be appended to a directory, and whose every form is this one
/// (contract 1.4).
#[must_use]
pub fn is_canonical(path: &str) -> bool {
    let framed = format!("/{path}/");
    let bad_char = |c: char| c.is_whitespace() || c.is_control() || c == '?' || c == '#';
    !framed.contains(bad_char) && !["//", "/./", "/../"].iter().any(|bad| framed.contains(bad))
}

/// Checks a relative path that a client gave.
///
/// # Errors
/// The text that the client reads.
pub fn check_relative_path(path: &str) -> Result<(), String> {
    if path.len() > PATH_BYTES {
        return Err(format!("A relative path has at most {PATH_BYTES} bytes."));
    }
    if is_canonical(path) {
        Ok(())
    } else {
        Err(format!("Relative path is not in canonical form. {path}"))
    }
}

/// Refuses a version that would hold files in one place.
///
/// # Errors
/// The text that the client reads.
pub(super) fn refuse_conflicts(conflicts: &[PathConflict]) -> Result<(), TaskError> {
    if conflicts.is_empty() {
        return Ok(());
    }
    let about = |PathConflict { directory, path }: &PathConflict| match directory == path {
        true => format!("{path} is a path of several units"),
        false => format!("{directory} is a directory of {path}"),
    };
    let list: Vec<String> = conflicts.iter().map(about).collect();
    Err(TaskError::failed(format!(
        "Repository version errors : Path errors found. {}",
        list.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        for good in ["1.iso", "a/b/c", "a..b", ".hidden", "ü/ß", "a/.b"] {
            assert_eq!(check_relative_path(good), Ok(()), "{good}");
        }
        for bad in [
            "", "/a", "a/", "a//b", "a/./b", "a/../b", "..", ".", "a b", "a\nb", "a\tb", "a?b",
            "a#b", "a\0b",
        ] {
            assert_eq!(
                check_relative_path(bad),
                Err(format!("Relative path is not in canonical form. {bad}"))
            );
        }
        assert!(check_relative_path(&"x".repeat(PATH_BYTES + 1)).is_err());
    }
}
