//! A web server on the loopback interface with faults that a test configures.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A client's request.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `HEAD` or `CONNECT`.
    pub method: String,
    /// The path in the first line of the request.
    pub path: String,
    /// Values by name. Names are in lower case.
    pub headers: HashMap<String, String>,
}

impl Request {
    /// The header of this name. `name` must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The start of the requested range, `Range: bytes=N-`.
    pub fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
    }
}

/// The server's answer and its faults.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers other than Content-Length.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// The value of Content-Length. With `None` the header is left out, and the body ends
    /// with the connection.
    pub length: Option<usize>,
    /// Close the connection after this many bytes of the body.
    pub cut: Option<usize>,
    /// Keep the connection open, but send nothing after this many bytes of the body.
    pub stall: Option<usize>,
    /// Send the body in pieces of this size, a millisecond apart.
    pub drip: Option<usize>,
    /// Accept the connection and never answer.
    pub silent: bool,
}

impl Answer {
    /// An answer without faults.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = Some(body.len());
        Self {
            status,
            headers: vec![],
            body,
            length,
            cut: None,
            stall: None,
            drip: None,
            silent: false,
        }
    }

    /// Status 200 with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The answer of a correct server: the requested range, or the whole body.
    pub fn ranged(request: &Request, body: &[u8], etag: &str) -> Self {
        let fresh = request.header("if-range").is_none_or(|v| v == etag);
        let answer = match request.range_start() {
            Some(start) if fresh && start < body.len() => Self::new(206, &body[start..])
                .header(
                    "Content-Range",
                    format!("bytes {start}-{}/{}", body.len() - 1, body.len()),
                ),
            Some(start) if fresh && start >= body.len() => Self::new(416, "")
                .header("Content-Range", format!("bytes */{}", body.len())),
            _ => Self::ok(body),
        };
        answer.header("ETag", etag)
    }

    /// Closes the connection after this many bytes of the body.
    #[must_use]
    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    /// Stops sending after this many bytes of the body.
    #[must_use]
    pub fn stall(mut self, after: usize) -> Self {
        self.stall = Some(after);
        self
    }

    /// Sends the body in pieces of this size, a millisecond apart.
    #[must_use]
    pub fn drip(mut self, piece: usize) -> Self {
        self.drip = Some(piece);
        self
    }

    /// Sets Content-Length, or leaves it out.
    #[must_use]
    pub fn length(mut self, length: Option<usize>) -> Self {
        self.length = length;
        self
    }
}

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server. `answer` gets each request and its number, from 0.
    pub fn start(
        answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (answer, seen, stop) = (Arc::new(answer), requests.clone(), ended.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, seen, stop) = (answer.clone(), seen.clone(), stop.clone());
                // If a client goes away, the server does not care.
                thread::spawn(move || {
                    stream.map(|s| drop(serve(&s, &*answer, &seen, &stop)))
                });
            }
        });
        Self { address, requests, ended }
    }

    /// The URL of a path on this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: &TcpStream,
    answer: &dyn Fn(&Request, usize) -> Answer,
    seen: &Mutex<Vec<Request>>,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut first = lines[0].split(' ');
        let (method, path) = (
            first.next().unwrap().to_owned(),
            first.next().unwrap_or_default().to_owned(),
        );
        if method == "CONNECT" {
            // Acts as a proxy that stands for every host.
            let headers = HashMap::new();
            seen.lock().unwrap().push(Request { method, path, headers });
            (&*stream).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            continue;
        }
        let headers = lines[1..].iter().filter_map(|l| l.split_once(':'));
        let headers = headers
            .map(|(n, v)| (n.trim().to_lowercase(), v.trim().to_owned()))
            .collect();
        let request = Request { method, path, headers };
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.iter().filter(|r| r.method != "CONNECT").count() - 1
        };
        let answer = answer(&request, number);
        if answer.silent {
            hang(stop);
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(length) = answer.length {
            head += &format!("Content-Length: {length}\r\n");
        }
        // With one request per connection, the tests are easy to follow.
        head += "Connection: close\r\n\r\n";
        let mut writer = stream;
        writer.write_all(head.as_bytes())?;
        let end =
            answer.cut.or(answer.stall).unwrap_or(usize::MAX).min(answer.body.len());
        for piece in answer.body[..end].chunks(answer.drip.unwrap_or(usize::MAX)) {
            writer.write_all(piece)?;
            if answer.drip.is_some() {
                thread::sleep(Duration::from_millis(1));
            }
        }
        if answer.stall.is_some() {
            hang(stop);
        }
        return stream.shutdown(std::net::Shutdown::Both);
    }
}

fn hang(stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(5));
    }
}
