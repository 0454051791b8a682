//! Downloads from servers that are slow, stall, break off, send wrong headers or change
//! the file.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fetch_data::checksum::{Checksum, Hasher};
use fetch_data::download::{
    self, DownloadError, Event, FileSpec, Job, Received, RetryPolicy, client, probe,
};
use torchmill_testing::Sandbox;
use torchmill_testing::web::{self, Answer, Server};

/// Milliseconds in place of the default's seconds.
fn quick() -> RetryPolicy {
    RetryPolicy {
        connect: Duration::from_millis(500),
        response: Duration::from_millis(100),
        stall: Duration::from_millis(150),
        min_progress: 1,
        rounds: 4,
        backoff: Duration::from_millis(2),
        max_wait: Duration::from_millis(20),
    }
}

/// 300,000 bytes without a period that could match a buffer size.
fn contents() -> Vec<u8> {
    (0u32..300_000).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn checksum(bytes: &[u8]) -> Checksum {
    let mut hasher = Hasher::like(None);
    hasher.update(bytes);
    hasher.finish()
}

fn want(urls: &[String], bytes: &[u8]) -> FileSpec {
    FileSpec {
        name: "file".to_owned(),
        urls: urls.to_vec(),
        size: Some(bytes.len() as u64),
        checksum: Some(checksum(bytes)),
        token: None,
    }
}

struct Here {
    _folder: Sandbox,
    path: PathBuf,
}

impl Here {
    fn new() -> Self {
        let folder = Sandbox::new();
        Self { path: folder.path().join("file"), _folder: folder }
    }

    fn part(&self) -> PathBuf {
        self.path.with_file_name("file.part")
    }

    fn get(&self, want: &FileSpec) -> Result<Received, DownloadError> {
        let policy = quick();
        download::download(&client::agent(&policy), want, &self.path, &policy, &|_| {})
    }

    fn must_get(&self, want: &FileSpec, bytes: &[u8]) -> Received {
        let arrived = self.get(want).unwrap();
        self.holds(bytes);
        arrived
    }

    /// Asserts that the file is complete and that nothing else is left.
    fn holds(&self, bytes: &[u8]) {
        assert!(fs::read(&self.path).unwrap() == bytes, "the file is not what was sent");
        assert_eq!(
            fs::read_dir(self.path.parent().unwrap()).unwrap().count(),
            1,
            "something was left over"
        );
    }

    fn must_fail(&self, want: &FileSpec) -> String {
        let message = self.get(want).unwrap_err().to_string();
        assert!(!self.path.exists(), "a file that is not right has the final name");
        message
    }
}

#[test]
fn a_good_server() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |r, _| Answer::ranged(r, &served, "\"1\""));
    let here = Here::new();
    let url = server.url("/file");
    assert_eq!(here.must_get(&want(std::slice::from_ref(&url), &bytes), &bytes).url, url);
    let request = &server.requests()[0];
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert!(request.header("user-agent").unwrap().starts_with("torchmill"));
}

#[test]
fn redirects_are_followed() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |r, _| match r.path.as_str() {
        "/moved" => Answer::new(302, "").header("Location", "/here"),
        _ => Answer::ok(served.clone()),
    });
    Here::new().must_get(&want(&[server.url("/moved")], &bytes), &bytes);
}

#[test]
fn a_redirect_in_a_circle_ends() {
    let server = Server::start(|_, _| Answer::new(302, "").header("Location", "/again"));
    let message = Here::new().must_fail(&want(&[server.url("/again")], b"x"));
    assert!(message.contains("redirect"), "{message}");
}

