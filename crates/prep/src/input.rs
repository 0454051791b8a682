//! The inputs on the command line as one data set.

use std::ffi::OsStr;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use torchmill::dataset::{
    Dataset, OpenOptions, UNSPLIT, copy_to_temporary, is_parquet_name, is_tar_name,
};
use torchmill::{Context, Error, Result, cli, progress, suggest, text_file};

use crate::braces;
use crate::config::{Config, TestSplit};

/// What messages call standard input.
const STDIN: &str = "standard input";
/// The bytes of standard input that are read to recognise its format: a tar's first
/// header.
const HEAD: usize = 512;

/// One input, or several inputs that form one data set.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Stdin,
    Tars(Vec<PathBuf>),
    Parquet(Vec<PathBuf>),
    /// A list in a CSV or TSV file.
    Csv(PathBuf),
    /// A list in a file of JSON objects.
    JsonLines(PathBuf),
    Folder(PathBuf),
}

/// Opens every input, gives a test split to those without one, joins them, and selects
/// the classes and images.
pub fn open(config: &Config) -> Result<Dataset> {
    let mut sets = Vec::new();
    for source in sources(&config.inputs)? {
        sets.push(open_one(&source, &config.open)?);
    }
    split(&mut sets, config)?;
    let mut set = Dataset::concat(sets)?;
    if !config.classes.is_empty() {
        set.keep_classes(&config.classes)?;
    }
    if let Some(limit) = config.limit {
        set.limit(limit);
    }
    set.check(&config.splits)?;
    for note in set.notes.drain(..) {
        progress::note(format_args!("note: {note}"));
    }
    Ok(set)
}

/// Sorts the inputs by kind. Consecutive tars form one data set, and so do consecutive
/// Parquet files.
fn sources(inputs: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for input in inputs {
        // A file's own name may contain braces.
        if input.exists() || !is_tar_name(input) && !is_parquet_name(input) {
            add_source(&mut sources, input.clone());
            continue;
        }
        for path in braces::expand(input)? {
            add_source(&mut sources, path);
        }
    }
    Ok(sources)
}

fn add_source(sources: &mut Vec<Source>, path: PathBuf) {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or("");
    let extension = extension.to_ascii_lowercase();
    if path == Path::new("-") {
        sources.push(Source::Stdin);
    } else if path.is_dir() {
        sources.push(Source::Folder(path));
    } else if is_tar_name(&path) {
        match sources.last_mut() {
            Some(Source::Tars(tars)) => tars.push(path),
            _ => sources.push(Source::Tars(vec![path])),
        }
    } else if is_parquet_name(&path) {
        match sources.last_mut() {
            Some(Source::Parquet(files)) => files.push(path),
            _ => sources.push(Source::Parquet(vec![path])),
        }
    } else if ["csv", "tsv"].contains(&extension.as_str()) {
        sources.push(Source::Csv(path));
    } else if ["jsonl", "ndjson"].contains(&extension.as_str()) {
        sources.push(Source::JsonLines(path));
    } else {
        sources.push(Source::Folder(path));
    }
}

fn open_one(source: &Source, options: &OpenOptions) -> Result<Dataset> {
    match source {
        Source::Stdin => open_stdin(options),
        Source::Tars(files) => Dataset::from_tars(&name_of(files), files, options),
        Source::Parquet(files) => Dataset::from_parquet(&name_of(files), files, options),
        Source::Csv(path) => Dataset::from_csv(path, &options.columns),
        Source::JsonLines(path) => Dataset::from_jsonl(path, &options.columns),
        Source::Folder(path) => Dataset::open_with(path, options),
    }
}

/// The name of the data set in these files: that of the only file, or of the folder that
/// holds the first.
fn name_of(files: &[PathBuf]) -> String {
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
    if let [file] = files {
        let name = name(file).unwrap_or_default();
        return name.split('.').next().unwrap_or("images").to_owned();
    }
    let folder = files.first().and_then(|file| file.canonicalize().ok());
    folder.as_deref().and_then(Path::parent).and_then(name).unwrap_or("images".to_owned())
}

