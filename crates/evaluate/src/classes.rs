//! `--classes`: class names for a network's outputs.

use std::path::Path;

use torchmill::dataset::read_class_names;
use torchmill::{Error, Result};

/// Reads a file with one class name per line, for a network whose current class names are
/// `own`.
///
/// # Errors
/// If the numbers of names and outputs differ, a name is repeated, or a name belongs to
/// another output in `own`: results would be credited to the wrong class.
pub fn read(path: &Path, own: &[String]) -> Result<Vec<String>> {
    let names = read_class_names(path, path)?;
    check(&names, own).map_err(|e| e.within(path.display()))?;
    Ok(names)
}

fn check(names: &[String], own: &[String]) -> Result<()> {
    if names.len() != own.len() {
        return Err(Error::failed(format_args!(
            "has {} names, but the network has {} outputs: give one name on each line",
            names.len(),
            own.len()
        )));
    }
    for (i, name) in names.iter().enumerate() {
        let place = own.iter().position(|own| own == name);
        if let Some(place) = place
            && place != i
        {
            return Err(Error::failed(format_args!(
                "calls class {i} `{name}`, which the checkpoint calls its class {place}: \
                 put the names into the checkpoint's order"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(names: &[&str], own: &[&str]) -> String {
        let owned = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        check(&owned(names), &owned(own)).map_or_else(|e| e.to_string(), |()| "ok".into())
    }

    #[test]
    fn names_may_be_new_and_may_not_change_places() {
        let own = ["cat", "dog", "bird"];
        assert_eq!(result(&["Katze", "Hund", "Vogel"], &own), "ok");
        assert_eq!(result(&["cat", "Hund", "bird"], &own), "ok");
        assert_eq!(result(&own, &["0", "1", "2"]), "ok");
        let moved = result(&["dog", "cat", "bird"], &own);
        assert!(moved.starts_with("calls class 0 `dog`"), "{moved}");
        let short = result(&["a", "b"], &own);
        assert!(
            short.starts_with("has 2 names, but the network has 3 outputs"),
            "{short}"
        );
    }
}
