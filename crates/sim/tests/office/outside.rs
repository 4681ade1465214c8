//! Purpose: a host of the building's network reads and switches a light by plain CoAP. Topology: the host,
//! a border router, a light. Clauses: RFC 7252 sections 4.2, 4.5 and 5.9. Pass: with each test.

use crate::world::{LIGHT, office};
use lowgate_coap::{
    Addressed, Code, Config, ContentFormat, Endpoint, Failure, Input, Method, Output, Path,
    Reliability, Request, Response,
};
use lowgate_router::{Datagram, datagram, packet};
use lowgate_sim::world::World;
use lowgate_units::{Duration, Ipv6Addr, Prng};

const HOST: (Ipv6Addr, u16) = (Ipv6Addr::new(0xfd5a, 0x10f2, 0x9a3b, 0xeeee, 0, 0, 0, 2), 40_000);
const COAP_PORT: u16 = 5683;

/// Asks and waits as a client does.
fn ask(world: &mut World, request: &Request) -> Result<Response, Failure> {
    let light = world.station(LIGHT).node().and_then(|node| node.net().global_addr());
    let light = light.expect("it is in");
    let seed = world.now().as_micros();
    let mut client: Endpoint<Ipv6Addr> = Endpoint::new(Config::default(), Prng::new(seed));
    client.request(world.now(), light, Reliability::Confirmable, request).expect("room");
    loop {
        match client.poll(world.now()) {
            Output::Transmit { peer, octets } => world.from_building(packet(&Datagram {
                src: HOST.0,
                dst: peer,
                src_port: HOST.1,
                dst_port: COAP_PORT,
                payload: &octets,
            })),
            Output::Responded { response, .. } => return Ok(response),
            Output::Failed { reason, .. } => return Err(reason),
            Output::Wait { .. } => {
                world.run_for(Duration::from_millis(20));
                for received in world.take_for_outsiders() {
                    let answer = datagram(&received).expect("whole, for a host's UDP");
                    assert_eq!(
                        (answer.src_port, answer.dst, answer.dst_port),
                        (COAP_PORT, HOST.0, HOST.1)
                    );
                    let (addressed, octets) = (Addressed::ToUs, answer.payload);
                    let input = Input::Datagram { peer: answer.src, addressed, octets };
                    client.handle(world.now(), input);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn request(method: Method, path: &str, payload: &[u8]) -> Request {
    let path = Path::new(path).expect("a path");
    Request::new(method, path).with_payload(ContentFormat::TEXT, payload.to_vec())
}

fn code(world: &mut World, method: Method, path: &str, payload: &[u8]) -> Result<Code, Failure> {
    ask(world, &request(method, path, payload)).map(|response| response.code)
}

/// Criteria: what was written is read; errors are CoAP's.
#[test]
fn a_light_is_read_and_switched() {
    let mut world = office(1);
    for value in [&b"0"[..], b"1", b"0"] {
        assert_eq!(code(&mut world, Method::Put, "light", value), Ok(Code::CHANGED));
        let read = ask(&mut world, &Request::new(Method::Get, Path::new("light").expect("it")));
        let read = read.expect("an answer");
        assert_eq!((read.code, &read.payload[..]), (Code::CONTENT, value));
    }
    assert_eq!(code(&mut world, Method::Put, "light", b"2"), Ok(Code::BAD_REQUEST));
    assert_eq!(code(&mut world, Method::Get, "heater", b""), Ok(Code::NOT_FOUND));
    assert_eq!(code(&mut world, Method::Delete, "light", b""), Ok(Code::METHOD_NOT_ALLOWED));
    assert_eq!(world.findings(), []);
}

/// Criteria: with one frame in five lost the client's repetitions and the mesh's bring each question
/// through, or it fails as CoAP says; nothing that must not happen happens.
#[test]
fn frames_get_lost() {
    let mut world = office(1);
    world.medium_mut().set_loss(0.2);
    let answers = (0..40).filter(|n| {
        let value = if n % 2 == 0 { b"1" } else { b"0" };
        code(&mut world, Method::Put, "light", value) == Ok(Code::CHANGED)
    });
    assert!(answers.count() >= 38);
    assert_eq!(world.findings(), []);
}
