//! c10d's key-value store, which all processes share.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::IntoRawFd;
use std::thread;
use std::time::{Duration, Instant};

use cxx::UniquePtr;
use torchmill::launch::Launch;
use torchmill::{Error, Result, interrupt};

use super::bridge::ffi;
use super::{address, disconnected, milliseconds};

/// How often a process checks whether the store is up.
const INTERVAL: Duration = Duration::from_millis(50);

/// A connection to the store. Several threads may use it.
pub(super) struct Store(UniquePtr<ffi::Store>);

impl Store {
    /// Connects to the launch's store. Rank 0 opens the store first, unless the launcher
    /// has.
    pub(super) fn open(launch: &Launch, timeout: Duration) -> Result<Self> {
        ffi::set_log_level();
        if launch.rank == 0 && !launch.launcher_hosts_store {
            let socket = address::listen(&launch.host, launch.port)?;
            return Self::serve(&launch.host, socket, timeout);
        }
        wait_for_server(launch, timeout)?;
        Self::connect(&launch.host, launch.port, timeout)
    }

    /// Serves a store on a listening socket.
    pub(super) fn serve(
        host: &str,
        socket: TcpListener,
        timeout: Duration,
    ) -> Result<Self> {
        let port = socket.local_addr().map_or(0, |address| address.port());
        Self::new(host, port, Some(socket), timeout)
    }

    /// Connects to a store that is up.
    pub(super) fn connect(host: &str, port: u16, timeout: Duration) -> Result<Self> {
        Self::new(host, port, None, timeout)
    }

    fn new(
        host: &str,
        port: u16,
        socket: Option<TcpListener>,
        timeout: Duration,
    ) -> Result<Self> {
        let options = ffi::StoreOptions {
            host: host.to_owned(),
            port,
            socket: socket.map_or(-1, IntoRawFd::into_raw_fd),
            timeout_ms: milliseconds(timeout),
        };
        ffi::open_store(&options).map(Self).map_err(|e| disconnected(&e))
    }

    /// A store for the threads of this process.
    #[cfg(test)]
    pub(super) fn in_memory(timeout: Duration) -> Result<Self> {
        let store = ffi::hash_store(milliseconds(timeout));
        store.map(Self).map_err(|e| disconnected(&e))
    }

    /// Sets a key.
    pub(super) fn set(&self, key: &str, value: &str) -> Result<()> {
        ffi::store_set(&self.0, key, value).map_err(|e| disconnected(&e))
    }

    /// A key's value; `None` if it is not set. Does not wait.
    pub(super) fn get(&self, key: &str) -> Result<Option<String>> {
        let mut value = String::new();
        let is_set = ffi::store_get(&self.0, key, &mut value);
        let is_set = is_set.map_err(|e| disconnected(&e))?;
        Ok(is_set.then_some(value))
    }

    /// The store for c10d, which makes process groups with it.
    pub(super) fn inner(&self) -> &ffi::Store {
        &self.0
    }
}

/// Waits until something listens at the store's address. c10d would wait too, but cannot
/// be interrupted.
fn wait_for_server(launch: &Launch, timeout: Duration) -> Result<()> {
    let started = Instant::now();
    loop {
        interrupt::check()?;
        let error = match try_connect(launch) {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        if started.elapsed() >= timeout {
            return Err(Error::io(
                format_args!(
                    "rank 0 has not come within {}: nothing answers at {}:{} \
                     (MASTER_ADDR and MASTER_PORT)",
                    seconds(timeout),
                    launch.host,
                    launch.port
                ),
                error,
            ));
        }
        thread::sleep(INTERVAL);
    }
}

fn try_connect(launch: &Launch) -> std::io::Result<()> {
    let mut last = std::io::Error::from(ErrorKind::NotFound);
    for address in (launch.host.as_str(), launch.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            Ok(_) => return Ok(()),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// `30 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
