//! The sample of parity/images.py's corpus: files of every format and kind, many of them
//! damaged, with PIL's result for each.

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

use super::{decode, dimensions, rgb};
use crate::transform::Exif;

/// Files that we refuse and PIL reads, or the reverse: docs/formats.md gives the reasons.
fn is_known_difference(name: &str) -> bool {
    let lab =
        name.contains("LAB") || name.starts_with("8-8-3") || name.contains("-8-8-3-");
    if name.ends_with(".tif") {
        return lab;
    }
    // The png crate checks more of a damaged file than PIL, and reads any profile. PIL
    // fills a damaged GIF with what follows it.
    name.ends_with(".png") || (name.ends_with(".gif") && name.contains("damaged"))
}

/// The expected values are from x86-64. On arm64, libjpeg-turbo's vector instructions give
/// other values where the numbers of a damaged file overflow.
fn overflows_elsewhere(name: &str) -> bool {
    cfg!(target_arch = "aarch64") && name.contains("damaged") && name.ends_with(".jpg")
}

/// `WIDTHxHEIGHT SHA256`, or `refused`.
fn ours(bytes: &[u8]) -> String {
    let Ok(image) = rgb(bytes) else { return "refused".to_owned() };
    let size = (image.width, image.height);
    assert_eq!(dimensions(bytes).unwrap(), size);
    let mut text = format!("{}x{} ", size.0, size.1);
    for byte in Sha256::digest(&image.pixels) {
        text += &format!("{byte:02x}");
    }
    text
}

#[test]
fn the_sample_of_the_corpus_is_decoded_as_pil_decodes_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/images.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let expected = &metadata.metadata().as_ref().unwrap()["expected"];
    let expected: BTreeMap<String, String> = serde_json::from_str(expected).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert!(expected.len() > 500, "{}", expected.len());
    let mut wrong = Vec::new();
    for (name, theirs) in expected {
        let answer = ours(file.tensor(&name).unwrap().data());
        let one_refuses = answer == "refused" || theirs == "refused";
        let is_expected = (one_refuses && is_known_difference(&name))
            || (!one_refuses && overflows_elsewhere(&name));
        if answer != theirs && !is_expected {
            wrong.push(format!("{name}: {answer}, PIL {theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_damaged_file_that_pil_reads_has_a_warning() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/jpeg.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let sound = file.tensor("fine.jpg").unwrap().data();
    assert_eq!(decode(sound, Exif::Ignore).unwrap().warning, None);
    let end = sound.len() - 2;
    let early_end = [&sound[..end / 2], &sound[end..]].concat();
    let warning = decode(&early_end, Exif::Ignore).unwrap().warning.unwrap();
    assert!(warning.contains("premature end"), "{warning}");
}

#[test]
fn every_kind_of_file_has_the_pixels_of_pil() {
    // See tests/golden/formats.py.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/formats.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = Vec::new();
    for name in file.names() {
        names.extend(name.strip_suffix(" pixels"));
    }
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let image = file.tensor(&format!("{name} file")).unwrap();
        let theirs = file.tensor(&format!("{name} pixels")).unwrap();
        let ours = rgb(image.data()).unwrap();
        let shape = [ours.height, ours.width, ours.channels];
        assert_eq!(shape, theirs.shape(), "{name}");
        assert!(ours.pixels == theirs.data(), "{name} differs");
    }
}