#[test]
fn a_slow_server_is_waited_for() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |_, _| Answer::ok(served.clone()).drip(3_000));
    Here::new().must_get(&want(&[server.url("/file")], &bytes), &bytes);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_drip_that_would_take_years_counts_as_stalled() {
    let bytes = contents();
    let server = Server::start(|_, _| Answer::ok(contents()).drip(1));
    let policy = RetryPolicy { min_progress: 1 << 20, rounds: 1, ..quick() };
    let here = Here::new();
    let want = want(&[server.url("/file")], &bytes);
    // Each try receives something, so it is continued. A few tries are enough for the
    // test.
    let notes = std::sync::atomic::AtomicUsize::new(0);
    let count = |event| {
        if matches!(&event, Event::Note(line) if line.contains("nearly stopped")) {
            notes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    };
    let small = FileSpec { size: None, checksum: None, ..want };
    download::download(&client::agent(&policy), &small, &here.path, &policy, &count)
        .unwrap_err();
    assert!(notes.load(std::sync::atomic::Ordering::SeqCst) >= 1);
}

#[test]
fn a_stalled_transfer_goes_on_from_where_it_stopped() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |r, n| {
        let answer = Answer::ranged(r, &served, "\"1\"");
        if n == 0 { answer.stall(100_000) } else { answer }
    });
    Here::new().must_get(&want(&[server.url("/file")], &bytes), &bytes);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].range_start(), Some(100_000));
    assert_eq!(requests[1].header("if-range"), Some("\"1\""));
}

#[test]
fn a_transfer_that_breaks_off_time_and_again_still_arrives() {
    let bytes = contents();
    let served = bytes.clone();
    let server =
        Server::start(move |r, _| Answer::ranged(r, &served, "\"1\"").cut(40_000));
    Here::new().must_get(&want(&[server.url("/file")], &bytes), &bytes);
    assert_eq!(server.requests().len(), 8);
}

#[test]
fn what_came_is_kept_for_the_next_run() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |r, n| match n {
        0 => Answer::ranged(r, &served, "\"1\"").cut(123_456),
        1..=3 => Answer::new(503, ""),
        _ => Answer::ranged(r, &served, "\"1\""),
    });
    let here = Here::new();
    let want = want(&[server.url("/file")], &bytes);
    let policy = RetryPolicy { rounds: 1, ..quick() };
    let agent = client::agent(&policy);
    let message = download::download(&agent, &want, &here.path, &policy, &|_| {})
        .unwrap_err()
        .to_string();
    assert!(message.contains("are kept"), "{message}");
    assert_eq!(fs::metadata(here.part()).unwrap().len(), 123_456);
    assert!(!here.path.exists());
    here.must_get(&want, &bytes);
    assert_eq!(server.requests().last().unwrap().range_start(), Some(123_456));
}

#[test]
fn another_source_can_go_on_because_the_checksum_is_known() {
    let bytes = contents();
    let (one, two) = (bytes.clone(), bytes.clone());
    let first = Server::start(move |_, n| match n {
        0 => Answer::ok(one.clone()).cut(50_000),
        _ => Answer::new(404, ""),
    });
    let second = Server::start(move |r, _| Answer::ranged(r, &two, "\"other\""));
    let here = Here::new();
    let arrived =
        here.must_get(&want(&[first.url("/file"), second.url("/file")], &bytes), &bytes);
    assert_eq!(arrived.url, second.url("/file"));
    assert_eq!(second.requests()[0].range_start(), Some(50_000));
    assert_eq!(second.requests()[0].header("if-range"), None);
}

#[test]
fn without_ranges_it_starts_over() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |_, n| {
        let answer = Answer::ok(served.clone());
        if n == 0 { answer.cut(70_000) } else { answer }
    });
    Here::new().must_get(&want(&[server.url("/file")], &bytes), &bytes);
    assert_eq!(server.requests()[1].range_start(), Some(70_000));
}

#[test]
fn a_file_that_changes_meanwhile_is_never_mixed() {
    let (old, new) = (vec![1; 100_000], vec![2; 90_000]);
    let (first, then) = (old.clone(), new.clone());
    let server = Server::start(move |r, n| match n {
        0 => Answer::ranged(r, &first, "\"old\"").cut(60_000),
        _ => Answer::ranged(r, &then, "\"new\""),
    });
    // Only the server's headers describe the file.
    let want = FileSpec {
        name: "file".into(),
        urls: vec![server.url("/file")],
        ..FileSpec::default()
    };
    Here::new().must_get(&want, &new);
    assert_eq!(server.requests()[1].header("if-range"), Some("\"old\""));
}

