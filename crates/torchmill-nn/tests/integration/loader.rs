//! Batches hold the pipeline's result for each image, however they are made.
use std::ops::ControlFlow;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use tch::{Device, Kind};
use torchmill::dataset::decode;
use torchmill::shard::{
    Contents, DType, Images, Meta, ShardSet, StoredImage, file_name, write_file,
};
use torchmill::transform::{Image, Pipeline, Sample, rng};
use torchmill_nn::loader::{BatchOptions, ShardData};
use torchmill_nn::sampler::Epoch;
use torchmill_nn::tensor::floats;
use torchmill_testing::{Sandbox, write_stripes_for};

const OPTIONS: BatchOptions =
    BatchOptions { kind: Kind::Float, device: Device::Cpu, seed: 5, epoch: 2 };

fn dataset(pipeline: &str) -> (Sandbox, ShardData) {
    let folder = Sandbox::new();
    write_stripes_for(folder.path(), "train", 50, "d", pipeline);
    let dataset =
        ShardData::new(ShardSet::open(folder.path(), "train").unwrap()).unwrap();
    (folder, dataset)
}

#[test]
fn batches_are_what_the_pipeline_makes() {
    let pipelines = [
        "ToTensor",
        "ToTensor | Normalize((0.3,), (0.2,))",
        "RandomCrop(8, padding=2) | RandomHorizontalFlip | ToTensor | Normalize((0.3,), \
         (0.2,))",
        "RandomCrop(8, padding=3, fill=200) | RandomVerticalFlip(0.7) | ToTensor",
        "Pad(1, fill=9) | CenterCrop(11) | RandomCrop(8) | ToTensor",
        "ToTensor | RandomHorizontalFlip",
    ];
    for text in pipelines {
        let (_folder, dataset) = dataset(text);
        let pipeline = Pipeline::parse(text).unwrap();
        let indices = [7, 0, 49, 7];
        let batch = dataset.batch(&indices, OPTIONS).unwrap();
        assert_eq!(batch.images.size(), [4, 1, 8, 8]);
        let got = floats(&batch.images);
        for (slot, &index) in indices.iter().enumerate() {
            let pixels = dataset.set().image(index as usize).unwrap().to_vec();
            let image = Sample::Image(Image { width: 8, height: 8, channels: 1, pixels });
            let made = pipeline.apply(image, &mut rng(5, 2, u64::from(index))).unwrap();
            let Sample::Tensor(expected) = made else { panic!("{text} makes no tensor") };
            assert_eq!(got[slot * 64..(slot + 1) * 64], expected.values, "{text}");
            assert_eq!(batch.labels.int64_value(&[slot as i64]), i64::from(index) % 3);
        }
    }
}

/// Shards of four 5x4 colour images with distinct values and these deferred transforms.
fn colour_dataset(deferred: &str, dtype: DType, images: &[u8]) -> (Sandbox, ShardData) {
    let folder = Sandbox::new();
    let meta = Meta {
        split: "train".into(),
        classes: vec!["any".into()],
        deferred: deferred.into(),
        shards: 1,
        ..Meta::default()
    };
    let contents = Contents {
        meta: &meta,
        images: Images::Array { shape: [3, 5, 4], dtype, bytes: images },
        labels: &[0; 4],
        sources: &["a", "b", "c", "d"].map(String::from),
    };
    write_file(&folder.path().join(file_name("train", 0, 1)), &contents).unwrap();
    let dataset =
        ShardData::new(ShardSet::open(folder.path(), "train").unwrap()).unwrap();
    (folder, dataset)
}

#[test]
fn colour_images_are_read_channels_last_whichever_way() {
    let stored: Vec<u8> = (0..4 * 60).collect();
    let pipelines = [
        "ToTensor",
        "ToTensor | Normalize((0.3, 0.4, 0.5), (0.2, 0.3, 0.4))",
        "RandomCrop((3, 2), padding=1, fill=(1, 2, 3)) | ToTensor | Normalize(0.5, 0.5)",
        "RandomRotation(30) | ToTensor",
        "ToTensor | RandomHorizontalFlip",
    ];
    for text in pipelines {
        let (_folder, dataset) = colour_dataset(text, DType::Uint8, &stored);
        let pipeline = Pipeline::parse(text).unwrap();
        let batch = dataset.batch(&[2, 0], OPTIONS).unwrap();
        let got = floats(&batch.images);
        let size = got.len() / 2;
        for (slot, index) in [(0, 2), (1, 0)] {
            let pixels = stored[index * 60..][..60].to_vec();
            let image = Sample::Image(Image { width: 4, height: 5, channels: 3, pixels });
            let made = pipeline.apply(image, &mut rng(5, 2, index as u64)).unwrap();
            let Sample::Tensor(expected) = made else { panic!("{text} makes no tensor") };
            assert_eq!(got[slot * size..][..size], expected.values, "{text}");
        }
        let resident = dataset.clone().resident_on(Device::Cpu, Kind::Float).unwrap();
        let gathered = resident.batch(&[2, 0], OPTIONS).unwrap();
        assert!(gathered.images.equal(&batch.images), "{text}");
    }
}

