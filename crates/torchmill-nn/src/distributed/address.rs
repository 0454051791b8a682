//! This machine's addresses and network interfaces, at which the processes meet.

use std::env;
use std::ffi::CStr;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::net::{TcpListener, ToSocketAddrs, UdpSocket};

use torchmill::{Error, Result};

/// PyTorch's environment variable with the interfaces that Gloo uses, separated by commas.
const INTERFACES: &str = "GLOO_SOCKET_IFNAME";

/// Whether the user names interfaces for Gloo in GLOO_SOCKET_IFNAME.
///
/// # Errors
/// If this machine has no such interface, or it has no IP address.
pub(super) fn are_interfaces_named() -> Result<bool> {
    let named = env::var_os(INTERFACES).unwrap_or_default();
    if named.is_empty() {
        return Ok(false);
    }
    check_interfaces(&named.to_string_lossy(), &interfaces()?)?;
    Ok(true)
}

fn check_interfaces(named: &str, existing: &[String]) -> Result<()> {
    for name in named.split(',') {
        if !existing.iter().any(|interface| interface == name) {
            return Err(Error::usage(format_args!(
                "the environment variable {INTERFACES}: this machine has no network \
                 interface `{name}` with an IP address; it has {}",
                existing.join(", ")
            )));
        }
    }
    Ok(())
}

/// The names of this machine's network interfaces that have an IP address.
fn interfaces() -> Result<Vec<String>> {
    let mut first = std::ptr::null_mut();
    // SAFETY: the call writes the address of a list there, or fails.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        let error = io::Error::last_os_error();
        return Err(Error::io("cannot list the network interfaces", error));
    }
    let mut names = Vec::new();
    let mut next = first;
    while !next.is_null() {
        // SAFETY: the list is valid until it is freed below. An entry has a name, and an
        // address or null.
        let (name, family) = unsafe {
            let address = (*next).ifa_addr;
            let family = (!address.is_null()).then(|| i32::from((*address).sa_family));
            (CStr::from_ptr((*next).ifa_name).to_string_lossy().into_owned(), family)
        };
        let has_ip = matches!(family, Some(libc::AF_INET | libc::AF_INET6));
        if has_ip && !names.contains(&name) {
            names.push(name);
        }
        // SAFETY: as above.
        next = unsafe { (*next).ifa_next };
    }
    // SAFETY: getifaddrs returned the list, and nothing refers to it any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(names)
}

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
    fn an_interface_that_does_not_exist_is_named() {
        let own = interfaces().unwrap();
        let loopback = own.iter().find(|name| name.starts_with("lo")).unwrap();
        check_interfaces(loopback, &own).unwrap();
        let existing = ["lo".to_owned(), "eth0".to_owned()];
        check_interfaces("eth0,lo", &existing).unwrap();
        for wrong in ["eth1", "lo,eth1", "lo,", "e"] {
            let error = check_interfaces(wrong, &existing).unwrap_err();
            assert_eq!(error.kind(), torchmill::ErrorKind::Usage);
            let error = error.to_string();
            assert!(error.contains("it has lo, eth0"), "{error}");
        }
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
