//! What a task reserves: names, each exclusive or shared.

use super::reserved::Resource;
use crate::error::Error;
use crate::href::{self, Target};
use crate::ids::DomainId;
use crate::prn::Prn;
use std::collections::BTreeSet;

/// Longest name of a resource in bytes: it is a key of an index.
pub const RESOURCE_BYTES: usize = 1024;

const SHARED: &str = "shared:";

/// The resources of a task. An address of the API stands for the object that it leads to. Duplicates are folded, and exclusive wins over shared (contract 2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    exclusive: BTreeSet<String>,
    shared: BTreeSet<String>,
}

impl Resources {
    /// One exclusive resource.
    pub fn exclusive(name: impl ToString) -> Self {
        Self::default().and_exclusive(name)
    }

    /// One shared resource.
    pub fn shared(name: impl ToString) -> Self {
        Self::default().and_shared(name)
    }

    /// Adds an exclusive resource.
    #[must_use]
    pub fn and_exclusive(mut self, name: impl ToString) -> Self {
        let name = canonical(name.to_string());
        self.shared.remove(&name);
        self.exclusive.insert(name);
        self
    }

    /// Adds a shared resource, unless it is already exclusive.
    #[must_use]
    pub fn and_shared(mut self, name: impl ToString) -> Self {
        let name = canonical(name.to_string());
        if !self.exclusive.contains(&name) {
            self.shared.insert(name);
        }
        self
    }

    /// The resources that names, addresses and objects stand for; nothing stands for none.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `exclusive_resources` or `shared_resources` for what cannot be reserved.
    pub fn of(exclusive: &[&dyn Resource], shared: &[&dyn Resource]) -> Result<Self, Error> {
        let mut resources = Self::default();
        for (field, list) in [
            ("exclusive_resources", exclusive),
            ("shared_resources", shared),
        ] {
            for resource in list {
                let name = resource.resource();
                let name = name.map_err(|message| Error::invalid(field, message))?;
                let Some(name) = name.map(canonical) else {
                    continue;
                };
                if let Some(message) = fault(&name) {
                    return Err(Error::invalid(field, message));
                }
                resources = match field {
                    "shared_resources" => resources.and_shared(name),
                    _ => resources.and_exclusive(name),
                };
            }
        }
        Ok(resources)
    }

    /// Adds all resources of another set.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let with = other.exclusive.into_iter().fold(self, Self::and_exclusive);
        other.shared.into_iter().fold(with, Self::and_shared)
    }

    /// Adds the domain as shared, as every task has it.
    #[must_use]
    pub fn in_domain(self, domain: DomainId) -> Self {
        self.and_shared(Prn::from(domain))
    }

    /// Checks every name; `Invalid` names the field (`exclusive_resources` or `shared_resources`).
    ///
    /// # Errors
    /// A name that is empty, too long, starts with `shared:`, or holds a NUL.
    pub fn validate(&self) -> Result<(), Error> {
        for (field, names) in [
            ("exclusive_resources", &self.exclusive),
            ("shared_resources", &self.shared),
        ] {
            for name in names {
                if let Some(message) = fault(name) {
                    return Err(Error::invalid(field, message));
                }
            }
        }
        Ok(())
    }

    /// The exclusive names, sorted.
    pub fn exclusive_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.exclusive.iter().map(String::as_str)
    }

    /// The shared names, sorted.
    pub fn shared_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.shared.iter().map(String::as_str)
    }

    /// Reads the stored form: shared names carry the prefix `shared:`.
    #[must_use]
    pub fn from_record(record: &[String]) -> Self {
        record.iter().fold(Self::default(), |resources, entry| {
            match entry.strip_prefix(SHARED) {
                Some(name) => resources.and_shared(name),
                None => resources.and_exclusive(entry),
            }
        })
    }

    /// Those that a task with these resources does not hold, or only shared where it needs them for itself;
    /// sorted.
    #[must_use]
    pub fn lacking<'a>(&'a self, needed: &'a Self) -> Vec<&'a str> {
        let exclusive = needed.exclusive.difference(&self.exclusive);
        let shared = needed.shared.difference(&self.exclusive);
        let shared = shared.filter(|name| !self.shared.contains(*name));
        exclusive.chain(shared).map(String::as_str).collect()
    }

    /// True where a task with these resources must wait for an earlier one with those.
    #[must_use]
    pub fn conflicts_with(&self, earlier: &Self) -> bool {
        let meets = |a: &BTreeSet<String>, b: &BTreeSet<String>| !a.is_disjoint(b);
        meets(&self.exclusive, &earlier.exclusive)
            || meets(&self.exclusive, &earlier.shared)
            || meets(&self.shared, &earlier.exclusive)
    }
}

/// The address of an object means the object; that of a version has no name without the database.
fn canonical(name: String) -> String {
    if !name.starts_with('/') && !name.starts_with("http") {
        return name;
    }
    match href::parse(&name) {
        Some(Target::Object(prn)) => prn.to_string(),
        _ => href::legacy_resource(&name).unwrap_or(name),
    }
}

fn fault(name: &str) -> Option<String> {
    if let Some(Target::Version { .. }) = href::parse(name) {
        return Some(format!("`{name}`: name a version by its PRN"));
    }
    if name.is_empty() {
        return Some("a resource must not be empty".into());
    }
    if name.starts_with(SHARED) {
        return Some(format!(
            "`{name}`: name the resource without the prefix `shared:`"
        ));
    }
    if name.contains('\0') {
        return Some("null characters are not allowed".into());
    }
    (name.len() > RESOURCE_BYTES).then(|| format!("a resource has at most {RESOURCE_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_wins_over_shared_in_either_order() {
        let one = Resources::exclusive("a").and_shared("a");
        let other = Resources::shared("a").and_exclusive("a");
        assert_eq!(one, other);
        assert_eq!(one.shared_names().len(), 0);
    }

    #[test]
    fn only_shared_with_shared_does_not_conflict() {
        let (x, s) = (Resources::exclusive("a"), Resources::shared("a"));
        assert!(x.conflicts_with(&x) && x.conflicts_with(&s) && s.conflicts_with(&x));
        assert!(!s.conflicts_with(&s));
        assert!(!x.conflicts_with(&Resources::exclusive("b")));
    }

    #[test]
    fn what_is_held_exclusively_is_held_shared_too() {
        let held = Resources::exclusive("a").and_shared("b");
        let needed = Resources::shared("a").and_shared("b");
        assert_eq!(held.lacking(&needed), Vec::<&str>::new());
        let needed = Resources::exclusive("b").and_shared("c");
        assert_eq!(held.lacking(&needed), ["b", "c"]);
    }

    #[test]
    fn bad_names_are_refused_with_their_field() {
        for name in ["", "shared:x", "a\0b", &"x".repeat(RESOURCE_BYTES + 1)] {
            let error = Resources::shared(name).validate().unwrap_err();
            assert!(
                error.to_string().starts_with("shared_resources: "),
                "{error}"
            );
        }
    }

    #[test]
    fn the_stored_form_reads_back() {
        let record = vec!["a".to_owned(), "shared:b".to_owned()];
        assert_eq!(
            Resources::from_record(&record),
            Resources::exclusive("a").and_shared("b")
        );
    }
}
