//! What firmware with any DTLS and any CoAP says: octets of RFC 7252 and RFC 7641, with nothing of ours.

use lowgate_amikey::{CsbId, GroupId, Message, MsgId, Req, Role, Wish};

/// The first octet of the token of who observes; the second counts.
const OBSERVES: u8 = 0x0b;

/// One device's CoAP.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stock {
    wishes: Vec<(GroupId, Role)>,
    /// It does not observe.
    pub(crate) deaf: bool,
    /// Codes of answers to what it posted.
    pub(crate) answers: Vec<u8>,
    /// Numbers of notifications, in the order they came.
    pub(crate) numbers: Vec<u32>,
    mid: u16,
    observed: u8,
}

/// What a datagram brought.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) ack: Option<Vec<u8>>,
    pub(crate) keys: Vec<u8>,
}

impl Stock {
    pub(crate) fn wanting(wishes: &[(GroupId, Role)]) -> Self {
        Self { wishes: wishes.to_vec(), ..Self::default() }
    }

    /// Observes, and asks to come in.
    pub(crate) fn begin(&mut self) -> Vec<Vec<u8>> {
        self.numbers.clear();
        let wishes =
            self.wishes.iter().map(|(group, role)| Wish { group: *group, role: Some(*role) });
        let req = Message::Req(Req {
            msg_id: MsgId(1),
            csb_id: CsbId::NONE,
            tek_id: None,
            wishes: wishes.collect(),
        });
        let mut octets = [0; 64];
        let len = req.emit(&mut octets).expect("room");
        let get = (!self.deaf).then(|| self.observe());
        get.into_iter().chain([self.post(&octets[..len])]).collect()
    }

    /// GET k with Observe 0, under another token each time.
    pub(crate) fn observe(&mut self) -> Vec<u8> {
        let mid = self.next();
        self.observed += 1;
        vec![0x42, 1, mid[0], mid[1], OBSERVES, self.observed, 0x60, 0x51, b'k']
    }

    /// POST k.
    pub(crate) fn post(&mut self, content: &[u8]) -> Vec<u8> {
        let mid = self.next();
        [&[0x42, 2, mid[0], mid[1]], &mid[..], &[0xb1, b'k', 0xff], content].concat()
    }

    fn next(&mut self) -> [u8; 2] {
        self.mid += 1;
        self.mid.to_be_bytes()
    }

    pub(crate) fn hear(&mut self, octets: &[u8]) -> Heard {
        let (head, rest) = octets.split_at(4);
        let (token, mut rest) = rest.split_at(usize::from(head[0] & 0x0f));
        let (mut number, mut observe) = (0, None);
        while let [first, tail @ ..] = rest {
            if *first == 0xff {
                rest = tail;
                break;
            }
            let (delta, len) = (first >> 4, usize::from(first & 0x0f));
            assert!(delta < 13 && len < 13, "no long options");
            number += delta;
            let (value, after) = tail.split_at(len);
            if number == 6 {
                observe = Some(value.iter().fold(0, |all, octet| all << 8 | u32::from(*octet)));
            }
            rest = after;
        }
        let confirmable = head[0] & 0x30 == 0;
        let ack = confirmable.then(|| vec![0x60, 0, head[2], head[3]]);
        if token != [OBSERVES, self.observed] {
            self.answers.extend((!token.is_empty()).then_some(head[1]));
            return Heard { ack, keys: Vec::new() };
        }
        assert_eq!(head[1], 0x45, "2.05");
        self.numbers.extend(observe);
        Heard { ack, keys: rest.to_vec() }
    }
}
