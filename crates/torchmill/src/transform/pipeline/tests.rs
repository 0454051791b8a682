use super::*;

fn parsed(text: &str) -> Pipeline {
    Pipeline::parse(text).unwrap()
}

fn refused(text: &str) -> String {
    let error = Pipeline::parse(text).unwrap_err();
    assert_eq!(error.exit_status(), 2, "{error}");
    error.to_string()
}

fn photo(height: usize, width: usize) -> Sample {
    let pixels = (0..height * width * 3).map(|i| (i * 37 % 251) as u8).collect();
    Sample::Image(Image { width, height, channels: 3, pixels })
}

#[test]
fn the_canonical_text_drops_defaults_and_prefixes() {
    let cases = [
        ("", ""),
        ("Resize((200,200))|ToTensor()", "Resize((200, 200)) | ToTensor"),
        ("transforms.v2.RandomHorizontalFlip(p = .25)", "RandomHorizontalFlip(p=0.25)"),
        ("RandomHorizontalFlip(0.5)", "RandomHorizontalFlip"),
        (
            "Resize(32, interpolation=InterpolationMode.BICUBIC, antialias=True)",
            "Resize(32, interpolation=InterpolationMode.BICUBIC)",
        ),
        ("Resize([32])", "Resize(32)"),
        ("Resize(size=None, max_size=64)", "Resize(None, max_size=64)"),
        ("Pad((1, 2), 0, 'reflect')", "Pad((1, 2), padding_mode=\"reflect\")"),
        ("Pad([1, 2, 3, 4], fill=(1, 2, 3))", "Pad((1, 2, 3, 4), fill=(1, 2, 3))"),
        (
            "Normalize(mean=[0.1307], std=[0.3081], inplace=False)",
            "Normalize((0.1307,), (0.3081,))",
        ),
        ("Normalize(auto)", "Normalize(auto)"),
        ("Normalize(0.5, 1/2)", "Normalize((0.5,), (0.5,))"),
        (
            "Compose([Resize(8), Compose([ToTensor]),])\n| RandomCrop(4, padding=1)",
            "Resize(8) | ToTensor | RandomCrop(4, padding=1)",
        ),
        (
            "RandomChoice([Compose([ToImage, ToTensor]), ToTensor()], p=(1, 2))",
            "RandomChoice([Compose([ToImage, ToTensor]), ToTensor], p=(1.0, 2.0))",
        ),
        (
            "RandomApply([ToImage, RandomVerticalFlip(1)], 1)",
            "RandomApply([ToImage, RandomVerticalFlip(p=1.0)], p=1.0)",
        ),
    ];
    for (text, canonical) in cases {
        let pipeline = parsed(text);
        assert_eq!(pipeline.to_string(), canonical, "{text}");
        assert_eq!(parsed(canonical), pipeline, "{text}");
    }
}

#[test]
fn mistakes_are_named_with_their_column() {
    let cases = [
        (
            "Resize(32) | TooTensor",
            "column 14: there is no transform TooTensor (did you mean ToTensor?)",
        ),
        (
            "RandomCrop(32, paddign=4)",
            "column 16: RandomCrop: there is no argument paddign (did you mean padding?)",
        ),
        ("Resize(0)", "column 8: Resize: size must be at least 1, not 0"),
        ("Resize((8, -1))", "column 12: Resize: size must be at least 1, not -1"),
        (
            "Resize(32, max_size=16)",
            "column 21: Resize: max_size must be larger than size (32), not 16",
        ),
        ("Resize", "column 1: Resize: the argument size is missing"),
        (
            "Resize(32, 'bilinaer')",
            "column 12: Resize: interpolation must be one of nearest, bilinear, \
             bicubic, box, hamming, lanczos, not \"bilinaer\" (did you mean bilinear?)",
        ),
        (
            "RandomHorizontalFlip(p=1.5)",
            "column 24: RandomHorizontalFlip: p must be from 0 to 1, not 1.5",
        ),
        (
            "RandomHorizontalFlip(0.1, p=0.2)",
            "column 27: RandomHorizontalFlip: p is given twice",
        ),
        ("ToTensor(1)", "column 10: ToTensor: it takes no arguments"),
        (
            "Pad(1, 2, 'edge', 3)",
            "column 19: Pad: too many arguments: it takes padding, fill, padding_mode",
        ),
        ("Pad(fill=1, 2)", "column 13: Pad: a positional argument follows a named one"),
        (
            "Normalize((0.5,), (0,))",
            "column 19: Normalize: std must not be 0: the result would be a division by \
             it",
        ),
        ("Normalize((0.5,))", "column 1: Normalize: the argument std is missing"),
        ("Resize(32) ToTensor", "column 12: expected `|` between transforms, found `T`"),
        ("Resize(32) |", "column 13: expected a transform after the last `|`"),
        ("Resize(32", "column 7: this bracket is not closed with `)`"),
        (
            "ToTensor |\n Resize('x)",
            "line 2, column 9: this string is not closed on its line",
        ),
        (
            "RandomApply([Resize(8), Grayscal])",
            "column 25: there is no transform Grayscal (did you mean Grayscale?)",
        ),
        (
            "RandomChoice([])",
            "column 14: RandomChoice: transforms must have at least one",
        ),
        (
            "Grayscale(2)",
            "column 11: Grayscale: num_output_channels must be 1 or 3, not 2",
        ),
        ("Compose(1)", "column 9: expected a list of transforms, not 1"),
    ];
    for (text, message) in cases {
        assert_eq!(refused(text), message, "{text}");
    }
    // If no name is close, all are listed.
    let unknown = refused("Frobnicate");
    assert!(
        unknown.starts_with(
            "column 1: there is no transform Frobnicate: there are \
             AlternatingHorizontalFlip, "
        ),
        "{unknown}"
    );
    assert!(refused(&"Compose([".repeat(5000)).contains("nest too deeply"));
    assert!(refused("Pad(99999999999999999999)").contains("not a number"));
}

