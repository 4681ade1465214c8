//! A light that CoAP can look at: GET /light is on.

use lowgate_coap::{
    Addressed, Code, Config, Endpoint, Input, Method, Output, Path, Reliability, Request, Response,
};
use lowgate_units::{Instant, Prng};

/// Our endpoint's answer to the one request in `octets`.
///
/// # Panics
/// When it asks for something else.
#[must_use]
pub fn answer(octets: &[u8]) -> Vec<u8> {
    let now = Instant::ZERO;
    let mut endpoint = Endpoint::new(Config::default(), Prng::new(31));
    endpoint.handle(now, Input::Datagram { peer: 0_u8, addressed: Addressed::ToUs, octets });
    loop {
        match endpoint.poll(now) {
            Output::Requested { exchange, request, .. } => {
                assert_eq!(request.method, Method::Get);
                assert!(request.path.is("/light"), "{:?}", request.path);
                let response = Response { payload: b"on".to_vec(), ..Response::new(Code::CONTENT) };
                endpoint.respond(now, exchange, &response).expect("it was just asked");
            }
            Output::Transmit { octets, .. } => return octets,
            other => panic!("{other:?} instead of a request"),
        }
    }
}

/// Our endpoint gets `path`: `deliver` takes the request and brings what comes back. Gives its payload.
///
/// # Panics
/// When the answer is another one.
pub fn get(path: &str, deliver: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let now = Instant::ZERO;
    let mut endpoint = Endpoint::new(Config::default(), Prng::new(32));
    let request = Request::new(Method::Get, Path::new(path).expect("a path"));
    endpoint.request(now, 0_u8, Reliability::Confirmable, &request).expect("nothing is under way");
    let Output::Transmit { octets, .. } = endpoint.poll(now) else { panic!("no request") };
    let octets = deliver(&octets);
    let input = Input::Datagram { peer: 0_u8, addressed: Addressed::ToUs, octets: &octets };
    endpoint.handle(now, input);
    match endpoint.poll(now) {
        Output::Responded { response, .. } => {
            assert_eq!(response.code, Code::CONTENT);
            response.payload
        }
        other => panic!("{other:?} instead of an answer"),
    }
}
