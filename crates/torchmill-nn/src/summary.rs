//! A network's layers with output shapes, parameters and multiply-adds, like torchinfo's.

use torchmill::progress;

/// A line of the summary. The layers inside a layer follow it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSummary {
    /// The layer's name in the state dict.
    pub path: String,
    /// The layer's class.
    pub class: &'static str,
    /// The output shape for one image.
    pub output: Vec<i64>,
    /// The number of elements of its parameters, including those of inner layers.
    pub parameters: usize,
    /// The number of multiply-adds for one image in convolutions, linear layers and
    /// attention, as torchinfo and torchvision count them. Zero for a layer that contains
    /// layers.
    pub multiply_adds: u64,
    /// The number of layers after this one that are inside it.
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

/// The table as text, with totals, for images of shape `input`.
pub fn text(layers: &[LayerSummary], input: [usize; 3]) -> String {
    let mut text = String::new();
    for line in aligned(&table(layers)) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str(&totals(layers, input));
    text
}

/// The cells of a line.
type Cells = [String; 4];

/// The table's header and a line for each layer, indented by nesting.
fn table(layers: &[LayerSummary]) -> Vec<Cells> {
    let head = ["Layer", "Output shape", "Parameters", "Mult-adds"];
    let mut lines = vec![head.map(str::to_owned)];
    // Where each of the enclosing blocks ends.
    let mut ends: Vec<usize> = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        ends.retain(|&end| i < end);
        lines.push(cells(layer, ends.len()));
        ends.push(i + 1 + layer.inner);
    }
    lines
}

fn cells(layer: &LayerSummary, depth: usize) -> Cells {
    let mut name = layer.class.to_owned();
    if !layer.path.is_empty() {
        name = format!("{} ({})", layer.path, layer.class);
    }
    // The layers inside a block have their own lines.
    let is_block = layer.inner > 0;
    let count = |n: u64| {
        if is_block || n == 0 { "-".to_owned() } else { progress::count(n) }
    };
    [
        format!("{}{name}", "  ".repeat(depth)),
        format!("{:?}", layer.output),
        count(layer.parameters as u64),
        count(layer.multiply_adds),
    ]
}

/// Aligns the columns: text to the left, numbers to the right.
fn aligned(lines: &[Cells]) -> Vec<String> {
    let mut widths = [0; 4];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.len().max(*width);
        }
    }
    let [w0, w1, w2, w3] = widths;
    let align = |[name, shape, parameters, adds]: &Cells| {
        format!("{name:<w0$}  {shape:<w1$}  {parameters:>w2$}  {adds:>w3$}")
    };
    lines.iter().map(align).collect()
}

fn totals(layers: &[LayerSummary], input: [usize; 3]) -> String {
    let mut parameters = 0;
    let mut adds = 0;
    let mut outputs = 0;
    for layer in layers.iter().filter(|layer| layer.inner == 0) {
        parameters += layer.parameters as u64;
        adds += layer.multiply_adds;
        outputs += layer.output.iter().product::<i64>() as u64;
    }
    let megabytes = |floats: u64| floats as f64 * 4.0 / 1e6;
    format!(
        "\nfor one image of {input:?}:\n  \
           parameters  {} ({:.1} MB)\n  \
           mult-adds   {} ({} FLOPs)\n  \
           outputs     {} numbers ({:.1} MB)\n",
        progress::count(parameters),
        megabytes(parameters),
        progress::count(adds),
        progress::count(2 * adds),
        progress::count(outputs),
        megabytes(outputs)
    )
}
