use std::io::{BufReader, Cursor};

use proptest::prelude::*;

use super::*;

fn run(bytes: &[u8]) -> Option<Pickle> {
    machine::run(BufReader::new(Cursor::new(bytes)), bytes.len() as u64).ok()
}

/// `pickle.dumps({"labels": [3, -1], "data": numpy.arange(6, dtype="u1").reshape(2, 3)})`
/// as Python 2 wrote it (protocol 2), which is how CIFAR is published.
fn python2() -> Vec<u8> {
    let mut bytes =
        b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x03J\xff\xff\xff\xffe".to_vec();
    bytes.extend(b"U\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05");
    bytes.extend(
        b"cnumpy\nndarray\nq\x06K\x00\x85q\x07U\x01bq\x08\x87q\x09Rq\x0a(K\x01K\x02",
    );
    bytes.extend(
        b"K\x03\x86q\x0bcnumpy\ndtype\nq\x0cU\x02u1q\x0dK\x00K\x01\x87q\x0eRq\x0f",
    );
    bytes.extend(
        b"(K\x03U\x01|q\x10NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x11b\x89",
    );
    bytes.extend(b"T\x06\x00\x00\x00\x00\x01\x02\x03\x04\x05q\x12tq\x13bu.");
    bytes
}

#[test]
fn an_array_and_a_list_are_found() {
    let bytes = python2();
    let pickle = run(&bytes).unwrap();
    let labels = pickle.list(pickle.entry("labels").unwrap()).unwrap();
    let labels: Vec<_> = labels.iter().map(|id| pickle.integer(*id)).collect();
    assert_eq!(labels, [Some(3), Some(-1)]);
    let array = pickle.array_of_bytes(pickle.entry("data").unwrap()).unwrap();
    assert_eq!((array.shape, array.length), (vec![2, 3], 6));
    let start = array.start as usize;
    assert_eq!(bytes[start..start + 6], [0, 1, 2, 3, 4, 5]);
}

#[test]
fn nothing_is_executed() {
    // os.system("touch x"), as an attack would have it.
    let pickle = run(b"cos\nsystem\n(S'touch x'\ntR.").unwrap();
    assert!(pickle.entry("data").is_none());
}

#[test]
fn what_is_damaged_is_refused() {
    let bytes = python2();
    for cut in 0..bytes.len() {
        assert!(run(&bytes[..cut]).is_none(), "cut at {cut}");
    }
    for wrong in
        [&b"."[..], b"\x85.", b"t.", b"h\x01.", b"(K\x01d.", b"K\x01K\x02a.", b"\xff"]
    {
        assert!(run(wrong).is_none(), "{wrong:?}");
    }
}

#[test]
fn a_million_nested_tuples_cost_no_stack() {
    let mut bytes = vec![b')'];
    bytes.extend(vec![0x85; 1_000_000]);
    bytes.push(b'.');
    assert!(run(&bytes).is_some());
}

proptest! {
    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(pickle) = run(&noise) {
            let data = pickle.entry("data");
            let _ = data.and_then(|data| pickle.array_of_bytes(data));
        }
    }

    #[test]
    fn a_changed_pickle_never_panics(at in 0usize..200, byte: u8) {
        let mut bytes = python2();
        let length = bytes.len();
        bytes[at % length] = byte;
        if let Some(pickle) = run(&bytes) {
            let data = pickle.entry("data");
            let _ = data.and_then(|data| pickle.array_of_bytes(data));
        }
    }
}
