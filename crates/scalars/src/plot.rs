//! Curves in the terminal: braille dots, or plain characters if the terminal does not
//! support Unicode.

use std::env;
use std::fmt::Write as _;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Constraint, Rect};
use ratatui_core::style::{Color, Style};
use ratatui_core::symbols::Marker;
use ratatui_core::widgets::Widget;
use ratatui_widgets::chart::{Axis, Chart as Widgets, Dataset, GraphType};
use torchmill::{terminal, text};

use crate::curves::{Chart, Curve, thin_indices};

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Characters per line.
    pub width: u16,
    /// Braille and box drawing; else ASCII.
    pub unicode: bool,
    /// Whether each run has a colour; if not, runs only differ in their marks.
    pub colour: bool,
}

/// Lines of a chart, without its title.
const HEIGHT: u16 = 14;
const COLOURS: [Color; 6] =
    [Color::Cyan, Color::Yellow, Color::Magenta, Color::Green, Color::Red, Color::Blue];
/// The marks of runs in ASCII.
const MARKS: [char; 6] = ['*', 'o', '+', 'x', '#', '@'];

impl Look {
    /// The look for standard output: the terminal's width, or 80 characters without
    /// colours if it is not a terminal. NO_COLOR, and a locale without UTF-8, are
    /// respected.
    pub fn of_stdout() -> Self {
        let columns = env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
        let size = terminal::columns(std::io::stdout());
        Self {
            width: size.or(columns).unwrap_or(80).clamp(40, 160),
            unicode: terminal::unicode(),
            colour: terminal::colours(&std::io::stdout()),
        }
    }
}

/// All charts, one below the other.
pub fn draw(charts: &[Chart], look: Look) -> String {
    charts.iter().map(|chart| draw_one(chart, look)).collect::<Vec<_>>().join("\n")
}

fn draw_one(chart: &Chart, look: Look) -> String {
    // There is no use in more points than dots. Four points per column are more than
    // enough.
    let finite = |curve: &Curve| -> Vec<(f64, f64)> {
        let points = curve.points.iter().filter(|point| point.value.is_finite());
        let finite: Vec<_> =
            points.map(|point| (point.step as f64, point.value)).collect();
        let values: Vec<f64> = finite.iter().map(|point| point.1).collect();
        let kept = thin_indices(&values, usize::from(look.width) * 8);
        kept.into_iter().map(|i| finite[i]).collect()
    };
    let points: Vec<Vec<(f64, f64)>> = chart.curves.iter().map(finite).collect();
    let mut text = title(chart, look);
    let Some((x, y)) = bounds(&points) else {
        text.push_str("  no finite value\n");
        return text;
    };
    let datasets = points.iter().enumerate().map(|(i, points)| {
        let marker = if look.unicode {
            Marker::Braille
        } else {
            Marker::Custom(MARKS[i % MARKS.len()])
        };
        Dataset::default()
            .marker(marker)
            .graph_type(if points.len() > 1 {
                GraphType::Line
            } else {
                GraphType::Scatter
            })
            .style(Style::new().fg(COLOURS[i % COLOURS.len()]))
            .data(points)
    });
    let label = |bounds: [f64; 2], parts: usize| -> Vec<String> {
        let at = |i: usize| bounds[0] + (bounds[1] - bounds[0]) * i as f64 / parts as f64;
        (0..=parts).map(|i| number(at(i))).collect()
    };
    let widget = Widgets::new(datasets.collect())
        .x_axis(Axis::default().bounds(x).labels(label(x, 4)))
        .y_axis(Axis::default().bounds(y).labels(label(y, 4)))
        .legend_position(None)
        .hidden_legend_constraints((Constraint::Min(0), Constraint::Min(0)));
    let area = Rect::new(0, 0, look.width, HEIGHT);
    let mut buffer = Buffer::empty(area);
    widget.render(area, &mut buffer);
    print(&buffer, look, &mut text);
    text
}

/// The tag, and for each run its mark, name and last value.
fn title(chart: &Chart, look: Look) -> String {
    let width = usize::from(look.width);
    let mut text = format!("{}\n", text::cut(&text::escape(&chart.tag), width));
    for (i, curve) in chart.curves.iter().enumerate() {
        let mark = if look.unicode { '\u{25cf}' } else { MARKS[i % MARKS.len()] };
        let last = curve.points.last().map_or(f64::NAN, |point| point.value);
        let step = curve.points.last().map_or(0, |point| point.step);
        let run = if curve.run.is_empty() { "standard input" } else { &curve.run };
        let (start, end) = escape(COLOURS[i % COLOURS.len()], look);
        let last = format!(": {} at step {step}", number(last));
        // Cut the run's name rather than the rest of the title.
        let run = text::cut(
            &text::escape(run),
            width.saturating_sub("  * ".len() + last.len()),
        );
        let _ = writeln!(text, "  {start}{mark}{end} {run}{last}");
    }
    text
}

