//! The hellos: every fault of a message by its octets, and that parsing what was emitted gives it back.

extern crate std;
use super::*;
use lowgate_testkit::hex;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

const RANDOM: &str = "588e5f9dc778cef22405f42f9bea25928bd0312ce14d642d034d24f4fab672fc";
const ALL: Offered = Offered {
    suites: Suites(&[CipherSuite::Psk]),
    #[cfg(feature = "ecc")]
    raw_keys: false,
    #[cfg(feature = "x509")]
    cached: false,
    #[cfg(feature = "x509")]
    certificate_url: false,
    extended_master_secret: true,
    connection_id: true,
    group_request: true,
    pairwise: true,
    fragment_len: Some(FragmentLen::Octets512),
    server_name: true,
    heartbeat: true,
    session_ticket: true,
    return_routability: true,
};

fn check_client(rest: &str, expected: Result<ClientOffer<'_>, CloseReason>) {
    let octets = hex(&[RANDOM, rest].concat());
    for version in [[0xfe, 0xfd], [0xfe, 0xfc]] {
        let octets = [&version, &octets[..]].concat();
        let offer = ClientHelloHead::parse(&octets).and_then(|head| head.offer());
        assert_eq!(offer, expected, "{rest}");
        for end in 0..octets.len() {
            let _ = ClientHelloHead::parse(&octets[..end]).and_then(|head| head.offer());
        }
    }
    let old = [&[0xfe, 0xff], &octets[..]].concat();
    let refused = ClientHelloHead::parse(&old).and_then(|head| head.offer());
    assert!(matches!(refused, Err(CloseReason::NoCommonVersion | CloseReason::MalformedHello)));
}

#[test]
fn client_hellos_of_strangers() {
    let plain = ClientOffer::default();
    // No extensions at all; then an empty block.
    check_client("00 00 0002c0a8 0100", Ok(plain));
    check_client("00 00 0002c0a8 0100 0000", Ok(plain));
    // A session id, a cookie, many suites with the SCSV, an unknown extension.
    let scsv = ClientOffer { renegotiation_info: true, ..plain };
    check_client("02aabb 03aabbcc 0006c0a900ffc0a8 020100 00060a0a0002001d", Ok(scsv));
    let all = "00 00 0002c0a8 0100 0038 ff01000100 00170000 0036000302aabb ff40000401020304
        0001000101 00000008 0006 00 0003 612e62 000f000101
        00230002beef 003d0000";
    let request = [1, 2, 3, 4];
    let offer = ClientOffer {
        extended_master_secret: true,
        connection_id: Some(&[0xaa, 0xbb]),
        renegotiation_info: true,
        pairwise: None,
        group_request: Some(&request),
        fragment_len: Some(FragmentLen::Octets512),
        server_name: Some(b"a.b"),
        heartbeat: Some(HeartbeatMode::PeerAllowedToSend),
        ticket: Some(&[0xbe, 0xef]),
        return_routability: true,
        #[cfg(feature = "ecc")]
        curve: plain.curve,
        #[cfg(feature = "x509")]
        cached: None,
    };
    check_client(all, Ok(offer));
    // RFC 5077 section 3.2: an empty ticket asks for one.
    let asks = ClientOffer { ticket: Some(&[]), ..plain };
    check_client("00 00 0002c0a8 0100 0004 00230000", Ok(asks));
}

#[test]
fn client_hellos_that_cannot_be_read() {
    let malformed = Err(CloseReason::MalformedHello);
    // Extension blocks of 1 to 3 octets.
    check_client("00 00 0002c0a8 0100 00", malformed);
    check_client("00 00 0002c0a8 0100 0001", malformed);
    check_client("00 00 0002c0a8 0100 000000", malformed);
    check_client("00 00 0002c0a8 0100 000100", malformed);
    // An odd or empty list of suites; a session id of 33; a length past the end.
    check_client("00 00 0003c0a8c0 0100", malformed);
    check_client("00 00 0000 0100", malformed);
    check_client(&["21", &"00".repeat(33), "00 0002c0a8 0100"].concat(), malformed);
    check_client("00 00 0004c0a8", malformed);
    // A connection ID that is shorter or longer than it says.
    check_client("00 00 0002c0a8 0100 0006 0036000202aa", malformed);
    check_client("00 00 0002c0a8 0100 0007 0036000301aabb", malformed);
    check_client("00 00 0002c0a8 0100 0005 0017000100", malformed);
}

