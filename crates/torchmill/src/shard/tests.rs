//! What a shard reader must believe and must not.

use proptest::prelude::*;

use super::*;
use crate::Error;

fn meta() -> Meta {
    let classes = vec!["cat".to_owned(), "dog".to_owned()];
    Meta {
        dataset: "pets".into(),
        split: "train".into(),
        classes,
        shards: 1,
        ..Meta::default()
    }
}

fn shard(images: &[[u8; 12]], labels: &[i64], meta: &Meta) -> Vec<u8> {
    let n = images.len() as u64;
    let labels: Vec<u8> = labels.iter().flat_map(|l| l.to_le_bytes()).collect();
    let ends: Vec<u8> =
        (1..=images.len() as i64).flat_map(|i| (i * 2).to_le_bytes()).collect();
    let mut out = Vec::new();
    let arrays = [
        Array {
            name: "image",
            dtype: DType::Uint8,
            shape: &[n, 3, 2, 2],
            bytes: images.as_flattened(),
        },
        Array { name: "label", dtype: DType::Int64, shape: &[n], bytes: &labels },
        Array { name: "source_end", dtype: DType::Int64, shape: &[n], bytes: &ends },
        Array {
            name: "source",
            dtype: DType::Uint8,
            shape: &[n * 2],
            bytes: &b"ab".repeat(images.len()),
        },
    ];
    encode(&mut out, n, meta, &arrays).unwrap();
    out
}

fn open(bytes: &[u8]) -> Result<Shard, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Shard::open(file.path())
}

#[test]
fn what_is_written_is_read() {
    let shard = open(&shard(&[[7; 12], [9; 12]], &[1, 0], &meta())).unwrap();
    shard.verify().unwrap();
    assert_eq!(shard.header().meta, meta());
    assert_eq!(shard.bytes("image").unwrap(), [[7; 12], [9; 12]].as_flattened());
    assert_eq!((shard.label(0).unwrap(), shard.label(1).unwrap()), (1, 0));
    assert_eq!(shard.source(1).unwrap(), "ab");
    assert_eq!(shard.header().fields.iter().filter(|f| f.offset % 64 == 0).count(), 4);
}

#[test]
fn a_label_without_a_class_is_refused() {
    let error = open(&shard(&[[0; 12]], &[2], &meta())).err().unwrap().to_string();
    assert!(error.contains("image 0 has label 2, but there are 2 classes"), "{error}");
}

#[test]
fn bytes_that_do_not_make_up_the_shape_are_refused() {
    let arrays = [Array {
        name: "image",
        dtype: DType::Float32,
        shape: &[1, 1, 1, 1],
        bytes: &[0; 3],
    }];
    let error = encode(&mut Vec::new(), 1, &meta(), &arrays).unwrap_err().to_string();
    assert!(error.contains("has 3 bytes"), "{error}");
}

#[test]
fn a_set_finds_all_its_shards_and_misses_none() {
    let folder = tempfile::tempdir().unwrap();
    let put = |index: u32, label: i64, digest: &str| {
        let meta = Meta { index, shards: 2, digest: digest.into(), ..meta() };
        let path = folder.path().join(file_name("train", index, 2));
        std::fs::write(path, shard(&[[label as u8; 12], [5; 12]], &[label, 0], &meta))
            .unwrap();
    };
    put(0, 0, "a");
    let missing = ShardSet::open(folder.path(), "train").err().unwrap().to_string();
    assert!(missing.contains("train-00001-of-00002.shard: no such file"), "{missing}");
    put(1, 1, "b");
    let foreign = ShardSet::open(folder.path(), "train").err().unwrap().to_string();
    assert!(foreign.contains("does not belong with"), "{foreign}");
    put(1, 1, "a");
    let set = ShardSet::open(folder.path(), "train").unwrap();
    set.verify().unwrap();
    assert_eq!(set.len(), 4);
    assert_eq!(set.image(2).unwrap(), [1; 12]);
    assert_eq!(set.label(2).unwrap(), 1);
    let absent = ShardSet::open(folder.path(), "test").err().unwrap().to_string();
    assert!(absent.contains("no shards of the split `test`, only of train"), "{absent}");
}

proptest! {
    #[test]
    fn a_flipped_byte_never_passes(at in 0usize..1000, bit in 0u8..8) {
        let mut bytes = shard(&[[1; 12]; 4], &[0, 1, 0, 1], &meta());
        let at = at % bytes.len();
        let padding = |h: &Header| {
            let ends = h.fields.iter().map(|f| (f.offset + f.bytes().unwrap()) as usize);
            !h.fields.iter().zip(ends).any(|(f, e)| (f.offset as usize..e).contains(&at))
        };
        let header = super::read::parse(&bytes).unwrap();
        // What no checksum covers: the padding between arrays and the four reserved
        // bytes.
        let header_end = 24 + u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        let unused = (20..24).contains(&at) || (at >= header_end && padding(&header));
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(open(&bytes).and_then(|s| s.verify()).is_ok(), unused);
    }

    #[test]
    fn a_damaged_stream_never_panics(at in 0usize..1000, to in any::<u8>(), keep in 0usize..2000) {
        let mut stream = shard(&[[1; 12]; 4], &[0, 1, 0, 1], &meta());
        let whole = stream.len();
        stream.extend_from_within(..);
        let mut rest = &stream[..];
        let first = Shard::read_from(&mut rest, "a pipe").unwrap().unwrap();
        prop_assert_eq!((first.header().count, rest.len()), (4, whole));
        stream[at % whole] = to;
        let mut rest = &stream[..keep % stream.len()];
        while let Ok(Some(shard)) = Shard::read_from(&mut rest, "a pipe") {
            let _ = shard.verify();
        }
    }

    #[test]
    fn a_truncated_shard_never_opens(keep in 0usize..1000) {
        let bytes = shard(&[[1; 12]; 4], &[0, 1, 0, 1], &meta());
        let keep = keep % bytes.len();
        prop_assert!(open(&bytes[..keep]).is_err());
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut framed = b"TMSHARD\0\x01\0\0\0".to_vec();
        framed.extend_from_slice(&((bytes.len() as u32).to_le_bytes()));
        framed.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        framed.extend_from_slice(&[0; 4]);
        framed.extend_from_slice(&bytes);
        prop_assert!(super::read::parse(&framed).is_err());
    }
}
