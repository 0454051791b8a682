use std::io::Write as _;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::proto::{Data, What};
use super::*;

fn target(folder: &TempDir) -> Target {
    Target {
        folder: folder.path().join("run"),
        source: "metrics".into(),
        encoding: Encoding::Simple,
        hparams: BTreeMap::new(),
    }
}

/// Brings the file up to date with points (wall time, step) of one tag.
fn sync(folder: &TempDir, points: &[(f64, i64)]) -> (Outcome, PathBuf) {
    let mut file = EventFile::open(target(folder)).unwrap();
    for &(time, step) in points {
        file.push(Some(time), 0.0, step, "loss", step as f64).unwrap();
    }
    let finished = file.finish().unwrap();
    (finished.outcome, finished.path)
}

fn events(path: &Path) -> Vec<Event> {
    let mut reader = record::Reader::new(File::open(path).unwrap());
    let mut events = Vec::new();
    while reader.next().unwrap() == Next::Record {
        events.push(Event::decode(reader.payload()).unwrap());
    }
    assert_eq!(reader.next().unwrap(), Next::End);
    events
}

fn steps(path: &Path) -> Vec<i64> {
    let scalars =
        events(path).into_iter().filter(|e| matches!(e.what, Some(What::Summary(_))));
    scalars.map(|e| e.step).collect()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("run")).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_header_comes_first_and_metadata_once() {
    let folder = tempfile::tempdir().unwrap();
    let (outcome, path) = sync(&folder, &[(7.5, 1), (8.5, 2)]);
    assert_eq!(outcome, Outcome::Created);
    assert_eq!(names(&folder), ["events.out.tfevents.0000000007.torchmill.metrics"]);
    let events = events(&path);
    assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
    assert_eq!(events[0].wall_time, 7.5);
    let values: Vec<_> = events[1..]
        .iter()
        .map(|e| match &e.what {
            Some(What::Summary(s)) => {
                (s.value[0].metadata.is_some(), s.value[0].data.clone())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        values,
        [(true, Some(Data::SimpleValue(1.0))), (false, Some(Data::SimpleValue(2.0)))]
    );
}

#[test]
fn a_rerun_writes_nothing_and_new_points_are_appended() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = sync(&folder, &[(1.0, 1), (2.0, 2)]);
    let before = fs::read(&path).unwrap();
    assert_eq!(sync(&folder, &[(1.0, 1), (2.0, 2)]).0, Outcome::UpToDate);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(
        sync(&folder, &[(1.0, 1), (2.0, 2), (3.0, 3)]),
        (Outcome::Appended(1), path.clone())
    );
    assert!(fs::read(&path).unwrap().starts_with(&before));
    assert_eq!(steps(&path), [1, 2, 3]);
    assert_eq!(names(&folder).len(), 1);
}

#[test]
fn a_changed_history_replaces_the_file_by_one_that_readers_take_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let (_, old) = sync(&folder, &[(1.0, 1), (2.0, 2), (3.0, 3)]);
    for points in [&[(1.0, 1), (2.5, 2)][..], &[(1.0, 1)], &[(0.5, 1)]] {
        let (outcome, path) = sync(&folder, points);
        assert_eq!(outcome, Outcome::Replaced);
        assert!(path > old && names(&folder).len() == 1);
        let written = events(&path);
        assert_eq!(written[0].wall_time, points[0].0);
        assert_eq!(
            written[1..].iter().map(|e| (e.wall_time, e.step)).collect::<Vec<_>>(),
            points
        );
        assert_eq!(sync(&folder, points), (Outcome::UpToDate, path));
    }
}

