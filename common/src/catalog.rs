//! Everything that can be added without touching the engine: task types and content types.

use crate::config::Settings;
use crate::content::ContentTypes;
use crate::error::Error;
use crate::tasking::{Component, Registry};
use crate::{ADVERTISED_CORE_VERSION, content, tasks};

/// What a process knows. A crate outside this tree offers `pub fn register(&mut Catalog)` and builds
/// both binaries from the libraries `millrace-api` and `millrace-worker`.
#[derive(Default)]
pub struct Catalog {
    /// Task types.
    pub tasks: Registry,
    /// Content types.
    pub content: ContentTypes,
}

impl Catalog {
    /// What ships with Millrace. With `diagnostics`, the test tasks too.
    #[must_use]
    pub fn builtin(diagnostics: bool) -> Self {
        let mut catalog = Self::default();
        // Packages are of no component: clients that hear of `rpm` expect all that its plug-in offers.
        for (component, module) in [("core", "pulpcore.app"), ("file", "pulp_file.app")] {
            catalog.tasks.component(Component {
                component,
                version: ADVERTISED_CORE_VERSION,
                package: "pulpcore",
                module,
            });
        }
        tasks::register_all(&mut catalog.tasks, diagnostics);
        content::register_all(&mut catalog.content);
        catalog.tasks.provide(catalog.content.clone());
        catalog
    }

    /// What ships with Millrace, what `register` adds to it, and the content types that the settings name.
    ///
    /// # Errors
    /// [`Error::Invalid`] where content types do not fit together.
    pub fn load(settings: &Settings, register: fn(&mut Self)) -> Result<Self, Error> {
        let mut catalog = Self::builtin(settings.diagnostics.enabled);
        register(&mut catalog);
        let definitions = &settings.units.definitions;
        if !definitions.as_os_str().is_empty() {
            catalog.content.describe_all(definitions);
        }
        catalog.content.check()?;
        // Tasks find them where they find task types.
        catalog.tasks.provide(catalog.content.clone());
        Ok(catalog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalog_has_no_name_twice() {
        assert!(
            Catalog::builtin(true).tasks.types().count()
                > Catalog::builtin(false).tasks.types().count()
        );
    }
}
