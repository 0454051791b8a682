//! Splits validation images off the training images, so that the test split stays unseen.

use torchmill::{Error, Result};
use torchmill_nn::generator::Generator;

/// Returns the indices of the training images and of the validation images, both in
/// order. The latter are the same `fraction` of each class, rounded. `labels` are the
/// images' labels, in order. The seed determines the choice.
///
/// `originals` has for each image the index of the first one made from the same file. All
/// images of a file, such as prep's augmented copies, stay together.
pub fn cut(
    labels: &[i64],
    originals: &[u32],
    classes: usize,
    fraction: f64,
    seed: u64,
) -> Result<(Vec<u32>, Vec<u32>)> {
    let mut members = vec![Vec::new(); classes];
    for (i, &label) in (0..).zip(labels) {
        // Labels were checked to be valid classes when the shards were read.
        if originals[i as usize] == i
            && let Some(members) = members.get_mut(label as usize)
        {
            members.push(i);
        }
    }
    let mut generator = Generator::new(seed);
    let mut taken = vec![false; labels.len()];
    for members in members {
        let count = (members.len() as f64 * fraction).round() as usize;
        for &at in generator.permutation(members.len()).iter().take(count) {
            let i: u32 = members[at as usize];
            taken[i as usize] = true;
        }
    }
    let (validation, train): (Vec<u32>, Vec<u32>) =
        (0..labels.len() as u32).partition(|&i| taken[originals[i as usize] as usize]);
    if train.is_empty() || validation.is_empty() {
        return Err(Error::usage(format_args!(
            "a validation split of {fraction} leaves {} images to train on and {} to \
             validate on",
            train.len(),
            validation.len()
        )));
    }
    Ok((train, validation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_gives_the_same_share() {
        let labels: Vec<i64> = (0..100).map(|i| i64::from(i % 10 == 0)).collect();
        let (train, validation) = cut(&labels, &apart(100), 2, 0.2, 0).unwrap();
        assert_eq!((train.len(), validation.len()), (80, 20));
        assert_eq!(validation.iter().filter(|&&i| labels[i as usize] == 1).count(), 2);
        assert!(train.is_sorted() && validation.is_sorted());
        let mut all = [train, validation.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(cut(&labels, &apart(100), 2, 0.2, 0).unwrap().1, validation);
        assert_ne!(cut(&labels, &apart(100), 2, 0.2, 1).unwrap().1, validation);
    }

    /// Images without copies.
    fn apart(count: u32) -> Vec<u32> {
        (0..count).collect()
    }

    #[test]
    fn copies_of_an_image_are_on_one_side() {
        // 120 images, each four times: all of them once, then all again, and so on.
        let originals: Vec<u32> = (0..480).map(|i| i % 120).collect();
        let labels: Vec<i64> = originals.iter().map(|i| i64::from(i % 3)).collect();
        let (train, validation) = cut(&labels, &originals, 3, 0.25, 0).unwrap();
        assert_eq!((train.len(), validation.len()), (360, 120));
        let sources = |indices: &[u32]| -> std::collections::BTreeSet<u32> {
            indices.iter().map(|i| i % 120).collect()
        };
        assert!(sources(&train).is_disjoint(&sources(&validation)));
    }

    #[test]
    fn nothing_left_is_an_error() {
        assert!(
            cut(&[0, 0, 1], &apart(3), 2, 0.1, 0)
                .unwrap_err()
                .to_string()
                .contains("3 images to train on and 0")
        );
    }
}
