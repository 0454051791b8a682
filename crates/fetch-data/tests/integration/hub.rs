//! `--from hf:OWNER/DATASET`, from a server that answers as the Hugging Face Hub does.

use std::fs;
use std::path::Path;
use std::process::Output;

use fetch_data::checksum::Hasher;
use fetch_data::config::Options;
use fetch_data::download::{RetryPolicy, Token};
use fetch_data::hub::{self, Access, HubError};
use torchmill::dataset::{Dataset, Manifest, RawFormat};
use torchmill_testing::Sandbox;
use torchmill_testing::web::{Answer, Request, Server};

use crate::program::{IMAGE, command, err, out, tar_of};

/// 150 images of cats, dogs and owls, as Hugging Face's `datasets` writes them.
const PARQUET: &[u8] =
    include_bytes!("../../../torchmill/tests/golden/parquet/huggingface.parquet");

/// A repository of the hub.
#[derive(Clone, Default)]
struct Repository {
    /// The files of each commit: `main` is the commit `c0ffee`, the Parquet branch
    /// `beef`.
    main: Vec<(&'static str, Vec<u8>)>,
    export: Vec<(&'static str, Vec<u8>)>,
    /// The files that are not in Git LFS.
    plain: Vec<&'static str>,
    /// Who may read it: `false` or `"auto"`.
    gated: &'static str,
    /// The token that opens it.
    token: Option<&'static str>,
}

fn sha256(bytes: &[u8]) -> String {
    let mut hasher = Hasher::like(None);
    hasher.update(bytes);
    hasher.finish().to_string().replace("sha256:", "")
}

impl Repository {
    fn answer(&self, request: &Request, server: &str) -> Answer {
        let (path, query) = match request.path.split_once('?') {
            Some((path, query)) => (path, query),
            None => (request.path.as_str(), ""),
        };
        let token = request.header("authorization");
        let is_open = self.token.is_none_or(|secret| {
            token.is_some_and(|header| header == format!("Bearer {secret}"))
        });
        if let Some(api) = path.strip_prefix("/api/datasets/me/pets") {
            if !is_open && self.gated.is_empty() {
                return Answer::new(401, "").header("X-Error-Code", "RepoNotFound");
            }
            return self.api(api, query, server);
        }
        let Some(file) = path.strip_prefix("/datasets/me/pets/resolve/") else {
            return Answer::new(404, "").header("X-Error-Code", "RepoNotFound");
        };
        if !is_open {
            return Answer::new(403, "").header("X-Error-Code", "GatedRepo");
        }
        let (commit, file) = file.split_once('/').unwrap();
        let file = file.replace("%20", " ");
        let bytes = self.files(commit).iter().find(|(name, _)| *name == file);
        match bytes {
            Some((_, bytes)) => Answer::ranged(request, bytes, "\"1\""),
            None => Answer::new(404, "").header("X-Error-Code", "EntryNotFound"),
        }
    }

    fn api(&self, path: &str, query: &str, server: &str) -> Answer {
        let gated = if self.gated.is_empty() { "false" } else { "\"auto\"" };
        let info = |commit: &str| {
            Answer::ok(format!(
                "{{\"id\": \"me/pets\", \"sha\": \"{commit}\", \"gated\": {gated}, \
                 \"cardData\": {{\"license\": [\"mit\", \"other\"]}}}}"
            ))
        };
        let no_revision = Answer::new(404, "").header("X-Error-Code", "RevisionNotFound");
        match path {
            "" | "/revision/v1.0" => info("c0ffee"),
            "/revision/refs%2Fconvert%2Fparquet" if !self.export.is_empty() => {
                info("beef")
            }
            _ if path.starts_with("/revision/") => no_revision,
            _ => match path.strip_prefix("/tree/") {
                Some(commit) => self.tree(commit, query, server),
                None => Answer::new(404, ""),
            },
        }
    }

    /// The list of files, of which a page holds two.
    fn tree(&self, commit: &str, query: &str, server: &str) -> Answer {
        let page = query.split("cursor=").nth(1).map_or(0, |n| n.parse().unwrap());
        let mut entries =
            vec!["{\"type\": \"directory\", \"path\": \"data\"}".to_owned()];
        let files = self.files(commit);
        for (path, bytes) in files.iter().skip(page * 2).take(2) {
            let lfs = match self.plain.contains(path) {
                true => String::new(),
                false => format!(", \"lfs\": {{\"oid\": \"{}\"}}", sha256(bytes)),
            };
            entries.push(format!(
                "{{\"type\": \"file\", \"path\": \"{path}\", \"size\": {}{lfs}}}",
                bytes.len()
            ));
        }
        let answer = Answer::ok(format!("[{}]", entries.join(", ")));
        if files.len() <= page * 2 + 2 {
            return answer;
        }
        let next = format!("{server}/api/datasets/me/pets/tree/{commit}?cursor=");
        answer.header("Link", format!("<{next}{}>; rel=\"next\"", page + 1))
    }

    fn files(&self, commit: &str) -> &[(&'static str, Vec<u8>)] {
        match commit {
            "c0ffee" => &self.main,
            "beef" => &self.export,
            _ => &[],
        }
    }

    fn serve(self) -> Server {
        Server::start(move |request, _| {
            let server = format!("http://{}", request.header("host").unwrap());
            self.answer(request, &server)
        })
    }
}

/// What a repository of Parquet files holds.
fn parquet() -> Repository {
    Repository {
        main: vec![
            ("README.md", b"# Pets".to_vec()),
            ("data/train-00000-of-00002.parquet", PARQUET.to_vec()),
            ("data/train-00001-of-00002.parquet", PARQUET.to_vec()),
            ("data/validation-00000-of-00001.parquet", PARQUET.to_vec()),
        ],
        plain: vec!["README.md"],
        ..Repository::default()
    }
}

/// A repository of image files, of which the hub has made Parquet files.
fn photographs() -> Repository {
    Repository {
        main: vec![("cat/1.jpg", vec![1]), ("dog/1.jpg", vec![2])],
        export: vec![
            ("default/extra/0000.parquet", PARQUET.to_vec()),
            ("default/test/0000.parquet", PARQUET.to_vec()),
            ("default/train/0000.parquet", PARQUET.to_vec()),
        ],
        ..Repository::default()
    }
}

/// A server of [`parquet`] that breaks off the second file as `breaks` says, until it is
/// asked to continue.
fn interrupted(breaks: fn(Answer) -> Answer) -> Server {
    let repository = parquet();
    Server::start(move |request, _| {
        let server = format!("http://{}", request.header("host").unwrap());
        let answer = repository.answer(request, &server);
        let is_first = request.range_start().is_none();
        match request.path.contains("train-00001") && is_first {
            true => breaks(answer),
            false => answer,
        }
    })
}

fn run(folder: &Path, server: &Server, args: &[&str]) -> Output {
    command(folder, args).env("HF_ENDPOINT", server.url("/")).output().unwrap()
}

fn set(folder: &Sandbox) -> (Manifest, Dataset) {
    let path = folder.join("data/raw/pets");
    (Manifest::read(&path).unwrap().unwrap(), Dataset::open(&path).unwrap())
}

#[test]
fn parquet_files_are_fetched_checked_and_read() {
    let folder = Sandbox::new();
    let server = parquet().serve();
    let output = run(folder.path(), &server, &["pets", "--from", "hf:me/pets"]);
    assert_eq!(out(&output), "data/raw/pets\n");
    let said = err(&output);
    assert!(said.contains("pets: 3 Parquet files for train and test, "), "{said}");
    let (manifest, data) = set(&folder);
    assert_eq!(manifest.format, RawFormat::Parquet);
    assert_eq!(manifest.source, "hf:me/pets@c0ffee");
    assert_eq!(manifest.licence, "mit, other");
    assert!(manifest.verified);
    let sums: Vec<&String> = manifest.checksums.values().collect();
    assert_eq!(sums, vec![&format!("sha256:{}", sha256(PARQUET)); 3]);
    assert_eq!(data.classes, ["cat", "dog", "owl"]);
    assert_eq!(data.splits["train"].len(), 300);
    assert_eq!(data.splits["test"].len(), 150);
    let downloads = folder.join("data/raw/.downloads");
    assert!(!downloads.join("pets").exists(), "the files are there twice");
    // What is there is not fetched again, and the source that was noted can be.
    let asked = server.requests().len();
    out(&run(folder.path(), &server, &["pets"]));
    assert_eq!(server.requests().len(), asked);
    out(&run(folder.path(), &server, &["again", "--from", "hf:me/pets@v1.0"]));
    let again = ["pets", "--force", "--from", "hf:me/pets@v1.0/data"];
    out(&run(folder.path(), &server, &again));
    assert_eq!(set(&folder).0.source, "hf:me/pets@c0ffee/data");
}

#[test]
fn the_hubs_own_parquet_files_are_taken_for_other_repositories() {
    let folder = Sandbox::new();
    let server = photographs().serve();
    let output = run(folder.path(), &server, &["pets", "--from", "hf:me/pets"]);
    out(&output);
    let said = err(&output);
    assert!(said.contains("left out 1 file"), "{said}");
    assert!(said.contains("default/extra/0000.parquet"), "{said}");
    let (manifest, data) = set(&folder);
    assert_eq!(manifest.source, "hf:me/pets@beef");
    assert_eq!(manifest.splits["train"], ["train/0000.parquet"]);
    assert_eq!(data.splits["test"].len(), 150);
    // A revision that is named is the one to take.
    let output = run(folder.path(), &server, &["other", "--from", "hf:me/pets@v1.0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("no tars at the revision `v1.0`: leave out @v1.0"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_partial_conversion_is_said() {
    let folder = Sandbox::new();
    let mut repository = photographs();
    repository.export = vec![("default/partial-train/0000.parquet", PARQUET.to_vec())];
    let server = repository.serve();
    let output = run(folder.path(), &server, &["pets", "--from", "hf:me/pets"]);
    out(&output);
    assert!(err(&output).contains("only its first 5 GB"), "{}", err(&output));
    assert_eq!(set(&folder).1.splits["train"].len(), 150);
}

#[test]
fn tars_are_taken_where_there_are_no_parquet_files() {
    let folder = Sandbox::new();
    let tar =
        tar_of(&[("0.ppm", IMAGE), ("0.cls", b"1"), ("1.ppm", IMAGE), ("1.cls", b"0")]);
    let main = vec![("a b/train-0.tar", tar.clone()), ("a b/test-0.tar", tar)];
    let server = Repository { main, ..Repository::default() }.serve();
    out(&run(folder.path(), &server, &["pets", "--from", "hf:me/pets"]));
    let (manifest, data) = set(&folder);
    assert_eq!(manifest.format, RawFormat::WebDataset);
    assert_eq!((data.splits["train"].len(), data.splits["test"].len()), (2, 2));
}

#[test]
fn a_download_that_breaks_off_is_continued() {
    let folder = Sandbox::new();
    let server = interrupted(|answer| answer.cut(40));
    out(&run(folder.path(), &server, &["pets", "--from", "hf:me/pets"]));
    assert!(server.requests().iter().any(|request| request.range_start() == Some(40)));
    assert_eq!(set(&folder).1.splits["train"].len(), 300);
}

#[test]
fn a_fetch_that_was_killed_is_continued() {
    let folder = Sandbox::new();
    let server = interrupted(|answer| answer.stall(40));
    let args = ["-q", "pets", "--from", "hf:me/pets"];
    let mut first = command(folder.path(), &args);
    first.env("HF_ENDPOINT", server.url(""));
    let mut first = first.stdout(std::process::Stdio::null()).spawn().unwrap();
    let cache = folder.join("data/raw/.downloads/pets");
    let is_half = || {
        let part = cache.join("train-00001-of-00002.parquet.part");
        let whole = ["train-00000-of-00002.parquet", "validation-00000-of-00001.parquet"];
        fs::metadata(part).is_ok_and(|about| about.len() == 40)
            && whole.iter().all(|name| cache.join(name).exists())
    };
    while !is_half() {
        assert!(first.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let asked = server.requests().len();
    out(&run(folder.path(), &server, &args));
    let requests = server.requests();
    let files: Vec<&Request> =
        requests[asked..].iter().filter(|r| r.path.contains("/resolve/")).collect();
    assert_eq!(files.len(), 1, "what was whole is not downloaded again");
    assert_eq!(files[0].range_start(), Some(40));
    assert_eq!(set(&folder).1.splits["train"].len(), 300);
    let root = folder.join("data/raw");
    assert_eq!(fs::read_dir(root).unwrap().count(), 2, "something was left over");
}

#[test]
fn contents_with_another_checksum_are_refused() {
    let folder = Sandbox::new();
    let repository = parquet();
    let server = Server::start(move |request, _| {
        let server = format!("http://{}", request.header("host").unwrap());
        let mut answer = repository.answer(request, &server);
        if request.path.ends_with("validation-00000-of-00001.parquet") {
            answer.body[100] ^= 1;
        }
        answer
    });
    let output = run(folder.path(), &server, &["pets", "--from", "hf:me/pets"]);
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    assert!(said.contains("other contents than the published file"), "{said}");
    assert!(!folder.join("data/raw/pets").exists());
}

#[test]
fn files_without_a_checksum_are_named() {
    let folder = Sandbox::new();
    let mut repository = parquet();
    repository.plain = vec!["data/train-00001-of-00002.parquet"];
    let server = repository.serve();
    let output = run(folder.path(), &server, &["pets", "--from", "hf:me/pets"]);
    out(&output);
    let said = err(&output);
    assert!(said.contains("no checksum for train-00001-of-00002.parquet:"), "{said}");
    assert!(!set(&folder).0.verified);
}

#[test]
fn several_fetches_at_a_time_download_once() {
    let folder = Sandbox::new();
    let server = parquet().serve();
    let start = |_| {
        let mut command = command(folder.path(), &["-q", "pets", "--from", "hf:me/pets"]);
        command.env("HF_ENDPOINT", server.url(""));
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut fetches: Vec<_> = (0..4).map(start).collect();
    for fetch in &mut fetches {
        assert!(fetch.wait().unwrap().success());
    }
    let requests = server.requests();
    let files = requests.iter().filter(|request| request.path.contains("/resolve/"));
    assert_eq!(files.count(), 3);
    assert_eq!(fs::read_dir(folder.join("data/raw")).unwrap().count(), 2);
}

#[test]
fn a_token_opens_what_is_gated_and_is_never_said() {
    let folder = Sandbox::new();
    let repository = Repository { gated: "auto", token: Some("hf_hidden"), ..parquet() };
    let server = repository.serve();
    let args = ["-v", "pets", "--from", "hf:me/pets"];
    let closed = run(folder.path(), &server, &args);
    assert_eq!(closed.status.code(), Some(1));
    assert!(err(&closed).contains("set HF_TOKEN"), "{}", err(&closed));
    let with = |token: &str| {
        command(folder.path(), &args)
            .env("HF_ENDPOINT", server.url(""))
            .env("HF_TOKEN", token)
            .output()
            .unwrap()
    };
    let wrong = with("hf_other");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(err(&wrong).contains("answers 403"), "{}", err(&wrong));
    assert!(err(&wrong).contains("the token in HF_TOKEN may not read it"));
    assert_eq!(with("two words").status.code(), Some(2));
    let opened = with("hf_hidden");
    out(&opened);
    for text in [err(&closed), err(&wrong), err(&opened)] {
        assert!(!text.contains("hf_hidden") && !text.contains("hf_other"), "{text}");
    }
    assert!(set(&folder).0.verified);
}

#[test]
fn other_servers_get_no_token() {
    let folder = Sandbox::new();
    let store = Server::start(|_, _| Answer::ok(PARQUET));
    // Another name of this machine is another server.
    let elsewhere = store.url("/file").replace("127.0.0.1", "localhost");
    let repository = Repository { token: Some("hf_hidden"), ..parquet() };
    let server = Server::start(move |request, _| {
        let server = format!("http://{}", request.header("host").unwrap());
        let answer = repository.answer(request, &server);
        match request.path.contains("/resolve/") && answer.status == 200 {
            true => Answer::new(302, "").header("Location", elsewhere.clone()),
            false => answer,
        }
    });
    let mut command = command(folder.path(), &["pets", "--from", "hf:me/pets"]);
    command.env("HF_ENDPOINT", server.url("")).env("HF_TOKEN", "hf_hidden");
    out(&command.output().unwrap());
    assert_eq!(store.requests().len(), 3);
    for request in store.requests() {
        assert_eq!(request.header("authorization"), None);
    }
}

/// What the hub's answers make of `hf:NAME`.
fn refused(server: &Server, name: &str, token: Option<&str>) -> HubError {
    let retries = RetryPolicy {
        backoff: std::time::Duration::from_millis(1),
        rounds: 2,
        ..RetryPolicy::default()
    };
    let token = token.map(|secret| Token::new(&server.url(""), secret));
    let hub = Access { endpoint: server.url(""), token };
    let options = Options { hub, retries, ..Options::default() };
    hub::list(&name.parse().unwrap(), &options).unwrap_err()
}

#[test]
fn refusals_are_told_apart() {
    let server = parquet().serve();
    let unknown = refused(&server, "me/pests", None);
    assert!(matches!(unknown, HubError::UnknownDataset(_)), "{unknown}");
    let revision = refused(&server, "me/pets@v9", None);
    assert!(matches!(revision, HubError::UnknownRevision { .. }), "{revision}");
    let folder = refused(&server, "me/pets/nowhere", None);
    assert!(matches!(folder, HubError::NoFiles { .. }), "{folder}");
    assert!(folder.to_string().contains("in its folder `nowhere`"), "{folder}");

    let private = Repository { token: Some("hf_x"), ..parquet() }.serve();
    for (token, advice) in [(None, "set HF_TOKEN"), (Some("hf_y"), "set another token")] {
        let error = refused(&private, "me/pets", token);
        assert!(matches!(error, HubError::Denied { .. }), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
    let mut two = parquet();
    two.main.push(("more/train.parquet", PARQUET.to_vec()));
    let subsets = refused(&two.serve(), "me/pets", None);
    assert!(matches!(subsets, HubError::Subsets { .. }), "{subsets}");
    assert!(subsets.to_string().contains("hf:me/pets/data, hf:me/pets/more"));
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    for (tree, link) in [
        ("<html>", ""),
        ("{\"a\": 1}", ""),
        (
            "[{\"type\": \"file\", \"path\": \"a.parquet\"}]",
            "<http://evil/x>; rel=\"next\"",
        ),
    ] {
        let server = Server::start(move |request, _| match request.path.as_str() {
            path if path.contains("/tree/") => Answer::ok(tree).header("Link", link),
            _ => Answer::ok("{\"sha\": \"c0ffee\"}"),
        });
        let error = refused(&server, "me/pets", None);
        assert!(matches!(error, HubError::BadAnswer { .. }), "{tree}: {error}");
        assert!(error.to_string().contains("check HF_ENDPOINT"), "{error}");
    }
    let server = Server::start(|request, _| match request.path.contains("/tree/") {
        true => Answer::ok("[{\"type\": \"file\", \"path\": \"a/../../x.parquet\"}]"),
        false => Answer::ok("{\"sha\": \"c0ffee\"}"),
    });
    let error = refused(&server, "me/pets", None);
    assert!(matches!(error, HubError::NoFiles { .. }), "{error}");
    let server = Server::start(|_, _| Answer::ok("{\"sha\": \"../x\"}"));
    let error = refused(&server, "me/pets", None);
    assert!(matches!(error, HubError::BadAnswer { .. }), "{error}");
    let server = Server::start(|_, _| Answer::new(500, ""));
    let error = refused(&server, "me/pets", None);
    assert!(matches!(error, HubError::NoAnswer(_)), "{error}");
    assert!(error.to_string().contains("check HF_ENDPOINT"), "{error}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn lists_without_an_end_are_refused() {
    let folder = "[{\"type\": \"directory\", \"path\": \"a\"}]";
    for (tree, why) in [(folder, "its pages repeat"), ("[]", "an empty page")] {
        let server = Server::start(move |request, _| {
            if !request.path.contains("/tree/") {
                return Answer::ok("{\"sha\": \"c0ffee\"}");
            }
            let host = request.header("host").unwrap();
            let next = format!("<http://{host}{}>; rel=\"next\"", request.path);
            Answer::ok(tree).header("Link", next)
        });
        let error = refused(&server, "me/pets", None);
        assert!(matches!(error, HubError::BadAnswer { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(server.requests().len(), 2, "info and one page");
    }
}

#[test]
fn files_with_names_that_cannot_be_used_are_refused() {
    for (first, second) in [("a/\\nb.parquet", "a/c.parquet"), ("A.parquet", "a.parquet")]
    {
        let entry = |path| format!("{{\"type\": \"file\", \"path\": \"{path}\"}}");
        let tree = format!("[{}, {}]", entry(first), entry(second));
        let server = Server::start(move |request, _| match request.path.as_str() {
            path if path.contains("/tree/") => Answer::ok(tree.clone()),
            _ => Answer::ok("{\"sha\": \"c0ffee\"}"),
        });
        let error = refused(&server, "me/pets", None);
        assert!(matches!(error, HubError::Files { .. }), "{error}");
        let error = error.to_string();
        assert!(!error.contains("`path`"), "{error}");
        assert!(error.contains("give its folder with --from"), "{error}");
    }
}

#[test]
fn wrong_usage() {
    let folder = Sandbox::new();
    for args in [
        &["pets", "--from", "hf:food101"][..],
        &["pets", "--from", "hf:a/../b"],
        &["pets", "--from", "hf:a/b", "--offline"],
        &["pets", "--from", "hf:a/b", "--any-checksum"],
        &["pets", "--from", "hf:a/b", "--link"],
        &["pets", "--from", "hf:a/b", "--split-dirs", "none"],
    ] {
        let output = command(folder.path(), args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
    }
    let mut command = command(folder.path(), &["pets", "--from", "hf:a/b"]);
    let output = command.env("HF_ENDPOINT", "huggingface.co").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
