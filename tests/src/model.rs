//! The order guarantee (contract 2.3) in memory: what the engine must agree with after every step.

use std::collections::BTreeSet;
use uuid::Uuid;

/// A task as the guarantee sees it.
#[derive(Clone, Debug)]
pub struct ModelTask {
    /// The task.
    pub id: Uuid,
    /// X(t).
    pub exclusive: BTreeSet<String>,
    /// S(t), without X(t).
    pub shared: BTreeSet<String>,
    /// False: waiting.
    pub running: bool,
}

/// All incomplete tasks in the order of their dispatch.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The tasks.
    pub tasks: Vec<ModelTask>,
}

impl Model {
    /// Adds a task at the end.
    pub fn dispatch(&mut self, id: Uuid, exclusive: BTreeSet<String>, shared: BTreeSet<String>) {
        let shared = shared.difference(&exclusive).cloned().collect();
        self.tasks.push(ModelTask {
            id,
            exclusive,
            shared,
            running: false,
        });
    }

    /// True where the guarantee lets the task at this place start, or it has started.
    #[must_use]
    pub fn is_unblocked(&self, place: usize) -> bool {
        let t = &self.tasks[place];
        self.tasks[..place].iter().all(|e| {
            e.exclusive.is_disjoint(&t.exclusive)
                && e.exclusive.is_disjoint(&t.shared)
                && e.shared.is_disjoint(&t.exclusive)
        })
    }

    /// Ids of the tasks that are unblocked, sorted.
    #[must_use]
    pub fn unblocked(&self) -> BTreeSet<Uuid> {
        (0..self.tasks.len())
            .filter(|place| self.is_unblocked(*place))
            .map(|place| self.tasks[place].id)
            .collect()
    }

    /// Takes a task out: it ended.
    pub fn end(&mut self, id: Uuid) {
        self.tasks.retain(|t| t.id != id);
    }
}
