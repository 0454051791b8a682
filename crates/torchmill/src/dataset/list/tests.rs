use std::path::PathBuf;

use proptest::prelude::*;

use super::super::options::ColumnNames;
use super::table::Table;
use super::*;

fn lines(text: &[u8]) -> Result<Dataset> {
    Dataset::from_lines(&mut &text[..], "standard input", Path::new(""))
}

fn csv_bytes(bytes: &[u8]) -> Result<Dataset> {
    let table = Table {
        location: "pets.csv".to_owned(),
        root: PathBuf::from("data"),
        names: ColumnNames::default(),
        is_tsv: false,
    };
    table.read(bytes, "pets")
}

fn csv(text: &str) -> Result<Dataset> {
    csv_bytes(text.as_bytes())
}

fn listed(set: &Dataset, split: &str) -> Vec<(String, u32)> {
    set.splits[split].iter().map(|&s| (set.location(s), s.label)).collect()
}

fn message(result: Result<Dataset>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn lines_have_labels_or_take_their_folders() {
    let set = lines(b"a/dog/1.jpg\n\na/cat/2.jpg\r\nx.jpg\tdog\n").unwrap();
    assert_eq!(set.classes, ["cat", "dog"]);
    let expected = [("a/dog/1.jpg", 1), ("a/cat/2.jpg", 0), ("x.jpg", 1)]
        .map(|(p, l)| (p.to_owned(), l));
    assert_eq!(listed(&set, UNSPLIT), expected);
    let wrong = message(lines(b"a/b.jpg\nb.jpg\n"));
    assert!(wrong.starts_with("standard input, line 2: b.jpg has no label"), "{wrong}");
    assert!(message(lines(b"\n")).contains("lists no images"));
    let wrong = message(lines(b"a/b.jpg\t\ttest\n"));
    assert_eq!(wrong, "standard input, line 1: the label is empty");
}

#[test]
fn paths_may_end_with_nul_and_hold_line_breaks() {
    let set = lines(b"pets/cat/a\nb.jpg\0pets/dog/c\td.jpg\0").unwrap();
    let expected = [("pets/cat/a\nb.jpg", 0), ("pets/dog/c\td.jpg", 1)]
        .map(|(p, l)| (p.to_owned(), l));
    assert_eq!(listed(&set, UNSPLIT), expected);
    assert!(message(lines(b"a/b.jpg\0\0")).contains("line 2: is an empty path"));
    // `prep - </dev/zero` ends at once, and so does a line without an end.
    assert!(message(lines(&[0; 10_000])).contains("empty path"));
    assert!(message(lines(&[b'a'; 100_000])).contains("longer than 65536 bytes"));
}

#[test]
fn names_that_are_not_utf8_are_kept() {
    let set = lines(b"pets/cat/caf\xe9.jpg\n").unwrap();
    assert_eq!(listed(&set, UNSPLIT)[0].0, "pets/cat/caf\\xe9.jpg");
    let wrong = message(lines(b"a/b.jpg\n\na/c.jpg\tcaf\xe9\n"));
    assert_eq!(wrong, "standard input, line 3: is not UTF-8 text");
}

#[test]
fn class_names_are_compared_in_one_unicode_form() {
    let set = lines("a.jpg\tcafe\u{301}\nb.jpg\tcaf\u{e9}\n".as_bytes()).unwrap();
    assert_eq!(set.classes, ["caf\u{e9}"]);
}

#[test]
fn headers_that_are_not_known_are_told_from_images() {
    for header in ["image_nr,label", "image_id\tlabel", "path\tlabel\tsplit", "nr;race"] {
        let wrong = message(lines(format!("{header}\na/1.jpg\tcat\n").as_bytes()));
        let start = format!("standard input, line 1: `{header}` looks like a header");
        assert!(wrong.starts_with(&start), "{wrong}");
    }
    for header in ["image_nr,label", "nr,race"] {
        let wrong = message(csv(&format!("{header}\n1.jpg,cat\n")));
        let start = format!("pets.csv, line 1: `{header}` looks like a header");
        assert!(wrong.starts_with(&start), "{wrong}");
        assert!(wrong.contains("known names are path, filepath,"), "{wrong}");
    }
    assert!(csv("a/1,cat\n").is_ok() && csv("1.jpg,label\n").is_ok());
}

#[test]
fn a_csv_names_its_columns_or_keeps_the_order() {
    let set = csv("split,label,path\ntest,10,\"a,b.png\"\ntrain,9,c.png\n").unwrap();
    assert_eq!(set.classes, ["10", "9"], "sorted as text, as folders are");
    assert!(set.notes[0].contains("sorted as text"), "{:?}", set.notes);
    assert_eq!(listed(&set, "test"), [("data/a,b.png".to_owned(), 0)]);
    let set = csv("c.png,cat\nd.png,dog\n").unwrap();
    assert_eq!(listed(&set, UNSPLIT).len(), 2);
    let wrong = message(csv("path,split\nx/a.png,train\nx/b.png,\n"));
    assert_eq!(wrong, "pets.csv, line 3: has no split, but lines before it have one");
    let wrong = message(csv("x/a.png,cat,dev\n"));
    assert!(wrong.contains("line 1: `dev` is not a split"), "{wrong}");
}

#[test]
fn a_label_column_that_is_not_known_is_an_error() {
    for header in ["path,lable", "image,MEL,NV", "file,width,height"] {
        let wrong = message(csv(&format!("{header}\nx/a.png,dog,cat\n")));
        assert!(wrong.starts_with("pets.csv, line 2: no column is known"), "{wrong}");
        let column = header.split(',').nth(1).unwrap();
        assert!(wrong.contains(column), "{wrong}");
    }
    let wrong = message(csv("path,lable\nx/a.png,dog\n"));
    assert!(wrong.contains("did you mean label?"), "{wrong}");
    for rows in ["x/a.png,\n", "x/a.png\n", "x/a.png,dog\nx/b.png,\n"] {
        let wrong = message(csv(&format!("path,label\n{rows}")));
        assert!(wrong.ends_with("the label is empty"), "{wrong}");
    }
}

#[test]
fn a_one_hot_table_is_read() {
    let set = csv("image,MEL,NV,BCC\na.jpg,0.0,1.0,0.0\nb.jpg,1.0,0.0,0.0\n").unwrap();
    assert_eq!(set.classes, ["MEL", "NV", "BCC"], "in the order of the columns");
    assert_eq!(
        listed(&set, UNSPLIT),
        [("data/a.jpg".to_owned(), 1), ("data/b.jpg".to_owned(), 0)]
    );
}

#[test]
fn tables_of_spreadsheets_are_read() {
    let plain = listed(&csv("path,label\na.png,dog\nb.png,cat\n").unwrap(), UNSPLIT);
    for text in [
        "path;label\na.png;dog\nb.png;cat\n",
        "path\tlabel\na.png\tdog\nb.png\tcat\n",
        "sep=;\r\npath;label\r\na.png;dog\r\nb.png;cat\r\n",
        "\"path\";\"label\"\n\"a.png\";\"dog\"\n\"b.png\";\"cat\"\n",
        "a.png;dog\nb.png;cat\n",
    ] {
        assert_eq!(listed(&csv(text).unwrap(), UNSPLIT), plain, "{text:?}");
    }
    let text = "\u{feff}path;label\r\na.png;dog\r\nb.png;cat\r\n";
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(listed(&csv_bytes(&utf16).unwrap(), UNSPLIT), plain);
}

#[test]
fn line_numbers_are_the_editors() {
    for end in ["\n", "\r\n"] {
        let text = ["path,label", "a.png,dog", "", "b.png,", "c.png,cat", ""].join(end);
        let wrong = message(csv(&text));
        assert!(wrong.starts_with("pets.csv, line 4:"), "{wrong}");
        let wrong = message(csv(&format!("sep=,{end}{text}")));
        assert!(wrong.starts_with("pets.csv, line 5:"), "{wrong}");
    }
}

#[test]
fn long_cells_are_shortened() {
    let long = "x".repeat(100_000);
    let tables = [
        format!("path,label,split\na.png,cat,{long}\n"),
        format!("path,{long}\na.png,cat\n"),
        format!("nr,{long}\na.png,cat\n"),
        format!("{long}.png\n"),
    ];
    for text in tables {
        let wrong = message(csv(&text));
        assert!(wrong.chars().count() < 1000, "{} characters", wrong.len());
    }
}

proptest! {
    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = lines(&noise);
        let _ = csv_bytes(&noise);
    }

    #[test]
    fn what_is_listed_is_found(rows in proptest::collection::vec(("[a-z]{1,5}/[a-z]{1,5}\\.png", "[a-c]{1,2}"), 1..20)) {
        let text: String = rows.iter().map(|(path, label)| format!("{path}\t{label}\n")).collect();
        let set = lines(text.as_bytes()).unwrap();
        let back: Vec<_> = set.splits[UNSPLIT]
            .iter()
            .map(|&s| (set.source(s), set.classes[s.label as usize].clone()))
            .collect();
        prop_assert_eq!(back, rows);
    }
}
