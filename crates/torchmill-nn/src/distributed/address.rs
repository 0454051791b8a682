//! This machine's addresses, at which the processes meet.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::net::{TcpListener, ToSocketAddrs, UdpSocket};

use torchmill::{Error, Result};

/// The address of this machine on the route to `host`, at which the other processes reach
/// it. `None` if there is no route.
pub(super) fn towards(host: &str, port: u16) -> Option<IpAddr> {
    for address in (host, port).to_socket_addrs().ok()? {
        if let Ok(own) = source_address(address) {
            return Some(own);
        }
    }
    None
}

fn source_address(to: SocketAddr) -> io::Result<IpAddr> {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Connecting a UDP socket sends nothing. It chooses the address to send from.
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// A socket that listens on `host`. If `host` is not an address of this machine (a
/// Kubernetes service's name, for example), it listens on all of the machine's addresses.
pub(super) fn listen(host: &str, port: u16) -> Result<TcpListener> {
    let bound = match TcpListener::bind((host, port)) {
        Err(e) if e.kind() == ErrorKind::AddrNotAvailable => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        }
        bound => bound,
    };
    bound.map_err(|e| {
        let doing =
            format!("cannot listen on {host}:{port} (MASTER_ADDR and MASTER_PORT)");
        if e.kind() == ErrorKind::AddrInUse {
            return Error::failed(format_args!(
                "{doing}: the port is in use; give another MASTER_PORT"
            ));
        }
        Error::io(doing, e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_one_on_the_route() {
        assert_eq!(towards("127.0.0.1", 1), Some(Ipv4Addr::LOCALHOST.into()));
        assert!(towards("localhost", 1).unwrap().is_loopback());
        assert_eq!(towards("", 1), None);
    }

    #[test]
    fn a_port_in_use_is_named() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let error = listen("127.0.0.1", port).unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
        assert!(error.contains("the port is in use; give another MASTER_PORT"));
    }
}
