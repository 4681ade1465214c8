//! The user's key of journals: 32 hexadecimal digits in a file that nobody else may read.

use lowgate_crypto::Key128;
use lowgate_units::Entropy;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const KEY_OCTETS: usize = 16;

/// Beside the journal: its name and `.key`.
pub(super) fn beside(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

/// The key in the file at `path`, drawn if there is no file.
pub(super) fn made(path: &Path, entropy: &mut dyn Entropy) -> Result<Key128, String> {
    let mut octets = Zeroizing::new([0; KEY_OCTETS]);
    entropy.fill(&mut octets[..]);
    let digits = octets.iter().map(|octet| format!("{octet:02x}"));
    let text = Zeroizing::new(digits.collect::<String>() + "\n");
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    // A file without its key would stand in the way of the next start.
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes()).inspect_err(|_| drop(fs::remove_file(path)))
    });
    match written {
        Ok(()) => Ok(Key128::new(*octets)),
        Err(fault) if fault.kind() == ErrorKind::AlreadyExists => read(path),
        Err(fault) => Err(format!("{}: the journal's key cannot be made: {fault}", path.display())),
    }
}

/// The key in the file at `path`.
///
/// # Errors
/// One line, with the cause and the remedy.
pub(in crate::daemon) fn read(path: &Path) -> Result<Key128, String> {
    let shown = path.display();
    let unreadable = |fault| format!("{shown}: the journal's key cannot be read: {fault}");
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("{shown}: others may read the journal's key; chmod 600 {shown}"));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?);
    let wanted = || format!("{shown}: no key of a journal; 32 hexadecimal digits are wanted");
    let digits = text.trim();
    if digits.len() != 2 * KEY_OCTETS || !digits.is_ascii() {
        return Err(wanted());
    }
    let mut octets = Zeroizing::new([0; KEY_OCTETS]);
    for (at, octet) in octets.iter_mut().enumerate() {
        let digits = &digits[2 * at..2 * at + 2];
        // `from_str_radix` would take a sign.
        let digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits);
        let parsed = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        *octet = parsed.ok_or_else(wanted)?;
    }
    Ok(Key128::new(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_units::SeededEntropy;

    #[test]
    fn a_key_is_made_once_and_for_its_owner() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = beside(&dir.path().join("journal"));
        assert_eq!(path.file_name().and_then(|name| name.to_str()), Some("journal.key"));
        let key = made(&path, &mut SeededEntropy::new(1)).expect("a new file");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(made(&path, &mut SeededEntropy::new(2)).expect("the same") == key);
        assert!(read(&path).expect("the same") == key);
    }

    #[test]
    fn what_is_no_key_is_refused_in_a_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("key");
        let refused = || read(&path).expect_err("refused");
        assert!(refused().contains("cannot be read"));
        for text in ["", "00112233", "+0112233445566778899aabbccddeeff", "é".repeat(16).as_str()] {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its owner");
            let fault = refused();
            assert!(fault.contains("32 hexadecimal digits") && !fault.contains('\n'), "{fault}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("its owner");
        assert!(refused().contains("chmod 600"));
    }
}
