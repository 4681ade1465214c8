//! A capture of the air that is written out while it happens: what a sniffer hears.

use super::{AIR, AirFrame, LINKTYPE_TAP, interface, packet, section_header};
use lowgate_units::Instant;

/// What stands before all frames. `about` becomes the comment of the section.
pub fn begin_live(about: &str) -> Vec<u8> {
    let mut file = Vec::new();
    section_header(&mut file, about);
    interface(&mut file, LINKTYPE_TAP, "air", "802.15.4 frames as they are heard");
    file
}

/// A frame; `at` counts from the beginning of 1970.
pub fn live_frame(at: Instant, frame: &AirFrame<'_>) -> Vec<u8> {
    let (mut file, mut octets) = (Vec::new(), Vec::new());
    frame.emit(&mut octets);
    packet(&mut file, AIR, at, &octets, "");
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::read;
    use lowgate_units::{Channel, Lqi, Rssi};

    #[test]
    fn what_was_written_piece_by_piece_is_read_back() {
        let psdu = [2, 0, 42];
        let frame = AirFrame {
            channel: Channel::new(20),
            rssi: Some(Rssi(-60)),
            lqi: Some(Lqi(99)),
            psdu: &psdu,
        };
        let at = Instant::ZERO + lowgate_units::Duration::from_micros(1_790_000_000_123_456);
        let file = [begin_live("an office"), live_frame(at, &frame), live_frame(at, &frame)];
        let recording = read(&file.concat()).expect("it is ours");
        assert_eq!(recording.packets.len(), 2);
        for packet in &recording.packets {
            assert_eq!((packet.at, packet.link_type), (at, LINKTYPE_TAP));
            assert_eq!(AirFrame::parse(&packet.octets), Ok(frame));
        }
        for len in 0..file[0].len() {
            assert!(read(&file[0][..len]).map_or(true, |it| it.packets.is_empty()), "{len} octets");
        }
    }
}
