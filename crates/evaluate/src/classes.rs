//! `--classes`: names for a network's outputs.

use std::collections::HashSet;
use std::path::Path;

use torchmill::{Context, Error, Result};

/// Reads a file with the name of a class on each line, for a network whose classes are
/// called `own` so far.
///
/// # Errors
/// If there are more or fewer names than outputs, a name is given twice, or a name is that
/// of another output in `own`: results would be credited to the wrong class.
pub fn read(path: &Path, own: &[String]) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).doing("read", path)?;
    let names: Vec<String> =
        text.lines().map(|line| line.trim_end().to_owned()).collect();
    check(&names, own).map_err(|e| e.within(path.display()))?;
    Ok(names)
}

fn check(names: &[String], own: &[String]) -> Result<()> {
    if names.len() != own.len() {
        return Err(Error::failed(format_args!(
            "has {} lines, but the network has {} outputs: give one name on each line",
            names.len(),
            own.len()
        )));
    }
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::failed(format_args!("names the class `{name}` twice")));
        }
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
        let twice = result(&["a", "b", "a"], &own);
        assert_eq!(twice, "names the class `a` twice");
        let short = result(&["a", "b"], &own);
        assert!(
            short.starts_with("has 2 lines, but the network has 3 outputs"),
            "{short}"
        );
    }
}
