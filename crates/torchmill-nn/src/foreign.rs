//! Recognises weight files of other formats, which are not read, by their first bytes.

/// Describes a file that is neither a safetensors file nor one of `torch.save`, and says
/// what to do with it. `None` if it may be a safetensors file.
pub(crate) fn describe(bytes: &[u8]) -> Option<&'static str> {
    // The start of a safetensors header, after its length. The file may still be damaged.
    if bytes.get(8) == Some(&b'{') {
        return None;
    }
    let begins = |start: &[u8]| bytes.starts_with(start);
    if begins(b"version https://git-lfs") {
        return Some("is a Git LFS pointer: `git lfs pull` fetches the file");
    }
    if begins(b"\x89HDF\r\n\x1a\n") {
        return Some(
            "is an HDF5 file, as Keras writes: only safetensors files and state dicts of \
             torch.save are read",
        );
    }
    if begins(b"GGUF") {
        return Some(
            "is a GGUF file: only safetensors files and state dicts of torch.save are \
             read",
        );
    }
    if is_onnx(bytes) {
        return Some(
            "is an ONNX model: export the weights from the program that made it, with \
             torch.save(net.state_dict(), NEW)",
        );
    }
    if is_msgpack(bytes) {
        return Some(
            "is a MessagePack file, as flax writes: only safetensors files and state dicts \
             of torch.save are read",
        );
    }
    if begins(b"\x80") && bytes.get(1).is_some_and(|protocol| (2..=5).contains(protocol))
    {
        return Some(
            "is a Python pickle that torch.save did not write: load it in Python, and \
             torch.save(state_dict, NEW) makes a file that can be read",
        );
    }
    if begins(b"<") {
        return Some("is a web page or XML: the download went wrong");
    }
    Some("is neither a safetensors file nor one that torch.save wrote")
}

/// Recognises a protocol buffer whose first field is ONNX's `ir_version`, a small number,
/// followed by its producer's name, its operator set or its graph.
fn is_onnx(bytes: &[u8]) -> bool {
    match bytes {
        [0x08, version, field, ..] => {
            (1..=32).contains(version)
                && matches!(field, 0x12 | 0x1a | 0x22 | 0x3a | 0x42)
        }
        _ => false,
    }
}

/// A map whose first key is a string: flax's tree of parameters.
fn is_msgpack(bytes: &[u8]) -> bool {
    let is_text = |byte: &u8| (0xa1..=0xbf).contains(byte) || *byte == 0xd9;
    match bytes {
        [0x81..=0x8f, key, ..] | [0xde, _, _, key, ..] => is_text(key),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_programs_files_are_named() {
        for (start, name) in [
            (&b"\x08\x07\x12\x07pytorch"[..], "ONNX"),
            (b"\x82\xa6params\x81", "flax"),
            (b"\x81\xa6params\x81", "flax"),
            (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
            (b"GGUF\x03\0\0\0", "GGUF"),
            (b"\x80\x04\x95\x10\0", "pickle"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"<!DOCTYPE html>", "web page"),
            (b"hello", "neither a safetensors file nor one that torch.save wrote"),
            (b"", "neither"),
        ] {
            let text = describe(start).unwrap_or_default();
            assert!(text.contains(name), "{name}: {text}");
        }
        // Damaged safetensors files are not taken for other formats.
        for start in [&b"\x80\x02\0\0\0\0\0\0{\"a"[..], b"\x08\x01\0\0\0\0\0\0{"] {
            assert_eq!(describe(start), None);
        }
    }
}
