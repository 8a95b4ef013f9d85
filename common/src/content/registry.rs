//! The content types that a process knows.

use super::{ContentType, Definition, FromFile, UnitKind};
use crate::db::Conn;
use crate::error::Error;
use crate::ids::ContentId;
use crate::repository::NewVersion;
use crate::tasking::{Registry, TaskContext, TaskError};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Rule = for<'c> fn(
    &'c mut Conn,
    &'c NewVersion,
    &'c [ContentId],
) -> BoxFuture<'c, Result<(), TaskError>>;

/// Content types by id. Cheap to look in; made once, at start.
#[derive(Clone, Default)]
pub struct ContentTypes {
    types: BTreeMap<String, Definition>,
    /// By `pulp_type`.
    rules: BTreeMap<String, Rule>,
    kinds: Vec<UnitKind>,
    /// What is wrong with what was registered.
    faults: Vec<String>,
}

impl ContentTypes {
    /// Adds a type whose units can be made. What is wrong with it is said by [`ContentTypes::check`].
    pub fn register<T: ContentType>(&mut self) {
        let Some(pulp_type) = self.insert(T::DEFINITION) else {
            return;
        };
        self.rules.insert(pulp_type, |conn, version, added| {
            Box::pin(T::validate_version(conn, version, added))
        });
    }

    /// Adds a type whose units are made from one file each: general tasks make them then.
    pub fn register_from_file<T: FromFile>(&mut self) {
        self.register::<T>();
        if self.get(T::PULP_TYPE).is_none() {
            let name = T::PULP_TYPE;
            self.faults.push(format!(
                "content type `{name}`: its definition is of another type"
            ));
        }
        self.kinds.push(UnitKind::of::<T>());
    }

    /// The kind of units with a validator of this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `serializer_name`.
    pub fn kind(&self, app_label: &str, serializer_name: &str) -> Result<&UnitKind, Error> {
        let mut kinds = self.kinds.iter();
        kinds
            .find(|k| k.app_label == app_label && k.serializer_name == serializer_name)
            .ok_or_else(|| {
                let message = format!("there is no `{serializer_name}` in `{app_label}`");
                Error::invalid("serializer_name", message)
            })
    }

