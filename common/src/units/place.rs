//! Where a unit lies, as a path below the storage of a Pulp 2.

use std::fmt;
use std::path::{Path, PathBuf};

/// The directory in a Pulp 2's storage that holds all units.
pub const CONTENT: &str = "content";
/// The directory in that which holds what several units share.
const SHARED: &str = "shared";
/// The directory whose links are units that share something.
const LINKS: &str = "links";
/// Longest path, and longest part of one, that a system knows.
const LONGEST: usize = 4095;
const LONGEST_PART: usize = 255;

/// A path below the storage root: plain parts, of which the first is `CONTENT`, and at least one more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Vec<String>);

/// Why a path is none of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not begin with `/`.
    Relative,
    /// It has a part `..`.
    Upward,
    /// It does not lie below this directory.
    Outside(PathBuf),
    /// No system knows such a path.
    Impossible,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative => f.write_str("must be an absolute path"),
            Self::Upward => f.write_str("must not have a part `..`"),
            Self::Outside(content) => write!(f, "must lie below '{}'", content.display()),
            Self::Impossible => f.write_str("is no path: it holds a NUL, or is too long"),
        }
    }
}

impl Place {
    /// Reads the path of a unit: empty parts and `.` count for nothing.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(path: &str, root: &Path) -> Result<Self, Refusal> {
        if !path.starts_with('/') {
            return Err(Refusal::Relative);
        }
        if path.contains('\0') || path.len() > LONGEST {
            return Err(Refusal::Impossible);
        }
        let parts: Vec<&str> = parts(path).collect();
        if parts.contains(&"..") {
            return Err(Refusal::Upward);
        }
        let outside = || Refusal::Outside(root.join(CONTENT));
        let root = root.to_str().ok_or_else(outside)?;
        let mut rest = parts.as_slice();
        for part in self::parts(root).chain([CONTENT]) {
            rest = rest.strip_prefix(&[part]).ok_or_else(outside)?;
        }
        if rest.is_empty() {
            return Err(outside());
        }
        if rest.iter().any(|part| part.len() > LONGEST_PART) {
            return Err(Refusal::Impossible);
        }
        let below = [CONTENT].iter().chain(rest);
        Ok(Self(below.map(|part| (*part).to_owned()).collect()))
    }

    /// The last part.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The directory that it lies in, below the storage root.
    #[must_use]
    pub fn parent(&self) -> PathBuf {
        self.0.iter().take(self.0.len() - 1).collect()
    }

    /// The directories that go when they are empty, the deepest first: those below the types' own.
    #[must_use]
    pub fn parents_that_may_go(&self) -> Vec<PathBuf> {
        let lengths = (3..self.0.len()).rev();
        lengths.map(|n| self.0.iter().take(n).collect()).collect()
    }

    /// True where it is the directory of a type, which stays.
    #[must_use]
    pub fn is_of_type(&self) -> bool {
        self.0.len() == 2
    }

    /// True where a link with this path is one of several on the same thing:
    /// `content/shared/<provider>/<hash>/links/<unit>`, and nothing else, as what it leads to may go with it.
    #[must_use]
    pub fn may_be_shared(&self) -> bool {
        let is = |n: usize, name: &str| self.0.get(n).is_some_and(|part| part == name);
        is(1, SHARED) && self.0.len() == 6 && is(4, LINKS)
    }

    /// What a link with this path leads to, where that is a neighbour of the directory that it lies in: its name.
    #[must_use]
    pub fn shared_target(&self, target: &str, root: &Path) -> Option<String> {
        let directory = root.join(self.parent());
        let whole = directory.join(target);
        // The way to the directory has no links, so a part `..` leads to the part before it.
        let mut way: Vec<&str> = Vec::new();
        for part in parts(whole.to_str()?) {
            match part {
                ".." => {
                    way.pop();
                }
                part => way.push(part),
            }
        }
        let name = way.pop()?;
        let neighbours = directory.parent()?.to_str()?;
        (parts(neighbours).eq(way) && name != LINKS).then(|| name.to_owned())
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Result<Place, Refusal> {
        Place::read(path, Path::new("/var/lib/pulp"))
    }

    #[test]
    fn empty_parts_and_dots_count_for_nothing() {
        let place = read("/var//lib/pulp/content/rpm/.//gwt/./a.rpm").unwrap();
        assert_eq!(place, read("/var/lib/pulp/content/rpm/gwt/a.rpm/").unwrap());
        assert_eq!(place.parent(), Path::new("content/rpm/gwt"));
        assert_eq!(place.name(), "a.rpm");
        assert_eq!(place.parents_that_may_go(), [Path::new("content/rpm/gwt")]);
        let other = Place::read("/content/a", Path::new("/")).unwrap();
        assert!(other.is_of_type() && other.parents_that_may_go().is_empty());
    }

    #[test]
    fn what_lies_elsewhere_is_refused() {
        for (path, refusal) in [
            ("content/rpm/a", Refusal::Relative),
            ("", Refusal::Relative),
            (
                "/var/lib/pulp/content/rpm/../../../../etc/x",
                Refusal::Upward,
            ),
            ("/var/lib/pulp/content/\0", Refusal::Impossible),
        ] {
            assert_eq!(read(path), Err(refusal), "{path}");
        }
        for path in [
            "/",
            "/etc/passwd",
            "/var/lib/pulp",
            "/var/lib/pulp/content",
            "/var/lib/pulp/content/./",
            "/var/lib/pulp/contents/rpm/a",
            "/var/lib/pulp-old/content/rpm/a",
            "/var/lib/pulp/published/a",
        ] {
            assert!(matches!(read(path), Err(Refusal::Outside(_))), "{path}");
        }
        let long = format!("/var/lib/pulp/content/rpm/{}", "x".repeat(256));
        assert_eq!(read(&long), Err(Refusal::Impossible));
    }

    /// Checklist: shared test true only with all three conditions (the third, a link, is the file system's);
    /// false for each one missing.
    #[test]
    fn shared_storage_is_told_by_whole_parts() {
        let is_shared = |path: &str| {
            read(&format!("/var/lib/pulp/{path}"))
                .unwrap()
                .may_be_shared()
        };
        assert!(is_shared("content/shared/ostree/abc/links/unit"));
        assert!(is_shared("content//shared/./ostree/abc/links/unit"));
        for path in [
            "content/shared-old/ostree/abc/links/unit",
            "content/units/ostree/abc/links/unit",
            "content/shared/ostree/abc/link/unit",
            "content/shared/ostree/abc/links/deeper/unit",
            "content/shared/links",
            "content/shared/links/unit",
            "content/shared/ostree/links/unit",
        ] {
            assert!(!is_shared(path), "{path}");
        }
    }

    /// Checklist: target not a sibling keeps it.
    #[test]
    fn the_target_of_a_shared_link_is_a_neighbour_of_its_directory() {
        let root = Path::new("/var/lib/pulp");
        let place = read("/var/lib/pulp/content/shared/ostree/abc/links/unit").unwrap();
        let target = |link: &str| place.shared_target(link, root);
        for link in [
            "../content",
            "./..//content/",
            "/var/lib/pulp/content/shared/ostree/abc/content",
        ] {
            assert_eq!(target(link).as_deref(), Some("content"), "{link}");
        }
        for link in [
            "content",
            "../content/deeper",
            "../../other/content",
            "../..",
            "..",
            "../links",
            "/etc",
            "/",
            "../../../../../../../../etc",
        ] {
            assert_eq!(target(link), None, "{link}");
        }
    }
}
