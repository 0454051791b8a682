//! The vector code gives the same levels as the plain code, whose results the goldens
//! compare with Pillow's.

use proptest::prelude::*;

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
                let alone = filter_rows_one_by_one(&from, width, &axis);
                for (name, together) in filter_rows_in_every_way(&from, width, &axis) {
                    assert!(
                        together == alone,
                        "{height} rows from {width} to {to}, {how:?}, {name}"
                    );
                }
            }
        }
    }
}

/// RGB rows of this width, filtered by the plain code.
fn filter_rows_one_by_one(from: &[u8], width: usize, axis: &Axis) -> Vec<u8> {
    let to = axis.first.len();
    let mut alone = vec![0; from.len() / width * to];
    for (from, to) in from.chunks(3 * width).zip(alone.chunks_mut(3 * to)) {
        filter_row::<3>(from, to, axis);
    }
    alone
}

/// The same by each code that the processor can run.
fn filter_rows_in_every_way(
    from: &[u8],
    width: usize,
    axis: &Axis,
) -> Vec<(&'static str, Vec<u8>)> {
    let zeros = vec![0; from.len() / width * axis.first.len()];
    let mut ways = Vec::new();
    let mut chosen = zeros.clone();
    filter_rgb_rows(from, 3 * width, &mut chosen, axis);
    ways.push(("chosen", chosen));
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86_64::Avx2::detect() {
        let mut output = zeros.clone();
        avx2.filter_rgb_rows(from, 3 * width, &mut output, axis);
        ways.push(("AVX2", output));
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(vnni) = x86_64::Vnni::detect()
        && x86_64::fit_in_quads(&axis.weights)
    {
        let mut output = zeros;
        vnni.filter_rgb_rows(from, 3 * width, &mut output, axis);
        ways.push(("VNNI", output));
    }
    ways
}

proptest! {
    /// Any weights, including the largest that fit in a quad, and larger ones.
    #[test]
    fn rows_are_filtered_alike_with_any_weights(
        taps in 1..11_usize,
        outputs in 1..10_usize,
        height in 1..4_usize,
        most in prop_oneof![Just(1 << PRECISION), Just(0x7f_7f7f), Just(0x80_0000)],
        seed in any::<u64>(),
    ) {
        let drawn = |i: usize| (seed | 1).wrapping_mul(2 * i as u64 + 1) >> 20;
        let weight = |i: usize| match drawn(i) % 8 {
            0 => most,
            1 => -most,
            other => ((drawn(i) >> 8) as i32 % (most + 1)) >> other,
        };
        let axis = Axis {
            first: (0..outputs).map(|i| drawn(i) as usize % 5).collect(),
            taps,
            weights: (0..outputs * taps).map(weight).collect(),
        };
        let width = taps + 4;
        let from = noise(3 * width * height);
        let alone = filter_rows_one_by_one(&from, width, &axis);
        for (name, together) in filter_rows_in_every_way(&from, width, &axis) {
            prop_assert!(together == alone, "{}", name);
        }
    }
}
