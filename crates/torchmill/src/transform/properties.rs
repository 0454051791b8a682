//! Properties of any text and any image.

use proptest::prelude::*;

use super::{
    DecodedPart, FilePart, Image, ImageFile, Pipeline, Sample, SampleKind, SampleSpec,
    View, rng,
};
use crate::Result;

/// A number as people write it, in range or not.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..40_i32).prop_map(|n| n.to_string()),
        1 => (-5..2_i32).prop_map(|n| n.to_string()),
        4 => (0..=100_u32).prop_map(|n| format!("{}", f64::from(n) / 100.0)),
        1 => any::<f64>().prop_map(|x| format!("{x:?}")),
        1 => Just("3/4".to_owned()),
        1 => Just("1e3".to_owned()),
    ]
}

/// Any literal, most often a number or a pair.
fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => number(),
        3 => (number(), number()).prop_map(|(a, b)| format!("({a}, {b})")),
        1 => proptest::collection::vec(number(), 0..5).prop_map(|v| format!("[{}]", v.join(", "))),
        1 => prop_oneof![
            Just("True"), Just("None"), Just("False"), Just("\"reflect\""), Just("'symmetric'"),
            Just("InterpolationMode.BILINEAR"), Just("InterpolationMode.BICUBIC"), Just("auto"),
            Just("\"random\""), Just("torch.float32"), Just("torch.uint8"), Just("AutoAugmentPolicy.SVHN"),
        ].prop_map(str::to_owned),
    ]
}

/// Each transform with arguments that suit it; `#` stands for a small number, `%` for a
/// probability.
const SUITED: &[&str] = &[
    "AugMix(#, 2, -#, all_ops=False, fill=#)",
    "AutoAugment(AutoAugmentPolicy.CIFAR10, fill=#)",
    "CenterCrop((#, #))",
    "ColorJitter(%, %, (%, 1.5), hue=0.#)",
    "ConvertImageDtype(torch.uint8)",
    "ElasticTransform(#, (0.#, %), fill=#)",
    "ExifTranspose",
    "GaussianBlur((3, 1), sigma=(0.1, #))",
    "Grayscale(3)",
    "Normalize((%,), std=[#.5])",
    "Pad((#, #, #, #), #, \"symmetric\")",
    "PILToTensor",
    "RandAugment(2, #, 40, interpolation=InterpolationMode.BILINEAR)",
    "RandomAdjustSharpness(#, %)",
    "RandomAffine(#, (%, %), (0.5, #.5), (-#, #, -#, #), InterpolationMode.BICUBIC, \
     center=(#, #))",
    "RandomApply([RandomGrayscale, Pad(#)], p=%)",
    "RandomAutocontrast(%)",
    "RandomChoice([CenterCrop(#), Compose([Pad(#), Resize(#)])], p=[%, 0.1])",
    "RandomCrop(#, padding=#, pad_if_needed=True, padding_mode=\"reflect\")",
    "RandomCrop((#, #))",
    "RandomEqualize(p=%)",
    "ToTensor | RandomErasing(%, (0.#, 0.99), value=\"random\")",
    "AlternatingHorizontalFlip",
    "RandomHorizontalFlip(%)",
    "RandomInvert(%)",
    "RandomPerspective(%, %, InterpolationMode.NEAREST)",
    "RandomPosterize(3, %)",
    "RandomResizedCrop((#, #), scale=(0.#, 1), ratio=(%, #.5))",
    "RandomRotation((-#, #), expand=True, fill=#)",
    "RandomRotation(#, InterpolationMode.BICUBIC, center=[#, #])",
    "RandomSolarize(#, p=%)",
    "RandomVerticalFlip(%)",
    "Resize(#, InterpolationMode.LANCZOS)",
    "Resize(None, max_size=#, antialias=False)",
    "ToDtype(torch.float32, scale=True)",
    "ScaleJitter((#, #), (0.#, #.5))",
    "ToImage",
    "TrivialAugmentWide(#)",
];

/// Steps that only move rows and columns.
const MOVES: &[&str] = &[
    "CenterCrop((5, 9))",
    "Pad((1, 2, 3, 0), padding_mode='symmetric')",
    "Pad(2)",
    "Pad(1, fill=7)",
    "RandomCrop((4, 6), padding=1, pad_if_needed=True)",
    "RandomCrop(3, (2, 1), True, padding_mode='reflect')",
    "AlternatingHorizontalFlip",
    "RandomHorizontalFlip",
    "RandomVerticalFlip(0.3)",
];

