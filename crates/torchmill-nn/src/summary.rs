//! A network's layers with output shapes, parameters and multiply-adds, like torchinfo's.

use std::fmt::Write;

/// A layer as the summary shows it; a block is followed by its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSummary {
    /// What it is called in the state dict.
    pub path: String,
    /// Its class.
    pub class: &'static str,
    /// What it gives for one image.
    pub output: Vec<i64>,
    /// Numbers in its parameters, those within included.
    pub parameters: usize,
    /// Multiplications with an addition each, for one image: of convolutions, linear
    /// layers and attention, as torchinfo and torchvision count them. Zero for blocks,
    /// whose layers have rows of their own.
    pub multiply_adds: u64,
    /// How many of the rows after this one are within it.
    pub inner: usize,
}

impl LayerSummary {
    pub(crate) fn new(path: &str, class: &'static str) -> Self {
        let path = path.to_owned();
        Self {
            path,
            class,
            output: Vec::new(),
            parameters: 0,
            multiply_adds: 0,
            inner: 0,
        }
    }
}

/// The table with its totals, for images of shape `input`.
pub fn text(rows: &[LayerSummary], input: [usize; 3]) -> String {
    let mut lines =
        vec![["Layer", "Output shape", "Parameters", "Mult-adds"].map(str::to_owned)];
    let mut ends: Vec<usize> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        ends.retain(|&end| i < end);
        let name = if row.path.is_empty() {
            row.class.to_owned()
        } else {
            format!("{} ({})", row.path, row.class)
        };
        let dash = |n: u64| if n == 0 { "-".to_owned() } else { thousands(n) };
        let adds = if row.inner == 0 { row.multiply_adds } else { 0 };
        let parameters = if row.inner == 0 { row.parameters as u64 } else { 0 };
        let shape = format!("{:?}", row.output);
        lines.push([
            format!("{}{name}", "  ".repeat(ends.len())),
            shape,
            dash(parameters),
            dash(adds),
        ]);
        ends.push(i + 1 + row.inner);
    }
    let width = |column: usize| lines.iter().map(|l| l[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for [name, shape, parameters, adds] in &lines {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<0$}  {shape:<1$}  {parameters:>2$}  {adds:>3$}",
            widths[0], widths[1], widths[2], widths[3]
        );
    }
    let leaves = || rows.iter().filter(|r| r.inner == 0);
    let parameters: u64 = leaves().map(|r| r.parameters as u64).sum();
    let adds: u64 = leaves().map(|r| r.multiply_adds).sum();
    let outputs: u64 = leaves().map(|r| r.output.iter().product::<i64>() as u64).sum();
    let megabytes = |floats: u64| floats as f64 * 4.0 / 1e6;
    let _ = writeln!(text, "\nfor one image of {input:?}:");
    let _ = writeln!(
        text,
        "  parameters  {} ({:.1} MB)",
        thousands(parameters),
        megabytes(parameters)
    );
    let _ = writeln!(
        text,
        "  mult-adds   {} ({} FLOPs)",
        thousands(adds),
        thousands(2 * adds)
    );
    let _ = writeln!(
        text,
        "  outputs     {} numbers ({:.1} MB)",
        thousands(outputs),
        megabytes(outputs)
    );
    text
}

fn thousands(n: u64) -> String {
    torchmill::progress::count(n)
}
