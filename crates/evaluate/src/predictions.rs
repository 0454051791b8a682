//! Writes the prediction for each image: as CSV with the columns
//! `index,source,label,prediction,correct` followed by each class's probability,
//! `p(CLASS)`; as JSON; or as text.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use serde::ser::Serializer;
use torchmill::atomic::AtomicFile;
use torchmill::metric::argmax;
use torchmill::{Error, Result, cli};

use crate::class_report::ranked_classes;

/// The prediction for one image.
pub struct Prediction<'a> {
    /// The image's index, from 0.
    pub index: usize,
    /// Where it came from.
    pub source: &'a str,
    /// The index of its class, if known.
    pub label: Option<usize>,
    /// The network's outputs, one for each class.
    pub outputs: &'a [f32],
    /// The probabilities computed from the outputs.
    pub probabilities: &'a [f32],
}

/// The output format of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A row for each image.
    Csv,
    /// One object per line.
    JsonLines,
    /// An array of objects.
    Json,
    /// One line per image, with this number of classes and their probabilities.
    Text(usize),
}

/// The output of predictions, in progress.
pub struct Predictions {
    sink: Sink,
    classes: Vec<String>,
    count: usize,
}

enum Sink {
    Csv(Box<csv::Writer<Output>>),
    Other(Output, Form),
}

/// A file, written atomically, or standard output. On a terminal, names are escaped.
enum Output {
    File(AtomicFile),
    Stdout(BufWriter<Box<dyn Write>>),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(out) => out.flush(),
        }
    }
}

impl Predictions {
    /// Opens a file for JSON lines if it is named `.jsonl` or `.ndjson`, else for CSV.
    /// `-` is standard output.
    pub fn create(path: &Path, classes: &[String]) -> Result<Self> {
        if path == Path::new("-") {
            return Self::to_stdout(Form::Csv, classes);
        }
        let lines = path.extension().is_some_and(|e| e == "jsonl" || e == "ndjson");
        let form = if lines { Form::JsonLines } else { Form::Csv };
        Self::start(Output::File(AtomicFile::create(path)?), form, classes)
    }

    /// Opens standard output.
    pub fn to_stdout(form: Form, classes: &[String]) -> Result<Self> {
        Self::start(Output::Stdout(BufWriter::new(cli::stdout())), form, classes)
    }

    fn start(output: Output, form: Form, classes: &[String]) -> Result<Self> {
        let sink = if form == Form::Csv {
            let mut writer = csv::Writer::from_writer(output);
            let fixed =
                ["index", "source", "label", "prediction", "correct"].map(str::to_owned);
            let header =
                fixed.into_iter().chain(classes.iter().map(|c| format!("p({c})")));
            writer.write_record(header).map_err(csv_error)?;
            Sink::Csv(Box::new(writer))
        } else {
            Sink::Other(output, form)
        };
        Ok(Self { sink, classes: classes.to_vec(), count: 0 })
    }

    /// Adds an image.
    pub fn push(&mut self, image: &Prediction) -> Result<()> {
        let object = Object::new(image, &self.classes);
        match &mut self.sink {
            Sink::Csv(writer) => {
                let fixed = [
                    image.index.to_string(),
                    image.source.to_owned(),
                    object.label.unwrap_or_default().to_owned(),
                    object.prediction.to_owned(),
                    object.correct.map(|c| u8::from(c).to_string()).unwrap_or_default(),
                ];
                let probabilities = image.probabilities.iter().map(f32::to_string);
                writer
                    .write_record(fixed.into_iter().chain(probabilities))
                    .map_err(csv_error)?;
            }
            Sink::Other(output, Form::Text(k)) => {
                writeln!(output, "{}", line(image, &object, &self.classes, *k))
                    .map_err(io_error)?;
            }
            Sink::Other(output, form) => {
                let json = serde_json::to_string(&object).map_err(Error::failed)?;
                let written = match (form, self.count) {
                    (Form::Json, 0) => write!(output, "[\n  {json}"),
                    (Form::Json, _) => write!(output, ",\n  {json}"),
                    _ => writeln!(output, "{json}"),
                };
                written.map_err(io_error)?;
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Passes on what is buffered, because a reader may be waiting for it.
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.sink {
            Sink::Csv(writer) => writer.flush(),
            Sink::Other(output, _) => output.flush(),
        }
        .map_err(io_error)
    }

    /// Completes the file.
    pub fn finish(self) -> Result<()> {
        let mut output = match self.sink {
            Sink::Csv(writer) => {
                writer.into_inner().map_err(|e| io_error(e.into_error()))?
            }
            Sink::Other(mut output, Form::Json) => {
                let end = if self.count == 0 { "[]\n" } else { "\n]\n" };
                output.write_all(end.as_bytes()).map_err(io_error)?;
                output
            }
            Sink::Other(output, _) => output,
        };
        output.flush().map_err(io_error)?;
        match output {
            Output::File(file) => file.commit(),
            Output::Stdout(_) => Ok(()),
        }
    }
}

/// An image in JSON.
#[derive(Serialize)]
struct Object<'a> {
    index: usize,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    prediction: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
    probabilities: Probabilities<'a>,
}

impl<'a> Object<'a> {
    fn new(image: &Prediction<'a>, classes: &'a [String]) -> Self {
        let prediction = argmax(image.outputs);
        Self {
            index: image.index,
            source: image.source,
            label: image.label.map(|label| name(classes, label)),
            prediction: name(classes, prediction),
            correct: image.label.map(|label| label == prediction),
            probabilities: Probabilities { classes, values: image.probabilities },
        }
    }
}

/// An object whose keys are the classes, in order.
struct Probabilities<'a> {
    classes: &'a [String],
    values: &'a [f32],
}

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.classes.iter().zip(self.values))
    }
}

/// A line such as `photo.jpg: cat 92.3 %, dog 5.1 %, frog 1.2 %`.
fn line(image: &Prediction, object: &Object, classes: &[String], k: usize) -> String {
    let order = ranked_classes(image.outputs);
    let named = order.iter().take(k).map(|&i| {
        format!("{} {:.1} %", name(classes, i), image.probabilities[i] * 100.0)
    });
    let text = format!("{}: {}", image.source, named.collect::<Vec<_>>().join(", "));
    match (object.label, object.correct) {
        (Some(label), Some(false)) => format!("{text} (labelled {label})"),
        _ => text,
    }
}

fn name(classes: &[String], class: usize) -> &str {
    classes.get(class).map_or("", String::as_str)
}

const DOING: &str = "cannot write the predictions";

fn csv_error(error: csv::Error) -> Error {
    Error::csv(DOING, error)
}

fn io_error(error: std::io::Error) -> Error {
    Error::io(DOING, error)
}
