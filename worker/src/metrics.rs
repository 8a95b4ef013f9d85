//! What a worker counts and shows; what is in the database, the API shows once for all.

use crate::slots::{Phase, Slots};
use crate::worker::Shared;
use millrace_common::metrics::{Process, engine, registry, render};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClass {
    class: String,
}

/// The metrics of a worker.
pub(crate) struct Metrics {
    registry: Registry,
    process: Process,
    busy: Family<OfClass, Gauge>,
    receiving: Family<OfClass, Gauge>,
}

impl Metrics {
    /// Those of a worker with so many slots a class.
    pub(crate) fn new(slots: &BTreeMap<String, u16>) -> Self {
        let mut registry = registry();
        let (process, size) = (Process::default(), Family::<OfClass, Gauge>::default());
        let (busy, receiving) = (Family::default(), Family::default());
        engine().register(&mut registry);
        engine().register_worker(&mut registry);
        process.register(&mut registry);
        for (name, help, family) in [
            ("slots", "Slots of this worker, by class", &size),
            (
                "slots_busy",
                "Slots that run or settle a task now, by class",
                &busy,
            ),
            (
                "slots_receiving",
                "Slots that wait for a message now, by class",
                &receiving,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        for (class, count) in slots {
            let of = OfClass {
                class: class.clone(),
            };
            size.get_or_create(&of).set((*count).into());
        }
        Self {
            registry,
            process,
            busy,
            receiving,
        }
    }

    /// All of them, as text.
    pub(crate) fn text(&self, shared: &Shared) -> String {
        self.process.read(shared.db(), &shared.publisher);
        self.read_slots(shared.settings().worker.slots.keys(), &shared.slots);
        render(&self.registry)
    }

    fn read_slots<'a>(&self, classes: impl Iterator<Item = &'a String>, slots: &Slots) {
        let now = slots.all();
        for class in classes {
            let count = |phase| {
                let all = now.iter().filter(|(of, is)| of == class && *is == phase);
                i64::try_from(all.count()).unwrap_or(i64::MAX)
            };
            let of = OfClass {
                class: class.clone(),
            };
            self.busy.get_or_create(&of).set(count(Phase::Running));
            self.receiving
                .get_or_create(&of)
                .set(count(Phase::Receiving));
        }
    }
}
