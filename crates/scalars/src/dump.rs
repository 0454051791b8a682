//! Event files to CSV.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use torchmill::progress::{counted, note, say};
use torchmill::{Context, Error, Result, cli, git_lfs};

use crate::event::read::{Number, Others, RunReader};
use crate::input::select::Select;
use crate::names::{distinct, path_parts};
use crate::{event, walk};

/// Prints the scalars of event files, and of folders of them, as CSV:
/// `wall_time,step,tag,value`, with `run` first if there is more than one run, or one in
/// a subfolder. A file is read up to a damaged record, which is reported; the program
/// fails after everything else was printed.
pub fn dump(inputs: &[PathBuf], select: &Select, out: impl Write) -> Result<()> {
    let runs = runs(inputs)?;
    let with_run = runs.keys().any(|run| !run.as_os_str().is_empty());
    let mut out = Csv {
        writer: csv::Writer::from_writer(BufWriter::with_capacity(1 << 18, out)),
        with_run,
    };
    out.header()?;
    let mut failed = None;
    let mut others = Others::default();
    let mut points = 0u64;
    let mut tags = Vec::new();
    for (run, files) in &runs {
        let run = run.to_string_lossy();
        let mut reader = RunReader::default();
        // A tag's name in the CSV; `None` if it is left out.
        let mut names: HashMap<String, Option<String>> = HashMap::new();
        let inputs: Vec<Result<Input>> = files.iter().map(|p| Input::open(p)).collect();
        // The index must count the files as the reader does.
        for (i, input) in inputs.iter().flatten().enumerate() {
            reader.starts.read(i, input.reader()?)?;
        }
        for (path, input) in files.iter().zip(inputs) {
            let mut each = |(time, step, tag, number): (f64, i64, &str, Number)| {
                if !names.contains_key(tag) {
                    names.insert(tag.to_owned(), select.name(tag));
                }
                let Some(Some(name)) = names.get(tag) else { return Ok(()) };
                points += 1;
                out.row(&run, time, step, name, number)
            };
            let result = input.and_then(|input| {
                reader
                    .read(input.reader()?, &mut each)
                    .map_err(|e| e.within(path.display()))
            });
            match result {
                Ok(()) => {}
                // An interruption or a closed pipe ends the program.
                Err(error) if error.ends_the_program() => {
                    return Err(error);
                }
                Err(error) => {
                    if let Some(earlier) = failed.replace(error) {
                        say(format_args!("scalars: {earlier}"));
                    }
                }
            }
        }
        tags.extend(names.into_keys());
        others.images += reader.others.images;
        others.histograms += reader.others.histograms;
        others.values += reader.others.values;
    }
    out.finish()?;
    let Others { images, histograms, values } = others;
    if images + histograms + values > 0 {
        note(format_args!(
            "not scalars: {}, {}, {}",
            counted(images, "image", "images"),
            counted(histograms, "histogram", "histograms"),
            counted(values, "other value", "other values")
        ));
    }
    tags.sort();
    tags.dedup();
    match (failed, select.nothing_fits(&tags)) {
        (Some(error), _) => Err(error),
        (None, Some(why)) if points == 0 => Err(Error::failed(why)),
        _ => {
            select.unused(&tags).iter().filter(|_| !tags.is_empty()).for_each(note);
            Ok(())
        }
    }
}

/// Each run's event files in the order in which TensorBoard reads them. The files in one
/// folder are a run, named after the folder's path relative to the input. With several
/// inputs, as much of each input's path comes before it as makes the names unique.
fn runs(inputs: &[PathBuf]) -> Result<BTreeMap<PathBuf, Vec<PathBuf>>> {
    // Each input folder (or the folder of an input file) with the relative paths below
    // it, and the files there.
    let mut roots: Vec<(PathBuf, BTreeMap<PathBuf, Vec<PathBuf>>)> = Vec::new();
    for input in inputs {
        let (root, files) = if input.is_dir() {
            let files = walk::files(input, |name| name.contains(event::FILE_MARK))?;
            if files.is_empty() {
                return Err(Error::failed(format_args!(
                    "{}: no file here or below is called *{}*",
                    input.display(),
                    event::FILE_MARK
                )));
            }
            (input.as_path(), files)
        } else {
            let folder = input.parent().filter(|folder| *folder != Path::new(""));
            (folder.unwrap_or(Path::new(".")), vec![input.clone()])
        };
        let at = roots.iter().position(|(known, _)| known == root).unwrap_or(roots.len());
        if at == roots.len() {
            roots.push((root.to_owned(), BTreeMap::new()));
        }
        for file in files {
            let folder = file
                .parent()
                .and_then(|folder| folder.strip_prefix(root).ok())
                .unwrap_or(Path::new(""));
            let known = roots[at].1.entry(folder.to_owned()).or_default();
            if !known.contains(&file) {
                known.push(file);
            }
        }
    }
    let names = if let [_] = roots.as_slice() {
        vec![PathBuf::new()]
    } else {
        let parts =
            roots.iter().map(|(root, _)| path_parts(root)).collect::<Result<Vec<_>>>()?;
        distinct(&parts).map_err(|twice| {
            Error::usage(format_args!("{} is given twice", roots[twice].0.display()))
        })?
    };
    let mut runs: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for (name, (_, folders)) in names.iter().zip(roots) {
        for (folder, mut files) in folders {
            files.sort();
            // Joining nothing would add a slash.
            let run =
                if folder == Path::new("") { name.clone() } else { name.join(folder) };
            runs.entry(run).or_default().append(&mut files);
        }
    }
    Ok(runs)
}

/// An event file that can be read more than once.
enum Input {
    File(PathBuf),
    /// The contents of a pipe.
    Bytes(Vec<u8>),
}

impl Input {
    fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            cli::stdin()?
                .read_to_end(&mut bytes)
                .map_err(|e| Error::io("cannot read standard input", e))?;
            return Ok(Self::Bytes(bytes));
        }
        let about = fs::metadata(path).doing("read", path)?;
        if about.is_file() {
            git_lfs::check_file(path)?;
            return Ok(Self::File(path.to_owned()));
        }
        Ok(Self::Bytes(fs::read(path).doing("read", path)?))
    }

    fn reader(&self) -> Result<Box<dyn Read + '_>> {
        match self {
            Self::File(path) => {
                let file = File::open(path).doing("read", path)?;
                Ok(Box::new(BufReader::with_capacity(1 << 18, file)))
            }
            Self::Bytes(bytes) => Ok(Box::new(bytes.as_slice())),
        }
    }
}

struct Csv<W: Write> {
    writer: csv::Writer<W>,
    with_run: bool,
}

impl<W: Write> Csv<W> {
    fn header(&mut self) -> Result<()> {
        let columns = ["run", "wall_time", "step", "tag", "value"];
        self.writer
            .write_record(&columns[usize::from(!self.with_run)..])
            .map_err(write_error)
    }

    fn row(
        &mut self,
        run: &str,
        time: f64,
        step: i64,
        tag: &str,
        number: Number,
    ) -> Result<()> {
        // The shortest text that reads back as the same number, in the file's own
        // precision.
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
    Error::csv("cannot write to standard output", error)
}
