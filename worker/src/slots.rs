//! What the slots of the process do now.

use crate::running::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a slot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// It opens its database session.
    Opening,
    /// It has a session, and waits for a message.
    Receiving,
    /// It has a message, and tries to claim its task.
    Claiming,
    /// It runs a task, or settles it.
    Running,
}

#[derive(Clone, Copy)]
struct State {
    phase: Phase,
    since: Instant,
}

/// All slots of the process.
#[derive(Clone, Default)]
pub(crate) struct Slots(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    next: u64,
    slots: BTreeMap<u64, (String, State)>,
}

/// A slot's place among them, until it is dropped.
pub(crate) struct Place {
    slots: Slots,
    number: u64,
}

impl Slots {
    /// A slot of this class begins.
    pub(crate) fn enter(&self, class: &str) -> Place {
        let mut inner = lock(&self.0);
        let number = inner.next;
        inner.next += 1;
        let state = State {
            phase: Phase::Opening,
            since: Instant::now(),
        };
        inner.slots.insert(number, (class.to_owned(), state));
        Place {
            slots: self.clone(),
            number,
        }
    }

    /// Classes and phases of all slots.
    pub(crate) fn all(&self) -> Vec<(String, Phase)> {
        let inner = lock(&self.0);
        inner
            .slots
            .values()
            .map(|(class, state)| (class.clone(), state.phase))
            .collect()
    }

    /// How long the claim that has taken longest has been going on: claims are statements of no length.
    pub(crate) fn longest_claim(&self) -> Duration {
        let inner = lock(&self.0);
        let claiming = |(_, state): &&(String, State)| state.phase == Phase::Claiming;
        inner
            .slots
            .values()
            .filter(claiming)
            .map(|(_, state)| state.since.elapsed())
            .max()
            .unwrap_or_default()
    }
}

impl Place {
    /// What the slot does from now on.
    pub(crate) fn is(&self, phase: Phase) {
        if let Some((_, state)) = lock(&self.slots.0).slots.get_mut(&self.number) {
            *state = State {
                phase,
                since: Instant::now(),
            };
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.slots.0).slots.remove(&self.number);
    }
}