#[test]
fn the_prefix_that_can_be_baked_ends_at_chance_or_floats() {
    let split = |text| {
        let (baked, deferred) = parsed(text).split();
        (baked.to_string(), deferred.to_string())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        split("Resize(8) | CenterCrop(4) | ToTensor"),
        pair("Resize(8) | CenterCrop(4)", "ToTensor")
    );
    assert_eq!(
        split("Pad(4) | RandomCrop(32) | Grayscale"),
        pair("Pad(4)", "RandomCrop(32) | Grayscale")
    );
    assert_eq!(split("Grayscale"), pair("Grayscale", ""));
    assert_eq!(split(""), pair("", ""));
}

#[test]
fn shapes_are_known_beforehand_and_come_true() {
    let cases = [
        ("Resize(10)", [3, 10, 15]),
        ("Resize((4, 5)) | ToTensor | Normalize(auto)", [3, 4, 5]),
        ("Resize(None, max_size=10)", [3, 6, 10]),
        ("Pad((1, 2, 3, 4)) | Grayscale", [1, 26, 34]),
        ("CenterCrop(40) | Grayscale(3)", [3, 40, 40]),
        ("RandomCrop((30, 8), pad_if_needed=True)", [3, 30, 8]),
        ("RandomApply([Resize(12)]) | CenterCrop(7)", [3, 7, 7]),
        ("ToTensor | RandomCrop(8, padding=2) | RandomVerticalFlip(p=1)", [3, 8, 8]),
    ];
    for (text, shape) in cases {
        let pipeline = parsed(text);
        assert_eq!(
            pipeline.output_shape(SampleSpec::image([3, 20, 30])).unwrap(),
            shape,
            "{text}"
        );
        let filled = pipeline.with_statistics(&[0.1, 0.2, 0.3], &[1.0, 2.0, 3.0]);
        let out = filled.apply(photo(20, 30), &mut rng(1, 2, 3)).unwrap();
        assert_eq!(out.shape(), shape, "{text}");
        assert_eq!(out.kind() == SampleKind::Tensor, pipeline.makes_tensors(), "{text}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_and_during() {
    for text in [
        "ToTensor | Resize(8)",
        "Normalize((0.5,), (0.5,))",
        "ToTensor | Normalize((0.5, 0.5), (0.5, 0.5))",
        "RandomCrop(64)",
        "Pad(1, fill=(1, 2))",
        "Resize((32768, 32768))",
    ] {
        let pipeline = parsed(text);
        assert!(pipeline.output_shape(SampleSpec::image([3, 20, 30])).is_err(), "{text}");
        assert!(pipeline.apply(photo(20, 30), &mut rng(0, 0, 0)).is_err(), "{text}");
    }
    assert!(
        parsed("RandomApply([Resize(8)])")
            .output_shape(SampleSpec::image([3, 20, 30]))
            .is_err()
    );
    let short =
        Sample::Image(Image { width: 4, height: 4, channels: 3, pixels: vec![0; 47] });
    assert!(parsed("ToTensor").apply(short, &mut rng(0, 0, 0)).is_err());
}

#[test]
fn the_generator_depends_on_each_number() {
    use rand::RngExt as _;
    let first = |seed, epoch, index| rng(seed, epoch, index).random::<u64>();
    let draws = [first(0, 0, 0), first(1, 0, 0), first(0, 1, 0), first(0, 0, 1)];
    for (i, a) in draws.iter().enumerate() {
        assert!(draws[i + 1..].iter().all(|b| a != b));
    }
    // The numbers for a seed must not change from one version to the next.
    assert_eq!(first(7, 8, 9), 16_038_511_234_634_251_009);
}

#[test]
fn shards_are_as_asked_however_the_text_is_written() {
    let done = parsed(
        "RandomCrop(32, padding=4, padding_mode='reflect') | ToTensor | \
         Normalize((0.5,), (0.247,))",
    );
    for asked in [
        "RandomCrop(32, 4, padding_mode=\"reflect\")|ToTensor()|Normalize((0.50,), \
         (0.2470,))",
        "Compose([RandomCrop(32, 4, padding_mode='reflect'), ToTensor(), \
         Normalize(auto)])",
    ] {
        assert!(done.satisfies(&parsed(asked)), "{asked}");
    }
    for asked in [
        "RandomCrop(32, 4, padding_mode='reflect') | ToTensor",
        "RandomCrop(32, 4) | ToTensor | Normalize(auto)",
        "RandomCrop(32, 4, padding_mode='reflect') | ToTensor | Normalize((0.5,), \
         (0.248,))",
    ] {
        assert!(!done.satisfies(&parsed(asked)), "{asked}");
    }
}

#[test]
fn what_torchvision_has_and_we_have_not_is_no_slip() {
    let error = Pipeline::parse("RandomZoomOut(0.5)").unwrap_err().to_string();
    assert!(
        error.contains("torchvision's RandomZoomOut is not among the transforms here"),
        "{error}"
    );
    assert!(!error.contains("did you mean"), "{error}");
    let error = Pipeline::parse("Resize(40) | TenCrop(32)").unwrap_err().to_string();
    assert!(error.contains("column 14: torchvision's TenCrop is not"), "{error}");
    assert!(error.contains("`evaluate --tta ten` averages over these crops"), "{error}");
    let error = Pipeline::parse("Normalize(0.5, auto)").unwrap_err().to_string();
    assert!(error.contains("Normalize(auto) is for both"), "{error}");
}
