//! Small data sets of generated images.

use std::fs;
use std::path::{Path, PathBuf};

const CIFAR10: &str =
    "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

/// Pixel `i` of image `n` in [`write_cifar10`] and [`write_pets`].
pub fn pixel(n: usize, i: usize) -> u8 {
    (n * 31 + i * 7 + i / 256) as u8
}

/// Writes CIFAR-10's binary version to `folder`: for each image a label, then the 32x32
/// pixels of each colour. Images are numbered through the five training batches and then
/// the test batch.
pub fn write_cifar10(folder: &Path, images_per_batch: usize) {
    fs::create_dir_all(folder).unwrap();
    for batch in 0..6 {
        let mut bytes = Vec::new();
        for i in 0..images_per_batch {
            let n = batch * images_per_batch + i;
            bytes.push((n % 10) as u8);
            bytes.extend((0..3072).map(|i| pixel(n, i)));
        }
        let name = match batch {
            5 => "test_batch.bin".to_owned(),
            _ => format!("data_batch_{}.bin", batch + 1),
        };
        fs::write(folder.join(name), bytes).unwrap();
    }
    fs::write(folder.join("batches.meta.txt"), CIFAR10).unwrap();
}

/// Writes an RGB image as PPM. `pixels` is `[height, width, 3]`.
pub fn write_ppm(path: impl AsRef<Path>, width: usize, height: usize, pixels: &[u8]) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let header = format!("P6 {width} {height} 255\n");
    fs::write(path, [header.as_bytes(), pixels].concat()).unwrap();
}

/// Writes `pets/train` and `pets/test` below `folder`: 3 and 1 images of 4 x 2 pixels of
/// cats and of dogs. Returns the path of `pets`.
pub fn write_pets(folder: &Path) -> PathBuf {
    let root = folder.join("pets");
    for (c, class) in ["cat", "dog"].iter().enumerate() {
        for i in 0..4 {
            let split = if i == 3 { "test" } else { "train" };
            let pixels: Vec<u8> = (0..24).map(|k| pixel(c * 4 + i, k)).collect();
            write_ppm(root.join(format!("{split}/{class}/{i}.ppm")), 4, 2, &pixels);
        }
    }
    root
}
