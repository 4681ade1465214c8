//! What the device is for: a lamp, a rocker, a sensor, as CoAP resources.

use crate::api::Kind;
use alloc::string::ToString;
use lowgate_coap::{Code, ContentFormat, Method, Request, Response};
use lowgate_units::Instant;

/// The resource of a lamp.
pub const LIGHT_PATH: &str = "light";
/// The resource of a sensor.
pub const SENSOR_PATH: &str = "sensor";

/// The resource by which any device is asked to show which one it is: `PUT` of so many seconds.
pub const IDENTIFY_PATH: &str = "identify";
/// Nobody looks for a device any longer.
pub const IDENTIFY_SECONDS_MAX: u16 = 600;

/// The application of one device.
#[derive(Debug)]
pub(crate) struct App {
    kind: Kind,
    lamp_on: bool,
    /// What the sensor measured last, in tenths.
    measured: Option<i16>,
}

/// What follows from a request.
#[derive(Debug)]
pub(crate) enum Served {
    /// An answer.
    Answer(Response),
    /// The lamp changed or was confirmed; an answer.
    Lamp(bool, Response),
    /// The device is to show itself for so many seconds; an answer.
    Identify(u16, Response),
}

impl App {
    /// The lamp is off.
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, lamp_on: false, measured: None }
    }

    /// A sensor's new value.
    pub(crate) const fn measure(&mut self, tenths: i16) {
        self.measured = Some(tenths);
    }

    /// Whether the lamp is on.
    pub(crate) const fn lamp_on(&self) -> bool {
        self.lamp_on
    }

    /// Answers a request. Whoever asks was authenticated by its session or by the group's keys, or was let
    /// in by the border router's filter.
    pub(crate) fn serve(&mut self, now: Instant, request: &Request) -> Served {
        // RFC 7959: there is one part of each answer.
        if request.is_past_first_block() {
            return Served::Answer(Response::new(Code::BAD_REQUEST));
        }
        match self.kind {
            Kind::Light if request.path.is(LIGHT_PATH) => self.light(request),
            Kind::Sensor if request.path.is(SENSOR_PATH) => {
                Served::Answer(self.sensor(now, request))
            }
            Kind::Light | Kind::Sensor | Kind::Switch if request.path.is(IDENTIFY_PATH) => {
                identify(request)
            }
            Kind::Light | Kind::Sensor | Kind::Switch | Kind::BorderRouter => {
                Served::Answer(Response::new(Code::NOT_FOUND))
            }
        }
    }

    fn sensor(&self, now: Instant, request: &Request) -> Response {
        match request.method {
            Method::Get => {
                let tenths = self.measured.unwrap_or_else(|| imagined(now));
                text(Code::CONTENT, tenths.to_string().as_bytes())
            }
            Method::Put | Method::Post | Method::Delete => Response::new(Code::METHOD_NOT_ALLOWED),
        }
    }

    fn light(&mut self, request: &Request) -> Served {
        match (request.method, &request.payload[..]) {
            (Method::Get, _) => {
                let state = if self.lamp_on { b"1" } else { b"0" };
                Served::Answer(text(Code::CONTENT, state))
            }
            (Method::Put, b"0" | b"1") => {
                self.lamp_on = request.payload == b"1";
                Served::Lamp(self.lamp_on, Response::new(Code::CHANGED))
            }
            (Method::Put, _) => Served::Answer(text(Code::BAD_REQUEST, b"0 or 1")),
            (Method::Post | Method::Delete, _) => {
                Served::Answer(Response::new(Code::METHOD_NOT_ALLOWED))
            }
        }
    }
}

fn identify(request: &Request) -> Served {
    let seconds = str::from_utf8(&request.payload).ok().and_then(|text| text.parse().ok());
    match (request.method, seconds) {
        (Method::Put, Some(seconds @ 0..=IDENTIFY_SECONDS_MAX)) => {
            Served::Identify(seconds, Response::new(Code::CHANGED))
        }
        (Method::Put, _) => Served::Answer(text(Code::BAD_REQUEST, b"0 to 600")),
        (Method::Get | Method::Post | Method::Delete, _) => {
            Served::Answer(Response::new(Code::METHOD_NOT_ALLOWED))
        }
    }
}

/// A room's temperature over the day, in tenths of a degree Celsius, where no board measures one.
const fn imagined(now: Instant) -> i16 {
    let minutes = now.as_micros() / 60_000_000;
    205 + (minutes % 30) as i16
}

fn text(code: Code, payload: &[u8]) -> Response {
    Response::new(code).with_payload(ContentFormat::TEXT, payload.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_coap::Path;

    fn ask(app: &mut App, method: Method, path: &str, payload: &[u8]) -> (Option<bool>, Response) {
        let path = Path::new(path).expect("a path");
        let request =
            Request::new(method, path).with_payload(ContentFormat::TEXT, payload.to_vec());
        match app.serve(Instant::ZERO, &request) {
            Served::Answer(response) => (None, response),
            Served::Lamp(on, response) => (Some(on), response),
            Served::Identify(_, response) => (None, response),
        }
    }

    #[test]
    fn a_lamp_is_switched_and_read() {
        let mut app = App::new(Kind::Light);
        assert_eq!(ask(&mut app, Method::Get, "light", b"").1.payload, b"0");
        assert_eq!(ask(&mut app, Method::Put, "light", b"1").0, Some(true));
        assert_eq!(ask(&mut app, Method::Get, "light", b"").1.payload, b"1");
        for bad in [&b"2"[..], b"", b"11"] {
            let (changed, response) = ask(&mut app, Method::Put, "light", bad);
            assert_eq!((changed, response.code), (None, Code::BAD_REQUEST));
        }
        assert_eq!(ask(&mut app, Method::Delete, "light", b"").1.code, Code::METHOD_NOT_ALLOWED);
        assert_eq!(ask(&mut app, Method::Get, "sensor", b"").1.code, Code::NOT_FOUND);
    }

    #[test]
    fn a_sensor_is_only_read() {
        let mut app = App::new(Kind::Sensor);
        assert_eq!(ask(&mut app, Method::Get, "sensor", b"").1.payload, b"205");
        assert_eq!(ask(&mut app, Method::Put, "sensor", b"1").1.code, Code::METHOD_NOT_ALLOWED);
        app.measure(-35);
        assert_eq!(ask(&mut app, Method::Get, "sensor", b"").1.payload, b"-35");
    }

    #[test]
    fn any_device_shows_which_one_it_is() {
        let check = |kind, payload: &[u8], seconds: Option<u16>| {
            let path = Path::new(IDENTIFY_PATH).expect("a path");
            let request = Request::new(Method::Put, path);
            let request = request.with_payload(ContentFormat::TEXT, payload.to_vec());
            match App::new(kind).serve(Instant::ZERO, &request) {
                Served::Identify(told, response) => {
                    assert_eq!((Some(told), response.code), (seconds, Code::CHANGED));
                }
                Served::Answer(response) => {
                    assert_eq!((None, response.code), (seconds, Code::BAD_REQUEST));
                }
                Served::Lamp(..) => panic!("no lamp was named"),
            }
        };
        for kind in [Kind::Light, Kind::Switch, Kind::Sensor] {
            check(kind, b"30", Some(30));
            check(kind, b"0", Some(0));
            for bad in [&b""[..], b"-1", b"601", b"70000", b"\xff"] {
                check(kind, bad, None);
            }
        }
        let mut app = App::new(Kind::Sensor);
        assert_eq!(ask(&mut app, Method::Get, "identify", b"").1.code, Code::METHOD_NOT_ALLOWED);
    }
}
