//! Pixel operations that several transforms use, with Pillow's results.

pub(super) mod enhance;
pub(super) mod grid;
pub(super) mod hue;
pub(super) mod levels;
pub(super) mod luminance;
pub(super) mod perspective;
pub(super) mod resample;
pub(super) mod warp;