#[test]
fn a_torn_end_is_cut_off_and_a_damaged_file_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = sync(&folder, &[(1.0, 1), (2.0, 2)]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    assert_eq!(sync(&folder, &[(1.0, 1), (2.0, 2)]).0, Outcome::Appended(1));
    assert_eq!(fs::read(&path).unwrap(), whole);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&whole[..9]).unwrap();
    assert_eq!(sync(&folder, &[(1.0, 1), (2.0, 2)]).0, Outcome::UpToDate);
    assert_eq!(fs::read(&path).unwrap(), whole);
    for at in [3, 30, whole.len() - 20] {
        let path = files(&target(&folder)).unwrap().remove(0);
        let mut damaged = fs::read(&path).unwrap();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        let (outcome, path) = sync(&folder, &[(1.0, 1), (2.0, 2)]);
        assert_eq!(
            (outcome, steps(&path)),
            (Outcome::Replaced, vec![1, 2]),
            "flipped at {at}"
        );
    }
}

#[test]
fn points_without_times_keep_those_they_got_first() {
    let folder = tempfile::tempdir().unwrap();
    let sync = |now, steps: &[i64]| {
        let mut file = EventFile::open(target(&folder)).unwrap();
        steps.iter().for_each(|&s| file.push(None, now, s, "loss", 1.0).unwrap());
        file.finish().unwrap()
    };
    sync(100.0, &[1, 2]);
    assert_eq!(sync(200.0, &[1, 2]).outcome, Outcome::UpToDate);
    let finished = sync(300.0, &[1, 2, 3]);
    assert_eq!(finished.outcome, Outcome::Appended(1));
    let times: Vec<f64> = events(&finished.path).iter().map(|e| e.wall_time).collect();
    assert_eq!(times, [100.0, 100.0, 100.0, 300.0]);
}

#[test]
fn a_file_whose_name_has_the_largest_time_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = sync(&folder, &[(1.0, 1)]);
    let latest = format!("events.out.tfevents.{}.torchmill.metrics", u64::MAX);
    fs::rename(&path, path.with_file_name(latest)).unwrap();
    assert_eq!(sync(&folder, &[(2.0, 2)]).0, Outcome::Replaced);
    assert_eq!(names(&folder), ["events.out.tfevents.9999999999.torchmill.metrics"]);
}

#[test]
fn an_abandoned_file_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = sync(&folder, &[(1.0, 1), (2.0, 2)]);
    let before = fs::read(&path).unwrap();
    for (time, step) in [(2.0, 2), (2.5, 2)] {
        let mut file = EventFile::open(target(&folder)).unwrap();
        file.push(Some(1.0), 0.0, 1, "loss", 1.0).unwrap();
        file.push(Some(time), 0.0, step, "loss", 2.0).unwrap();
        file.push(Some(3.0), 0.0, 3, "loss", 3.0).unwrap();
        drop(file);
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(&folder).len(), 1);
}

#[test]
fn files_of_other_writers_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    for other in
        ["events.out.tfevents.1.host.2.3", "events.out.tfevents.5.torchmill.other"]
    {
        fs::write(run.join(other), b"theirs").unwrap();
    }
    assert_eq!(sync(&folder, &[(1.0, 1)]).0, Outcome::Created);
    assert_eq!(sync(&folder, &[(1.5, 1)]).0, Outcome::Replaced);
    assert_eq!(names(&folder).len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_was_there_the_points_are_what_was_pushed_last(
        first in prop::collection::vec((0..3u8, 1..4i64), 1..6),
        second in prop::collection::vec((0..3u8, 1..4i64), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let points = |v: &[(u8, i64)]| v.iter().map(|&(t, s)| (f64::from(t), s)).collect::<Vec<_>>();
        let (_, path) = sync(&folder, &points(&first));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..cut.index(bytes.len() + 1)]).unwrap();
        let (_, path) = sync(&folder, &points(&second));
        let read: Vec<_> = events(&path)
            .iter()
            .filter(|e| matches!(e.what, Some(What::Summary(_))))
            .map(|e| (e.wall_time, e.step))
            .collect();
        prop_assert_eq!(read, points(&second));
        prop_assert_eq!(names(&folder).len(), 1);
    }
}
