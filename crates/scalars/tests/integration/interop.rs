//! Reads the output of `scalars` with TensorBoard itself. Needs a Python with the
//! `tensorboard` package, named by TORCHMILL_PYTHON (`make test` sets it up). Without it
//! the tests print a note and pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use safetensors::tensor::{Dtype, TensorView};
use torchmill_testing::{Sandbox, program, python, stderr, stdout};

/// A metrics.csv as train writes it, with awkward numbers.
fn metrics() -> String {
    let mut text = "wall_time,step,epoch,tag,value\n".to_owned();
    let mut time = 1_764_000_000.123_456_7;
    for epoch in 1..=3 {
        for batch in 1..=40 {
            let step = (epoch - 1) * 4000 + batch * 100;
            time += 0.731;
            let loss = 2.3 / f64::from(step).ln();
            text += &format!("{time},{step},{epoch},train loss,{loss}\n");
        }
        text +=
            &format!("{time},{epoch},{epoch},test loss,{}\n", 310.5 / f64::from(epoch));
        text += &format!(
            "{time},{epoch},{epoch},test accuracy,{}\n",
            0.313 * f64::from(epoch)
        );
    }
    for (i, value) in ["NaN", "inf", "-inf", "1e-45", "-0.0", "1e300", "16777217"]
        .into_iter()
        .enumerate()
    {
        text += &format!("{time},{i},3,\"odd, \"\"very\"\" \u{3b1}\",{value}\n");
    }
    text
}

fn scalars(folder: &Path, arguments: &[&str]) -> Output {
    program("scalars").args(arguments).current_dir(folder).output().unwrap()
}

/// What a script of `python/` prints, or `None` if the tests have no Python.
fn script(name: &str, folder: &Path, arguments: &[&str]) -> Option<String> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/python");
    let output = python(name)?
        .arg(scripts.join(name))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}{}", stdout(&output), stderr(&output));
    Some(stdout(&output))
}

#[test]
fn tensorboards_readers_read_every_point_exactly() {
    if python("TensorBoard").is_none() {
        return;
    }
    let folder = Sandbox::new();
    fs::create_dir_all(folder.path().join("runs/a")).unwrap();
    fs::write(folder.path().join("runs/a/metrics.csv"), metrics()).unwrap();
    for encoding in ["simple", "tensor", "double"] {
        let arguments =
            ["runs/a/metrics.csv", "--logdir", encoding, "--encoding", encoding];
        // The second run must not add anything.
        for _ in 0..2 {
            let output = scalars(folder.path(), &arguments);
            assert!(output.status.success(), "{output:?}");
        }
        let run = format!("{encoding}/a");
        print!(
            "{}",
            script("interop.py", folder.path(), &["runs/a/metrics.csv", &run, encoding])
                .unwrap()
        );
    }
}

#[test]
fn tensorboards_web_page_gets_every_point() {
    if python("TensorBoard").is_none() {
        return;
    }
    let folder = Sandbox::new();
    fs::write(folder.path().join("one.csv"), metrics()).unwrap();
    fs::write(folder.path().join("two.csv"), "step;acc\n1;0.5\n2;nan\n").unwrap();
    for encoding in ["simple", "tensor"] {
        let output = scalars(
            folder.path(),
            &["one.csv", "two.csv", "-o", encoding, "--encoding", encoding],
        );
        assert!(output.status.success(), "{output:?}");
        let json = script("web.py", folder.path(), &[encoding]).unwrap();
        type Runs =
            BTreeMap<String, BTreeMap<String, Vec<(f64, i64, serde_json::Value)>>>;
        let runs: Runs = serde_json::from_str(&json).unwrap();
        assert_eq!(runs.keys().collect::<Vec<_>>(), ["one", "two"]);
        let count = |tag: &str| runs["one"][tag].len();
        let tags = ["train loss", "test loss", "test accuracy", "odd, \"very\" \u{3b1}"];
        assert_eq!(tags.map(count), [120, 3, 3, 7], "{encoding}");
        let accuracy: Vec<_> = runs["one"]["test accuracy"]
            .iter()
            .map(|p| (p.1, p.2.as_f64().unwrap() as f32))
            .collect();
        assert_eq!(accuracy, [(1, 0.313), (2, 0.626), (3, (0.313 * 3.0) as f32)]);
        assert_eq!(runs["two"]["acc"][1].2, "NaN");
    }
}

/// A checkpoint with one tensor.
fn checkpoint(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![values.len()], &bytes).unwrap();
    fs::write(path, safetensors::serialize([("0.weight", view)], None).unwrap()).unwrap();
}

