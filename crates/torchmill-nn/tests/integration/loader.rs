//! Batches hold what the pipeline makes of each image, whichever way they are made.
use std::ops::ControlFlow;

use tch::{Device, Kind};
use torchmill::shard::{Contents, DType, Meta, ShardSet, file_name, write_file};
use torchmill::transform::{Image, Pipeline, Sample, rng};
use torchmill_nn::loader::{BatchOptions, Dataset};
use torchmill_nn::sampler::Epoch;
use torchmill_nn::tensor::floats;
use torchmill_testing::{Sandbox, write_stripes_for};

const OPTIONS: BatchOptions =
    BatchOptions { kind: Kind::Float, device: Device::Cpu, seed: 5, epoch: 2 };

fn dataset(pipeline: &str) -> (Sandbox, Dataset) {
    let folder = Sandbox::new();
    write_stripes_for(folder.path(), "train", 50, "d", pipeline);
    let dataset = Dataset::new(ShardSet::open(folder.path(), "train").unwrap()).unwrap();
    (folder, dataset)
}

#[test]
fn batches_are_what_the_pipeline_makes() {
    let pipelines = [
        "ToTensor",
        "ToTensor | Normalize((0.3,), (0.2,))",
        "RandomCrop(8, padding=2) | RandomHorizontalFlip | ToTensor | Normalize((0.3,), (0.2,))",
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

/// Shards of four colour images of 5x4 whose values all differ, with this left to do.
fn colour_dataset(deferred: &str, dtype: DType, images: &[u8]) -> (Sandbox, Dataset) {
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
        shape: [3, 5, 4],
        dtype,
        images,
        labels: &[0; 4],
        sources: &["a", "b", "c", "d"].map(String::from),
    };
    write_file(&folder.path().join(file_name("train", 0, 1)), &contents).unwrap();
    let dataset = Dataset::new(ShardSet::open(folder.path(), "train").unwrap()).unwrap();
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
        "RandomVerticalFlip | RandomCrop((6, 5), 3, fill=77) | ToTensor | Normalize((0.3,), (0.2,))",
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
        // Another kind is made the other way.
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
    let error = Dataset::new(ShardSet::open(folder.path(), "train").unwrap())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("has no ToTensor"), "{error}");
}
