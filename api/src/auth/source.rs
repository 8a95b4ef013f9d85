//! Where a request comes from, as far as guesses of passwords are counted by it.

use actix_web::HttpRequest;
use millrace_common::config::network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address; of version 6 the network that one who connects usually has to himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// Of a request: the address that it comes from, or, where that is a proxy's, the one that the proxy names.
    #[must_use]
    pub fn of<P: AsRef<str>>(request: &HttpRequest, proxies: &[P]) -> Self {
        let peer = request.peer_addr().map(|peer| peer.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let named = request.headers().get_all("x-forwarded-for");
        let named: Vec<&str> = named
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .collect();
        Self::behind(peer, &named, proxies)
    }

    /// Each proxy names who asked it, behind what that one said: only as far as they are known.
    fn behind<P: AsRef<str>>(peer: IpAddr, named: &[&str], proxies: &[P]) -> Self {
        let is_proxy = |address: &IpAddr| {
            let mut known = proxies.iter();
            known.any(|proxy| network::holds(proxy.as_ref(), *address) == Some(true))
        };
        let mut address = peer.to_canonical();
        for word in named.iter().rev() {
            if !is_proxy(&address) {
                break;
            }
            let Ok(before) = word.trim().parse::<IpAddr>() else {
                break;
            };
            address = before.to_canonical();
        }
        Self(match address {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            v4 => v4,
        })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(peer: &str, named: &[&str]) -> String {
        let source = Source::behind(peer.parse().unwrap(), named, &["10.0.0.1", "10.0.0.2/31"]);
        source.0.to_string()
    }

    #[test]
    fn only_proxies_that_are_known_are_believed() {
        assert_eq!(behind("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(behind("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(behind("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            behind("::ffff:10.0.0.1", &[" 198.51.100.1 "]),
            "198.51.100.1"
        );
        // What the client claims itself is in front of what the proxies say.
        let named = ["203.0.113.9", "198.51.100.1", "10.0.0.2"];
        assert_eq!(behind("10.0.0.1", &named), "198.51.100.1");
        assert_eq!(behind("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(behind("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_network_of_version_6_is_one() {
        assert_eq!(behind("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
        assert_eq!(behind("10.0.0.1", &["2001:db8:1:2::7"]), "2001:db8:1:2::");
    }
}
