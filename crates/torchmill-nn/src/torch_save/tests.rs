//! Files from torch.save (see tests/golden/torch_save.py), damaged and malicious ones.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use tch::Kind;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::pickle;
use crate::checkpoint::decode;
use crate::state_dict::{DType, Entry, StateDict, View};
use crate::tensor::floats;

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/golden/", $name))
    };
}

fn read(bytes: &[u8]) -> StateDict {
    decode(bytes).unwrap().tensors
}

#[track_caller]
fn error(bytes: &[u8]) -> String {
    decode(bytes).err().expect("it is refused").to_string()
}

fn names(tensors: &StateDict) -> Vec<&str> {
    tensors.entries().iter().map(|entry| entry.name()).collect()
}

fn values(tensors: &StateDict, name: &str) -> Vec<f32> {
    let entry = tensors.entries().iter().find(|entry| entry.name() == name).unwrap();
    floats(&tensors.tensor(entry).unwrap())
}

const NAMES: [&str; 7] = [
    "0.weight",
    "0.bias",
    "1.weight",
    "1.bias",
    "1.running_mean",
    "1.running_var",
    "1.num_batches_tracked",
];

/// Whether the tensors are those of the network in torch_save.py.
#[track_caller]
fn assert_network(tensors: &StateDict) {
    assert_eq!(names(tensors), NAMES);
    assert_eq!(values(tensors, "0.weight"), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(values(tensors, "0.bias"), [10., 20.]);
    assert_eq!(tensors.entries()[0].shape(), [2, 3]);
    assert_eq!(tensors.entries()[6].kind(), Kind::Int64);
}

#[test]
fn a_state_dict_is_read_in_order() {
    assert_network(&read(golden!("state_dict.pt")));
}

#[test]
fn views_and_types_are_read() {
    for bytes in [&golden!("nested.pt")[..], golden!("legacy.pt")] {
        let tensors = read(bytes);
        let transposed = [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.];
        assert_eq!(values(&tensors, "transposed"), transposed);
        assert_eq!(values(&tensors, "slice"), [6., 7., 10., 11.]);
        assert_eq!(values(&tensors, "parameter"), [0., 1., 2., 3.]);
        assert_eq!(values(&tensors, "scalar"), [7.]);
        for (name, kind) in
            [("half", Kind::Half), ("bfloat16", Kind::BFloat16), ("double", Kind::Double)]
        {
            let entry = tensors.entries().iter().find(|e| e.name() == name).unwrap();
            assert_eq!((entry.kind(), entry.shape()), (kind, vec![3, 4]));
            assert_eq!(values(&tensors, name)[11], 11.0);
        }
    }
}

#[test]
fn later_pickle_protocols_are_read() {
    assert_network(&read(golden!("protocol3.pt")));
    assert_network(&read(golden!("protocol4.pt")));
    assert_network(&read(golden!("protocol5.pt")));
}

#[test]
fn parameters_with_attributes_are_read() {
    assert_network(&read(golden!("keep_vars.pt")));
}

#[test]
fn the_only_dict_of_tensors_is_taken() {
    assert_network(&read(golden!("only.pt")));
    // Two keys for one dict.
    assert_network(&read(golden!("shared.pt")));
    let several = error(golden!("several.pt"));
    assert!(
        several
            .contains("several dicts of tensors: `ema` (7 tensors), `raw` (7 tensors)")
            && several.contains("torch.save(torch.load(FILE)[\"ema\"], NEW)"),
        "{several}"
    );
}

#[test]
fn a_usual_key_is_taken_before_others() {
    let tensors = read(golden!("lightning.pt"));
    assert_eq!(names(&tensors)[..2], ["model.1.weight", "model.1.bias"]);
}

#[test]
fn pickled_modules_and_scripts_are_refused_with_advice() {
    let module = error(golden!("module.pt"));
    assert!(
        module.contains("a torch.nn.modules.container.Sequential, not a state dict")
            && module.contains("torch.save(net.state_dict(), NEW)"),
        "{module}"
    );
    let nested = error(golden!("module_in_dict.pt"));
    assert!(
        nested.contains("a whole pickled object under `model`")
            && nested.contains("torch.load(FILE, weights_only=False)[\"model\"]"),
        "{nested}"
    );
    let script = error(golden!("torchscript.pt"));
    assert!(script.contains("torch.jit.load(FILE).state_dict()"), "{script}");
    let other = error(b"not a checkpoint of any kind");
    assert!(other.contains("is neither a safetensors file nor one"), "{other}");
}

#[test]
fn a_file_that_is_cut_says_so() {
    let whole = golden!("state_dict.pt");
    for length in [whole.len() / 2, whole.len() - 1] {
        let cut = error(&whole[..length]);
        assert!(cut.contains("is cut short or damaged"), "{cut}");
    }
    let legacy = golden!("legacy.pt");
    let cut = error(&legacy[..legacy.len() - 1]);
    assert!(cut.contains("is cut short"), "{cut}");
}

#[test]
fn a_changed_element_is_found() {
    let mut bytes = golden!("state_dict.pt").to_vec();
    let ten = bytes.windows(4).position(|w| w == 10_f32.to_le_bytes()).unwrap();
    bytes[ten] ^= 1;
    let changed = error(&bytes);
    assert!(changed.contains("it is damaged"), "{changed}");
}

#[test]
fn views_of_one_storage_take_no_memory_until_they_are_used() {
    let tensors = read(golden!("views.pt"));
    assert_eq!(tensors.entries().len(), 40);
    assert_eq!(values(&tensors, "39"), [1.0; 256]);
}

#[test]
fn values_nested_a_million_deep_are_no_danger() {
    let deep = |opcode: u8| {
        let mut pickle = vec![b')'];
        pickle.resize(1_000_001, opcode);
        pickle.push(b'.');
        pickle
    };
    assert!(pickle::parse(&deep(0x85)).is_ok());
    // A dict in a dict in a dict: `}`, then its key and value.
    let mut dicts = b"}".repeat(300_000);
    dicts.extend(b"K\0N".iter().copied());
    dicts.extend(b"s".iter());
    dicts.push(b'.');
    let _ = pickle::parse(&dicts);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("x/data.pkl", SimpleFileOptions::default()).unwrap();
    zip.write_all(&deep(0x85)).unwrap();
    let message = error(&zip.finish().unwrap().into_inner());
    assert!(message.contains("holds no dict of tensors"), "{message}");
}

#[test]
fn the_stride_of_a_single_element_may_be_any_number() {
    let numbers = [1.0_f32, 2.0, 3.0, 4.0];
    let file: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let view = View {
        dtype: DType::Float32,
        storage: 0..file.len(),
        offset: 1,
        shape: vec![2, 1, 1],
        strides: vec![2, i64::MAX, i64::MAX],
    };
    view.check(file.len()).unwrap();
    let entries = vec![Entry::in_file("w", view)];
    let tensors = StateDict::of_file(Box::new(file), entries);
    let tensor = tensors.tensor(&tensors.entries()[0]).unwrap();
    assert_eq!((tensor.size(), floats(&tensor)), (vec![2, 1, 1], vec![2.0, 4.0]));
}

#[test]
fn a_view_outside_its_storage_is_refused() {
    let view = |shape: &[i64], strides: &[i64], offset| View {
        dtype: DType::Float32,
        storage: 0..16,
        offset,
        shape: shape.to_vec(),
        strides: strides.to_vec(),
    };
    let max = i64::MAX;
    assert!(view(&[4], &[1], 0).check(16).is_ok());
    assert!(view(&[2, 2], &[1, 2], 0).check(16).is_ok());
    assert!(view(&[0, 9], &[9, 1], 0).check(16).is_ok());
    for wrong in [
        view(&[4], &[1], 1),
        view(&[2], &[-1], 3),
        view(&[4], &[1], -1),
        view(&[1 << 40], &[0], 0),
        view(&[5], &[0], 0),
        view(&[-1], &[1], 0),
        view(&[2, 2], &[1], 0),
        view(&[max, max], &[max, max], max),
    ] {
        assert!(wrong.check(16).is_err(), "{wrong:?}");
    }
    assert!(view(&[4], &[1], 0).check(15).is_err(), "the file is shorter");
}

proptest! {
    #[test]
    fn a_damaged_file_never_panics(
        legacy: bool,
        at: prop::sample::Index,
        byte: u8,
        keep: prop::sample::Index,
    ) {
        let whole = if legacy { &golden!("legacy.pt")[..] } else { golden!("protocol5.pt") };
        let mut bytes = whole.to_vec();
        bytes[at.index(whole.len())] = byte;
        for bytes in [&bytes[..], &bytes[..keep.index(whole.len())]] {
            if let Ok(checkpoint) = decode(bytes) {
                for entry in checkpoint.tensors.entries() {
                    let _ = checkpoint.tensors.tensor(entry);
                }
            }
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = pickle::parse(&bytes);
    }
}