/// The smallest and largest step and value, widened if they are the same.
fn bounds(curves: &[Vec<(f64, f64)>]) -> Option<([f64; 2], [f64; 2])> {
    let span = |pick: fn(&(f64, f64)) -> f64| {
        let values = || curves.iter().flatten().map(pick);
        let (least, most) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
        if most > least {
            return Some([least, most]);
        }
        let half = if least == 0.0 { 1.0 } else { least.abs() * 0.1 };
        Some([least - half, most + half])
    };
    Some((span(|p| p.0)?, span(|p| p.1)?))
}

/// Formats four significant digits, as short as possible.
fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor();
    if (-4.0..7.0).contains(&magnitude) {
        let decimals = (3.0 - magnitude).clamp(0.0, 7.0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    } else {
        format!("{value:.3e}")
    }
}

fn print(buffer: &Buffer, look: Look, text: &mut String) {
    for y in 0..buffer.area.height {
        let mut line = String::new();
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let symbol = if look.unicode { cell.symbol() } else { plain(cell.symbol()) };
            let (start, end) =
                if symbol == " " { ("", "") } else { escape(cell.fg, look) };
            let _ = write!(line, "{start}{symbol}{end}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// The axes in ASCII.
fn plain(symbol: &str) -> &str {
    match symbol {
        "\u{2502}" => "|",
        "\u{2500}" => "-",
        "\u{2514}" => "+",
        other if other.is_ascii() => other,
        _ => "?",
    }
}

/// The codes that start and end a colour.
fn escape(colour: Color, look: Look) -> (&'static str, &'static str) {
    let start = match colour {
        _ if !look.colour => return ("", ""),
        Color::Cyan => "\x1b[36m",
        Color::Yellow => "\x1b[33m",
        Color::Magenta => "\x1b[35m",
        Color::Green => "\x1b[32m",
        Color::Red => "\x1b[31m",
        Color::Blue => "\x1b[34m",
        _ => return ("", ""),
    };
    (start, "\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves::CurvePoint;

    fn chart(runs: &[(&str, &[(f64, f64)])]) -> Chart {
        let point = |&(step, value): &(f64, f64)| CurvePoint {
            step: step as i64,
            value,
            wall_time: None,
            epoch: None,
        };
        let curve = |(run, points): &(&str, &[(f64, f64)])| Curve {
            run: (*run).into(),
            points: points.iter().map(point).collect(),
        };
        Chart { tag: "test loss".into(), curves: runs.iter().map(curve).collect() }
    }

    const ASCII: Look = Look { width: 60, unicode: false, colour: false };

    #[test]
    fn lines_fit_and_ascii_is_ascii() {
        let falling: Vec<(f64, f64)> =
            (0..50_000).map(|i| (f64::from(i), 1.0 / f64::from(i + 1))).collect();
        let chart = chart(&[("a", &falling), ("b", &[(3.0, 0.5)])]);
        let text = draw(std::slice::from_ref(&chart), ASCII);
        assert!(text.is_ascii() && text.lines().all(|l| l.len() <= 60), "{text}");
        assert!(
            text.starts_with(
                "test loss\n  * a: 2.000e-5 at step 49999\n  o b: 0.5 at step 3\n"
            ),
            "{text}"
        );
        assert!(text.contains('*') && text.lines().count() == 3 + usize::from(HEIGHT));
        let braille = draw(&[chart], Look { unicode: true, colour: true, ..ASCII });
        assert!(
            braille.contains('\u{2514}') && braille.contains("\x1b[36m"),
            "{braille}"
        );
        assert!(braille.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)));
    }

    #[test]
    fn long_names_are_cut() {
        let mut chart = chart(&[(&"deep/".repeat(30), &[(1.0, 0.5), (2.0, 0.25)])]);
        chart.tag = "\u{1b}[2J".into();
        let steering = draw(std::slice::from_ref(&chart), ASCII);
        assert!(steering.starts_with("\\u{1b}[2J\n"), "{steering}");
        chart.tag = "\u{635f}\u{5931} ".repeat(30);
        let text = draw(&[chart], Look { width: 40, ..ASCII });
        let mut lines = text.lines();
        // Each letter takes two columns.
        assert_eq!(lines.next().map(|line| line.chars().count()), Some(24), "{text}");
        let run = lines.next().unwrap();
        assert!(run.len() == 40 && run.ends_with(": 0.25 at step 2"), "{text}");
        assert!(lines.all(|line| line.len() <= 40), "{text}");
    }

    #[test]
    fn odd_values_are_drawn_or_told() {
        let nan =
            draw(&[chart(&[("a", &[(1.0, f64::NAN), (2.0, f64::INFINITY)])])], ASCII);
        assert_eq!(nan, "test loss\n  * a: inf at step 2\n  no finite value\n");
        for value in [0.0, -1e300, 1e-300, f64::MAX, f64::MIN] {
            draw(&[chart(&[("a", &[(1.0, value), (2.0, -value)])])], ASCII);
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown =
            [0.0, 0.59, 310.5, 2.3456, 123456.0, 1e-5, -1.5e12, 49999.0].map(number);
        assert_eq!(
            shown,
            ["0", "0.59", "310.5", "2.346", "123456", "1.000e-5", "-1.500e12", "49999"]
        );
    }
}
