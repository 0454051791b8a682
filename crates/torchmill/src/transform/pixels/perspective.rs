//! Perspective transforms, sampled like Pillow's `Image.transform`.

use super::warp::sample;
use crate::Result;
use crate::transform::argument_types::{Fill, Interpolation};
use crate::transform::sample::Image;

/// x and y of four corners, clockwise from the upper left one.
pub(in crate::transform) type Corners = [[f64; 2]; 4];

/// torchvision's `F.perspective` on a PIL image: moves its corners to `corners`. `None`
/// if no perspective does that.
pub(in crate::transform) fn perspective(
    image: &Image,
    corners: Corners,
    filter: Interpolation,
    fill: &Fill,
) -> Result<Option<Image>> {
    let (right, bottom) = ((image.width - 1) as f64, (image.height - 1) as f64);
    let from = [[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]];
    let Some(coefficients) = coefficients(from, corners) else { return Ok(None) };
    // torchvision rounds them to float32.
    let [a, b, c, d, e, f, g, h] = coefficients.map(|x| f64::from(x as f32));
    let source = |x: f64, y: f64| {
        let depth = g * x + h * y + 1.0;
        ((a * x + b * y + c) / depth, (d * x + e * y + f) / depth)
    };
    sample(image, [image.height, image.width], filter, fill, source).map(Some)
}

/// `[a, ..., h]`, with which the output pixel (X, Y) comes from
/// x = (a X + b Y + c) / (g X + h Y + 1) and y = (d X + e Y + f) / (g X + h Y + 1). `None`
/// if the corners do not determine them.
fn coefficients(from: Corners, to: Corners) -> Option<[f64; 8]> {
    let mut rows = [[0.0; 9]; 8];
    for (i, ([x, y], [u, v])) in from.into_iter().zip(to).enumerate() {
        rows[2 * i] = [u, v, 1.0, 0.0, 0.0, 0.0, -x * u, -x * v, x];
        rows[2 * i + 1] = [0.0, 0.0, 0.0, u, v, 1.0, -y * u, -y * v, y];
    }
    solve(rows)
}

/// Solves eight linear equations, each with its right side at the end, by Gaussian
/// elimination with partial pivoting.
fn solve(mut rows: [[f64; 9]; 8]) -> Option<[f64; 8]> {
    for column in 0..8 {
        let size = |&row: &usize| rows[row][column].abs();
        let pivot = (column..8).max_by(|a, b| size(a).total_cmp(&size(b)))?;
        rows.swap(column, pivot);
        if rows[column][column].abs() < 1e-9 {
            return None;
        }
        let pivot_row = rows[column];
        for row in &mut rows[column + 1..] {
            let factor = row[column] / pivot_row[column];
            for (x, p) in row.iter_mut().zip(pivot_row) {
                *x -= factor * p;
            }
        }
    }
    let mut solution = [0.0; 8];
    for i in (0..8).rev() {
        let known: f64 = (i + 1..8).map(|j| rows[i][j] * solution[j]).sum();
        solution[i] = (rows[i][8] - known) / rows[i][i];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_that_stay_give_the_identity() {
        let corners = [[0.0, 0.0], [9.0, 0.0], [9.0, 4.0], [0.0, 4.0]];
        let found = coefficients(corners, corners).unwrap();
        let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        assert!(found.iter().zip(identity).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(coefficients([[0.0; 2]; 4], corners), None);
    }
}
