//! CMYK to RGB, as PIL converts it.

/// PIL's `convert("RGB")` of a CMYK pixel, 0 without ink and 255 with all of it.
pub fn to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let white = 255 - u32::from(black);
    let covered = |ink: u8| {
        // The product divided by 255, rounded.
        let product = u32::from(ink) * white + 128;
        (white - (((product >> 8) + product) >> 8)) as u8
    };
    [covered(cyan), covered(magenta), covered(yellow)]
}
