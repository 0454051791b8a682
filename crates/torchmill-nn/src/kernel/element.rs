//! The element types of the kernels' loops.

/// float32, or the bits of a bfloat16.
pub(crate) trait Element: Copy + Default {
    /// The exact value in float32.
    fn to_f32(self) -> f32;

    /// The nearest element to a value. Of two equally near, the one with an even last
    /// bit.
    fn from_f32(value: f32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
}

impl Element for u16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }

    // half::bf16::from_f32 has a branch, so the compiler would not vectorise it.
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        const NAN: u32 = 0x7fc0;
        let bits = value.to_bits();
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        (if value.is_nan() { NAN } else { nearest }) as u16
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_are_rounded_as_the_half_crate_does(bits: u32) {
            let value = f32::from_bits(bits);
            let ours = u16::from_f32(value);
            let expected = bf16::from_f32(value);
            if value.is_nan() {
                prop_assert!(ours.to_f32().is_nan());
            } else {
                prop_assert_eq!(ours, expected.to_bits());
                prop_assert_eq!(ours.to_f32(), expected.to_f32());
            }
        }
    }
}
