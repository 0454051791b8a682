//! What a checkpoint file holds, and what happens when a byte of it changes.

use proptest::prelude::*;
use tch::Device;

use super::*;
use crate::generator::Generator;
use crate::tensor::floats;

fn spec() -> Spec {
    let recipe = "name = \"x\"\n[[model.layer]]\ntype = \"Flatten\"\n\
                  [[model.layer]]\ntype = \"Linear\"\n";
    Spec {
        model: torchmill::recipe::Recipe::parse(recipe).unwrap().model,
        input: [1, 2, 2],
        classes: vec!["a".into(), "b".into()],
        transform: "ToTensor".into(),
        batch_size: 4,
        dataset: "d".into(),
        loss: torchmill::recipe::default_loss(),
    }
}

fn model() -> Model {
    Model::new(&spec(), &mut Generator::new(0), Device::Cpu).unwrap()
}

#[test]
fn what_is_written_is_read_again() {
    let model = model();
    for spec in [Some(spec()), None] {
        let bytes = encode(&model, spec.as_ref()).unwrap();
        let checkpoint = decode(&bytes[..]).unwrap();
        // Writing a spec fills in the arguments that the recipe leaves out.
        let written = spec.map(|spec| Spec::from_json(&spec.to_json().unwrap()).unwrap());
        assert_eq!(checkpoint.spec, written);
        for (named, entry) in model.state_dict().zip(checkpoint.tensors.entries()) {
            let other = model.state_dict().find(|n| n.name == entry.name()).unwrap();
            let tensor = checkpoint.tensors.tensor(entry).unwrap();
            assert_eq!(floats(&tensor), floats(&other.tensor), "{}", named.name);
        }
    }
}

#[test]
fn files_without_a_checksum_are_read() {
    let bias = [1_f32, 2.0].map(f32::to_le_bytes).concat();
    let view = TensorView::new(Dtype::F32, vec![2], &bias).unwrap();
    let foreign = safetensors::serialize([("bias", view.clone())], None).unwrap();
    let checkpoint = decode(&foreign[..]).unwrap();
    assert!(checkpoint.spec.is_none());
    assert_eq!(checkpoint.tensors.entries()[0].name(), "bias");
    let json = spec().to_json().unwrap();
    let written = Spec::from_json(&json).unwrap();
    let metadata = HashMap::from([(KEY.to_owned(), json)]);
    let older = safetensors::serialize([("bias", view)], Some(metadata)).unwrap();
    assert_eq!(decode(&older[..]).unwrap().spec, Some(written));
}

#[test]
fn numbers_that_no_network_has_are_refused() {
    let json = spec().to_json().unwrap();
    let bias = [0; 4];
    for (from, to) in [
        ("\"input\":[1,2,2]", "\"input\":[1,2,9223372036854775807]"),
        ("\"batch_size\":4", "\"batch_size\":9223372036854775807"),
        ("\"type\":\"Linear\"", "\"type\":\"Linear\",\"x\":-9223372036854775808"),
    ] {
        assert!(json.contains(from), "{json}");
        let metadata = HashMap::from([(KEY.to_owned(), json.replace(from, to))]);
        let view = TensorView::new(Dtype::F32, vec![1], &bias).unwrap();
        let bytes = safetensors::serialize([("b", view)], Some(metadata)).unwrap();
        let message = decode(bytes).err().expect("it is refused").to_string();
        assert!(message.contains("which no network has"), "{message}");
    }
}

#[test]
fn two_tensors_that_changed_places_are_found() {
    let bytes = encode(&model(), None).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("\"1.weight\"") && text.contains("\"1.bias\""));
    let mut swapped = bytes.clone();
    let last = swapped.len();
    swapped.swap(last - 1, last - 5);
    assert!(decode(&swapped[..]).is_err());
}

proptest! {
    /// Any changed bit makes reading fail, except in the white space at the header's end.
    #[test]
    fn a_changed_bit_is_found(with_spec: bool, at: prop::sample::Index, bit in 0..8_u32) {
        let spec = with_spec.then(spec);
        let whole = encode(&model(), spec.as_ref()).unwrap();
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(checkpoint) = decode(&bytes[..]) {
            let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
            let is_white = |byte: u8| byte.is_ascii_whitespace();
            let same = at < header && is_white(whole[at]) && is_white(bytes[at]);
            // With another metadata key it is a plain state dict with the same tensors.
            let no_key = checkpoint.spec.is_none()
                && whole[..header].windows(KEY.len()).position(|w| w == KEY.as_bytes())
                    .is_some_and(|key| (key..key + KEY.len()).contains(&at));
            prop_assert!(same || no_key, "byte {at} of {header}: {:?}", checkpoint.spec);
        }
    }
}