#[test]
fn client_hellos_that_ask_for_the_impossible() {
    check_client("00 00 0002c0a9 0100", Err(CloseReason::NoCommonSuite));
    check_client("00 00 0002c0a8 0101", Err(CloseReason::NoCommonSuite));
    check_client("00 00 0002c0a8 0100 0008 0017000000170000", Err(CloseReason::IllegalHello));
    check_client("00 00 0002c0a8 0100 0006 ff0100020100", Err(CloseReason::NoCommonSuite));
}

#[test]
fn server_names_and_fragment_lengths() {
    let name = |name| Ok(ClientOffer { server_name: Some(name), ..ClientOffer::default() });
    check_client("00 00 0002c0a8 0100 000a 00000006 0004 00 0001 61", name(b"a"));
    // An entry of an unknown type is passed over, before and behind.
    check_client("00 00 0002c0a8 0100 000e 0000000a 0008 07 0001 62 00 0001 61", name(b"a"));
    check_client("00 00 0002c0a8 0100 000a 00000006 0004 07 0001 61", name(b""));
    for bad in [
        "0004 00000000",
        "0006 00000002 0000",
        "0009 00000005 0003 00 0000",
        "000a 00000006 0005 00 0001 61",
        "000b 00000007 0004 00 0001 61 00",
        "000a 00000006 0004 00 0002 61",
    ] {
        check_client(&["00 00 0002c0a8 0100", bad].concat(), Err(CloseReason::MalformedHello));
    }
    let twice = "00 00 0002c0a8 0100 000e 0000000a 0008 00 0001 62 00 0001 61";
    check_client(twice, Err(CloseReason::IllegalHello));
    check_client("00 00 0002c0a8 0100 0005 0001000105", Err(CloseReason::IllegalHello));
    check_client("00 00 0002c0a8 0100 0004 00010000", Err(CloseReason::MalformedHello));
    check_client("00 00 0002c0a8 0100 0005 000f000103", Err(CloseReason::IllegalHello));
    check_server("00 c0a8 00 0005 000f000102", ALL, Ok(()));
    check_server("00 c0a8 00 0005 000f000100", ALL, Err(CloseReason::IllegalHello));
    // The answer: the same length, an empty name.
    check_server("00 c0a8 00 0005 0001000101", ALL, Ok(()));
    check_server("00 c0a8 00 0005 0001000102", ALL, Err(CloseReason::IllegalHello));
    check_server("00 c0a8 00 0004 00000000", ALL, Ok(()));
    check_server("00 c0a8 00 0005 0000000100", ALL, Err(CloseReason::MalformedHello));
    for unasked in ["0005 0001000101", "0004 00000000", "0005 000f000101"] {
        let answer = ["00 c0a8 00", unasked].concat();
        check_server(&answer, Offered::default(), Err(CloseReason::UnsolicitedExtension));
    }
}

fn check_server(rest: &str, offered: Offered, expected: Result<(), CloseReason>) {
    let octets = hex(&["fefd", RANDOM, rest].concat());
    assert_eq!(ServerHello::parse(&octets, offered).map(|_| ()), expected, "{rest}");
    for end in 0..octets.len() {
        let _ = ServerHello::parse(&octets[..end], offered);
    }
}

