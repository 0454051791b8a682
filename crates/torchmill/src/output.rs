//! Checks the files that a program is to write, before it writes any.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Rejects an output file that is also an input: writing it would destroy what is read.
/// Files are compared by device and inode, so links and other spellings of a path do not
/// matter. `option` is the command-line option that names the output.
pub fn check_not_input<P: AsRef<Path>>(
    option: &str,
    output: &Path,
    inputs: impl IntoIterator<Item = P>,
) -> Result<()> {
    let mut outputs = Outputs::default();
    outputs.add(option, output)?;
    for input in inputs {
        outputs.check_input(input.as_ref())?;
    }
    Ok(())
}

/// The files that a program is to write. Inputs are checked against them as they become
/// known.
#[derive(Debug, Default)]
pub struct Outputs {
    files: Vec<Output>,
}

#[derive(Debug)]
struct Output {
    /// The command-line option that names it.
    option: String,
    path: PathBuf,
    /// `None` if there is no file yet, or none that could be overwritten.
    identity: Option<Identity>,
}

impl Outputs {
    /// Adds a file, which need not exist. `option` is the command-line option that names
    /// it.
    ///
    /// # Errors
    /// If another option's output is the same file.
    pub fn add(&mut self, option: &str, path: &Path) -> Result<()> {
        let identity = identity(path);
        for other in &self.files {
            let is_same = match identity {
                Some(_) => other.identity == identity,
                None => other.path == path && !path.exists(),
            };
            if is_same {
                return Err(Error::usage(format_args!(
                    "{} and {option} would both be written to {}: name another file",
                    other.option,
                    path.display()
                )));
            }
        }
        let (option, path) = (option.to_owned(), path.to_path_buf());
        self.files.push(Output { option, path, identity });
        Ok(())
    }

    /// Refuses an input that is one of the outputs.
    pub fn check_input(&self, input: &Path) -> Result<()> {
        // Without a file to overwrite, no input needs to be checked.
        if self.files.iter().all(|output| output.identity.is_none()) {
            return Ok(());
        }
        let Some(read) = identity(input) else { return Ok(()) };
        for output in &self.files {
            if output.identity == Some(read) {
                return Err(Error::usage(format_args!(
                    "{} {} would overwrite the input {}: name another file",
                    output.option,
                    output.path.display(),
                    input.display()
                )));
            }
        }
        Ok(())
    }

    /// Rejects outputs that are files in this folder of inputs. A folder that cannot be
    /// read is left to its reader.
    pub fn check_input_folder(&self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            self.check_input(&entry.path())?;
        }
        Ok(())
    }
}

/// Device and inode.
type Identity = (u64, u64);

/// Device and inode of a file. `None` for a missing file, and for devices and pipes,
/// which can be both read and written.
fn identity(path: &Path) -> Option<Identity> {
    let about = fs::metadata(path).ok()?;
    about.is_file().then(|| (about.dev(), about.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_known_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("input"), "").unwrap();
        fs::write(at("other"), "").unwrap();
        fs::hard_link(at("input"), at("hard")).unwrap();
        std::os::unix::fs::symlink("input", at("soft")).unwrap();
        for same in ["input", "./input", "hard", "soft"] {
            let error = check_not_input("--html", &at(same), [at("other"), at("input")]);
            let error = error.unwrap_err();
            assert_eq!(error.exit_status(), 2);
            assert!(error.to_string().contains("would overwrite the input"), "{error}");
        }
        check_not_input("--html", &at("new"), [at("input")]).unwrap();
        check_not_input("--html", &at("other"), [at("input")]).unwrap();
        check_not_input("-p", Path::new("/dev/null"), ["/dev/null"]).unwrap();
    }

    #[test]
    fn two_outputs_are_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        for (first, second) in [("new", "new"), ("file", "file"), ("file", "link")] {
            let mut outputs = Outputs::default();
            outputs.add("-p", &at(first)).unwrap();
            let error = outputs.add("--html", &at(second)).unwrap_err().to_string();
            assert!(error.starts_with("-p and --html would both be written"), "{error}");
        }
        let mut outputs = Outputs::default();
        for name in ["new", "file", "other"] {
            outputs.add("--html", &at(name)).unwrap();
        }
        outputs.check_input_folder(&at("missing")).unwrap();
        let error = outputs.check_input_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("would overwrite the input"), "{error}");
    }
}