    /// The field of the units of a type that says where their file lies in a repository, where they are made from files.
    #[must_use]
    pub fn path_field(&self, definition: &Definition) -> Option<&'static str> {
        let mut kinds = self.kinds.iter();
        kinds
            .find(|kind| definition.pulp_type.as_deref() == Some(kind.pulp_type))
            .map(|kind| kind.path_field)
    }

    /// Adds a type that is only described.
    pub fn describe(&mut self, definition: &str) {
        self.insert(definition);
    }

    /// Adds the types that the files of a directory describe (`*.json`), in the order of their names.
    pub fn describe_all(&mut self, directory: &Path) {
        let files = std::fs::read_dir(directory).and_then(|entries| {
            let paths = entries.map(|entry| Ok(entry?.path()));
            paths.collect::<Result<Vec<_>, std::io::Error>>()
        });
        let mut files = match files {
            Ok(files) => files,
            Err(error) => {
                return self
                    .faults
                    .push(format!("{}: {error}", directory.display()));
            }
        };
        files.retain(|path| path.extension().is_some_and(|end| end == "json"));
        files.sort();
        for file in files {
            let of_file = |fault: String| format!("{}: {fault}", file.display());
            let read = std::fs::read_to_string(&file).map_err(|error| error.to_string());
            match read.and_then(|json| Definition::read_file(&json)) {
                Ok(definitions) => {
                    for definition in definitions {
                        let added = self.add(definition);
                        self.faults.extend(added.err().map(of_file));
                    }
                }
                Err(fault) => self.faults.push(of_file(fault)),
            }
        }
    }

    /// Gives the full name of the type.
    fn insert(&mut self, definition: &str) -> Option<String> {
        let added = Definition::read(definition).and_then(|definition| self.add(definition));
        match added {
            Ok(pulp_type) => pulp_type,
            Err(fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    fn add(&mut self, definition: Definition) -> Result<Option<String>, String> {
        let (id, pulp_type) = (definition.id.clone(), definition.pulp_type.clone());
        let twice = |name: &str| format!("content type `{name}` is defined twice");
        if self.types.contains_key(&id) {
            return Err(twice(&id));
        }
        if let Some(name) = pulp_type.as_deref().filter(|name| self.get(name).is_some()) {
            return Err(twice(name));
        }
        self.types.insert(id, definition);
        Ok(pulp_type)
    }

    /// Checks the types as a whole: they are refused together.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, by the names of the types.
    pub fn check(&self) -> Result<(), Error> {
        let mut faults = self.faults.clone();
        for (id, definition) in &self.types {
            let unknown = definition.referenced_types.iter();
            let unknown = unknown.filter(|other| !self.types.contains_key(*other));
            faults.extend(unknown.map(|other| {
                format!("content type `{id}` refers to `{other}`, which is not defined")
            }));
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::invalid("content types", faults.join("; ")))
    }

    /// Those that the tasks of a registry go by.
    ///
    /// # Errors
    /// [`Error::Internal`] where it has none: an error of programming.
    pub fn of(registry: &Registry) -> Result<&Self, Error> {
        registry
            .provided()
            .ok_or_else(|| Error::internal("the process knows no content types"))
    }

    /// The definition of this type.
    #[must_use]
    pub fn get(&self, pulp_type: &str) -> Option<&Definition> {
        self.types
            .values()
            .find(|definition| definition.pulp_type.as_deref() == Some(pulp_type))
    }

    /// The definition with this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Definition> {
        self.types.get(id)
    }

    /// The definition of the units whose rows have this type ([`Definition::row_type`]).
    #[must_use]
    pub fn by_row_type(&self, row_type: &str) -> Option<&Definition> {
        let mut definitions = self.definitions();
        definitions.find(|definition| definition.row_type() == row_type)
    }

    /// All definitions, by id.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.types.values()
    }

    /// The types whose files may be given up, to be fetched again (contract 1.3), by name.
    #[must_use]
    pub fn reclaimable(&self) -> Vec<String> {
        self.types
            .values()
            .filter(|definition| !definition.protected_from_reclaim)
            .filter_map(|definition| definition.pulp_type.clone())
            .collect()
    }

    /// The types whose units can be, by name.
    #[must_use]
    pub fn unit_types(&self) -> BTreeSet<&str> {
        let named = self.types.values();
        named.filter_map(|one| one.pulp_type.as_deref()).collect()
    }

    /// The types of repositories that hold units of some type, by name.
    #[must_use]
    pub fn repository_types(&self) -> BTreeSet<&str> {
        let named = self.types.values();
        named
            .flat_map(|one| one.repositories.iter().map(String::as_str))
            .collect()
    }

    /// True where a repository of this type holds units of that type.
    #[must_use]
    pub fn holds(&self, repository: &str, unit: &str) -> bool {
        self.get(unit)
            .is_some_and(|one| one.repositories.iter().any(|name| name == repository))
    }

    /// Checks a batch of added units by the rules of every type that their repository holds.
    ///
    /// # Errors
    /// What the client may read.
    pub async fn validate_version(
        &self,
        conn: &mut Conn,
        version: &NewVersion,
        added: &[ContentId],
    ) -> Result<(), TaskError> {
        for (unit, rule) in &self.rules {
            if self.holds(&version.pulp_type, unit) {
                rule(conn, version, added).await?;
            }
        }
        Ok(())
    }
}

impl TaskContext {
    /// The content types that this worker knows.
    ///
    /// # Errors
    /// As [`ContentTypes::of`].
    pub fn content(&self) -> Result<&ContentTypes, TaskError> {
        Ok(ContentTypes::of(self.registry())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::register_all;

    fn definition(id: &str, rest: &str) -> String {
        format!(
            r#"{{"id": "{id}", "display_name": "", "description": null, "unit_key": ["n"]{rest}}}"#
        )
    }

    fn refusal(definitions: &[String]) -> String {
        let mut types = ContentTypes::default();
        register_all(&mut types);
        definitions.iter().for_each(|one| types.describe(one));
        types
            .check()
            .map_or_else(|e| e.to_string(), |()| String::new())
    }

    #[test]
    fn the_built_in_types_fit_together() {
        assert_eq!(refusal(&[]), "");
    }

    #[test]
    fn types_are_refused_as_a_whole_and_by_name() {
        let text = refusal(&[
            definition("file", ""),
            definition("other", r#", "pulp_type": "file.file""#),
            definition("ref", r#", "referenced_types": ["gone", "file"]"#),
            definition("odd", r#", "odd": 1"#),
        ]);
        for said in [
            "`file` is defined twice",
            "`file.file` is defined twice",
            "`ref` refers to `gone`",
            "`odd`: unknown field `odd`",
        ] {
            assert!(text.contains(said), "{said} in {text}");
        }
        assert!(!text.contains("refers to `file`"), "{text}");
    }

    #[test]
    fn a_repository_holds_the_types_that_say_so() {
        let mut types = ContentTypes::default();
        register_all(&mut types);
        types.describe(&definition(
            "two",
            r#", "pulp_type": "x.two", "repositories": ["x.x"]"#,
        ));
        assert!(types.holds("file.file", "file.file") && types.holds("x.x", "x.two"));
        assert!(!types.holds("file.file", "x.two") && !types.holds("x.x", "file.file"));
        assert!(types.repository_types().contains("x.x"));
    }
}
