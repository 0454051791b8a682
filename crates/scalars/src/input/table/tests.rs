use proptest::prelude::*;
use torchmill::Result;

use super::super::source::Feed;
use super::*;

type Points = Vec<(Option<f64>, i64, String, f64)>;

fn read(text: &str, options: &Options) -> Result<(Points, Feed)> {
    let mut points = Vec::new();
    let mut each = |p: Point| {
        points.push((p.wall_time, p.step, p.tag.to_owned(), p.value));
        Ok(())
    };
    let mut feed = Feed::new(options);
    feed.feed(text.as_bytes(), &mut each)?;
    feed.finish(&mut each)?;
    Ok((points, feed))
}

fn points(text: &str) -> Points {
    read(text, &Options::default()).unwrap().0
}

fn error(text: &str) -> String {
    read(text, &Options::default()).err().unwrap().to_string()
}

#[test]
fn a_tidy_table_is_what_train_writes() {
    let text = "wall_time,step,epoch,tag,value\n1.5,100,1,train loss,2.25\n2,1,1,test loss,310\n";
    let expected = vec![
        (Some(1.5), 100, "train loss".into(), 2.25),
        (Some(2.0), 1, "test loss".into(), 310.0),
    ];
    assert_eq!(points(text), expected);
}

#[test]
fn a_wide_table_has_a_curve_a_column_and_may_have_gaps() {
    let text = "Step\tloss\tWall time\tacc\n3\t0.5\t9\t\n4.0\t\t10\t1e-3\n";
    let expected =
        vec![(Some(9.0), 3, "loss".into(), 0.5), (Some(10.0), 4, "acc".into(), 1e-3)];
    assert_eq!(points(text), expected);
    // Without a step column rows are numbered, and without a time column points have no
    // time.
    assert_eq!(
        points("loss\n5\n6\n"),
        [(None, 0, "loss".into(), 5.0), (None, 1, "loss".into(), 6.0)]
    );
    // Keras only writes epochs. If there is a better step column, the epoch is a curve.
    assert_eq!(points("epoch,loss\n7,5\n"), [(None, 7, "loss".into(), 5.0)]);
    assert_eq!(points("epoch,step\n7,5\n"), [(None, 5, "epoch".into(), 7.0)]);
}

#[test]
fn options_name_columns_and_tags() {
    let options = Options {
        step: Some("n".into()),
        wall_time: Some("t".into()),
        select: Select {
            only: vec!["*loss".into()],
            rename: vec!["loss=train loss".parse().unwrap()],
            prefix: "a/".into(),
        },
        ..Options::default()
    };
    let (points, _) = read("n,t,loss,step\n1,2,3,4\n", &options).unwrap();
    assert_eq!(points, [(Some(2.0), 1, "a/train loss".into(), 3.0)]);
    let missing = read("t,loss\n", &options).err().unwrap().to_string();
    assert_eq!(missing, "there is no column \"n\"; the columns are t, loss");
}

#[test]
fn bad_cells_are_named() {
    let tidy = "wall_time,step,epoch,tag,value\n";
    for (row, message) in [
        ("1,1,1,a,x", "line 2, column 5 (value): \"x\" is not a number"),
        ("1,1,1,a,", "line 2, column 5 (value): the cell is missing"),
        ("1,1,1,a", "line 2, column 5 (value): the cell is missing"),
        ("1,1,1,,1", "line 2, column 4 (tag): the cell is missing"),
        ("1,1.5,1,a,1", "line 2, column 2 (step): \"1.5\" is not a step"),
        ("nan,1,1,a,1", "line 2, column 1 (wall_time): NaN is not a time"),
        ("inf,1,1,a,1", "line 2, column 1 (wall_time): inf is not a time"),
    ] {
        let error = error(&format!("{tidy}{row}\n"));
        assert!(error.starts_with(message), "{error}");
    }
    assert!(
        error("step,a\n1,2\n2,3,4\n")
            .starts_with("line 3, column 3: 3 cells, but 2 columns")
    );
    assert!(error("1,2\n").starts_with("line 1: the first row must name the columns"));
    assert!(error("step,a,a\n").starts_with("two columns are called \"a\""));
    assert!(error("tag,value\n").starts_with("there is no step column"));
    assert!(error("step\n1\n").starts_with("there is no column of values"));
}

#[test]
fn bad_cells_can_be_left_out_and_are_counted() {
    let options = Options { skip_bad: true, ..Options::default() };
    let (points, feed) = read("step,a,b\n1,x,2\nz,3,4\n5,6,\n", &options).unwrap();
    assert_eq!(points, [(None, 1, "b".into(), 2.0), (None, 5, "a".into(), 6.0)]);
    assert_eq!(feed.tally().bad.count, 2);
    assert_eq!(feed.tally().bad.first, "line 2, column 2 (a): \"x\" is not a number");
}

#[test]
fn values_may_be_infinite_or_no_number_and_are_counted() {
    let (points, feed) =
        read("step,a\n1,NaN\n2,-inf\n3,Infinity\n", &Options::default()).unwrap();
    assert!(
        points[0].3.is_nan()
            && points[1].3 == f64::NEG_INFINITY
            && points[2].3 == f64::INFINITY
    );
    assert_eq!(feed.tally().non_finite.count, 3);
    assert_eq!(feed.tally().non_finite.first, "line 2, column 2 (a): \"a\" is NaN");
}

