//! Small drawings of curves: both axes by powers of ten.

use std::fmt::Write;

/// One curve.
pub struct Curve {
    /// What it is about, and in which unit.
    pub title: String,
    /// What is counted along the axis.
    pub along: String,
    /// True where the figure must not grow; else it may, as its axis does.
    pub flat: bool,
    /// Count and figure.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// From the first point on, what it may do at most.
    fn wanted(&self) -> Vec<(f64, f64)> {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return Vec::new();
        };
        let factor = if self.flat { 1.0 } else { last.0 / first.0 };
        vec![*first, (last.0, first.1 * factor)]
    }
}

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 38.0;
const COLUMNS: usize = 3;

/// All curves in one picture.
pub fn draw(curves: &[Curve]) -> String {
    let rows = curves.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"10\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (n, curve) in curves.iter().enumerate() {
        let (x, y) = ((n % COLUMNS) as f64 * WIDTH, (n / COLUMNS) as f64 * HEIGHT);
        let _ = writeln!(text, "<g transform=\"translate({x} {y})\">");
        one(&mut text, curve);
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

/// Whole powers of ten around these figures.
fn decades(figures: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = figures
        .clone()
        .fold(f64::MAX, f64::min)
        .max(1e-3)
        .log10()
        .floor();
    let high = figures.fold(f64::MIN, f64::max).max(1e-3).log10().ceil();
    (low, high.max(low + 1.0))
}

/// Where counts and figures are in the picture of a curve.
struct Scale {
    counts: (f64, f64),
    figures: (f64, f64),
}

impl Scale {
    fn of(curve: &Curve) -> Self {
        let wanted = curve.wanted();
        Self {
            counts: decades(curve.points.iter().map(|p| p.0)),
            figures: decades(curve.points.iter().chain(&wanted).map(|p| p.1)),
        }
    }

    fn x(&self, count: f64) -> f64 {
        let (low, high) = self.counts;
        LEFT + (count.log10() - low) / (high - low) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, figure: f64) -> f64 {
        let (low, high) = self.figures;
        let part = (figure.max(1e-3).log10() - low) / (high - low);
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }
}

fn one(text: &mut String, curve: &Curve) {
    let word = if curve.flat {
        "to be flat"
    } else {
        "at most linear"
    };
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"16\" font-weight=\"bold\">{}</text>\n\
         <text x=\"{LEFT}\" y=\"28\" fill=\"#777777\">{word}</text>",
        escaped(&curve.title)
    );
    let scale = Scale::of(curve);
    axes(text, curve, &scale);
    for (points, style) in [
        (
            &curve.wanted()[..],
            "stroke=\"#999999\" stroke-dasharray=\"4 4\"",
        ),
        (&curve.points, "stroke=\"#1f5fa8\" stroke-width=\"2\""),
    ] {
        let path: Vec<_> = points
            .iter()
            .map(|(count, figure)| format!("{:.1},{:.1}", scale.x(*count), scale.y(*figure)))
            .collect();
        let path = path.join(" ");
        let _ = writeln!(text, "<polyline points=\"{path}\" fill=\"none\" {style}/>");
    }
    for (count, figure) in &curve.points {
        let (x, y) = (scale.x(*count), scale.y(*figure));
        let _ = writeln!(
            text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#1f5fa8\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#1f5fa8\">{}</text>",
            y - 6.0,
            figures(*figure)
        );
    }
}

fn axes(text: &mut String, curve: &Curve, scale: &Scale) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for figure in powers(scale.figures) {
        let y = scale.y(figure);
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{figure}</text>",
            LEFT - 4.0,
            y + 3.0
        );
    }
    for count in powers(scale.counts) {
        let x = scale.x(count);
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#eeeeee\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 13.0,
            short(count)
        );
    }
    let middle = f64::midpoint(LEFT, right);
    let _ = writeln!(
        text,
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#777777\">{}</text>",
        bottom + 28.0,
        escaped(&curve.along)
    );
}

/// The powers of ten from one exponent to another.
fn powers((low, high): (f64, f64)) -> impl Iterator<Item = f64> {
    let exponents = std::iter::successors(Some(low), move |at| (*at < high).then_some(at + 1.0));
    exponents.map(|exponent| 10f64.powf(exponent))
}

fn short(count: f64) -> String {
    if count >= 1e6 {
        format!("{}M", count / 1e6)
    } else if count >= 1e3 {
        format!("{}k", count / 1e3)
    } else {
        count.to_string()
    }
}

fn figures(figure: f64) -> String {
    if figure >= 100.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure:.1}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
