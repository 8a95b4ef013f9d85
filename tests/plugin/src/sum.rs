//! The smallest task: arguments in, a result out.

use millrace_common::error::Error;
use millrace_common::tasking::{Outcome, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Adds two numbers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    a: i64,
    b: i64,
}

impl Task for Sum {
    const NAME: &'static str = "plugin.tasks.sum";
    const ARGS: &'static [&'static str] = &["a", "b"];
    const COMPONENT: &'static str = "plugin";

    fn resources(&self) -> Resources {
        Resources::exclusive("plugin:adder")
    }

    fn validate(&self) -> Result<(), Error> {
        self.a
            .checked_add(self.b)
            .map(drop)
            .ok_or_else(|| Error::invalid("kwargs", "the sum is too large"))
    }

    async fn run(self, _: TaskContext) -> Result<Outcome, TaskError> {
        Ok(Outcome::result(json!({"sum": self.a + self.b})))
    }
}
