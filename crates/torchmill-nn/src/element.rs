//! The elements that our kernels for the CPU work on, and the processor that they are
//! compiled for.

/// float32, or the bits of a bfloat16.
pub(crate) trait Element: Copy + Default {
    fn value(self) -> f32;

    /// The nearest one, of two the even one.
    fn nearest(value: f32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }

    #[inline(always)]
    fn nearest(value: f32) -> Self {
        value
    }
}

impl Element for u16 {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }

    // Without a branch, which half::bf16::from_f32 has: the compiler makes vectors of it.
    #[inline(always)]
    fn nearest(value: f32) -> Self {
        const NAN: u32 = 0x7fc0;
        let bits = value.to_bits();
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        (if value.is_nan() { NAN } else { nearest }) as u16
    }
}

/// Defines a function twice, the second time for processors with AVX-512, and calls the
/// one for this processor: the compiler makes vectors of the loops over channels, 64
/// bytes at a time instead of 16.
macro_rules! vectorised {
    ($name:ident, $plain:ident, ($($argument:ident: $type:ty),* $(,)?)) => {
        #[allow(clippy::too_many_arguments, reason = "as many as the plain one")]
        fn $name<T: Element>($($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
                fn wide<T: Element>($($argument: $type),*) {
                    $plain($($argument),*);
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                {
                    // SAFETY: the processor has what the function is compiled for.
                    return unsafe { wide($($argument),*) };
                }
            }
            $plain($($argument),*);
        }
    };
}

pub(crate) use vectorised;

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_nearest_bfloat16_is_halfs(bits: u32) {
            let value = f32::from_bits(bits);
            let (ours, theirs) = (u16::nearest(value), bf16::from_f32(value));
            if value.is_nan() {
                prop_assert!(ours.value().is_nan());
            } else {
                prop_assert_eq!(ours, theirs.to_bits());
                prop_assert_eq!(ours.value(), theirs.to_f32());
            }
        }
    }
}
