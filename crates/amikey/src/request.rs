//! TLS extension 0xFF40: what a joiner asks of the domain manager, and what the manager understood.
//!
//! ```text
//! ClientHello  ver8=1 | flags8 | node_id<1-octet length> | groups<1-octet length> of { group16 | role8 }
//! ServerHello  ver8=1 | flags8      (a subset of the client's flags; never a grant)
//! ```
//! **Invariant:** pure functions of octets. The hello is not authenticated yet: the node id must
//! equal the PSK identity later, and the grant is MKD after Finished.

use heapless::Vec;

use crate::wire::{NoRoom, Reader, Writer};
use crate::{GroupId, Role};

const VERSION: u8 = 1;

/// Groups one request may name.
pub const GROUPS_MAX: usize = 16;
/// Octets of a node id: as many as a PSK identity may have.
pub const NODE_ID_OCTETS_MAX: usize = 128;

/// A wish to be in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// Which group.
    pub group: GroupId,
    /// As what.
    pub role: Role,
}

/// A change of membership asked for after the join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// Which group.
    pub group: GroupId,
    /// As what; `None` means to leave it.
    pub role: Option<Role>,
}

/// What a joiner wants or speaks. Bits without a name are kept and not answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFlags(pub u8);

impl RequestFlags {
    /// Wants the link key and configuration.
    pub const NETWORK_ACCESS: Self = Self(0x01);
    /// Speaks key management in MIKEY's own payloads; we do not.
    pub const CHAIN_FORM: Self = Self(0x02);
    /// Speaks the compact form.
    pub const COMPACT_FORM: Self = Self(0x04);
    /// Wants a polynomial share.
    pub const POLYNOMIAL_SHARE: Self = Self(0x08);
    /// Follows key trees: verifies what their messages are signed with.
    pub const KEY_TREES: Self = Self(0x10);

    /// What this implementation can answer with.
    pub const SPOKEN: Self = Self::NETWORK_ACCESS.with(Self::COMPACT_FORM);

    /// Both sets of flags.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What is wrong with the extension's octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestDrop {
    /// They end early.
    Truncated,
    /// Octets are left over.
    Trailing,
    /// Not version 1.
    Version(u8),
    /// The node id is longer than [`NODE_ID_OCTETS_MAX`].
    NodeIdTooLong,
    /// More groups than [`GROUPS_MAX`].
    GroupsTooMany,
    /// A role nobody defined, or leaving, which only a member can do.
    Role(u8),
    /// A group is named twice.
    GroupRepeated(GroupId),
}

/// Payload of the extension in a ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRequest {
    /// What it wants and speaks.
    pub flags: RequestFlags,
    /// The name it is going to authenticate; may be empty.
    pub node_id: Vec<u8, NODE_ID_OCTETS_MAX>,
    /// The groups it wants to be in; may be empty.
    pub groups: Vec<Membership, GROUPS_MAX>,
}

impl GroupRequest {
    /// Octets [`Self::emit`] writes at most.
    pub const OCTETS_MAX: usize = 4 + NODE_ID_OCTETS_MAX + 3 * GROUPS_MAX;

    /// Reads the whole payload.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(octets: &[u8]) -> Result<Self, RequestDrop> {
        let mut reader = Reader(octets);
        let version = reader.u8().ok_or(RequestDrop::Truncated)?;
        if version != VERSION {
            return Err(RequestDrop::Version(version));
        }
        let flags = RequestFlags(reader.u8().ok_or(RequestDrop::Truncated)?);
        let node_id = sized(&mut reader)?;
        let mut groups = Reader(sized(&mut reader)?);
        if !reader.is_empty() {
            return Err(RequestDrop::Trailing);
        }
        let mut request = Self {
            flags,
            node_id: Vec::from_slice(node_id).map_err(|_| RequestDrop::NodeIdTooLong)?,
            groups: Vec::new(),
        };
        while !groups.is_empty() {
            let group = GroupId(groups.u16().ok_or(RequestDrop::Truncated)?);
            let role = groups.u8().ok_or(RequestDrop::Truncated)?;
            let role = Role::new(role).ok_or(RequestDrop::Role(role))?;
            if request.groups.iter().any(|other| other.group == group) {
                return Err(RequestDrop::GroupRepeated(group));
            }
            let membership = Membership { group, role };
            request.groups.push(membership).map_err(|_| RequestDrop::GroupsTooMany)?;
        }
        Ok(request)
    }

    /// Writes the payload and says how long it is.
    ///
    /// # Errors
    /// When `out` is too short.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        writer.put(&[VERSION, self.flags.0])?;
        writer.put_u8(u8::try_from(self.node_id.len()).map_err(|_| NoRoom)?)?;
        writer.put(&self.node_id)?;
        writer.put_u8(u8::try_from(3 * self.groups.len()).map_err(|_| NoRoom)?)?;
        for Membership { group, role } in &self.groups {
            writer.put_u16(group.0)?;
            writer.put_u8(role.bits())?;
        }
        Ok(writer.written())
    }

    /// What the manager answers: those of the flags that it speaks.
    pub const fn answer(&self) -> GroupAnswer {
        GroupAnswer { flags: RequestFlags(self.flags.0 & RequestFlags::SPOKEN.0) }
    }
}

