//! What the checks found.

use serde::Serialize;
use serde_json::json;
use std::fmt::Display;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    grade: Grade,
    seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// The findings, in the order of the checks.
#[derive(Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    /// All is well.
    pub(super) fn ok(&mut self, name: &'static str, seen: impl Display) {
        self.add(name, Grade::Ok, seen, None);
    }

    /// It works, and is worth a thought.
    pub(super) fn warn(&mut self, name: &'static str, seen: impl Display, mend: impl Display) {
        self.add(name, Grade::Warn, seen, Some(mend.to_string()));
    }

    /// It does not work, or promises are broken.
    pub(super) fn fail(&mut self, name: &'static str, seen: impl Display, mend: impl Display) {
        self.add(name, Grade::Fail, seen, Some(mend.to_string()));
    }

    fn add(&mut self, name: &'static str, grade: Grade, seen: impl Display, mend: Option<String>) {
        self.0.push(Finding {
            name,
            grade,
            seen: seen.to_string(),
            mend,
        });
    }

    /// How many checks failed.
    pub(super) fn failures(&self) -> usize {
        let failed = |finding: &&Finding| finding.grade == Grade::Fail;
        self.0.iter().filter(failed).count()
    }

    /// A line each, and under it the mend where there is one.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for finding in &self.0 {
            let grade = match finding.grade {
                Grade::Ok => "ok  ",
                Grade::Warn => "warn",
                Grade::Fail => "FAIL",
            };
            lines.push(format!("{grade}  {:<24} {}", finding.name, finding.seen));
            if let Some(mend) = &finding.mend {
                lines.push(format!("      {:<24} -> {mend}", ""));
            }
        }
        lines.join("\n")
    }

    /// All findings as one object.
    pub(super) fn json(&self) -> String {
        json!({"ok": self.failures() == 0, "checks": self.0}).to_string()
    }
}
