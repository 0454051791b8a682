//! A MATLAB file, as some data sets have their labels: an array has as many values as its size says.
#![no_main]

use fetch_data::convert::mat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(arrays) = mat::arrays(bytes) else { return };
    for array in arrays.into_values() {
        let count: usize = array.size.iter().product();
        if let Some(integers) = array.integers() {
            assert_eq!(integers.len(), count);
        }
        if let Some(bytes) = array.into_bytes() {
            assert_eq!(bytes.len(), count);
        }
    }
});
