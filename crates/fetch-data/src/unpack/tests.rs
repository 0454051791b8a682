use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;
use std::path::PathBuf;
use tar::{EntryType, Header};

/// Builds a tar archive, with any name and kind that a header can hold.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, name: &[u8], kind: EntryType, contents: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o4777);
        header.set_size(contents.len() as u64);
        if kind.is_symlink() || kind.is_hard_link() {
            header.as_mut_bytes()[157..168].copy_from_slice(b"/etc/passwd");
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, contents: &[u8]) -> Self {
        self.entry(name.as_bytes(), EntryType::Regular, contents)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Place {
    folder: tempfile::TempDir,
    archive: PathBuf,
    target: PathBuf,
}

/// Unpacks `bytes` into a folder next to another one, which must not be touched.
fn attempt(bytes: &[u8], limit: u64) -> (Place, Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (folder.path().join("archive"), folder.path().join("target"));
    std::fs::write(&archive, bytes).unwrap();
    std::fs::create_dir(&target).unwrap();
    let result = unpack(&archive, &target, limit);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["archive", "target"], "something was written outside the target");
    (Place { folder, archive, target }, result)
}

const ROOM: u64 = 1 << 20;

fn refusal(bytes: &[u8]) -> String {
    let (place, result) = attempt(bytes, ROOM);
    let message = result.unwrap_err().to_string();
    assert!(message.starts_with(&place.archive.display().to_string()), "{message}");
    drop(place.folder);
    message
}

#[test]
fn files_and_folders_come_out() {
    let tar = Tar::default()
        .entry(b"set/", EntryType::Directory, b"")
        .file("set/a.bin", b"aaa")
        .file("./set/deep/b.bin", &[7; 100_000])
        .entry(b"old-style-folder/", EntryType::Regular, b"")
        .file("set/._a.bin", b"litter")
        .file("set/.DS_Store", b"litter")
        .file("set/empty", b"")
        .end();
    for bytes in [gzip(&tar), tar] {
        let (place, result) = attempt(&bytes, ROOM);
        result.unwrap();
        let set = place.target.join("set");
        assert_eq!(std::fs::read(set.join("a.bin")).unwrap(), b"aaa");
        assert_eq!(std::fs::read(set.join("deep/b.bin")).unwrap(), [7; 100_000]);
        assert_eq!(std::fs::read(set.join("empty")).unwrap(), b"");
        assert!(place.target.join("old-style-folder").is_dir());
        assert_eq!(std::fs::read_dir(set).unwrap().count(), 3, "litter was unpacked");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode =
                place.target.join("set/a.bin").metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7111, 0, "the archive must not choose permissions");
        }
    }
}

#[test]
fn long_names_are_read_both_ways() {
    let name = format!("{}/{}.bin", "d".repeat(120), "f".repeat(120));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(3);
    builder.append_data(&mut header, &name, &b"abc"[..]).unwrap();
    builder.append_pax_extensions([("path", b"from-pax.bin".as_slice())]).unwrap();
    let mut header = Header::new_ustar();
    header.set_path("short").unwrap();
    header.set_size(1);
    header.set_cksum();
    builder.append(&header, &b"x"[..]).unwrap();
    let (place, result) = attempt(&builder.into_inner().unwrap(), ROOM);
    result.unwrap();
    assert!(
        place.target.join(name).is_file() && place.target.join("from-pax.bin").is_file()
    );
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for name in
        ["../out", "/tmp/torchmill-out", "a/../../out", "..", "c:\\out", "a\\..\\out"]
    {
        let tar = Tar::default().file("good", b"1").file(name, b"2").end();
        let message = refusal(&gzip(&tar));
        assert!(message.contains(&name.escape_debug().to_string()), "{message}");
        assert!(message.contains("nothing was unpacked"), "{message}");
    }
    // A long name has its own kind of entry, and a pax name another.
    let long = format!("{}/../../../out", "a".repeat(120));
    let hidden = Tar::default()
        .entry(b"././@LongLink", EntryType::GNULongName, format!("{long}\0").as_bytes())
        .file("harmless", b"2")
        .end();
    assert!(refusal(&hidden).contains("`..`"));
    let pax = Tar::default()
        .entry(b"pax", EntryType::XHeader, b"18 path=../../out\n")
        .file("harmless", b"2")
        .end();
    assert!(refusal(&pax).contains("`..`"));
}