#[test]
fn stored_floats_are_read_channels_last() {
    let values: Vec<f32> = (0..4_u8 * 60).map(f32::from).collect();
    let stored: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let (_folder, dataset) = colour_dataset("", DType::Float32, &stored);
    let batch = dataset.batch(&[3], OPTIONS).unwrap();
    assert_eq!(batch.images.size(), [1, 3, 5, 4]);
    for (c, y, x) in [(0, 0, 0), (1, 0, 0), (0, 0, 1), (2, 4, 3)] {
        let expected = values[180 + (y * 4 + x) * 3 + c];
        let got = batch.images.double_value(&[0, c as i64, y as i64, x as i64]);
        assert_eq!(got, f64::from(expected));
    }
}

#[test]
fn batches_of_resident_images_are_the_same() {
    let pipelines = [
        "ToTensor",
        "ToTensor | Normalize((0.3,), (0.2,))",
        "RandomCrop(8, padding=2) | RandomHorizontalFlip | ToTensor",
        "RandomVerticalFlip | RandomCrop((6, 5), 3, fill=77) | ToTensor | \
         Normalize((0.3,), (0.2,))",
        "RandomCrop(9, padding=2, padding_mode='reflect') | CenterCrop(11) | ToTensor",
    ];
    for (text, kind) in
        pipelines.into_iter().flat_map(|p| [(p, Kind::Float), (p, Kind::BFloat16)])
    {
        let (_folder, dataset) = dataset(text);
        let dataset = dataset.subset(&[3, 30, 7, 49, 0]);
        let options = BatchOptions { kind, ..OPTIONS };
        let indices = [4, 0, 3, 3, 1];
        let expected = dataset.batch(&indices, options).unwrap();
        let resident = dataset.resident_on(Device::Cpu, kind).unwrap();
        let got = resident.batch(&indices, options).unwrap();
        assert_eq!(got.images.kind(), kind);
        assert_eq!(got.images.stride(), expected.images.stride(), "{text}");
        assert!(
            got.images.equal(&expected.images) && got.labels.equal(&expected.labels),
            "{text}"
        );
        // Batches of another dtype are made on the CPU.
        assert_eq!(
            resident
                .batch(&[1], BatchOptions { kind: Kind::Half, ..options })
                .unwrap()
                .images
                .kind(),
            Kind::Half
        );
    }
}

#[test]
fn bf16_batches_are_the_float_ones_rounded() {
    let (_folder, dataset) = dataset("ToTensor");
    let float = dataset.batch(&[1, 2, 3], OPTIONS).unwrap().images;
    let half = dataset
        .batch(&[1, 2, 3], BatchOptions { kind: Kind::BFloat16, ..OPTIONS })
        .unwrap()
        .images;
    assert_eq!(half.kind(), Kind::BFloat16);
    assert_eq!(floats(&half), floats(&float.to_kind(Kind::BFloat16)));
}

