//! Addresses of machines, and of networks of them.

use std::net::IpAddr;

/// True where an address is this one, or in this network (`10.0.0.0/8`). `None`: the text is neither.
#[must_use]
pub fn holds(network: &str, address: IpAddr) -> Option<bool> {
    let (base, length) = match network.split_once('/') {
        Some((base, length)) => (base, Some(length.parse::<u32>().ok()?)),
        None => (network, None),
    };
    let bits = |ip: IpAddr| match ip.to_canonical() {
        IpAddr::V4(ip) => (32_u32, u128::from(ip.to_bits())),
        IpAddr::V6(ip) => (128, ip.to_bits()),
    };
    let ((width, base), (other_width, address)) = (bits(base.parse().ok()?), bits(address));
    let shift = width.checked_sub(length.unwrap_or(width))?;
    let head = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
    Some(width == other_width && head(base) == head(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_that_its_first_bits_name() {
        let is_in = |network: &str, address: &str| holds(network, address.parse().unwrap());
        for (network, address) in [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "::ffff:10.0.0.1"),
            ("10.1.2.3/8", "10.200.0.1"),
            ("0.0.0.0/0", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8:1::1"),
            ("::/0", "2001:db8::1"),
        ] {
            assert_eq!(is_in(network, address), Some(true), "{network} {address}");
        }
        for (network, address) in [
            ("10.0.0.1", "10.0.0.2"),
            ("10.0.0.0/31", "10.0.0.2"),
            ("::/0", "10.0.0.1"),
            ("2001:db8::/32", "2001:db9::1"),
        ] {
            assert_eq!(is_in(network, address), Some(false), "{network} {address}");
        }
        for odd in ["", "proxy", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "/8"] {
            assert_eq!(is_in(odd, "10.0.0.1"), None, "{odd}");
        }
    }
}
