//! The vector code gives the same levels as the plain code, whose results the goldens
//! compare with Pillow's.

use super::*;

/// Levels, many of them 0 or 255, so that sums overshoot.
fn noise(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i * i * 7919 / 13 % 769).saturating_sub(256).min(255) as u8)
        .collect()
}

#[test]
fn columns_are_filtered_alike_in_blocks_and_one_by_one() {
    for (height, to) in [(1, 3), (2, 1), (9, 4), (30, 7)] {
        for how in [Interpolation::Bilinear, Interpolation::Lanczos] {
            let axis = Axis::new(height, to, 0..to, &Filter::new(how).unwrap());
            for width in [1, 31, 32, 33, 100] {
                let from =
                    Image { width, height, channels: 1, pixels: noise(width * height) };
                let filtered = filter_columns(&View::of(&from), &axis).unwrap();
                for column in 0..width {
                    let pixels: Vec<u8> =
                        from.pixels.iter().skip(column).step_by(width).copied().collect();
                    let mut alone = vec![0; to];
                    filter_row::<1>(&pixels, &mut alone, &axis);
                    let together: Vec<u8> = filtered
                        .pixels
                        .iter()
                        .skip(column)
                        .step_by(width)
                        .copied()
                        .collect();
                    assert!(
                        together == alone,
                        "column {column} of {width}, {height} to {to}, {how:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn rows_are_filtered_alike_two_at_a_time_and_one_by_one() {
    for (width, to) in
        [(1, 1), (1, 9), (2, 5), (3, 2), (7, 3), (40, 11), (11, 40), (500, 3), (67, 40)]
    {
        for how in
            [Interpolation::Bilinear, Interpolation::Lanczos, Interpolation::Bicubic]
        {
            let axis = Axis::new(width, to, 0..to, &Filter::new(how).unwrap());
            for height in 1..5 {
                let from = noise(3 * width * height);
                let (mut together, mut alone) =
                    (vec![0; 3 * to * height], vec![0; 3 * to * height]);
                filter_rgb_rows(&from, 3 * width, &mut together, &axis);
                for (from, to) in from.chunks(3 * width).zip(alone.chunks_mut(3 * to)) {
                    filter_row::<3>(from, to, &axis);
                }
                assert!(together == alone, "{height} rows from {width} to {to}, {how:?}");
            }
        }
    }
}