#[test]
fn server_hellos() {
    let none = Offered::default();
    check_server("00 c0a8 00", ALL, Ok(()));
    check_server(&["20", &"aa".repeat(32), "c0a8 00 0005ff01000100"].concat(), none, Ok(()));
    check_server("00 c0a8 00 000a 00170000 ff40000201 01", ALL, Ok(()));
    check_server("00 c0a8 00 0004 00170000", none, Err(CloseReason::UnsolicitedExtension));
    check_server("00 c0a8 00 0005 0036000100", none, Err(CloseReason::UnsolicitedExtension));
    check_server("00 c0a8 00 0004 00240000", ALL, Err(CloseReason::UnsolicitedExtension));
    check_server("00 c0a8 00 0004 00230000", none, Err(CloseReason::UnsolicitedExtension));
    check_server("00 c0a8 00 0004 00230000", ALL, Ok(()));
    // RFC 5077 section 3.2: the server's extension is empty.
    check_server("00 c0a8 00 0005 0023000100", ALL, Err(CloseReason::MalformedHello));
    let long = ["21", &"aa".repeat(33), "c0a8 00"].concat();
    check_server(&long, ALL, Err(CloseReason::MalformedHello));
    check_server("00 c0a9 00", ALL, Err(CloseReason::IllegalHello));
    check_server("00 c0a8 01", ALL, Err(CloseReason::IllegalHello));
    let unbound = Err(CloseReason::ExtendedMasterSecretMissing);
    check_server("00 c0a8 00 0006 ff4000020101", ALL, unbound);
    check_server("00 c0a8 00 0006 ff01000201aa", ALL, Err(CloseReason::NoCommonSuite));
    let octets = hex(&["feff", RANDOM, "00 c0a8 00"].concat());
    assert_eq!(ServerHello::parse(&octets, ALL), Err(CloseReason::NoCommonVersion));
}

/// A curve that was offered may be named in the answer, and only then.
#[cfg(feature = "ecc")]
#[test]
fn server_hellos_that_name_curves() {
    let exchanging = Offered { suites: Suites(&[CipherSuite::EcdhePsk]), ..ALL };
    check_server("00 d003 00 0008 000a 0004 0002 0017", exchanging, Ok(()));
    check_server(
        "00 c0a8 00 0008 000a 0004 0002 0017",
        ALL,
        Err(CloseReason::UnsolicitedExtension),
    );
}

#[test]
fn hello_verify_requests() {
    assert_eq!(parse_hello_verify(&hex("feff 02aabb")), Ok(&[0xaa, 0xbb][..]));
    assert_eq!(parse_hello_verify(&hex("fefd 00")), Ok(&[][..]));
    for bad in ["", "fe", "feff", "feff03aabb", "feff01aabb", "030301aa"] {
        assert_eq!(parse_hello_verify(&hex(bad)), Err(CloseReason::MalformedHello), "{bad}");
    }
}

#[test]
fn new_session_tickets() {
    assert_eq!(parse_new_session_ticket(&hex("00015180 0002 beef")), Ok((86400, &hex("beef")[..])));
    assert_eq!(parse_new_session_ticket(&hex("00000000 0000")), Ok((0, &[][..])));
    for bad in ["", "000151", "00015180", "00015180 00", "00015180 0003 beef", "00015180 0001 beef"]
    {
        assert_eq!(parse_new_session_ticket(&hex(bad)), Err(RecordDrop::BadMessage), "{bad}");
    }
}

const LENGTHS: [FragmentLen; 4] = [
    FragmentLen::Octets512,
    FragmentLen::Octets1024,
    FragmentLen::Octets2048,
    FragmentLen::Octets4096,
];