fn suited() -> impl Strategy<Value = String> {
    (
        proptest::sample::select(SUITED),
        proptest::collection::vec((1..40_u32, 0..=10_u32), 9),
    )
        .prop_map(|(template, numbers)| {
            let mut numbers = numbers.into_iter().cycle();
            let fill = |c| match (c, numbers.next()) {
                ('#', Some((n, _))) => n.to_string(),
                ('%', Some((_, p))) => format!("{}", f64::from(p) / 10.0),
                _ => String::from(c),
            };
            template.chars().map(fill).collect()
        })
}

/// A transform with arguments that may suit it.
fn transform() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(super::Transform::NAMES);
    let simple = (name, proptest::collection::vec(literal(), 0..4))
        .prop_map(|(name, arguments)| format!("{name}({})", arguments.join(", ")));
    let with_lists = simple.prop_recursive(2, 8, 3, |inner| {
        let list = proptest::collection::vec(inner, 0..4).prop_map(|v| v.join(", "));
        prop_oneof![
            (list.clone(), number())
                .prop_map(|(list, p)| format!("RandomApply([{list}], p={p})")),
            list.clone().prop_map(|list| format!("RandomChoice([{list}])")),
            list.prop_map(|list| format!("Compose([{list}])")),
        ]
    });
    prop_oneof![2 => with_lists, 4 => suited(), 1 => Just("ToTensor".to_owned())]
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(transform(), 1..4).prop_map(|v| v.join(" | "))
}

/// Pieces of the language in random order.
fn noise() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "(",
            ")",
            "[",
            "]",
            ",",
            "|",
            "=",
            "'",
            "\"",
            "-",
            ".",
            "/",
            "e",
            "\n",
            " ",
            "None",
            "True",
            "auto",
            "p=",
            "Compose([",
            "Resize",
            "Pad(",
            "Normalize(",
            "RandomApply([",
            "1",
            "0",
            "9999999999999999999",
        ])
        .prop_map(str::to_owned),
        transform(),
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|v| v.concat())
}

/// A file that is decoded with some columns beside those of a part.
struct File {
    image: Image,
    margin: usize,
}

impl ImageFile for File {
    fn shape(&self) -> [usize; 3] {
        [self.image.channels, self.image.height, self.image.width]
    }

    fn may_be_scaled(&self) -> bool {
        true
    }

    fn decode(&self, part: &FilePart) -> Result<DecodedPart> {
        assert_eq!(part.scale, 1);
        let left = part.columns.start.saturating_sub(self.margin);
        let right = (part.columns.end + self.margin).min(self.image.width);
        let view = View::of(&self.image).part(part.rows.clone(), left..right)?;
        Ok(DecodedPart { image: view.to_image(), left })
    }
}

