//! `--histograms`: the distribution of a run's weights after each epoch, for
//! TensorBoard's HISTOGRAMS page. The histograms are made from the checkpoints next to
//! metrics.csv, so they cost no training time, and old runs have them too.

use half::{bf16, f16};
use prost::Message;
use safetensors::{Dtype, SafeTensors};
use torchmill::progress::note;
use torchmill::{Error, Result, run};

use crate::artifacts::{Artifact, Values};
use crate::event::proto::{Data, Histogram};

/// The number of buckets between the smallest and the largest weight, all of the same
/// width.
const BUCKETS: usize = 64;

/// The checkpoints.
pub const CHECKPOINTS: Artifact = Artifact {
    option: "--histograms",
    folder: run::CHECKPOINTS,
    extension: run::WEIGHTS,
    what: "histogram",
    read,
};

fn read(bytes: &[u8]) -> Result<Values> {
    let tensors = SafeTensors::deserialize(bytes).map_err(Error::failed)?;
    let mut tensors = tensors.tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut histograms = Vec::new();
    for (name, tensor) in &tensors {
        match histogram_of(tensor.dtype(), tensor.data()) {
            Some(Some(histogram)) => {
                histograms.push((
                    format!("weights/{name}"),
                    Data::Histogram(histogram.encode_to_vec()),
                ));
            }
            Some(None) => {
                note(format_args!(
                    "{name} has no finite values, so it gets no histogram"
                ));
            }
            // Counters, such as BatchNorm2d's `num_batches_tracked`, are not weights.
            None => {}
        }
    }
    Ok(histograms)
}

/// The distribution of a tensor's little-endian elements, `Some(None)` if none is finite.
/// `None` if they are not floating-point numbers.
fn histogram_of(dtype: Dtype, bytes: &[u8]) -> Option<Option<Histogram>> {
    fn each<const N: usize>(
        bytes: &[u8],
        read: fn([u8; N]) -> f64,
    ) -> impl Iterator<Item = f64> {
        bytes.as_chunks().0.iter().map(move |element| read(*element))
    }
    match dtype {
        Dtype::F16 => Some(histogram(|| each(bytes, |b| f16::from_le_bytes(b).to_f64()))),
        Dtype::BF16 => {
            Some(histogram(|| each(bytes, |b| bf16::from_le_bytes(b).to_f64())))
        }
        Dtype::F32 => Some(histogram(|| each(bytes, |b| f32::from_le_bytes(b).into()))),
        Dtype::F64 => Some(histogram(|| each(bytes, f64::from_le_bytes))),
        _ => None,
    }
}

/// The distribution of the finite values; `None` if no value is finite.
fn histogram<V: Iterator<Item = f64>>(values: impl Fn() -> V) -> Option<Histogram> {
    let finite = || values().filter(|v| v.is_finite());
    let (min, max) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
    let buckets = if max > min { BUCKETS } else { 1 };
    let width = (max - min) / buckets as f64;
    let mut bucket = vec![0.0; buckets];
    for value in finite() {
        // The largest value belongs to the last bucket. A width of 0 gives NaN, which the
        // cast turns into 0.
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
    fn weights_of_every_precision_are_read() {
        let numbers = [-1.5, 0.25, 96.0];
        let bytes = |each: fn(f64) -> Vec<u8>| {
            numbers.iter().flat_map(|&v| each(v)).collect::<Vec<_>>()
        };
        for (dtype, bytes) in [
            (Dtype::F16, bytes(|v| f16::from_f64(v).to_le_bytes().into())),
            (Dtype::BF16, bytes(|v| bf16::from_f64(v).to_le_bytes().into())),
            (Dtype::F32, bytes(|v| (v as f32).to_le_bytes().into())),
            (Dtype::F64, bytes(|v| v.to_le_bytes().into())),
        ] {
            let h = histogram_of(dtype, &bytes).unwrap().unwrap();
            assert_eq!(
                (h.min, h.max, h.num, h.sum),
                (-1.5, 96.0, 3.0, 94.75),
                "{dtype:?}"
            );
        }
        assert_eq!(histogram_of(Dtype::I64, &[0; 8]), None);
    }

    #[test]
    fn every_finite_value_is_counted_once() {
        let of = |values: &[f64]| histogram(|| values.iter().copied());
        let h = of(&[0.0, 0.0, 0.25, 1.0, f64::NAN, f64::INFINITY]).unwrap();
        assert_eq!(
            (h.min, h.max, h.num, h.sum, h.sum_squares),
            (0.0, 1.0, 4.0, 1.25, 1.0625)
        );
        assert_eq!((h.bucket.len(), h.bucket.iter().sum::<f64>()), (BUCKETS, 4.0));
        assert_eq!((h.bucket[0], h.bucket[16], h.bucket[63]), (2.0, 1.0, 1.0));
        assert_eq!((h.bucket_limit[15], h.bucket_limit[63]), (0.25, 1.0));
        let flat = of(&[3.0; 5]).unwrap();
        assert_eq!((flat.bucket, flat.bucket_limit), (vec![5.0], vec![3.0]));
        assert_eq!(of(&[f64::NAN]), None);
        assert_eq!(of(&[]), None);
    }
}