proptest! {
    #[test]
    fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = ClientHelloHead::parse(&octets).and_then(|head| head.offer());
        let _ = ServerHello::parse(&octets, ALL);
        let _ = parse_hello_verify(&octets);
        if let Ok((lifetime, ticket)) = parse_new_session_ticket(&octets) {
            let len = (ticket.len() as u16).to_be_bytes();
            prop_assert_eq!([&lifetime.to_be_bytes()[..], &len, ticket].concat(), octets);
        }
    }

    #[test]
    fn changed_octets(at in 0usize..120, to in any::<u8>()) {
        let rest = "02aabb 03aabbcc 0006c0a900ffc0a8 020100 0034 ff01000100 00170000 0036000302aabb ff40000401020304 0001000101 00000008 0006 00 0003 612e62 000f000101 00230002beef";
        let mut octets = hex(&[String::from("fefd"), RANDOM.into(), rest.into()].concat());
        let at = at % octets.len();
        octets[at] = to;
        let _ = ClientHelloHead::parse(&octets).and_then(|head| head.offer());
    }

    #[test]
    fn parse_of_emit_is_identity(
        random in any::<[u8; 32]>(),
        cookie in prop::collection::vec(any::<u8>(), 0..=255),
        request in prop::collection::vec(any::<u8>(), 0..=192),
        flags in any::<[bool; 6]>(),
        pairwise in prop::option::of(prop::collection::vec(any::<u8>(), 0..=16)),
        fragment_len in prop::option::of(prop::sample::select(&LENGTHS)),
        name in "[a-z]{0,128}",
        cid in prop::collection::vec(any::<u8>(), 0..=255),
        session_id in prop::collection::vec(any::<u8>(), 0..=32),
        ticket in prop::collection::vec(any::<u8>(), 0..=TICKET_OCTETS_MAX),
    ) {
        let [extended_master_secret, connection_id, group_request, session_ticket, ..] = flags;
        let [.., heartbeat, return_routability] = flags;
        let offered = Offered {
            suites: Suites::default(),
            #[cfg(feature = "ecc")]
            raw_keys: false,
            #[cfg(feature = "x509")]
            cached: false,
            #[cfg(feature = "x509")]
            certificate_url: false,
            extended_master_secret,
            connection_id,
            group_request,
            pairwise: pairwise.is_some(),
            fragment_len,
            server_name: !name.is_empty(),
            heartbeat,
            session_ticket,
            return_routability,
        };
        let mut octets = Vec::new();
        let hello = ClientHello {
            random: &random,
            session_id: &session_id,
            cookie: &cookie,
            offered,
            group_request: &request,
            pairwise: pairwise.as_deref().unwrap_or_default(),
            server_name: name.as_bytes(),
            ticket: &ticket,
            #[cfg(feature = "x509")]
            fingerprint: &[0; 32],
        };
        hello.emit(&mut octets);
        let head = ClientHelloHead::parse(&octets).expect("own hello");
        prop_assert_eq!((head.random, head.cookie), (&random, &cookie[..]));
        prop_assert_eq!(head.session_id, &session_id);
        let offer = head.offer().expect("own hello");
        prop_assert!(offer.renegotiation_info);
        prop_assert_eq!(offer.extended_master_secret, extended_master_secret);
        prop_assert_eq!(offer.connection_id, connection_id.then_some(&[][..]));
        prop_assert_eq!(offer.group_request, group_request.then_some(&request[..]));
        prop_assert_eq!(offer.pairwise, pairwise.as_deref());
        let mode = heartbeat.then_some(HeartbeatMode::PeerAllowedToSend);
        prop_assert_eq!(offer.heartbeat, mode);
        prop_assert_eq!(offer.fragment_len, fragment_len);
        prop_assert_eq!(offer.server_name.unwrap_or_default(), name.as_bytes());
        prop_assert_eq!(offer.ticket, session_ticket.then_some(&ticket[..]));
        prop_assert_eq!(offer.return_routability, return_routability);
        let answer = Answer {
            suite: CipherSuite::Psk,
            random: &random,
            session_id: &session_id,
            extended_master_secret: true,
            connection_id: connection_id.then_some(&cid[..250.min(cid.len())]),
            renegotiation_info: extended_master_secret,
            group_answer: group_request.then_some(&[1, 1]),
            pairwise: pairwise.as_deref(),
            fragment_len: fragment_len.and(ALL.fragment_len),
            named: !name.is_empty(),
            heartbeat,
            session_ticket,
            return_routability,
            #[cfg(feature = "ecc")]
            point_formats: false,
            #[cfg(feature = "ecc")]
            certificate_types: [None; 2],
            #[cfg(feature = "x509")]
            cached: false,
        };
        let mut octets = Vec::new();
        answer.emit(&mut octets);
        let hello = ServerHello::parse(&octets, ALL).expect("own hello");
        prop_assert_eq!(hello.connection_id, answer.connection_id);
        prop_assert_eq!(hello.group_answer, answer.group_answer);
        prop_assert_eq!(hello.pairwise, answer.pairwise);
        prop_assert_eq!(hello.renegotiation_info, answer.renegotiation_info);
        prop_assert_eq!(hello.heartbeat, mode);
        prop_assert_eq!(hello.fragment_len, answer.fragment_len);
        prop_assert_eq!(hello.session_ticket, session_ticket);
        prop_assert_eq!(hello.return_routability, return_routability);
        prop_assert_eq!(hello.session_id, &session_id);
    }
}
