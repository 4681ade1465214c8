//! Hosts of the building's network that speak plain CoAP with the mesh: libcoap's client in the namespace
//! of that network.
//!
//! # Panics
//! All of it when the client fails, or what is waited for does not come.

use crate::site::{Site, addr};
use serde_json::Value;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// For a command to reach the last device of the mesh.
pub const FLOOD: Duration = Duration::from_secs(10);

/// `coap-client` in the building's network; what it prints.
fn coap(site: &Site, arguments: &[&str]) -> String {
    let exec = ["netns", "exec", &site.building, "coap-client-notls"];
    let output = Command::new("ip").args(exec).args(arguments).output();
    let output = output.expect("`cargo xtask e2e` installs libcoap's client");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.is_empty(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// The resource of a lamp.
pub fn light(device: &Value) -> String {
    format!("coap://[{}]/light", addr(device))
}

/// What a lamp says.
pub fn read(site: &Site, device: &Value) -> String {
    coap(site, &["-m", "get", "-B", "20", &light(device)])
}

/// Switches a lamp.
pub fn write(site: &Site, device: &Value, value: &str) {
    coap(site, &["-m", "put", "-t", "text/plain", "-e", value, "-B", "20", &light(device)]);
}

/// A command to a group, which is non-confirmable and never answered.
pub fn command(site: &Site, group: &Value, value: &str) {
    let uri = format!("coap://[{}]/light", group["addr"].as_str().expect("an address"));
    coap(site, &["-N", "-m", "put", "-t", "text/plain", "-e", value, "-B", "1", &uri]);
}

/// Waits until each of them reads so, by unicast. Slowly: the border router bounds what one source may send.
pub fn expect(site: &Site, lights: &[&Value], value: &str) {
    let deadline = Instant::now() + FLOOD;
    for light in lights {
        loop {
            let state = read(site, light);
            if state == value {
                break;
            }
            assert!(Instant::now() < deadline, "{light} says {state:?}, not {value:?}");
            sleep(Duration::from_millis(500));
        }
    }
}

/// The lights of a group.
pub fn members<'a>(group: &Value, devices: &'a [Value]) -> Vec<&'a Value> {
    let members = group["members"].as_array().expect("a list").iter();
    let euis: Vec<_> = members.map(|member| member["eui64"].clone()).collect();
    let lights = devices.iter().filter(|device| device["kind"] == "light");
    lights.filter(|device| euis.contains(&device["eui64"])).collect()
}
