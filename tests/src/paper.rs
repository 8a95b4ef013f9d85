//! Output that a person enjoys reading: in colours where a terminal shows them.
#![expect(clippy::print_stdout, reason = "for the command lines")]

use std::io::IsTerminal;
use std::time::Duration;

/// What is written on.
pub struct Paper {
    colours: bool,
}

impl Default for Paper {
    fn default() -> Self {
        Self::new()
    }
}

impl Paper {
    /// Standard output.
    #[must_use]
    pub fn new() -> Self {
        let wanted = crate::stack::setting("NO_COLOR").is_none();
        Self {
            colours: wanted && std::io::stdout().is_terminal(),
        }
    }

    fn style(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// The title of a page.
    pub fn title(&self, name: &str, about: &str) {
        let line = "─".repeat(72);
        println!("\n  {}", self.style("36", &line));
        println!("  {}   {about}", self.style("1;36", name));
        println!("  {}\n", self.style("36", &line));
    }

    /// A numbered step.
    pub fn step(&self, number: usize, what: &str) {
        println!(
            "\n  {}  {}",
            self.style("1;36", &number.to_string()),
            self.style("1", what)
        );
    }

    /// A heading.
    pub fn heading(&self, what: &str) {
        println!("\n  {}\n", self.style("1", what));
    }

    /// A fact: what it is about, and what is so.
    pub fn fact(&self, about: &str, what: &str) {
        println!("     {}  {what}", self.style("2", &format!("{about:>13}")));
    }

    /// A row of the table of tasks.
    pub fn row(&self, name: &str, state: &str, waited: &str, ran: &str) {
        let state = format!("{state:<11}");
        let state = match state.trim() {
            "completed" => self.style("32", &state),
            "state" => state,
            _ => self.style("31", &state),
        };
        println!("     {name:<44}{state}{waited:>11}{ran:>11}");
    }
}

/// A number of bytes as people say it.
#[must_use]
pub fn bytes(count: u64) -> String {
    let mut rest = count as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if rest < 1024.0 {
            let digits = usize::from(unit != "bytes");
            return format!("{rest:.digits$} {unit}");
        }
        rest /= 1024.0;
    }
    format!("{rest:.1} TiB")
}

/// A span of time as people say it.
#[must_use]
pub fn seconds(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{} ms", span.as_millis())
    } else {
        format!("{:.1} s", span.as_secs_f64())
    }
}
