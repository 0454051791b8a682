//! `--histograms`: how a run's weights are distributed after each epoch, for TensorBoard's HISTOGRAMS page. They come
//! from the checkpoints beside metrics.csv, so that training need not stop to count, and runs of long ago have them.

use std::fs;
use std::path::Path;

use prost::Message;
use safetensors::{Dtype, SafeTensors};
use torchmill::progress::note;
use torchmill::{Context, Error, Result};

use crate::beside::{Kind, Push};
use crate::event::proto::{Data, Histogram};

/// Buckets between the least and the greatest weight, all of one width.
const BUCKETS: usize = 64;

/// The checkpoints.
pub const CHECKPOINTS: Kind =
    Kind { option: "--histograms", folder: "checkpoints", ending: "safetensors", what: "histogram", read };

fn read(path: &Path, push: &mut Push) -> Result<()> {
    let bytes = fs::read(path).doing("read", path)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| Error::failed(e).within(path.display()))?;
    let mut tensors = tensors.tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, tensor) in tensors.iter().filter(|(_, tensor)| tensor.dtype() == Dtype::F32) {
        let values = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let values: Vec<f32> = values.collect();
        match histogram(&values) {
            Some(histogram) => {
                push(&format!("weights/{name}"), Data::Histogram(histogram.encode_to_vec()))?;
            }
            None => note(format_args!("{}: {name} has no finite value, so no histogram", path.display())),
        }
    }
    Ok(())
}

/// The distribution of the finite ones of these values; `None` where there is none.
fn histogram(values: &[f32]) -> Option<Histogram> {
    let finite = || values.iter().map(|&v| f64::from(v)).filter(|v| v.is_finite());
    let (min, max) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
    let buckets = if max > min { BUCKETS } else { 1 };
    let width = (max - min) / buckets as f64;
    let mut bucket = vec![0.0; buckets];
    for value in finite() {
        // The greatest belongs to the last bucket. A width of 0 gives NaN, which the cast makes 0.
        bucket[(((value - min) / width) as usize).min(buckets - 1)] += 1.0;
    }
    Some(Histogram {
        min,
        max,
        num: finite().count() as f64,
        sum: finite().sum(),
        sum_squares: finite().map(|v| v * v).sum(),
        bucket_limit: (1..=buckets)
            .map(|i| if i == buckets { max } else { min + width * i as f64 })
            .collect(),
        bucket,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_value_is_counted_once() {
        let h = histogram(&[0.0, 0.0, 0.25, 1.0, f32::NAN, f32::INFINITY]).unwrap();
        assert_eq!((h.min, h.max, h.num, h.sum, h.sum_squares), (0.0, 1.0, 4.0, 1.25, 1.0625));
        assert_eq!((h.bucket.len(), h.bucket.iter().sum::<f64>()), (BUCKETS, 4.0));
        assert_eq!((h.bucket[0], h.bucket[16], h.bucket[63]), (2.0, 1.0, 1.0));
        assert_eq!((h.bucket_limit[15], h.bucket_limit[63]), (0.25, 1.0));
        let flat = histogram(&[3.0; 5]).unwrap();
        assert_eq!((flat.bucket, flat.bucket_limit), (vec![5.0], vec![3.0]));
        assert_eq!(histogram(&[f32::NAN]), None);
        assert_eq!(histogram(&[]), None);
    }
}
