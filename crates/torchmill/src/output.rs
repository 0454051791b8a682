//! Checks of the files that a program is to write, before it writes any.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::{Error, Result};

/// Refuses an output file that is also an input: writing it would destroy what is read.
/// Files are compared by device and inode, so links and other spellings of a path do not
/// matter. `option` is what names the output on the command line.
pub fn check_not_input<P: AsRef<Path>>(
    option: &str,
    output: &Path,
    inputs: impl IntoIterator<Item = P>,
) -> Result<()> {
    let Some(written) = identity(output) else { return Ok(()) };
    for input in inputs {
        if identity(input.as_ref()) == Some(written) {
            return Err(Error::usage(format_args!(
                "{option} {} would overwrite the input {}: name another file",
                output.display(),
                input.as_ref().display()
            )));
        }
    }
    Ok(())
}

/// Device and inode of a file. `None` for what is not there, and for devices and pipes,
/// which can be read and written.
fn identity(path: &Path) -> Option<(u64, u64)> {
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
}