#[test]
fn without_a_validator_and_a_checksum_nothing_is_resumed() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |_, n| {
        let answer = Answer::ok(served.clone()).header("ETag", "W/\"weak\"");
        if n == 0 { answer.cut(70_000) } else { answer }
    });
    let want = FileSpec {
        name: "file".into(),
        urls: vec![server.url("/file")],
        ..FileSpec::default()
    };
    Here::new().must_get(&want, &bytes);
    assert_eq!(server.requests()[1].range_start(), None);
}

#[test]
fn pieces_that_do_not_fit_are_thrown_away() {
    let bytes = contents();
    let (good, mut bad) = (bytes.clone(), bytes.clone());
    bad[10] ^= 1;
    // The first piece is from another version, and the server ignores If-Range.
    let server = Server::start(move |r, n| match (n, r.range_start()) {
        (0, _) => Answer::ok(bad.clone()).header("ETag", "\"1\"").cut(50_000),
        (_, Some(start)) => Answer::new(206, &good[start..]).header(
            "Content-Range",
            format!("bytes {start}-{}/{}", good.len() - 1, good.len()),
        ),
        _ => Answer::ok(good.clone()),
    });
    Here::new().must_get(&want(&[server.url("/file")], &bytes), &bytes);
    let starts: Vec<_> =
        server.requests().iter().map(web::Request::range_start).collect();
    assert_eq!(starts, [None, Some(50_000), None]);
}

#[test]
fn a_range_that_was_not_asked_for_is_refused() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |r, n| match (n, r.range_start()) {
        (0, _) => Answer::ok(served.clone()).cut(50_000),
        // From the beginning, as the header says.
        (1, Some(_)) => Answer::new(206, &served[..]).header(
            "Content-Range",
            format!("bytes 0-{}/{}", served.len() - 1, served.len()),
        ),
        (2, _) => Answer::ok(served.clone()).cut(60_000),
        (3, Some(start)) => {
            Answer::new(206, &served[start..]).header("Content-Range", "bytes nonsense")
        }
        _ => Answer::ok(served.clone()),
    });
    Here::new().must_get(&want(&[server.url("/file")], &bytes), &bytes);
}

#[test]
fn no_such_range_means_starting_over() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |r, _| Answer::ranged(r, &served, "\"1\""));
    let here = Here::new();
    // Without a size, only the server's answer shows that the part is too long.
    let mut want = want(&[server.url("/file")], &bytes);
    want.size = None;
    fs::write(here.part(), vec![0; 400_000]).unwrap();
    let origin = format!("checksum = \"{}\"\n", want.checksum.as_ref().unwrap());
    fs::write(here.path.with_file_name("file.part.toml"), origin).unwrap();
    here.must_get(&want, &bytes);
    assert_eq!(server.requests()[0].range_start(), Some(400_000));
}

#[test]
fn a_part_that_is_whole_needs_no_network() {
    let bytes = contents();
    let here = Here::new();
    let want = want(&["http://127.0.0.1:1/file".to_owned()], &bytes);
    fs::write(here.part(), &bytes).unwrap();
    let origin = format!("checksum = \"{}\"\n", want.checksum.as_ref().unwrap());
    fs::write(here.path.with_file_name("file.part.toml"), origin).unwrap();
    here.must_get(&want, &bytes);
}