#[test]
fn what_is_no_file_is_refused() {
    for (kind, what) in [
        (EntryType::Symlink, "a symbolic link"),
        (EntryType::Link, "a hard link"),
        (EntryType::Char, "a device"),
        (EntryType::Block, "a device"),
        (EntryType::Fifo, "a named pipe"),
        (EntryType::new(b'Z'), "of an unknown kind"),
    ] {
        let message = refusal(&Tar::default().entry(b"trap", kind, b"").end());
        assert!(message.contains("`trap`") && message.contains(what), "{message}");
    }
}

#[test]
fn names_that_come_twice_are_refused() {
    let twice = Tar::default().file("a/b", b"1").file("./a//b", b"2").end();
    assert!(refusal(&twice).contains("twice"));
    let file_as_folder = Tar::default().file("a", b"1").file("a/b", b"2").end();
    assert!(refusal(&file_as_folder).contains("another entry"));
    let folder_as_file = Tar::default().file("a/b", b"1").file("a", b"2").end();
    assert!(refusal(&folder_as_file).contains("another entry"));
}

#[test]
fn bombs_stop_at_the_limit() {
    let zeros = gzip(&Tar::default().file("zeros", &vec![0; 8 << 20]).end());
    assert!(zeros.len() < 100_000);
    let message = refusal(&zeros);
    assert!(message.contains("more than 1.00 MiB"), "{message}");
    // Many small files count with their headers.
    let many =
        (0..3000).fold(Tar::default(), |tar, i| tar.file(&format!("{i}"), b"")).end();
    assert!(refusal(&gzip(&many)).contains("more than 1.00 MiB"));
    // A name is read into memory, so it must be short even if the data set's limit is
    // large.
    let name = Tar::default()
        .entry(b"L", EntryType::GNULongName, &vec![b'a'; 4 << 20])
        .file("x", b"")
        .end();
    let (_, result) = attempt(&gzip(&name), 1 << 30);
    assert!(result.unwrap_err().to_string().contains("header of more than 1 MiB"));
}

#[test]
fn a_length_that_is_not_there_costs_nothing() {
    let mut header = Header::new_gnu();
    header.set_path("huge").unwrap();
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    let message = refusal(&gzip(header.as_bytes()));
    assert!(message.contains("cut short"), "{message}");
}

#[test]
fn truncation_is_noticed_wherever_it_is() {
    // Incompressible contents, so that cuts fall everywhere.
    let noise: Vec<u8> =
        (0u32..20_000).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let whole = gzip(&Tar::default().file("a", &noise).file("b", &noise).end());
    for cut in (0..whole.len()).step_by(997).chain([whole.len() - 1]) {
        let (_, result) = attempt(&whole[..cut], ROOM);
        assert!(result.is_err(), "{cut} of {} bytes passed", whole.len());
    }
    let (_, result) = attempt(&whole, ROOM);
    result.unwrap();
}

#[test]
fn damage_is_noticed() {
    let noise: Vec<u8> =
        (0u32..20_000).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let whole = gzip(&Tar::default().file("a", &noise).end());
    // The last bytes are the checksum and the length, which come after the archive
    // itself.
    for at in [whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(refusal(&damaged).contains("damaged"), "byte {at}");
    }
}