fn sized<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], RequestDrop> {
    let len = reader.u8().ok_or(RequestDrop::Truncated)?;
    reader.take(len.into()).ok_or(RequestDrop::Truncated)
}

/// Payload of the extension in a ServerHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupAnswer {
    /// Those of the request's flags that the manager speaks.
    pub flags: RequestFlags,
}

impl GroupAnswer {
    /// Octets of the payload.
    pub const OCTETS: usize = 2;

    /// Reads the whole payload. The caller checks that the flags are among those it sent.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(octets: &[u8]) -> Result<Self, RequestDrop> {
        match *octets {
            [VERSION, flags] => Ok(Self { flags: RequestFlags(flags) }),
            [] | [VERSION] => Err(RequestDrop::Truncated),
            [VERSION, ..] => Err(RequestDrop::Trailing),
            [version, ..] => Err(RequestDrop::Version(version)),
        }
    }

    /// The payload.
    pub const fn emit(&self) -> [u8; Self::OCTETS] {
        [VERSION, self.flags.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<GroupRequest, RequestDrop>) {
        let octets = hex(text);
        let parsed = GroupRequest::parse(&octets);
        assert_eq!(parsed, expected);
        if let Ok(request) = parsed {
            let mut out = [0xaa; GroupRequest::OCTETS_MAX];
            let len = request.emit(&mut out).expect("room");
            assert_eq!(out[..len], octets);
            assert_eq!(request.emit(&mut out[..len - 1]), Err(NoRoom));
            for len in 0..octets.len() {
                assert_eq!(GroupRequest::parse(&octets[..len]), Err(RequestDrop::Truncated));
            }
        }
    }

    fn request(flags: u8, node_id: &str, groups: &[(u16, Role)]) -> GroupRequest {
        let groups =
            groups.iter().map(|(group, role)| Membership { group: GroupId(*group), role: *role });
        GroupRequest {
            flags: RequestFlags(flags),
            node_id: Vec::from_slice(&hex(node_id)).expect("short"),
            groups: groups.collect(),
        }
    }

    #[test]
    fn the_worked_example() {
        let expected = request(0x01, "02124b0000000001", &[(7, Role::Listener)]);
        check("01 01 08 02124b0000000001 03 0007 01", Ok(expected));
    }

    #[test]
    fn no_name_and_no_groups() {
        check("01 05 00 00", Ok(request(0x05, "", &[])));
    }

    #[test]
    fn three_groups() {
        let groups = [(1, Role::Listener), (2, Role::Sender), (0xffff, Role::SenderAndListener)];
        check("01 ff 01 42 09 0001 01 0002 02 ffff 03", Ok(request(0xff, "42", &groups)));
    }

    #[test]
    fn faults() {
        for (text, fault) in [
            ("02 01 00 00", RequestDrop::Version(2)),
            ("01 01 00 00 00", RequestDrop::Trailing),
            ("01 01 00 03 0007 00", RequestDrop::Role(0)),
            ("01 01 00 03 0007 04", RequestDrop::Role(4)),
            ("01 01 00 02 0007", RequestDrop::Truncated),
            ("01 01 00 06 0007 01 0007 02", RequestDrop::GroupRepeated(GroupId(7))),
        ] {
            check(text, Err(fault));
        }
        let mut long = std::vec![0x42; 4 + 129];
        (long[0], long[2], long[132]) = (1, 129, 0);
        assert_eq!(GroupRequest::parse(&long), Err(RequestDrop::NodeIdTooLong));
        let groups: std::vec::Vec<u8> = (0..17).flat_map(|group| [0, group, 1]).collect();
        let many = [&[1, 1, 0, 51][..], &groups].concat();
        assert_eq!(GroupRequest::parse(&many), Err(RequestDrop::GroupsTooMany));
    }

    #[test]
    fn the_answer_is_a_subset_of_the_flags() {
        assert_eq!(request(0x01, "", &[]).answer().emit()[..], hex("01 01"));
        assert_eq!(request(0xff, "", &[]).answer().flags, RequestFlags::SPOKEN);
        assert_eq!(request(0x0a, "", &[]).answer().flags, RequestFlags(0));
        let answer = GroupAnswer { flags: RequestFlags(5) };
        assert_eq!(GroupAnswer::parse(&answer.emit()), Ok(answer));
        assert_eq!(GroupAnswer::parse(&[1]), Err(RequestDrop::Truncated));
        assert_eq!(GroupAnswer::parse(&[0, 1]), Err(RequestDrop::Version(0)));
        assert_eq!(GroupAnswer::parse(&[1, 1, 1]), Err(RequestDrop::Trailing));
    }

    extern crate std;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn emit_of_parse_is_identity(tail in proptest::collection::vec(any::<u8>(), 0..40)) {
            for octets in [tail.clone(), [&[1][..], &tail].concat()] {
                let _ = GroupAnswer::parse(&octets);
                if let Ok(request) = GroupRequest::parse(&octets) {
                    let mut out = [0xaa; GroupRequest::OCTETS_MAX];
                    let len = request.emit(&mut out).expect("room");
                    prop_assert_eq!(&out[..len], &octets[..]);
                }
            }
        }
    }
}
