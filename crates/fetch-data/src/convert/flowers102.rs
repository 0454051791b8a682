//! Oxford Flowers 102: one folder of images, and two MATLAB files with their classes and
//! splits.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use torchmill::{Context, Result};

use super::mat::{self, Array};
use super::{Transfer, folder_with, transfer, unreadable};
use crate::catalogue::classes::FLOWERS102;

/// The splits: the name, and the name of the list in setid.mat.
const SPLITS: [(&str, &str); 3] =
    [("train", "trnid"), ("val", "valid"), ("test", "tstid")];

/// Moves or copies Oxford Flowers 102's `jpg/image_00001.jpg` and so on into a folder per
/// class in each of its three splits.
///
/// imagelabels.mat gives each image's class, from 1, in the order of their numbers;
/// setid.mat lists each split's images by number, also from 1. Source:
/// <https://www.robots.ox.ac.uk/~vgg/data/flowers/102/>.
pub fn flowers102(raw: &Path, how: Transfer, target: &Path) -> Result<bool> {
    let (Some(lists), Some(images)) =
        (folder_with(raw, "setid.mat"), folder_with(raw, "jpg"))
    else {
        return Ok(false);
    };
    let (set_path, label_path) = (lists.join("setid.mat"), lists.join("imagelabels.mat"));
    let (sets, labels) = (open(&set_path)?, open(&label_path)?);
    let labels = numbers(&labels, "labels")
        .ok_or_else(|| unreadable(&label_path, "has no list `labels`"))?;
    for (split, list) in SPLITS {
        let members = numbers(&sets, list).ok_or_else(|| {
            unreadable(&set_path, &format!("has no list `{list}` of image numbers"))
        })?;
        for number in members {
            let label = (number as usize).checked_sub(1).and_then(|i| labels.get(i));
            let class =
                label.and_then(|&label| FLOWERS102.get((label as usize).checked_sub(1)?));
            let Some(class) = class else {
                return Err(unreadable(
                    &label_path,
                    &format!(
                        "has no class from 1 to {} for image {number}",
                        FLOWERS102.len()
                    ),
                ));
            };
            let file = format!("image_{number:05}.jpg");
            transfer(
                &images.join("jpg").join(&file),
                &target.join(split).join(class).join(&file),
                how,
            )?;
        }
    }
    Ok(true)
}

/// Reads a MATLAB file of lists.
fn open(path: &Path) -> Result<HashMap<String, Array>> {
    let file = fs::read(path).doing("read", path)?;
    mat::arrays(&file).map_err(|why| unreadable(path, why))
}

/// A list's values, if all are non-negative integers.
fn numbers(arrays: &HashMap<String, Array>, name: &str) -> Option<Vec<u32>> {
    arrays.get(name).and_then(Array::integers)
}
