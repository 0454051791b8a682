//! Event files to CSV.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use torchmill::progress::{note, say};
use torchmill::{Context, Error, Result};

use crate::event::read::{Number, Others, RunReader, event_files};
use crate::input::select::Select;

/// Prints the scalars of event files, and of folders of them, as CSV: `wall_time,step,tag,value`, with `run`
/// first where a folder has runs in folders of their own. What is damaged ends its file, is named, and makes
/// the whole fail, after everything else was printed.
pub fn dump(inputs: &[PathBuf], select: &Select, out: impl Write) -> Result<()> {
    let mut runs = Vec::new();
    for input in inputs {
        if input.is_dir() {
            let found = event_files(input)?;
            if found.is_empty() {
                let input = input.display();
                return Err(Error::failed(format_args!(
                    "{input}: no file here or below is called *tfevents*"
                )));
            }
            runs.extend(found);
        } else {
            runs.push((String::new(), vec![input.clone()]));
        }
    }
    let with_run = runs.iter().any(|(run, _)| !run.is_empty());
    let mut out = Csv { writer: csv::Writer::from_writer(BufWriter::with_capacity(1 << 18, out)), with_run };
    out.header()?;
    let mut failed = None;
    let mut others = Others::default();
    let mut points = 0u64;
    for (run, files) in &runs {
        let mut reader = RunReader::default();
        for path in files {
            let result = open(path).and_then(|input| {
                let mut each = |(time, step, tag, number): (f64, i64, &str, Number)| {
                    select.name(tag).map_or(Ok(()), |name| {
                        points += 1;
                        out.row(run, time, step, &name, number)
                    })
                };
                reader.read(input, &mut each).map_err(|e| e.within(path.display()))
            });
            match result {
                Ok(()) => {}
                // Neither is about this file alone.
                Err(error @ (Error::Interrupted(_) | Error::ClosedPipe)) => return Err(error),
                Err(error) => {
                    if let Some(earlier) = failed.replace(error) {
                        say(format_args!("scalars: {earlier}"));
                    }
                }
            }
        }
        others.images += reader.others.images;
        others.histograms += reader.others.histograms;
        others.values += reader.others.values;
    }
    out.finish()?;
    let Others { images, histograms, values } = others;
    if images + histograms + values > 0 {
        note(format_args!("not scalars: {images} images, {histograms} histograms, {values} other values"));
    }
    match failed {
        Some(error) => Err(error),
        None if points == 0 && !select.only.is_empty() => Err(Error::failed("no tag fits --only")),
        None => Ok(()),
    }
}

fn open(path: &Path) -> Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).doing("read", path)?;
    Ok(Box::new(BufReader::with_capacity(1 << 18, file)))
}

struct Csv<W: Write> {
    writer: csv::Writer<W>,
    with_run: bool,
}

impl<W: Write> Csv<W> {
    fn header(&mut self) -> Result<()> {
        let columns = ["run", "wall_time", "step", "tag", "value"];
        self.writer.write_record(&columns[usize::from(!self.with_run)..]).map_err(write_error)
    }

    fn row(&mut self, run: &str, time: f64, step: i64, tag: &str, number: Number) -> Result<()> {
        // The shortest text that reads back as the same number, in the file's own precision.
        let value = match number {
            Number::Single(single) => single.to_string(),
            Number::Double(double) => double.to_string(),
        };
        let (time, step) = (time.to_string(), step.to_string());
        let row = [run, &time, &step, tag, &value];
        self.writer.write_record(&row[usize::from(!self.with_run)..]).map_err(write_error)
    }

    fn finish(&mut self) -> Result<()> {
        self.writer.flush().map_err(|e| write_error(e.into()))
    }
}

fn write_error(error: csv::Error) -> Error {
    Error::io("cannot write to standard output", &error.into())
}
