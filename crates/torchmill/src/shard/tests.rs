//! What a shard reader must accept and what it must refuse.

use proptest::prelude::*;

use super::*;
use crate::Error;

mod sizes;

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

/// A shard of images of 2x2 with 3 channels.
fn shard(images: &[[u8; 12]], labels: &[i64], meta: &Meta) -> Vec<u8> {
    let sources = vec!["ab".to_owned(); images.len()];
    let mut out = Vec::new();
    let contents = Contents {
        meta,
        images: Images::Array {
            shape: [3, 2, 2],
            dtype: DType::Uint8,
            bytes: images.as_flattened(),
        },
        labels,
        sources: &sources,
    };
    write_to(&mut out, &contents).unwrap();
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
    assert_eq!(shard.images(), [[7; 12], [9; 12]].as_flattened());
    assert_eq!(shard.image(1).unwrap(), [9; 12]);
    assert!(shard.image(2).is_err() && shard.label(2).is_err());
    // [count, H, W, C]
    assert_eq!(shard.header().field("image").unwrap().shape, [2, 2, 2, 3]);
    assert_eq!(shard.header().image_shape().unwrap(), Some([3, 2, 2]));
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
    let contents = Contents {
        meta: &meta(),
        images: Images::Array { shape: [1, 1, 1], dtype: DType::Float32, bytes: &[0; 3] },
        labels: &[0],
        sources: &["a".to_owned()],
    };
    let error = write_to(&mut Vec::new(), &contents).unwrap_err().to_string();
    assert!(error.contains("`image` has 3 bytes"), "{error}");
}

#[test]
fn a_shard_of_another_version_is_refused_with_what_to_do() {
    for (version, what) in [(1_u32, "prepare the data again"), (4, "update torchmill")] {
        let mut bytes = shard(&[[0; 12]], &[0], &meta());
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let error = open(&bytes).err().unwrap().to_string();
        assert!(error.contains(&format!("is a shard of version {version}")), "{error}");
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn only_a_regular_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo.shard");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    for (path, what) in
        [(fifo.as_path(), "is not a regular file"), (folder.path(), "is a folder")]
    {
        let error = Shard::open(path).err().unwrap().to_string();
        assert!(error.contains(what), "{error}");
    }
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
    assert!(absent.contains("`prep --test-fraction 0.2` makes"), "{absent}");
}

/// The environment variable that passes a shard's path to the child process of the test
/// below.
const SHARD_TO_CUT: &str = "TORCHMILL_TEST_SHARD_TO_CUT";

/// The running test program. If it is for another processor, `TORCHMILL_TEST_RUNNER` has
/// the words that run it, as in torchmill-testing.
fn this_program() -> std::process::Command {
    let runner = std::env::var("TORCHMILL_TEST_RUNNER").unwrap_or_default();
    let mut words: Vec<_> = runner.split_whitespace().map(Into::into).collect();
    words.push(std::env::current_exe().unwrap());
    let mut command = std::process::Command::new(words.remove(0));
    command.args(words);
    command
}

#[test]
fn a_shard_that_is_cut_while_it_is_mapped_is_named() {
    // The program ends, so a child process does it: this test in this executable.
    if let Some(path) = std::env::var_os(SHARD_TO_CUT) {
        let shard = Shard::open(&path).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(64).unwrap();
        shard.verify().unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.shard");
    std::fs::write(&path, shard(&[[7; 12]; 2000], &[0; 2000], &meta())).unwrap();
    let name = "shard::tests::a_shard_that_is_cut_while_it_is_mapped_is_named";
    let child = this_program()
        .args([name, "--exact", "--nocapture"])
        .env(SHARD_TO_CUT, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.code(), Some(1), "{said}");
    assert!(said.contains("cut.shard: was cut short while it was read"), "{said}");
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
        // Bytes that no checksum covers: the padding between arrays and the four reserved
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
        let mut framed = b"TMSHARD\0\x02\0\0\0".to_vec();
        framed.extend_from_slice(&((bytes.len() as u32).to_le_bytes()));
        framed.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        framed.extend_from_slice(&[0; 4]);
        framed.extend_from_slice(&bytes);
        prop_assert!(super::read::parse(&framed).is_err());
    }
}
