//! Checks the parts of a recipe that only this crate understands: its layers, loss
//! function and optimizer.

use torchmill::recipe::{Recipe, refuse};
use torchmill::{Result, schedule};

use crate::{loss, model, optimizer};

/// Checks the layers, the loss function, the optimizer and the schedule, and fills in
/// their default arguments. Anything wrong is a usage error.
pub fn resolve(recipe: &Recipe) -> Result<Recipe> {
    let mut resolved = recipe.clone();
    resolved.model = model::complete(&recipe.model)?;
    let (loss, typed) = loss::read(&recipe.train.loss)?;
    resolved.train.loss = typed;
    let is_mixed = recipe.train.mixup.is_some() || recipe.train.cutmix.is_some();
    if loss.ignores_labels() && is_mixed {
        refuse(
            "loss.ignore_index",
            "cannot be used with mixup and cutmix, whose labels are mixed",
        )?;
    }
    resolved.train.optimizer = optimizer::read(&recipe.train.optimizer)?.1;
    for group in &mut resolved.train.groups {
        if let Some(typed) = &group.optimizer {
            let read = optimizer::read(typed);
            let place = format_args!("[[train.group]] {}", group.pattern).to_string();
            group.optimizer = Some(read.map_err(|e| e.within(place))?.1);
        }
    }
    if let Some(schedule) = &recipe.train.schedule {
        resolved.train.schedule = Some(schedule::read(schedule)?.1);
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    const SMALL: &str = "name = \"small\"\n[[model.layer]]\ntype = \"Flatten\"\n\
                         [[model.layer]]\ntype = \"Linear\"\n";

    fn check(text: &str) -> Result<Recipe> {
        Recipe::parse(text).and_then(|recipe| resolve(&recipe))
    }

    #[test]
    fn defaults_are_written_out_once() {
        let recipe = check(SMALL).unwrap();
        let text = recipe.to_toml().unwrap();
        assert!(text.contains("lr = 0.01\nmomentum = 0.0\n"), "{text}");
        assert_eq!(check(&text).unwrap(), recipe);
    }

    #[test]
    fn ignored_labels_cannot_be_mixed() {
        let loss = "loss = { type = \"CrossEntropyLoss\", ignore_index = 0 }";
        let text = format!("{SMALL}[train]\nmixup = 0.2\n{loss}\n");
        let error = check(&text).unwrap_err();
        assert!(error.to_string().contains("loss.ignore_index"), "{error}");
        assert_eq!(error.exit_status(), 2);
    }
}
