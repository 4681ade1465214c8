//! The network interfaces by which others reach this machine over IPv6, as the kernel lists them in
//! `/proc/self/net/if_inet6`: address, index, prefix length, scope, flags and name, in hexadecimal but for the name.

use std::collections::BTreeMap;
use std::io;

/// Interfaces that are up and have IPv6, by index, with their names.
pub type Uplinks = BTreeMap<u32, String>;

const LIST: &str = "/proc/self/net/if_inet6";
/// The scope of `::1`.
const SCOPE_HOST: &str = "10";

/// All of them but the loopback interface and `except`.
///
/// # Errors
/// The kernel has no IPv6, or `/proc` is not there.
pub fn uplinks(except: &str) -> io::Result<Uplinks> {
    Ok(parse(&std::fs::read_to_string(LIST)?, except))
}

fn parse(list: &str, except: &str) -> Uplinks {
    let link = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let index = u32::from_str_radix(columns.nth(1)?, 16).ok()?;
        let scope = columns.nth(1)?;
        let name = columns.nth(1)?;
        (scope != SCOPE_HOST && name != except).then(|| (index, name.to_owned()))
    };
    list.lines().filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_interface_with_two_addresses_is_one() {
        let list = "\
00000000000000000000000000000001 01 80 10 80       lo
fd00000b000000000000000000000001 0a 40 00 80     eth0
fe80000000000000020000fffe000001 0a 40 20 80     eth0
fe80000000000000020000fffe000002 0b 40 20 80 lowgate0
";
        let names = |except| parse(list, except).into_iter().collect::<Vec<_>>();
        assert_eq!(names("lowgate0"), [(10, "eth0".into())]);
        assert_eq!(names(""), [(10, "eth0".into()), (11, "lowgate0".into())]);
        assert_eq!(parse("nonsense\n\n1 2\n", ""), Uplinks::new());
    }

    proptest! {
        #[test]
        fn any_list_is_read(list: String) {
            prop_assert!(parse(&list, "lo").values().all(|name| name != "lo"));
        }
    }
}
