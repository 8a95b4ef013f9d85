//! Canceling a task, whoever asks for it in which dialect.

use crate::app::App;
use millrace_common::db::Conn;
use millrace_common::error::Error;
use millrace_common::ids::TaskId;
use millrace_common::tasking::{self, CancelOutcome, TaskState};

/// Cancels a task and tells those whom it concerns; gives its state, `None` where there is no task.
///
/// # Errors
/// As the session.
pub async fn cancel_one(
    app: &App,
    conn: &mut Conn,
    id: TaskId,
) -> Result<Option<TaskState>, Error> {
    Ok(match tasking::cancel(conn, id).await? {
        CancelOutcome::Canceled(settled) => {
            settled.publish(&app.publisher, id);
            Some(TaskState::Canceled)
        }
        CancelOutcome::Canceling(name) => {
            let canceling = TaskState::Canceling;
            if let Some(name) = name {
                app.publisher.state_changed(id, &name, canceling.as_str());
            }
            Some(canceling)
        }
        CancelOutcome::AlreadyFinal(state) => Some(state),
        CancelOutcome::NotFound => None,
    })
}