#[test]
fn without_a_checksum_a_part_of_the_right_length_must_be_from_the_same_url() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |_, _| Answer::ok(served.clone()));
    let url = server.url("/file");
    let want = FileSpec { checksum: None, ..want(std::slice::from_ref(&url), &bytes) };
    let here = Here::new();
    let from = |url: &str| format!("url = \"{}\"\n", checksum(url.as_bytes()));
    for origin in [from("http://a.invalid/file"), String::new()] {
        fs::write(here.part(), vec![7; bytes.len()]).unwrap();
        fs::write(here.path.with_file_name("file.part.toml"), origin).unwrap();
        here.must_get(&want, &bytes);
    }
    assert_eq!(server.requests().len(), 2);
    fs::write(here.part(), &bytes).unwrap();
    fs::write(here.path.with_file_name("file.part.toml"), from(&url)).unwrap();
    assert_eq!(here.must_get(&want, &bytes).url, url);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn sizes_that_cannot_be_added_are_no_panic() {
    assert_eq!(download::total_size([Some(1), Some(2)]), Some(3));
    assert_eq!(download::total_size([Some(1), None]), None);
    assert_eq!(download::total_size([Some(u64::MAX), Some(2)]), Some(u64::MAX));
}

#[test]
fn a_part_of_something_else_is_not_used() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |r, _| Answer::ranged(r, &served, "\"1\""));
    for origin in ["checksum = \"md5:00\"\n", "not toml at all [", ""] {
        let here = Here::new();
        fs::write(here.part(), vec![7; 1000]).unwrap();
        fs::write(here.path.with_file_name("file.part.toml"), origin).unwrap();
        here.must_get(&want(&[server.url("/file")], &bytes), &bytes);
        assert_eq!(server.requests().last().unwrap().range_start(), None, "{origin}");
    }
}

#[test]
fn refusals_that_pass_are_waited_out() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |_, n| match n {
        0 => Answer::new(429, "").header("Retry-After", "1000000"),
        1 => Answer::new(500, "oops"),
        2 => Answer::new(503, "").header("Retry-After", "Wed, 21 Oct 2065 07:28:00 GMT"),
        _ => Answer::ok(served.clone()),
    });
    Here::new().must_get(&want(&[server.url("/file")], &bytes), &bytes);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn refusals_that_do_not_pass_are_not_repeated() {
    let bytes = contents();
    let served = bytes.clone();
    let gone = Server::start(|_, _| Answer::new(404, "<html>no</html>"));
    let good = Server::start(move |_, _| Answer::ok(served.clone()));
    let arrived = Here::new()
        .must_get(&want(&[gone.url("/file"), good.url("/file")], &bytes), &bytes);
    assert_eq!(arrived.url, good.url("/file"));
    assert_eq!(gone.requests().len(), 1);
    let here = Here::new();
    let message = here.must_fail(&want(&[gone.url("/file")], &bytes));
    assert!(message.contains("404 (Not Found)"), "{message}");
    assert!(!here.part().exists(), "an empty part is litter");
}

