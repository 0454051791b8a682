//! The pipeline language: what is read prints as a text that reads back equal, and does
//! to an image what was said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torchmill::transform::{self, Form, Image, Pipeline, Sample};

fuzz_target!(|text: &str| {
    let Ok(pipeline) = Pipeline::parse(text) else { return };
    let again = Pipeline::parse(&pipeline.to_string()).unwrap();
    assert_eq!(again, pipeline);
    let (width, height) = (7, 5);
    let Ok(form) = pipeline.output(Form::image([3, height, width])) else { return };
    // What is large only takes time, and so does what becomes large on the way.
    if text.len() > 200 || text.bytes().filter(u8::is_ascii_digit).count() > 12 {
        return;
    }
    let pixels = (0..width * height * 3).map(|i| (i * 37) as u8).collect();
    let image = Sample::Image(Image { width, height, channels: 3, pixels });
    if let Ok(sample) = pipeline.apply(image, &mut transform::rng(0, 0, 0)) {
        assert_eq!((sample.kind(), sample.shape()[0]), (form.kind, form.channels));
        if let Some((height, width)) = form.size {
            assert_eq!(sample.shape()[1..], [height, width]);
        }
    }
});
