//! An address for each server: Active Directory's ports are fixed, and a server that is started
//! again has to find its port free.

use std::net::{Ipv4Addr, TcpListener};

/// A loopback address that nothing listens on at LDAP's ports. It is drawn from 12 million, so that
/// runs beside one another do not meet.
pub fn loopback_address() -> Ipv4Addr {
    loop {
        let [a, b, c, _] = rand::random::<[u8; 4]>();
        let address = Ipv4Addr::new(127, 64 + a % 190, b, 1 + c % 254);
        if [3636, 3389]
            .iter()
            .all(|port| TcpListener::bind((address, *port)).is_ok())
        {
            return address;
        }
    }
}
