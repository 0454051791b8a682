//! torch.save's files (made by tests/golden/torch_save.py) and damaged ones.

use half::{bf16, f16};
use proptest::prelude::*;

use super::*;

const STATE_DICT: &[u8] = include_bytes!("../../tests/golden/state_dict.pt");
const NESTED: &[u8] = include_bytes!("../../tests/golden/nested.pt");
const MODULE: &[u8] = include_bytes!("../../tests/golden/module.pt");

fn read_bytes(bytes: &[u8]) -> Result<Vec<Saved>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    read(file.path())
}

fn find<'a>(tensors: &'a [Saved], name: &str) -> &'a Saved {
    tensors.iter().find(|t| t.name == name).unwrap()
}

fn float32(tensor: &Saved) -> Vec<f32> {
    tensor.bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn a_state_dict_is_read_in_order() {
    let tensors = read_bytes(STATE_DICT).unwrap();
    let names: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
    let batch_norm = [
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ];
    assert_eq!(names, [&["0.weight", "0.bias"][..], &batch_norm].concat());
    assert_eq!(find(&tensors, "0.weight").shape, [2, 3]);
    assert_eq!(float32(find(&tensors, "0.weight")), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(float32(find(&tensors, "0.bias")), [10., 20.]);
    assert_eq!(find(&tensors, "1.num_batches_tracked").dtype, DType::Int64);
}

#[test]
fn views_types_and_nested_checkpoints_are_understood() {
    let tensors = read_bytes(NESTED).unwrap();
    assert_eq!(find(&tensors, "transposed").shape, [4, 3]);
    assert_eq!(float32(find(&tensors, "transposed"))[..4], [0., 4., 8., 1.]);
    assert_eq!(float32(find(&tensors, "slice")), [6., 7., 10., 11.]);
    assert_eq!(float32(find(&tensors, "parameter")), [0., 1., 2., 3.]);
    let (half, brain) = (find(&tensors, "half"), find(&tensors, "bfloat16"));
    assert_eq!(
        (half.dtype, &half.bytes[22..]),
        (DType::Float16, &f16::from_f32(11.0).to_le_bytes()[..])
    );
    assert_eq!(
        (brain.dtype, &brain.bytes[22..]),
        (DType::BFloat16, &bf16::from_f32(11.0).to_le_bytes()[..])
    );
    assert_eq!(find(&tensors, "double").bytes[88..], 11.0_f64.to_le_bytes());
    assert_eq!(
        (find(&tensors, "scalar").shape.len(), &find(&tensors, "scalar").bytes[..1]),
        (0, &[7][..])
    );
}

#[test]
fn a_pickled_module_is_refused_with_advice() {
    let error = read_bytes(MODULE).unwrap_err().to_string();
    assert!(error.contains("net.state_dict()"), "{error}");
    let error = read_bytes(b"not a zip").unwrap_err().to_string();
    assert!(error.contains("is not a file that torch.save wrote"), "{error}");
}

#[test]
fn a_file_of_the_older_form_is_refused_with_advice() {
    let error = read_bytes(&[&BEFORE_1_6[..], b".\x80\x02M\xe9\x03."].concat())
        .unwrap_err()
        .to_string();
    assert!(error.contains("of before PyTorch 1.6"), "{error}");
}

#[test]
fn a_view_outside_its_storage_is_refused() {
    let view = |shape: &[i64], strides: &[i64], offset| View {
        dtype: DType::Float32,
        storage: "0".into(),
        offset,
        shape: shape.to_vec(),
        strides: strides.to_vec(),
    };
    let storage = [0; 16];
    assert!(gather(&view(&[4], &[1], 0), &storage, 100).is_ok());
    assert!(gather(&view(&[4], &[1], 1), &storage, 100).is_err());
    assert!(gather(&view(&[2], &[-1], 0), &storage, 100).is_err());
    assert!(gather(&view(&[1 << 40], &[0], 0), &storage, 100).is_err());
    assert!(gather(&view(&[-1], &[1], 0), &storage, 100).is_err());
    assert!(
        gather(
            &view(&[i64::MAX, i64::MAX], &[i64::MAX, i64::MAX], i64::MAX),
            &storage,
            100
        )
        .is_err()
    );
}

proptest! {
    #[test]
    fn a_damaged_file_never_panics(at in 0..STATE_DICT.len(), byte: u8, keep in 0..=STATE_DICT.len()) {
        let mut bytes = STATE_DICT.to_vec();
        bytes[at] = byte;
        let _ = read_bytes(&bytes);
        let _ = read_bytes(&bytes[..keep]);
    }

    #[test]
    fn noise_is_no_pickle_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = pickle::parse(&bytes);
    }
}
