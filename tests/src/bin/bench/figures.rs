//! What the figures have in common: spreads, rates, ratios, families of processes.

use std::fmt::{Display, Formatter, Result};
use std::time::Duration;

/// Milliseconds at some percentiles.
#[derive(Clone, Copy, Default)]
pub struct Spread {
    /// The median.
    pub p50: f64,
    /// 95 of 100 are below.
    pub p95: f64,
    /// 99 of 100 are below.
    pub p99: f64,
}

impl Spread {
    /// Of these milliseconds.
    pub fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |part: usize| {
            let place = (figures.len() * part / 100).min(figures.len().saturating_sub(1));
            figures.get(place).copied().unwrap_or_default()
        };
        Self {
            p50: at(50),
            p95: at(95),
            p99: at(99),
        }
    }

    /// Of these spans.
    pub fn of_spans(spans: &[Duration]) -> Self {
        Self::of(spans.iter().map(|span| millis(*span)).collect())
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { p50, p95, p99 } = self;
        write!(f, "p50 {p50:.1} ms   p95 {p95:.1} ms   p99 {p99:.1} ms")
    }
}

/// Milliseconds of a span.
pub fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// So many in this span, a second.
pub fn rate(count: usize, span: Duration) -> f64 {
    count as f64 / span.as_secs_f64()
}

/// A rate, a peer's rate, and what the first is to the second.
pub fn against(ours: f64, peer: &str, theirs: f64) -> String {
    format!(
        "{ours:>8.1} /s   {peer} {theirs:.1} /s   ratio {:.2}",
        ours / theirs
    )
}

/// These processes and all that they have begotten.
pub fn family(parents: &[u32]) -> Vec<u32> {
    let mut all = parents.to_vec();
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        all.extend(
            children
                .split_whitespace()
                .filter_map(|id| id.parse::<u32>().ok()),
        );
        next += 1;
    }
    all
}