#[test]
fn a_server_that_only_ever_fails_is_given_up() {
    let server = Server::start(|_, _| Answer::new(500, ""));
    Here::new().must_fail(&want(&[server.url("/file")], b"x"));
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_wrong_length_is_noticed_before_it_is_downloaded() {
    let bytes = contents();
    let served = bytes.clone();
    let page =
        Server::start(|_, _| Answer::ok("<html>Sign in to the hotel's network</html>"));
    let good = Server::start(move |_, _| Answer::ok(served.clone()));
    Here::new().must_get(&want(&[page.url("/file"), good.url("/file")], &bytes), &bytes);
    let message = Here::new().must_fail(&want(&[page.url("/file")], &bytes));
    assert!(message.contains("not the same file"), "{message}");
    assert_eq!(page.requests().len(), 2);
}

#[test]
fn a_body_shorter_than_announced_is_not_taken_for_whole() {
    let bytes = contents();
    let served = bytes[..1000].to_vec();
    let server =
        Server::start(move |_, _| Answer::ok(served.clone()).length(Some(300_000)));
    // Only Content-Length shows it.
    let want = FileSpec {
        name: "file".into(),
        urls: vec![server.url("/file")],
        ..FileSpec::default()
    };
    Here::new().must_fail(&want);
}

#[test]
fn a_body_without_an_end_is_cut_off() {
    let mut longer = contents();
    longer.extend_from_slice(&[0; 100_000]);
    let server = Server::start(move |_, _| Answer::ok(longer.clone()).length(None));
    let here = Here::new();
    let message = here.must_fail(&want(&[server.url("/file")], &contents()));
    assert!(message.contains("more than the 300000 bytes"), "{message}");
    assert!(!here.part().exists());
}

#[test]
fn a_body_shorter_than_published_is_not_whole() {
    let server = Server::start(|_, _| Answer::ok(vec![1; 1000]).length(None));
    let message = Here::new().must_fail(&want(&[server.url("/file")], &contents()));
    assert!(message.contains("of 300000 bytes"), "{message}");
}

#[test]
fn wrong_contents_of_the_right_length_are_refused() {
    let bytes = contents();
    let (mut bad, good) = (bytes.clone(), bytes.clone());
    bad[299_999] ^= 0x80;
    let liar = Server::start(move |_, _| Answer::ok(bad.clone()));
    let honest = Server::start(move |_, _| Answer::ok(good.clone()));
    let here = Here::new();
    let message = here.must_fail(&want(&[liar.url("/file")], &bytes));
    assert!(message.contains("other contents than the published file"), "{message}");
    assert!(!here.part().exists(), "wrong contents must not be resumed");
    here.must_get(&want(&[liar.url("/file"), honest.url("/file")], &bytes), &bytes);
}

#[test]
fn nobody_there_and_nobody_answering() {
    // The client's end of a connection keeps its port, so that no other test's server gets
    // it, and nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let closed = format!("http://{}/file", client.local_addr().unwrap());
    let silent = Server::start(|_, _| Answer { silent: true, ..Answer::ok("") });
    let garbage = Server::start(|_, _| Answer { status: 9, ..Answer::ok("") });
    let urls = [closed, silent.url("/file"), garbage.url("/file"), "http:///".to_owned()];
    let message = Here::new().must_fail(&want(&urls, b"x"));
    assert!(
        message.contains("connection refused") && message.contains("no answer in time"),
        "{message}"
    );
}

#[test]
fn what_cannot_be_written_says_so() {
    let server = Server::start(|_, _| Answer::ok(contents()));
    let folder = Sandbox::new();
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    let policy = quick();
    let want = want(&[server.url("/file")], &contents());
    let to: &Path = &file.join("below/file");
    let error = download::download(&client::agent(&policy), &want, to, &policy, &|_| {})
        .unwrap_err();
    assert!(error.to_string().contains("a file"), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn several_files_arrive_together_in_their_order() {
    let server = Server::start(|r, _| Answer::ok(r.path.repeat(1000)).drip(1000));
    let folder = Sandbox::new();
    let job = |i: usize| {
        let path = format!("/{i}");
        let want = want(&[server.url(&path)], path.repeat(1000).as_bytes());
        Job { alternatives: vec![(want, folder.path().join(i.to_string()))] }
    };
    let jobs: Vec<Job> = (0..7).map(job).collect();
    let got = download::run("files", &jobs, &quick()).unwrap();
    for (i, got) in got.iter().enumerate() {
        assert_eq!(fs::read_to_string(&got.path).unwrap(), format!("/{i}").repeat(1000));
    }
    assert_eq!(got.len(), 7);
}

#[test]
fn the_next_edition_is_taken_where_the_first_cannot_be_had() {
    let server = Server::start(|r, _| match r.path.as_str() {
        "/second" => Answer::ok("other packing"),
        _ => Answer::new(404, ""),
    });
    let folder = Sandbox::new();
    let first = (want(&[server.url("/first")], b"packing"), folder.path().join("first"));
    let second =
        (want(&[server.url("/second")], b"other packing"), folder.path().join("second"));
    let jobs = [Job { alternatives: vec![first.clone(), second] }];
    assert_eq!(
        download::run("file", &jobs, &quick()).unwrap()[0].path,
        folder.path().join("second")
    );
    let message = download::run("file", &[Job { alternatives: vec![first] }], &quick())
        .unwrap_err();
    assert!(message.to_string().contains("404"), "{message}");
}

#[test]
fn probing_asks_for_one_byte_of_the_right_file() {
    let served = contents();
    let good = Server::start(move |r, _| Answer::ranged(r, &served, "\"1\""));
    let page = Server::start(|_, _| Answer::ok("<html>"));
    let gone = Server::start(|_, _| Answer::new(404, ""));
    let silent = Server::start(|_, _| Answer { silent: true, ..Answer::ok("") });
    let size = Some(300_000);
    let all = [&silent, &gone, &page, &good].map(|s| (s.url("/file"), size));
    assert_eq!(
        probe::first_to_answer(&all, Duration::from_secs(5)).unwrap(),
        good.url("/file")
    );
    assert_eq!(good.requests()[0].header("range"), Some("bytes=0-0"));
    let why = probe::first_to_answer(&all[..3], Duration::from_millis(200)).unwrap_err();
    for reason in
        ["no answer in time", "answers 404", "offers 6 bytes where 300000 are published"]
    {
        assert!(why.contains(reason), "{why}");
    }
}

#[test]
fn a_partial_answer_of_another_version_is_not_joined() {
    // RFC 9110, 15.3.7.3: only parts with the same strong ETag may be combined. Without a
    // checksum nothing else would detect it.
    let new: Vec<u8> = contents().iter().map(|byte| byte ^ 0xff).collect();
    let served = new.clone();
    let server = Server::start(move |request, number| match number {
        0 => Answer::ok(contents()).header("ETag", "\"old\"").cut(100_000),
        // It ignores If-Range.
        1 => Answer::new(206, &served[100_000..])
            .header("Content-Range", "bytes 100000-299999/300000")
            .header("ETag", "\"new\""),
        _ => Answer::ranged(request, &served, "\"new\""),
    });
    let here = Here::new();
    let mut want = want(&[server.url("/file")], &new);
    (want.checksum, want.size) = (None, None);
    here.must_get(&want, &new);
    assert!(server.requests()[1].header("if-range").is_some());
}

#[test]
fn a_partial_answer_without_an_etag_is_not_joined_to_one_with() {
    let bytes = contents();
    let served = bytes.clone();
    let server = Server::start(move |request, number| match number {
        0 => Answer::ok(contents()).header("ETag", "\"old\"").cut(100_000),
        1 => Answer::new(206, &served[100_000..])
            .header("Content-Range", "bytes 100000-299999/300000"),
        _ => Answer::ranged(request, &served, "\"old\""),
    });
    let here = Here::new();
    let mut want = want(&[server.url("/file")], &bytes);
    (want.checksum, want.size) = (None, None);
    here.must_get(&want, &bytes);
    assert_eq!(server.requests()[2].range_start(), None, "it should start over");
}

#[test]
fn a_source_that_brings_almost_nothing_gives_way_to_the_next() {
    let bytes = contents();
    let served = bytes.clone();
    // Each answer sends 10 bytes and breaks off: progress, but below the minimum.
    let slow = Server::start(move |request, _| {
        let start = request.range_start().unwrap_or(0);
        Answer::ranged(request, &served, "\"x\"").cut(if start == 0 { 0 } else { 10 })
    });
    let served = bytes.clone();
    let good = Server::start(move |request, _| Answer::ranged(request, &served, "\"x\""));
    let here = Here::new();
    let want = want(&[slow.url("/file"), good.url("/file")], &bytes);
    let policy = RetryPolicy { min_progress: 1000, ..quick() };
    let agent = client::agent(&policy);
    download::download(&agent, &want, &here.path, &policy, &|_| {}).unwrap();
    here.holds(&bytes);
    assert_eq!(slow.requests().len(), 1);
}
