//! Making an artifact of a file that came in pieces (contract 4.11).

use crate::error::Error;
use crate::ids::UploadId;
use crate::prn::Prn;
use crate::storage::is_sha256;
use crate::tasking::{Effects, Outcome, Resources, Task, TaskContext, TaskError};
use crate::uploads::Assembled;
use serde::{Deserialize, Serialize};

/// Brings the pieces of an upload together and makes an artifact of them, or finds the one that has these
/// bytes already; the upload is gone then. Where bytes are missing or the digest is another one, the task
/// fails and the upload stays. Safe to run again after dying at any instruction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadCommit {
    /// The upload.
    pub upload_id: UploadId,
    /// What its bytes must have, in lower-case hex.
    pub sha256: String,
}

impl Task for UploadCommit {
    const NAME: &'static str = "pulpcore.app.tasks.upload.commit";
    const ARGS: &'static [&'static str] = &["upload_id", "sha256"];
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        Resources::exclusive(Prn::from(self.upload_id))
    }

    fn validate(&self) -> Result<(), Error> {
        if is_sha256(&self.sha256) {
            return Ok(());
        }
        Err(Error::invalid("sha256", "must be 64 lower-case hex digits"))
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let file = Assembled::make(&ctx, self.upload_id, Some(&self.sha256)).await?;
        Ok(Outcome::flip(move |conn| {
            let file = file.clone();
            Box::pin(async move {
                let artifact = file.into_artifact(conn).await?;
                Ok(Effects {
                    created: vec![Prn::from(artifact.pulp_id)],
                    ..Effects::default()
                })
            })
        }))
    }
}
