//! Names, prefixes and errors everywhere; a real device where the kernel allows one.

use super::*;

#[test]
fn names() {
    for good in ["lowgate0", "a", "wpan0.1", "mesh-0_b", "123456789012345"] {
        assert!(check_name(good).is_ok(), "{good}");
    }
    for bad in ["", ".", "..", "all", "default", "a/b", "a b", "tun%d", "ä", "1234567890123456"] {
        assert!(matches!(check_name(bad), Err(TunError::Name(_))), "{bad}");
    }
}

#[test]
fn networks() {
    let check = |address: &str, prefix_len, network: &str| {
        let address: Ipv6Addr = address.parse().unwrap();
        assert_eq!(network_of(address, prefix_len), network.parse::<Ipv6Addr>().unwrap());
    };
    check("fd00:1:2:3:4:5:6:7", 0, "::");
    check("fd00:1:2:3:4:5:6:7", 64, "fd00:1:2:3::");
    check("fd00:1:2:3:4:5:6:7", 127, "fd00:1:2:3:4:5:6:6");
    check("fd00:1:2:3:4:5:6:7", 128, "fd00:1:2:3:4:5:6:7");
}

#[test]
fn errors_are_told_apart() {
    let check = |errno, expected: fn(&TunError) -> bool| {
        let error = open_error("mesh0", io::Error::from_raw_os_error(errno));
        assert!(expected(&error), "errno {errno}: {error:?}");
    };
    check(1, |error| matches!(error, TunError::Capability { .. })); // EPERM
    check(2, |error| matches!(error, TunError::NoDriver)); // ENOENT
    check(13, |error| matches!(error, TunError::DeviceFile)); // EACCES
    check(16, |error| matches!(error, TunError::Taken(_))); // EBUSY
    check(22, |error| matches!(error, TunError::NotTun(_))); // EINVAL
    check(12, |error| matches!(error, TunError::Io { .. })); // ENOMEM
}