#[test]
fn what_is_no_archive_is_named() {
    for (bytes, what) in [
        (&b""[..], "is empty"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\xfd7zXZ\0rest", "xz"),
        (b"BZh91AY", "bzip2"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"hello", "is not an archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ] {
        let message = refusal(bytes);
        assert!(message.contains(what), "{message}");
    }
    assert!(refusal(&gzip(b"an IDX file, say")).contains("nothing was unpacked"));
    assert!(refusal(&gzip(&[0; 1024])).contains("does not hold a tar archive"));
}

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, contents) in entries {
        let options = zip::write::SimpleFileOptions::default();
        writer
            .start_file(
                *name,
                options.compression_method(zip::CompressionMethod::Deflated),
            )
            .unwrap();
        writer.write_all(contents).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn zip_files_come_out_and_are_watched_as_closely() {
    let good = zip_of(&[
        ("set/a", b"aaa"),
        ("__MACOSX/set/._a", b"litter"),
        ("set/b/c", &[3; 70_000]),
    ]);
    let (place, result) = attempt(&good, ROOM);
    result.unwrap();
    assert_eq!(std::fs::read(place.target.join("set/b/c")).unwrap(), [3; 70_000]);
    assert!(!place.target.join("__MACOSX").exists());

    for name in ["../out", "/out", "a/../../out", "a\\..\\out"] {
        assert!(
            refusal(&zip_of(&[("good", b"1"), (name, b"2")]))
                .contains("nothing was unpacked"),
            "{name}"
        );
    }
    assert!(
        refusal(&zip_of(&[("zeros", &vec![0; 8 << 20])])).contains("more than 1.00 MiB")
    );
    for cut in (1..good.len()).step_by(13) {
        let (_, result) = attempt(&good[..cut], ROOM);
        assert!(result.is_err(), "{cut} of {} bytes passed", good.len());
    }

    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    writer
        .add_symlink("trap", "/etc/passwd", zip::write::SimpleFileOptions::default())
        .unwrap();
    assert!(
        refusal(&writer.finish().unwrap().into_inner()).contains("a link or a device")
    );
}

#[test]
fn a_zip_name_that_comes_twice_is_refused() {
    let mut twice = zip_of(&[("one", b"1"), ("two", b"2")]);
    // The writer refuses to do this, so its output is patched.
    for at in 0..twice.len() - 3 {
        if &twice[at..at + 3] == b"two" {
            twice[at..at + 3].copy_from_slice(b"one");
        }
    }
    let message = refusal(&twice);
    assert!(message.contains("two entries with the same name"), "{message}");
}

proptest! {
    #[test]
    fn no_bytes_break_it(start in 0..3usize, bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let prefix = [&b""[..], b"\x1f\x8b\x08\0", b"PK\x03\x04"][start];
        let _ = attempt(&[prefix, &bytes].concat(), ROOM);
    }

    #[test]
    fn no_change_to_an_archive_breaks_it(at in 0..3000usize, value: u8) {
        let mut tar = Tar::default().file("a/b", &[1; 700]).file("c", &[2; 10]).end();
        let at = at % tar.len();
        tar[at] = value;
        let _ = attempt(&tar, ROOM);
        let mut zip = zip_of(&[("a/b", &[1; 700]), ("c", &[2; 10])]);
        let at = at % zip.len();
        zip[at] = value;
        let _ = attempt(&zip, ROOM);
    }
}

#[test]
fn a_plain_tar_that_is_cut_between_entries_is_cut() {
    let whole = Tar::default().file("a.bin", &[1; 700]).file("b.bin", b"b").end();
    let first = 512 + 1024;
    for end in [first, whole.len() - 1024] {
        assert!(refusal(&whole[..end]).contains("cut short"), "{end}");
    }
    attempt(&whole, ROOM).1.unwrap();
}

#[test]
fn padding_after_a_gzipped_tar_is_nothing() {
    let tar = gzip(&Tar::default().file("a.bin", b"a").end());
    let (place, result) = attempt(&[&tar[..], &[0; 4096]].concat(), ROOM);
    result.unwrap();
    assert!(place.target.join("a.bin").is_file());
    let mut damaged = tar;
    let at = damaged.len() - 6;
    damaged[at] ^= 1;
    assert!(refusal(&[&damaged[..], &[0; 4096]].concat()).contains("damaged"));
}

#[test]
fn tars_of_before_the_magic_are_read() {
    let mut tar = Tar::default().file("a.bin", b"a").end();
    tar[257..345].fill(0);
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(&tar[..512]);
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    let (place, result) = attempt(&tar, ROOM);
    result.unwrap();
    assert_eq!(std::fs::read(place.target.join("a.bin")).unwrap(), b"a");
    tar[0] ^= 1;
    assert!(refusal(&tar).contains("is not an archive"));
}

#[test]
fn a_zip_compressed_in_another_way_says_what_to_do() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a.bin", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"abc").unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    // The method, in the entry's header and in the directory: bzip2.
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    (bytes[8], bytes[directory + 10]) = (12, 12);
    let message = refusal(&bytes);
    assert!(
        message.contains("bzip2 or LZMA") && message.contains("unpack it yourself"),
        "{message}"
    );
}
