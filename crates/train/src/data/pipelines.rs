//! The pipelines of a run's images. The shards determine them: they record what was done
//! to the images.

use torchmill::recipe::Recipe;
use torchmill::transform::Pipeline;
use torchmill::{Result, progress};
use torchmill_nn::loader::ShardData;

/// Steps in which training and evaluation may rightly differ: a random crop often
/// replaces a resize and a centre crop.
const GEOMETRY: [&str; 3] = ["Resize", "CenterCrop", "Pad"];

/// Sets the recipe's pipelines to those in use. Evaluated images go through the test
/// shards' pipeline, or else the validation shards', or else the training shards'
/// deterministic steps.
pub fn settle(
    recipe: &mut Recipe,
    train: &ShardData,
    val: Option<&ShardData>,
    test: Option<&ShardData>,
) -> Result<()> {
    let train_is_as_asked = compare_with_recipe(train, &recipe.transforms.train)?;
    for evaluated in [val, test].into_iter().flatten() {
        compare_with_recipe(evaluated, &recipe.transforms.test)?;
    }
    recipe.transforms.train.clone_from(&train.set().meta().pipeline);
    if let Some(evaluated) = test.or(val) {
        recipe.transforms.test.clone_from(&evaluated.set().meta().pipeline);
    } else if !train_is_as_asked {
        // The recipe does not describe these shards.
        recipe.transforms.test = deterministic(&recipe.transforms.train)?;
        progress::note(format_args!(
            "note: validation images go through `{}`, the training shards' steps that \
             are not random",
            recipe.transforms.test
        ));
    }
    say_what_differs(recipe, val, test)
}

/// Notes if a split was prepared with another pipeline than `asked`, the recipe's.
/// Returns whether the two agree.
fn compare_with_recipe(dataset: &ShardData, asked: &str) -> Result<bool> {
    let meta = dataset.set().meta();
    let wanted = Pipeline::parse(asked)
        .map_err(|e| e.within(format_args!("[transforms], for {}", meta.split)))?;
    // Texts that differ may mean the same. Shards have the canonical one.
    let is_as_asked = Pipeline::parse(&meta.pipeline)?.satisfies(&wanted);
    if !is_as_asked {
        progress::note(format_args!(
            "note: the {} shards were prepared with `{}`, not the recipe's `{asked}`; \
             that is what is used",
            meta.split, meta.pipeline
        ));
    }
    Ok(is_as_asked)
}

/// Notes if evaluated images go through other steps than training images, apart from
/// random and geometric ones.
fn say_what_differs(
    recipe: &Recipe,
    val: Option<&ShardData>,
    test: Option<&ShardData>,
) -> Result<()> {
    let train = comparable(&recipe.transforms.train)?;
    let mut evaluated = vec![("evaluated", recipe.transforms.test.clone())];
    if let (Some(val), Some(_)) = (val, test) {
        evaluated.push(("validation", val.set().meta().pipeline.clone()));
    }
    for (what, pipeline) in evaluated {
        let steps = comparable(&pipeline)?;
        if steps != train {
            progress::note(format_args!(
                "note: training images go through `{train}` besides random steps and \
                 crops, {what} images through `{steps}`: the results may understate \
                 the network's accuracy",
            ));
        }
        if Pipeline::parse(&pipeline)?.is_random() {
            progress::note(format_args!(
                "note: {what} images go through `{pipeline}`, which has a random step: \
                 figures depend on the seed",
            ));
        }
    }
    Ok(())
}

/// The steps that are not random, as text.
fn deterministic(pipeline: &str) -> Result<String> {
    let steps = deterministic_steps(&Pipeline::parse(pipeline)?);
    Ok(steps.join(" | "))
}

/// The steps that should be the same for all images, as text.
fn comparable(pipeline: &str) -> Result<String> {
    let mut steps = deterministic_steps(&Pipeline::parse(pipeline)?);
    steps.retain(|step| {
        let name = step.split('(').next().unwrap_or(step);
        !GEOMETRY.contains(&name)
    });
    Ok(steps.join(" | "))
}

fn deterministic_steps(pipeline: &Pipeline) -> Vec<String> {
    let mut steps = Vec::new();
    for (i, step) in pipeline.steps().iter().enumerate() {
        let (before_next, _) = pipeline.split_at(i + 1);
        let (_, alone) = before_next.split_at(i);
        if !alone.is_random() {
            steps.push(step.to_string());
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn random_steps_are_left_out() {
        let text = "RandomCrop(32, padding=4) | RandomHorizontalFlip | ToTensor | \
                    Normalize((0.5), (0.25))";
        let steps = deterministic(text).unwrap();
        assert!(steps.starts_with("ToTensor"), "{steps}");
        assert!(steps.contains("Normalize") && !steps.contains("Random"), "{steps}");
        let test = "Resize(40) | CenterCrop(32) | ToTensor | Normalize((0.5), (0.25))";
        assert_eq!(comparable(test).unwrap(), comparable(text).unwrap());
        let other = "CenterCrop(32) | ToTensor";
        assert_ne!(comparable(other).unwrap(), comparable(text).unwrap());
    }
}
