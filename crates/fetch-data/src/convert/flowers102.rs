//! Oxford Flowers 102: one folder of images, and two MATLAB files with their classes and
//! splits.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use matfile::{Array, MatFile, NumericData};
use torchmill::{Context, Result};

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

fn open(path: &Path) -> Result<MatFile> {
    parse(BufReader::new(File::open(path).doing("read", path)?))
        .map_err(|why| unreadable(path, &format!("is not a MATLAB 5 file ({why})")))
}

/// Reads a MATLAB file.
pub(super) fn parse(file: impl BufRead) -> std::result::Result<MatFile, String> {
    MatFile::parse(file).map_err(|e| e.to_string())
}

/// An array's values, if all are non-negative integers.
pub(super) fn numbers(file: &MatFile, name: &str) -> Option<Vec<u32>> {
    fn whole<T: Copy + TryInto<u32>>(values: &[T]) -> Option<Vec<u32>> {
        values.iter().map(|&x| x.try_into().ok()).collect()
    }
    match file.find_by_name(name).map(Array::data)? {
        NumericData::UInt8 { real, imag: None } => whole(real),
        NumericData::Int8 { real, imag: None } => whole(real),
        NumericData::UInt16 { real, imag: None } => whole(real),
        NumericData::Int16 { real, imag: None } => whole(real),
        NumericData::UInt32 { real, imag: None } => whole(real),
        NumericData::Int32 { real, imag: None } => whole(real),
        NumericData::Double { real, imag: None } => {
            let number = |x: f64| {
                (x.fract() == 0.0 && (0.0..1e9).contains(&x)).then_some(x as u32)
            };
            real.iter().map(|&x| number(x)).collect()
        }
        _ => None,
    }
}
