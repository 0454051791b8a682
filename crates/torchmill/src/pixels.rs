//! The two pixel layouts, and tables that turn each of the 256 levels into a number.
//!
//! Images and shards are channels last, `[H, W, C]`: the channels of a pixel side by
//! side. PyTorch's tensors, CIFAR's records and the file formats for other programs are
//! channels first, `[C, H, W]`: one plane after the other.

/// The order of an image's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[H, W, C]`.
    ChannelsLast,
    /// `[C, H, W]`.
    ChannelsFirst,
}

/// Copies an image from `[C, H, W]` to `[H, W, C]`.
pub fn to_channels_last<T: Copy>(planes: &[T], channels: usize, out: &mut [T]) {
    let area = planes.len() / channels.max(1);
    if channels == 3 {
        // One pass that writes in order: one pass per plane takes three times as long.
        let (red, rest) = planes.split_at(area);
        let (green, blue) = rest.split_at(area);
        for (i, pixel) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = [red[i], green[i], blue[i]];
        }
        return;
    }
    for (channel, plane) in planes.chunks_exact(area.max(1)).enumerate() {
        let places = out.iter_mut().skip(channel).step_by(channels);
        for (place, value) in places.zip(plane) {
            *place = *value;
        }
    }
}

/// Copies an image from `[H, W, C]` to `[C, H, W]`.
pub fn to_channels_first<T: Copy>(pixels: &[T], channels: usize, out: &mut [T]) {
    let area = pixels.len() / channels.max(1);
    for (channel, plane) in out.chunks_exact_mut(area.max(1)).enumerate() {
        let values = pixels.iter().skip(channel).step_by(channels);
        for (place, value) in plane.iter_mut().zip(values) {
            *place = *value;
        }
    }
}

/// For each channel, a table with the value for each of the 256 levels.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelTables<T>(Vec<[T; 256]>);

impl<T: Copy> LevelTables<T> {
    /// One table for each channel.
    pub fn new(tables: Vec<[T; 256]>) -> Self {
        Self(tables)
    }

    /// The same tables with each value converted.
    pub fn map<U: Copy>(&self, convert: impl Fn(T) -> U) -> LevelTables<U> {
        LevelTables(self.0.iter().map(|table| table.map(&convert)).collect())
    }

    /// A table for each channel.
    pub fn tables(&self) -> &[[T; 256]] {
        &self.0
    }

    /// Looks up an image, `[H, W, C]` to `[H, W, C]`.
    pub fn look_up(&self, pixels: &[u8], out: &mut [T]) {
        match &self.0[..] {
            [table] => {
                for (place, &level) in out.iter_mut().zip(pixels) {
                    *place = table[usize::from(level)];
                }
            }
            [red, green, blue] => {
                let pixels = pixels.as_chunks::<3>().0;
                for (place, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                    let [r, g, b] = pixel.map(usize::from);
                    *place = [red[r], green[g], blue[b]];
                }
            }
            tables => {
                let channels = tables.len().max(1);
                for (i, (place, &level)) in out.iter_mut().zip(pixels).enumerate() {
                    *place = tables[i % channels][usize::from(level)];
                }
            }
        }
    }

    /// Looks up an image, `[H, W, C]` to `[C, H, W]`.
    pub fn look_up_channels_first(&self, pixels: &[u8], out: &mut [T]) {
        let channels = self.0.len().max(1);
        let area = (pixels.len() / channels).max(1);
        if let [red, green, blue] = &self.0[..] {
            // One pass that reads in order: one pass per plane takes longer.
            let (reds, rest) = out.split_at_mut(area.min(out.len()));
            let (greens, blues) = rest.split_at_mut(area.min(rest.len()));
            let places = reds.iter_mut().zip(greens).zip(blues);
            for (((r, g), b), pixel) in places.zip(pixels.as_chunks::<3>().0) {
                let [x, y, z] = pixel.map(usize::from);
                (*r, *g, *b) = (red[x], green[y], blue[z]);
            }
            return;
        }
        for (channel, plane) in out.chunks_exact_mut(area).enumerate() {
            let table = &self.0[channel];
            let levels = pixels.iter().skip(channel).step_by(channels);
            for (place, &level) in plane.iter_mut().zip(levels) {
                *place = table[usize::from(level)];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_each_others_inverse() {
        for channels in 1..5 {
            let pixels: Vec<usize> = (0..6 * channels).collect();
            let mut planes = vec![0; pixels.len()];
            to_channels_first(&pixels, channels, &mut planes);
            // The first plane is every pixel's first channel.
            assert_eq!(planes[..6], (0..6).map(|i| i * channels).collect::<Vec<_>>());
            let mut again = vec![0; pixels.len()];
            to_channels_last(&planes, channels, &mut again);
            assert_eq!(again, pixels);
        }
    }

    #[test]
    fn each_channel_is_looked_up_in_its_own_table() {
        for channels in 1..5_usize {
            let table = |channel| std::array::from_fn(|level| channel * 1000 + level);
            let tables = LevelTables::new((0..channels).map(table).collect());
            let pixels: Vec<u8> = (0..6 * channels as u8).map(|i| i * 7).collect();
            let mut last = vec![0; pixels.len()];
            tables.look_up(&pixels, &mut last);
            let expected = |i| (i % channels) * 1000 + usize::from(pixels[i]);
            assert_eq!(last, (0..pixels.len()).map(expected).collect::<Vec<_>>());
            let mut first = vec![0; pixels.len()];
            tables.look_up_channels_first(&pixels, &mut first);
            let mut planes = vec![0; pixels.len()];
            to_channels_first(&last, channels, &mut planes);
            assert_eq!(first, planes);
        }
    }
}