#[test]
fn tensorboards_reader_reads_the_histograms_of_the_checkpoints() {
    let folder = Sandbox::new();
    let checkpoints = folder.path().join("run/checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    fs::write(folder.path().join("run/metrics.csv"), metrics()).unwrap();
    checkpoint(&checkpoints.join("epoch-0001.safetensors"), &[-1.0, 0.0, 0.5]);
    let arguments = ["run", "--logdir", "logs", "--histograms"];
    let said = |arguments: &[&str]| {
        let output = scalars(folder.path(), arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr)
            .unwrap()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(said(&arguments).ends_with("torchmill.histograms: 1 histogram"));
    checkpoint(&checkpoints.join("epoch-0002.safetensors"), &[1.0, 2.0, 4.0, f32::NAN]);
    assert!(said(&arguments).ends_with("2 histograms, 1 of them new"));
    assert!(said(&arguments).ends_with("2 histograms, up to date"));
    if let Some(read) = script("histograms.py", folder.path(), &["logs/run"]) {
        assert_eq!(read, "weights/0.weight 1 3 -0.5\nweights/0.weight 2 3 7.0\n");
    }
    // One checkpoint has been removed by training, and one is torn. Their histograms
    // stay, and those of others are added.
    let path = |epoch: u32| checkpoints.join(format!("epoch-{epoch:04}.safetensors"));
    fs::remove_file(path(1)).unwrap();
    checkpoint(&path(3), &[5.0]);
    fs::write(path(2), b"torn").unwrap();
    checkpoint(&path(4), &[6.0]);
    let output = scalars(folder.path(), &arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && text.contains("4 histograms, 2 of them new"),
        "{text}"
    );
    assert!(
        text.trim_end().lines().last().unwrap().contains("epoch-0002.safetensors: "),
        "{text}"
    );
    if let Some(read) = script("histograms.py", folder.path(), &["logs/run"]) {
        let kept = "weights/0.weight 1 3 -0.5\nweights/0.weight 2 3 7.0\n";
        assert_eq!(
            read,
            format!("{kept}weights/0.weight 3 1 5.0\nweights/0.weight 4 1 6.0\n")
        );
    }
    // Another run in the same folder, which began after the existing histograms: none of
    // them stays.
    fs::remove_file(path(2)).unwrap();
    let later = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    fs::write(
        folder.path().join("run/metrics.csv"),
        format!("wall_time,step,epoch,tag,value\n{later},1,1,loss,2\n"),
    )
    .unwrap();
    checkpoint(&path(3), &[5.0]);
    fs::remove_file(path(4)).unwrap();
    assert!(
        said(&arguments)
            .ends_with("1 histogram; the run had changed, so the old file is replaced")
    );
    fs::remove_dir_all(checkpoints).unwrap();
    let refused = scalars(folder.path(), &arguments);
    assert!(
        String::from_utf8_lossy(&refused.stderr)
            .contains("checkpoints: there is no epoch-*.safetensors")
    );
    assert_eq!(refused.status.code(), Some(1));
}

/// A picture whose pixels all have the same value.
fn picture(path: &Path, colour: image::ColorType, value: u8) {
    let pixels = vec![value; 12 * 5 * usize::from(colour.bytes_per_pixel())];
    image::save_buffer(path, &pixels, 12, 5, colour).unwrap();
}

#[test]
fn tensorboard_shows_the_pictures_of_the_samples() {
    let folder = Sandbox::new();
    let samples = folder.path().join("runs/a/samples");
    fs::create_dir_all(&samples).unwrap();
    fs::create_dir_all(folder.path().join("runs/b")).unwrap();
    for run in ["a", "b"] {
        fs::write(folder.path().join("runs").join(run).join("metrics.csv"), metrics())
            .unwrap();
    }
    let arguments = ["runs", "--images"];
    let run = || {
        let output = scalars(folder.path(), &arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.ends_with("scalars: runs/a/samples: there is no epoch-*.png\n"),
        "{said}"
    );
    picture(&samples.join("epoch-0001.png"), image::ColorType::Rgb8, 7);
    picture(&samples.join("last.png"), image::ColorType::Rgb8, 9);
    let (code, said) = run();
    assert_eq!(code, Some(0), "{said}");
    // One of the runs has none.
    assert!(said.contains("torchmill.images: 1 image\n"), "{said}");
    assert!(said.ends_with("runs/b/samples: there is no epoch-*.png\n"), "{said}");
    picture(&samples.join("epoch-0002.png"), image::ColorType::L8, 200);
    assert!(run().1.contains("2 images, 1 of them new\n"));
    assert!(run().1.contains("2 images, up to date\n"));
    if let Some(read) =
        script("images.py", folder.path(), &["logs", "a", "runs/a/samples"])
    {
        assert_eq!(read, "1 12 5 3\n2 12 5 1\n");
    }
    let mut torn = fs::read(samples.join("epoch-0001.png")).unwrap();
    torn.truncate(torn.len() - 20);
    fs::write(samples.join("epoch-0003.png"), torn).unwrap();
    let (code, said) = run();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("scalars: runs/a/metrics.csv: runs/a/samples/epoch-0003.png: "),
        "{said}"
    );
}

#[test]
fn points_that_a_later_start_takes_back_are_left_out_as_in_tensorboard() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path();
    let Some(expected) = script("purge.py", folder, &["logs"]) else { return };
    assert_eq!(expected.lines().count(), 7, "{expected}");
    let dump = stdout(&scalars(folder, &["--dump", "logs"]));
    let mut rows: Vec<&str> =
        dump.lines().skip(1).filter_map(|row| Some(row.split_once(',')?.1)).collect();
    rows.sort_unstable();
    assert_eq!(rows, expected.lines().collect::<Vec<_>>());
}
