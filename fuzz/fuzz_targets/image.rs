//! An image file of any format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torchmill::dataset::decode;

fuzz_target!(|bytes: &[u8]| {
    // Large ones only take time.
    match decode::dimensions(bytes) {
        Ok((width, height)) if width * height <= 1 << 18 => {}
        _ => return,
    }
    if let Ok(image) = decode::rgb(bytes) {
        assert_eq!(
            (image.channels, image.pixels.len()),
            (3, image.width * image.height * 3)
        );
    }
});
