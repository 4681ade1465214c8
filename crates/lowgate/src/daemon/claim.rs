//! `lowgate claim` and `lowgate device claim`: the border router's code from its screen to the manager.
//!
//! **Invariant:** this is the one place where a code is shown; it is typed into standard input, never on a
//! command line, which every user of the machine can read.

use super::commands::{Where, failed, say};
use super::control::Ask;
use super::origin;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use std::io::{BufRead, IsTerminal, Read};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Octets of a line with a code, however it is grouped.
const LINE_OCTETS_MAX: u64 = 256;

/// `lowgate claim`
pub fn show(place: &Where) -> ExitCode {
    let shown = place.read().and_then(|config| {
        let claim = origin::claim_of(&config.state.dir)?;
        let text = claim.text();
        let code = QrCode::new(format!("LOWGATE:{}", *text)).map_err(|fault| fault.to_string())?;
        let picture = code.render::<Dense1x2>().quiet_zone(true).build();
        picture.lines().for_each(|line| println!("{}", black_on_white(line)));
        println!("{}\n", *text);
        println!("This is a key: whoever has it can pose as border router {}.", claim.eui64());
        println!("At the domain manager: lowgate device claim");
        Ok(())
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => failed(&fault),
    }
}

/// Readers of QR codes want them so, whatever the terminal's colours are.
fn black_on_white(line: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[30;107m{line}\x1b[0m") } else { line.into() }
}

/// From standard input, so that it stands in no list of processes.
fn typed() -> Result<Zeroizing<String>, String> {
    if std::io::stdin().is_terminal() {
        eprint!("Claim code of the border router: ");
    }
    let mut line = Zeroizing::new(String::new());
    let read = std::io::stdin().lock().take(LINE_OCTETS_MAX).read_line(&mut line);
    read.map_err(|fault| format!("standard input: {fault}"))?;
    Ok(line.strip_prefix("LOWGATE:").map_or(line.clone(), |code| Zeroizing::new(code.into())))
}

/// `lowgate device claim`
pub(super) fn tell(place: &Where) -> ExitCode {
    match typed() {
        Ok(claim) => {
            let claim = claim.to_string();
            say(place, &Ask::RouterAdd { claim }, |_| vec!["the border router may join".into()])
        }
        Err(fault) => failed(&fault),
    }
}
