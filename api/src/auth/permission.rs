//! The one question that every handler asks.

use super::Actor;
use crate::error::ApiError;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after what they allow")]
pub enum Action {
    View,
    Create,
    Change,
    Delete,
    /// Dispatch any registered task.
    Dispatch,
}

/// What it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the objects")]
pub enum Object {
    Task,
    TaskGroup,
    TaskSchedule,
    Worker,
    /// A pause of a lane or of a task type.
    Pause,
    Lane,
    Artifact,
    Content,
    Repository,
    Orphans,
    Reclaim,
    Exporter,
    Remote,
    Publication,
    Distribution,
    Upload,
}

/// Answers 403 unless the actor may do this. Without a policy of its own a kind of object is for
/// administrators only (contract 4.16).
///
/// # Errors
/// 403 in the contract's shape.
pub fn authorize(actor: &Actor, action: Action, object: Object) -> Result<(), ApiError> {
    let for_admins_only = match object {
        Object::Worker
        | Object::Pause
        | Object::Lane
        | Object::Artifact
        | Object::Orphans
        | Object::Reclaim
        | Object::Exporter => true,
        Object::Task => action == Action::Dispatch,
        // Who makes one dispatches any registered task.
        Object::TaskSchedule => action != Action::View,
        Object::TaskGroup
        | Object::Content
        | Object::Repository
        | Object::Remote
        | Object::Publication
        | Object::Distribution
        | Object::Upload => false,
    };
    if actor.is_superuser || !for_admins_only {
        Ok(())
    } else {
        Err(ApiError::forbidden())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_policy_is_for_administrators() {
        let somebody = Actor {
            id: 2,
            is_superuser: false,
        };
        let admin = Actor {
            id: 1,
            is_superuser: true,
        };
        for object in [
            Object::Worker,
            Object::Artifact,
            Object::Orphans,
            Object::Exporter,
        ] {
            assert!(authorize(&somebody, Action::View, object).is_err());
            assert!(authorize(&admin, Action::View, object).is_ok());
        }
        assert!(authorize(&somebody, Action::View, Object::Task).is_ok());
        assert!(authorize(&somebody, Action::Dispatch, Object::Task).is_err());
        assert!(authorize(&somebody, Action::View, Object::TaskSchedule).is_ok());
        assert!(authorize(&somebody, Action::Create, Object::TaskSchedule).is_err());
    }
}