proptest! {
    /// A crop right after Resize computes only the part that it keeps, which must be the
    /// same as if the whole had been resized.
    #[test]
    fn a_crop_after_resize_leaves_what_it_would_of_the_whole(
        size in (1..40_usize, 1..40_usize), channels in prop_oneof![Just(1_usize), Just(3)], seed in any::<u64>(),
        to in (1..50_usize, 1..50_usize), crop in (1..50_usize, 1..50_usize), filter in 0..6_u8,
    ) {
        let (height, width) = size;
        let noise = |i: u64| (seed.wrapping_mul(i | 1) >> 32) as u8;
        let pixels = (0..(height * width * channels) as u64).map(noise).collect();
        let image = Sample::Image(Image { width, height, channels, pixels });
        let resize = format!("Resize({to:?}, {filter})");
        let crop = format!("CenterCrop({crop:?})");
        let apply = |text: &str, sample| Pipeline::parse(text).unwrap().apply(sample, &mut rng(0, 0, 0)).unwrap();
        let apart = apply(&crop, apply(&resize, image.clone()));
        let text = format!("{resize} | {crop}");
        let at_once = apply(&text, image.clone());
        prop_assert!(at_once == apart);
        let file = File { image: image.into_image().unwrap(), margin: (seed % 9) as usize };
        let pipeline = Pipeline::parse(&text).unwrap();
        let of_part = pipeline.apply_to_file(&file, &mut rng(0, 0, 0)).unwrap();
        prop_assert!(of_part == apart);
    }

    /// A combined map gives the same result as its steps one after the other, and draws
    /// the same numbers.
    #[test]
    fn a_pixel_map_does_what_its_steps_do(
        moves in proptest::collection::vec(proptest::sample::select(MOVES), 0..5),
        (height, width) in (1..12_usize, 1..12_usize), rgb in any::<bool>(), seed in any::<u64>(),
    ) {
        let pipeline = Pipeline::parse(&moves.join(" | ")).unwrap();
        let channels = if rgb { 3 } else { 1 };
        let pixels = (0..height * width * channels).map(|i| (i as u64).wrapping_mul(seed | 1) as u8).collect();
        let sample = Sample::Image(Image { width, height, channels, pixels });
        let (mut apart, mut at_once) = (rng(seed, 0, 0), rng(seed, 0, 0));
        let expected = pipeline.apply(sample.clone(), &mut apart).unwrap();
        let map = pipeline.pixel_map(height, width, &mut at_once).unwrap();
        let Some(map) = map else {
            // A map can have only one fill value.
            prop_assert!(moves.iter().any(|m| m.contains("fill=7")));
            return Ok(());
        };
        prop_assert_eq!(map.apply(&sample).unwrap(), expected);
        prop_assert_eq!(apart, at_once);
    }

    #[test]
    fn noise_never_panics(text in "\\PC*") {
        let _ = Pipeline::parse(&text);
    }

    #[test]
    fn noise_in_the_language_never_panics(text in noise()) {
        if let Ok(pipeline) = Pipeline::parse(&text) {
            let canonical = pipeline.to_string();
            prop_assert_eq!(&Pipeline::parse(&canonical).unwrap(), &pipeline, "{}", canonical);
        }
    }

    #[test]
    fn the_canonical_text_reads_back_equal(text in transform()) {
        if let Ok(pipeline) = Pipeline::parse(&text) {
            let canonical = pipeline.to_string();
            prop_assert_eq!(&Pipeline::parse(&canonical).unwrap(), &pipeline, "{}", canonical);
            let (baked, deferred) = pipeline.split();
            prop_assert!(!baked.is_random());
            prop_assert_eq!([baked.steps(), deferred.steps()].concat(), pipeline.steps());
        }
    }

    /// The shape that was promised for an image comes true, and what is refused is
    /// refused without a panic.
    #[test]
    fn forms_come_true(
        text in text(),
        (height, width) in (1..12_usize, 1..12_usize),
        rgb in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let Ok(pipeline) = Pipeline::parse(&text) else { return Ok(()) };
        let channels = if rgb { 3 } else { 1 };
        let pixels = (0..height * width * channels).map(|i| (i as u64).wrapping_mul(seed | 1) as u8).collect();
        let sample = Sample::Image(Image { width, height, channels, pixels });
        let promised = pipeline.output(SampleSpec::image([channels, height, width]));
        let result = pipeline.apply(sample, &mut rng(seed, 0, 0));
        if let Ok(promised) = promised {
            // If a size is known only when a step is applied, a later step may find that
            // it does not fit.
            if pipeline.needs_statistics() || (promised.size.is_none() && result.is_err()) {
                return Ok(());
            }
            match result {
                Ok(sample) => {
                    let spec = sample.spec();
                    prop_assert_eq!((spec.kind, spec.channels), (promised.kind, promised.channels));
                    prop_assert!(promised.size.is_none() || promised.size == spec.size);
                    prop_assert_eq!(spec.kind == SampleKind::Tensor, pipeline.makes_tensors());
                }
                Err(error) => prop_assert!(text.contains("Random"), "{}: {}", text, error),
            }
        }
    }
}

/// The properties above would test nothing if few of the texts were pipelines.
#[test]
fn many_of_the_texts_are_pipelines() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut drawn = || transform().new_tree(&mut runner).unwrap().current();
    let parsed: Vec<Pipeline> =
        (0..2000).filter_map(|_| Pipeline::parse(&drawn()).ok()).collect();
    assert!(parsed.len() > 500, "{}", parsed.len());
    let used = |name: &&str| parsed.iter().any(|p| p.to_string().contains(*name));
    let unused: Vec<_> =
        super::Transform::NAMES.iter().filter(|name| !used(name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}
