//! Spinel by hand, on the first serial line.

use crate::emulator::PATIENCE;
use lowgate_spinel::{Decoder, FCS_OCTETS, FRAME_OCTETS_MAX, encode};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// When nothing comes for so long, nothing will: a hundred times what an answer takes.
const QUIET: Duration = Duration::from_millis(300);

/// Questions and answers, as octets.
pub(crate) struct Dialog {
    line: UnixStream,
    decoder: Decoder<{ FRAME_OCTETS_MAX + FCS_OCTETS }>,
    unread: Vec<u8>,
}

impl Dialog {
    pub(crate) fn new(line: UnixStream) -> Self {
        Self { line, decoder: Decoder::new(), unread: Vec::new() }
    }

    /// Octets as they are.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        self.line.write_all(octets).expect("the emulator reads");
    }

    /// A frame.
    pub(crate) fn say(&mut self, frame: &str) {
        self.write(&line(&hex(frame)));
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> String {
        self.next_within(PATIENCE).expect("it says something")
    }

    /// No frame comes.
    pub(crate) fn expect_silence(&mut self) {
        assert_eq!(self.next_within(QUIET), None);
    }

    /// One frame in, one frame out.
    pub(crate) fn check(&mut self, question: &str, answer: &str) {
        self.say(question);
        assert_eq!(self.next(), answer.replace(' ', ""), "to {question}");
    }

    fn next_within(&mut self, patience: Duration) -> Option<String> {
        self.line.set_read_timeout(Some(patience)).expect("a socket");
        loop {
            for (at, &octet) in self.unread.iter().enumerate() {
                if let Some(frame) = self.decoder.push(octet) {
                    let frame = frame.expect("this line damages nothing");
                    let frame = frame.iter().map(|octet| format!("{octet:02x}")).collect();
                    self.unread.drain(..=at);
                    return Some(frame);
                }
            }
            let mut octets = [0; 4096];
            let len = match self.line.read(&mut octets) {
                Ok(len @ 1..) => len,
                Ok(_) => panic!("the emulator has ended"),
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => {
                    self.unread.clear();
                    return None;
                }
                Err(fault) => panic!("the line: {fault}"),
            };
            self.unread = octets[..len].to_vec();
        }
    }
}

/// A frame on the line.
pub(crate) fn line(frame: &[u8]) -> Vec<u8> {
    encode::<4096>(frame).expect("it fits").to_vec()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|character| *character != ' ').collect();
    let (pairs, []) = digits.as_chunks::<2>() else { panic!("half an octet: {text}") };
    let octet =
        |pair: &[char; 2]| u8::from_str_radix(&String::from_iter(pair), 16).expect("digits");
    pairs.iter().map(octet).collect()
}