/// Reads standard input: a tar, a Parquet file or a list of paths, recognised by its
/// first bytes. Archives are copied to a temporary file, because they are read twice.
fn open_stdin(options: &OpenOptions) -> Result<Dataset> {
    let mut stdin = cli::stdin()?;
    if stdin.is_terminal() {
        progress::note("reading paths, one per line, from the terminal; end with Ctrl-D");
    }
    let mut head = Vec::new();
    stdin.by_ref().take(HEAD as u64).read_to_end(&mut head).doing("read", STDIN)?;
    // Reading a terminal again after Ctrl-D would wait for more input.
    let rest: Box<dyn Read> =
        if head.len() < HEAD { Box::new(io::empty()) } else { Box::new(stdin) };
    let is_gzipped = head.starts_with(&[0x1f, 0x8b]);
    let is_tar = head.get(257..262) == Some(b"ustar");
    let is_parquet = head.starts_with(b"PAR1");
    let mut input = Cursor::new(head).chain(rest);
    if is_tar || is_gzipped {
        let file = copy_to_temporary(&mut input, STDIN)?;
        return Dataset::from_temporary_tar(file, STDIN, options);
    }
    if is_parquet {
        let file = copy_to_temporary(&mut input, STDIN)?;
        return Dataset::from_temporary_parquet(file, STDIN, options);
    }
    Dataset::from_lines(&mut BufReader::new(input), STDIN, Path::new(""))
}

/// Makes a test split in data sets that have none.
fn split(sets: &mut [Dataset], config: &Config) -> Result<()> {
    let is_split = !sets.iter().any(Dataset::is_unsplit);
    let fraction = match &config.test_split {
        TestSplit::Fraction(fraction) => *fraction,
        TestSplit::AsFound | TestSplit::List(_) => 0.0,
    };
    if is_split && (fraction > 0.0 || matches!(config.test_split, TestSplit::List(_))) {
        return Err(Error::usage(
            "--test-fraction and --test-list are for data without a test split, and \
             every input has one",
        ));
    }
    if let TestSplit::List(path) = &config.test_split {
        let [set] = sets else {
            return Err(Error::usage("--test-list takes a single input"));
        };
        return split_by_list(set, path);
    }
    for set in sets.iter_mut().filter(|set| set.is_unsplit()) {
        let is_chosen = matches!(config.test_split, TestSplit::Fraction(_));
        if !is_chosen && set.splits.contains_key(UNSPLIT) {
            set.notes.push(format!(
                "{} has no test split: all its images are in train; --test-fraction 0.2 \
                 makes a test split",
                set.name
            ));
        }
        set.split(fraction, config.seed)?;
    }
    Ok(())
}

/// Makes the images that a file lists, one path a line, the test split.
fn split_by_list(set: &mut Dataset, path: &Path) -> Result<()> {
    let text = text_file::read(path).doing("read", path)?;
    let listed = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    set.split_by_list(&listed).map_err(|e| e.within(path.display()))
}

/// The splits to write: these, or all if none are named; train first.
pub fn splits(set: &Dataset, wanted: &[String]) -> Result<Vec<String>> {
    let known: Vec<_> = set.splits.keys().cloned().collect();
    if let Some(missing) = wanted.iter().find(|w| !set.splits.contains_key(*w)) {
        let hint = suggest::did_you_mean(missing, known.iter().map(String::as_str));
        return Err(Error::usage(format_args!(
            "there is no split `{missing}`, only {}{hint}",
            known.join(", ")
        )));
    }
    let mut splits = if wanted.is_empty() { known } else { wanted.to_vec() };
    splits.sort_by_key(|s| (s != "train", s.clone()));
    splits.dedup();
    if let Some(empty) = splits.iter().find(|split| set.splits[*split].is_empty()) {
        return Err(Error::usage(format_args!(
            "the split `{empty}` holds no images of these classes"
        )));
    }
    Ok(splits)
}
