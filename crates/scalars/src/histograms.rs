//! `--histograms`: how a run's weights are distributed after each epoch, for TensorBoard's HISTOGRAMS page. They come
//! from the checkpoints beside metrics.csv, so that training need not stop to count, and runs of long ago have them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use safetensors::{Dtype, SafeTensors};
use torchmill::progress::note;
use torchmill::{Context, Error, Result, interrupt};

use crate::event::file::{EventFile, Target};
use crate::event::proto::Histogram;
use crate::input::source::Source;
use crate::sink;

/// Buckets between the least and the greatest weight, all of one width.
const BUCKETS: usize = 64;

/// Writes the histograms of the checkpoints beside an input into an event file of their own, beside that of
/// its scalars: step is the epoch, wall time when the checkpoint was written. Like that one it only grows.
pub fn write(source: &Source, target: &Target) -> Result<()> {
    let Source::File(csv) = source else {
        return Err(Error::usage("--histograms takes checkpoints from beside a metrics.csv: give its path"));
    };
    let folder = csv.with_file_name("checkpoints");
    let checkpoints = checkpoints(&folder)?;
    if checkpoints.is_empty() {
        return Err(Error::failed(format_args!("{}: there is no epoch-*.safetensors", folder.display())));
    }
    let target = Target { source: "histograms".to_owned(), hparams: Default::default(), ..target.clone() };
    let mut file = EventFile::open(target)?;
    let mut count = 0;
    for (epoch, path) in checkpoints {
        interrupt::check()?;
        let written = fs::metadata(&path).and_then(|m| m.modified()).doing("read", &path)?;
        let wall_time = written.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        let bytes = fs::read(&path).doing("read", &path)?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|e| Error::failed(e).within(path.display()))?;
        let mut tensors = tensors.tensors();
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, tensor) in tensors.iter().filter(|(_, tensor)| tensor.dtype() == Dtype::F32) {
            let values = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let values: Vec<f32> = values.collect();
            let Some(histogram) = histogram(&values) else {
                note(format_args!("{}: {name} has no finite value, so no histogram", path.display()));
                continue;
            };
            file.push_histogram(wall_time, epoch, &format!("weights/{name}"), &histogram)?;
            count += 1;
        }
    }
    if file.started() {
        sink::report(&file.finish()?, count, "histogram");
    }
    Ok(())
}

/// A run's checkpoints, by epoch.
fn checkpoints(folder: &Path) -> Result<Vec<(i64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing("read", folder)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.doing("read", folder)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let epoch = name.strip_prefix("epoch-").and_then(|rest| rest.strip_suffix(".safetensors"));
        if let Some(epoch) = epoch.and_then(|epoch| epoch.parse().ok()) {
            found.push((epoch, path));
        }
    }
    found.sort();
    Ok(found)
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
