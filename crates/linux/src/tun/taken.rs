//! Whether a prefix is somebody else's already. The kernel would take a second one: the mesh's packets
//! then leave by whichever interface has the smaller metric.

use super::{TunError, network_of};
use std::net::Ipv6Addr;

/// Every route of this network namespace, those to its own addresses among them.
const ROUTES: &str = "/proc/self/net/ipv6_route";

/// Refuses a prefix into which a route of an interface other than `name` leads.
pub(super) fn check(name: &str, destination: Ipv6Addr, prefix_len: u8) -> Result<(), TunError> {
    let routes = std::fs::read_to_string(ROUTES).map_err(|source| TunError::Io {
        doing: format!("read {ROUTES}, which says what is routed where,"),
        source,
    })?;
    let taken = routes.lines().filter_map(route).find(|(network, len, interface)| {
        *interface != name
            && *len >= prefix_len
            && network_of(*network, prefix_len) == network_of(destination, prefix_len)
    });
    match taken {
        None => Ok(()),
        Some((_, _, interface)) => Err(TunError::PrefixTaken {
            prefix: format!("{}/{prefix_len}", network_of(destination, prefix_len)),
            interface: interface.to_owned(),
        }),
    }
}

/// Destination, its length, and the interface. The columns between are source, its length, next hop,
/// metric, two counters and flags, in hexadecimal.
fn route(line: &str) -> Option<(Ipv6Addr, u8, &str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [destination, len, _, _, _, _, _, _, _, interface] = words[..] else { return None };
    let destination = u128::from_str_radix(destination, 16).ok()?;
    Some((Ipv6Addr::from_bits(destination), u8::from_str_radix(len, 16).ok()?, interface))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_of_the_kernel() {
        let line = "fd57b06509d600000000000000000000 40 00000000000000000000000000000000 00 \
                    00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0";
        assert_eq!(route(line), Some(("fd57:b065:9d6::".parse().unwrap(), 64, "eth0")));
        assert_eq!(route("fd57b06509d6 40 eth0"), None);
        assert_eq!(route(""), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_skipped(line: String) {
            let interface = route(&line).map(|(_, _, interface)| interface);
            prop_assert!(interface.is_none_or(|interface| line.trim_end().ends_with(interface)));
        }
    }
}