#[test]
fn an_epoch_hands_out_its_batches_in_order_and_stops_when_told() {
    let (_folder, dataset) = dataset("ToTensor");
    let epoch = Epoch::sequential(50, 8);
    let mut seen = Vec::new();
    let each = |i, batch: torchmill_nn::loader::Batch| {
        seen.push((i, batch.labels.size()[0]));
        Ok(if i == 6 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    dataset.for_each_batch(&epoch, 4, OPTIONS, each).unwrap();
    assert_eq!(seen, [(4, 8), (5, 8), (6, 2)]);
}

#[test]
fn shards_that_never_become_tensors_are_refused() {
    let folder = Sandbox::new();
    write_stripes_for(folder.path(), "train", 5, "d", "RandomHorizontalFlip");
    let error = ShardData::new(ShardSet::open(folder.path(), "train").unwrap())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("has no ToTensor"), "{error}");
}

/// Colour images of three sizes, stored as pixels.
fn images_of_sizes() -> Vec<StoredImage> {
    let image = |[height, width]: [usize; 2]| {
        let pixels = (0..height * width * 3).map(|i| (i * 7 + height) as u8);
        StoredImage { bytes: pixels.collect(), height, width }
    };
    [[30, 20], [17, 40], [25, 25]].into_iter().map(image).collect()
}

fn as_png(image: &StoredImage) -> StoredImage {
    let mut bytes = Vec::new();
    let (width, height) = (image.width as u32, image.height as u32);
    PngEncoder::new(&mut bytes)
        .write_image(&image.bytes, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    StoredImage { bytes, ..*image }
}

fn as_jpeg(image: &StoredImage) -> StoredImage {
    let mut bytes = Vec::new();
    let (width, height) = (image.width as u32, image.height as u32);
    JpegEncoder::new(&mut bytes)
        .write_image(&image.bytes, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    StoredImage { bytes, ..*image }
}

/// Shards of these images, with these deferred transforms.
fn dataset_of_sizes(deferred: &str, images: Images) -> (Sandbox, ShardData) {
    let folder = Sandbox::new();
    let meta = Meta {
        split: "train".into(),
        classes: vec!["any".into()],
        pipeline: deferred.into(),
        deferred: deferred.into(),
        shards: 1,
        ..Meta::default()
    };
    let contents = Contents {
        meta: &meta,
        images,
        labels: &[0; 3],
        sources: &["a.png", "b.png", "c.png"].map(String::from),
    };
    write_file(&folder.path().join(file_name("train", 0, 1)), &contents).unwrap();
    let dataset = ShardData::open(folder.path(), "train").unwrap();
    (folder, dataset)
}

#[test]
fn images_of_different_sizes_go_through_the_pipeline_one_by_one() {
    let images = images_of_sizes();
    let files: Vec<_> = images.iter().map(as_png).collect();
    let jpegs: Vec<_> = images.iter().map(as_jpeg).collect();
    let pipelines = [
        "RandomResizedCrop(8) | RandomHorizontalFlip | ToTensor | Normalize(0.5, 0.5)",
        "Resize(9) | CenterCrop(8) | ToTensor",
        "RandomCrop(8) | RandomHorizontalFlip | ToTensor",
        "RandomCrop(28, pad_if_needed=True, fill=(1, 2, 3)) | ToTensor",
        "RandomResizedCrop(8) | ToTensor | RandomErasing(p=1)",
    ];
    for text in pipelines {
        let pipeline = Pipeline::parse(text).unwrap();
        for images_of_shard in [
            Images::Pixels { channels: 3, images: &images },
            Images::Encoded(&files),
            Images::Encoded(&jpegs),
        ] {
            let (_folder, dataset) = dataset_of_sizes(text, images_of_shard);
            let batch = dataset.batch(&[2, 0, 1], OPTIONS).unwrap();
            let got = floats(&batch.images);
            let size = got.len() / 3;
            for (slot, index) in [(0, 2), (1, 0), (2, 1)] {
                let image = whole_image(images_of_shard, index);
                let image = Sample::Image(image);
                let made = pipeline.apply(image, &mut rng(5, 2, index as u64)).unwrap();
                let Sample::Tensor(expected) = made else {
                    panic!("{text} makes no tensor")
                };
                assert_eq!(got[slot * size..][..size], expected.values, "{text}");
            }
            // Images of different sizes are not copied to the device.
            let resident = dataset.resident_on(Device::Cpu, Kind::Float).unwrap();
            let again = resident.batch(&[2, 0, 1], OPTIONS).unwrap();
            assert!(again.images.equal(&batch.images), "{text}");
        }
    }
}

/// An image of a shard, decoded whole.
fn whole_image(images: Images, index: usize) -> Image {
    match images {
        Images::Pixels { images, .. } => {
            let StoredImage { bytes, height, width } = images[index].clone();
            Image { width, height, channels: 3, pixels: bytes }
        }
        Images::Encoded(files) => decode::rgb(&files[index].bytes).unwrap(),
        Images::Array { .. } => panic!("all of one size"),
    }
}

#[test]
fn scaled_decoding_changes_pixels_only_a_little() {
    let images: Vec<_> = images_of_sizes().iter().map(as_jpeg).collect();
    let text = "RandomResizedCrop(4, scale=(0.5, 1)) | ToTensor";
    let (_folder, exact) = dataset_of_sizes(text, Images::Encoded(&images));
    let scaled = exact.clone().with_scaled_decoding(true);
    let values =
        |dataset: &ShardData| floats(&dataset.batch(&[0, 1, 2], OPTIONS).unwrap().images);
    let (exact, scaled) = (values(&exact), values(&scaled));
    let off: f32 = exact.iter().zip(&scaled).map(|(a, b)| (a - b).abs()).sum();
    assert!(off > 0.0, "nothing was scaled");
    assert!(off / (exact.len() as f32) < 0.1, "{off}");
}

#[test]
fn images_that_stay_of_different_sizes_have_no_shape() {
    let images = images_of_sizes();
    let images = Images::Pixels { channels: 3, images: &images };
    let (_folder, dataset) = dataset_of_sizes("Resize(8) | ToTensor", images);
    let error = dataset.image_shape().unwrap_err().to_string();
    assert!(error.contains("the images would have different sizes"), "{error}");
}

#[test]
fn a_broken_file_within_a_shard_ends_the_epoch_and_is_named() {
    let mut files: Vec<_> = images_of_sizes().iter().map(as_png).collect();
    let half = files[1].bytes.len() / 2;
    files[1].bytes.truncate(half);
    let text = "RandomResizedCrop(8) | ToTensor";
    let (_folder, dataset) = dataset_of_sizes(text, Images::Encoded(&files));
    let error = dataset.batch(&[0, 1, 2], OPTIONS).err().unwrap().to_string();
    assert!(error.contains("train-00000-of-00001.shard: image 1 (b.png)"), "{error}");
}

#[test]
fn a_crop_that_does_not_fit_names_the_image() {
    let images = images_of_sizes();
    let images = Images::Pixels { channels: 3, images: &images };
    let (_folder, dataset) = dataset_of_sizes("RandomCrop(20) | ToTensor", images);
    let error = dataset.batch(&[0, 1], OPTIONS).err().unwrap().to_string();
    assert!(error.contains("image 1 (b.png): RandomCrop"), "{error}");
}