#[test]
fn values_too_great_for_a_float32_are_counted_where_they_become_one() {
    let text = "step,a\n1,1e38\n2,-1e39\n";
    assert_eq!(read(text, &Options::default()).unwrap().1.tally().non_finite.count, 0);
    let (points, feed) =
        read(text, &Options { singles: true, ..Options::default() }).unwrap();
    assert_eq!(points[1].3, -1e39);
    assert_eq!(feed.tally().non_finite.count, 1);
    let first = feed.tally().non_finite.first;
    assert!(
        first
            .starts_with("line 3, column 2 (a): \"a\" is -1e39, too large for a float32"),
        "{first}"
    );
}

#[test]
fn steps_that_do_not_increase_are_noticed() {
    let (_, feed) = read("step,a\n1,1\n2,1\n2,3\n", &Options::default()).unwrap();
    assert_eq!(feed.tally().not_increasing.count, 1);
    assert_eq!(
        feed.tally().not_increasing.first,
        "line 4: step 2 of \"a\" comes after step 2"
    );
}

#[test]
fn equal_points_at_one_step_lose_nothing() {
    // Lightning writes a row for training and one for validation, both with the epoch.
    let text = "epoch,step,train_loss,val_loss\n0,9,0.5,\n0,9,,0.7\n1,19,0.4,\n";
    let (points, feed) = read(text, &Options::default()).unwrap();
    assert_eq!(points.len(), 6);
    assert_eq!(feed.tally().not_increasing.count, 0);
}

#[test]
fn times_are_taken_for_what_their_size_says() {
    for (time, unit) in [
        ("1700000000000", "milliseconds"),
        ("1700000000000000", "microseconds"),
        ("1700000000000000000", "nanoseconds"),
    ] {
        let text = format!("timestamp,step,a\n{time},1,2\n{time},2,2\n");
        let (points, feed) = read(&text, &Options::default()).unwrap();
        assert_eq!(points[1].0, Some(1_700_000_000.0));
        let scaled = feed.tally().scaled_times;
        assert_eq!(scaled.count, 1);
        let said =
            format!("line 2, column 1 (timestamp): {time} is read as {unit} since 1970");
        assert_eq!(scaled.first, said);
    }
    let iso = "timestamp;step;a\n2026-01-31T12:00:00Z;1;2\n";
    assert_eq!(points(iso), [(Some(1_769_860_800.0), 1, "a".into(), 2.0)]);
}

#[test]
fn decimal_commas_and_missing_values_are_read() {
    let points = points("epoch;loss;val_loss\n1;0,5;NA\n2;-1,25e-3;0,75\n");
    let expected = [
        (None, 1, "loss".into(), 0.5),
        (None, 2, "loss".into(), -1.25e-3),
        (None, 2, "val_loss".into(), 0.75),
    ];
    assert_eq!(points, expected);
    assert!(error("step;a\n1;1.234,5\n").contains("\"1.234,5\" is not a number"));
    assert!(error("step,a\n1,\"0,5\"\n").contains("\"0,5\" is not a number"));
}

#[test]
fn rows_are_numbered_where_epochs_are_fractions() {
    let points = points("epoch,loss\n0.5,3\n1.0,2\n");
    let expected = [
        (None, 0, "loss".into(), 3.0),
        (None, 0, "epoch".into(), 0.5),
        (None, 1, "loss".into(), 2.0),
        (None, 1, "epoch".into(), 1.0),
    ];
    assert_eq!(points, expected);
}

#[test]
fn a_download_of_tensorboard_is_called_by_its_tag() {
    let options = Options { value_tag: Some("loss".to_owned()), ..Options::default() };
    let (points, _) = read("Wall time,Step,Value\n2.5,1,0.5\n", &options).unwrap();
    assert_eq!(points, [(Some(2.5), 1, "loss".into(), 0.5)]);
    let (points, _) = read("Step,Value,other\n1,2,3\n", &options).unwrap();
    assert_eq!(points[0].2, "Value");
}

#[test]
fn two_tags_never_share_a_name() {
    let select = Select { rename: vec!["a=b".parse().unwrap()], ..Select::default() };
    let options = Options { select, ..Options::default() };
    for text in ["step,a,b\n1,2,3\n", "step,tag,value\n1,a,2\n1,b,3\n"] {
        let error = read(text, &options).err().unwrap();
        assert!(error.to_string().contains("would both be called \"b\""), "{error}");
    }
}

#[test]
fn a_git_lfs_pointer_is_named() {
    let text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";
    assert!(error(text).contains("git lfs pull"));
}

#[test]
fn an_input_without_points_says_why() {
    let why = |text, options: &Options| read(text, options).unwrap().1.emptiness();
    assert!(why("", &Options::default()).unwrap().contains("empty"));
    assert!(why("step,a\n", &Options::default()).unwrap().contains("no points yet"));
    let only = Options {
        select: Select { only: vec!["b".into()], ..Select::default() },
        ..Options::default()
    };
    assert_eq!(
        why("step,a\n1,2\n", &only).unwrap(),
        "no tag fits --only; the tags are \"a\""
    );
    assert_eq!(why("step,a\n1,2\n", &Options::default()), None);
}

proptest! {
    #[test]
    fn numbers_come_back_exactly(values in prop::collection::vec(any::<f64>(), 1..20)) {
        let mut text = "step,a\n".to_owned();
        values.iter().enumerate().for_each(|(i, v)| text += &format!("{i},{v}\n"));
        let read: Vec<u64> = points(&text).iter().map(|p| p.3.to_bits()).collect();
        let nan = |v: &f64| if v.is_nan() { f64::NAN } else { *v }.to_bits();
        prop_assert_eq!(read, values.iter().map(nan).collect::<Vec<_>>());
    }

    #[test]
    fn any_text_is_read_without_panic(text in "(step|tag|value|epoch|[,;\n\"x1.-]){0,40}") {
        let _ = read(&text, &Options::default());
        let _ = read(&text, &Options { skip_bad: true, ..Options::default() });
    }
}
