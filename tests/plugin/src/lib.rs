//! A plug-in as somebody outside the tree writes it: tasks and a content type of its own, one `register`, and both
//! binaries. The tests run it.

mod fault;
mod keeper;
mod ledger;
mod note;
mod sum;

use millrace_common::catalog::Catalog;
use millrace_common::tasking::Component;

/// Adds what this plug-in brings.
pub fn register(catalog: &mut Catalog) {
    catalog.tasks.component(Component {
        component: "plugin",
        version: env!("CARGO_PKG_VERSION"),
        package: "millrace-plugin-example",
        module: "plugin",
    });
    catalog.tasks.register::<sum::Sum>();
    catalog.tasks.register::<keeper::Keeper>();
    catalog.tasks.register::<ledger::Ledger>();
    catalog.tasks.register::<ledger::LedgerOnce>();
    catalog.tasks.register::<fault::Fault>();
    catalog.tasks.register::<note::TakeNote>();
    catalog.content.register_from_file::<note::Note>();
}
