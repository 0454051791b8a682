//! The pipeline language: the canonical text of a pipeline parses to an equal one, and the
//! result has the promised spec.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torchmill::transform::{self, Image, Pipeline, Sample, SampleSpec};

fuzz_target!(|text: &str| {
    let Ok(pipeline) = Pipeline::parse(text) else { return };
    let again = Pipeline::parse(&pipeline.to_string()).unwrap();
    assert_eq!(again, pipeline);
    let (width, height) = (7, 5);
    let Ok(spec) = pipeline.output(SampleSpec::image([3, height, width])) else { return };
    // Large images only take time.
    if text.len() > 200 || text.bytes().filter(u8::is_ascii_digit).count() > 12 {
        return;
    }
    let pixels = (0..width * height * 3).map(|i| (i * 37) as u8).collect();
    let image = Sample::Image(Image { width, height, channels: 3, pixels });
    if let Ok(sample) = pipeline.apply(image, &mut transform::rng(0, 0, 0)) {
        assert_eq!((sample.kind(), sample.shape()[0]), (spec.kind, spec.channels));
        if let Some((height, width)) = spec.size {
            assert_eq!(sample.shape()[1..], [height, width]);
        }
    }
});
