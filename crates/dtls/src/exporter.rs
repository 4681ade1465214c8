//! Keying material for the application, RFC 5705.

use crate::schedule::{Master, Randoms};
use lowgate_crypto::tls12_prf;

/// Why nothing was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportRefused {
    /// No session, or its handshake is not finished, or the server keeps nothing for exporters.
    NotEstablished,
    /// RFC 7627 section 5.4: without the extended master secret two sessions may share their secrets, so
    /// exporters MUST be disabled.
    NoExtendedMasterSecret,
    /// RFC 5705 section 4: the handshake itself uses this label.
    LabelReserved,
    /// A context of more than 65535 octets.
    ContextTooLong,
}

/// What the handshake derives itself.
const RESERVED: [&[u8]; 5] = [
    b"client finished",
    b"server finished",
    b"master secret",
    b"extended master secret",
    b"key expansion",
];

/// Fills `out`. An empty context is another one than none.
pub(crate) fn export(
    master: &Master,
    randoms: Randoms<'_>,
    label: &[u8],
    context: Option<&[u8]>,
    out: &mut [u8],
) -> Result<(), ExportRefused> {
    if RESERVED.contains(&label) {
        return Err(ExportRefused::LabelReserved);
    }
    let Randoms { client, server } = randoms;
    let secret = master.0.expose();
    match context {
        None => tls12_prf(secret, label, &[client, server], out),
        Some(context) => {
            let len = u16::try_from(context.len()).map_err(|_| ExportRefused::ContextTooLong)?;
            tls12_prf(secret, label, &[client, server, &len.to_be_bytes(), context], out);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_crypto::Secret;

    const RANDOMS: Randoms<'_> = Randoms { client: &[1; 32], server: &[2; 32] };

    fn master() -> Master {
        Master(Secret::new([7; 48]))
    }

    fn exported(label: &[u8], context: Option<&[u8]>) -> [u8; 40] {
        let mut out = [0; 40];
        assert_eq!(export(&master(), RANDOMS, label, context, &mut out), Ok(()));
        out
    }

    #[test]
    fn label_and_context_count() {
        let all = [
            exported(b"EXPORTER-a", None),
            exported(b"EXPORTER-b", None),
            exported(b"EXPORTER-a", Some(b"")),
            exported(b"EXPORTER-a", Some(b"x")),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| one != other));
        }
        assert_eq!(all[0], exported(b"EXPORTER-a", None));
    }

    #[test]
    fn refusals() {
        let refused =
            |label: &[u8], context| export(&master(), RANDOMS, label, context, &mut [0; 4]);
        for label in RESERVED {
            assert_eq!(refused(label, None), Err(ExportRefused::LabelReserved));
        }
        let long = std::vec![0; 1 << 16];
        assert_eq!(refused(b"EXPORTER-a", Some(&long)), Err(ExportRefused::ContextTooLong));
        assert_eq!(refused(b"EXPORTER-a", Some(&long[1..])), Ok(()));
    }
}
