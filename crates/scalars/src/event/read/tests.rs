use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

type Found = Vec<(f64, i64, String, Number)>;

fn read(bytes: &[u8]) -> (Found, Others, Result<()>) {
    let mut found = Vec::new();
    let mut reader = RunReader::default();
    let result = reader.read(bytes, &mut |(time, step, tag, number)| {
        found.push((time, step, tag.to_owned(), number));
        Ok(())
    });
    (found, reader.others, result)
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name))
        .unwrap()
}

#[test]
fn pytorchs_scalars_are_read() {
    let (mut found, others, result) = read(&golden("pytorch.tfevents"));
    result.unwrap();
    let odd = found.pop().unwrap();
    assert!((odd.0, odd.1, odd.2.as_str()) == (1005.0, -5, "odd"));
    assert!(matches!(odd.3, Number::Single(value) if value.is_nan()));
    let loss = |i: i64| {
        (1000.25 + i as f64, i, "loss".to_owned(), Number::Single(1.0 / (i + 1) as f32))
    };
    let mut expected: Found = (0..4).map(loss).collect();
    expected.push((1004.0, 3, "new style".into(), Number::Single(0.1)));
    expected.push((1004.0, 3, "double".into(), Number::Double(0.1)));
    assert_eq!(found, expected);
    assert_eq!(others, Others { images: 1, histograms: 1, values: 1 });
}

#[test]
fn tensorflows_tensors_are_read_in_each_type() {
    let (found, others, result) = read(&golden("tensorflow2.tfevents"));
    result.unwrap();
    use Number::{Double, Single};
    let numbers = [
        Single(0.1),
        Single(0.2),
        Double(0.3),
        Double(-4.0),
        Double(5.0),
        Single(0.5),
        Single(3.0),
        Double(65_535.0),
        Double(65_534.0),
        Double(4_294_967_295.0),
        Double(4_294_967_294.0),
        Double(9_007_199_254_740_992.0),
        Double(9_007_199_254_740_990.0),
        Single(0.25),
        Double(0.75),
    ];
    let expected: Found = numbers
        .into_iter()
        .enumerate()
        .map(|(i, n)| (2.0 + i as f64, i as i64, "epoch_loss".to_owned(), n))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(others, Others { values: 1, ..Others::default() });
}

#[test]
fn what_is_no_event_file_is_named() {
    let message = |bytes: &[u8]| read(bytes).2.unwrap_err().to_string();
    assert!(message(b"wall_time,step,epoch\n").contains("is this an event file?"));
    assert!(message(b"short").contains("is this an event file?"));
    assert!(message(b"").contains("empty"));
    let mut framed = Vec::new();
    record::append(&mut framed, b"\xff\xff\xff");
    assert_eq!(
        message(&framed),
        "record 1 at byte 0: its payload is no event; is this an event file?"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5),
    ) {
        let _ = read(&bytes);
        let mut framed = Vec::new();
        payloads.iter().for_each(|p| record::append(&mut framed, p));
        let _ = read(&framed);
    }

    /// An event with a flipped bit, whatever it now means, is read or refused.
    #[test]
    fn any_flipped_bit_is_found(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let whole = golden("pytorch.tfevents");
        let (all, ..) = read(&whole);
        let mut flipped = whole.clone();
        let at = at.index(flipped.len());
        flipped[at] ^= 1 << bit;
        let (found, _, result) = read(&flipped);
        prop_assert!(result.is_err());
        // Debug text, since NaN is not equal to itself.
        let (all, found) = (format!("{all:?}"), format!("{found:?}"));
        prop_assert!(all.starts_with(found.trim_end_matches(']')));
    }
}
