//! What it costs the kernel to forward a datagram between two veth: a namespace that sends, one that
//! forwards, one that receives; and a wire past the one in the middle, whose cost is subtracted.
//!
//! The kernel forwards in the time of the one that sends, so its time is the time of both.

use crate::counter::{perf, run};
use crate::rounds::shortest;
use std::io::{self, Read};
use std::net::{Ipv6Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Beyond the router.
const FAR: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0xb, 0, 0, 0, 2);
/// The same host, by its own wire.
const NEAR: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0xc, 0, 0, 0, 2);
const PORT: u16 = 9;

/// Of one datagram.
pub(crate) struct Forwarding {
    pub(crate) micros: f64,
    pub(crate) instructions: Option<f64>,
}

/// The three namespaces. They end with their owner.
pub(crate) struct Wires {
    names: [String; 3],
    sink: Option<Child>,
    own: String,
}

impl Wires {
    pub(crate) fn lay() -> Result<Self, String> {
        let pid = std::process::id();
        let names = ["a", "r", "b"].map(|end| format!("lowgate-bench-{pid}-{end}"));
        let own = std::env::current_exe().map_err(|fault| fault.to_string())?;
        let mut wires = Self { names, sink: None, own: own.display().to_string() };
        let [a, r, b] = wires.names.clone();
        for name in [&a, &r, &b] {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        for (left, right, left_name, right_name, subnet) in [
            (&a, &r, "eth0", "eth0", "a"),
            (&r, &b, "eth1", "eth0", "b"),
            (&a, &b, "eth1", "eth1", "c"),
        ] {
            let peer = format!("type veth peer name {right_name} netns {right}");
            ip(&format!("-n {left} link add {left_name} {peer}"))?;
            for (end, name, host) in [(left, left_name, 1), (right, right_name, 2)] {
                ip(&format!("-n {end} addr add fd00:0:0:{subnet}::{host}/64 dev {name} nodad"))?;
                ip(&format!("-n {end} link set {name} up"))?;
            }
        }
        ip(&format!("-n {a} route add fd00:0:0:b::/64 via fd00:0:0:a::2"))?;
        ip(&format!("-n {b} route add fd00:0:0:a::/64 via fd00:0:0:b::1"))?;
        run(wires.inside(&r, "sysctl").args(["-qw", "net.ipv6.conf.all.forwarding=1"]))?;
        let own = wires.own.clone();
        let mut sink = wires.inside(&b, &own);
        let sink = sink.arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut sink = sink.spawn().map_err(|fault| format!("the receiver: {fault}"))?;
        let ready = sink.stdout.as_mut().map(|out| out.read_exact(&mut [0]));
        wires.sink = Some(sink);
        if !matches!(ready, Some(Ok(()))) {
            return Err("the receiver does not come up".into());
        }
        Ok(wires)
    }

    fn inside(&self, namespace: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, program]);
        command
    }

    /// Of datagrams with so many octets of payload.
    pub(crate) fn forwarding(
        &self,
        octets: usize,
        count: usize,
        rounds: usize,
    ) -> Result<Forwarding, String> {
        // Has the neighbours be resolved, who wait for nothing on such wires.
        self.nanos(FAR, octets, 1, 1)?;
        let before = self.forwarded()?;
        let far = self.nanos(FAR, octets, count, rounds)?;
        let expected = (count * rounds) as u64;
        let forwarded = self.forwarded()? - before;
        if forwarded < expected {
            return Err(format!("the kernel forwarded {forwarded} of {expected} datagrams"));
        }
        let near = self.nanos(NEAR, octets, count, rounds)?;
        let [far_instructions, near_instructions] =
            [self.instructions(FAR, octets, count)?, self.instructions(NEAR, octets, count)?];
        let instructions = far_instructions.zip(near_instructions);
        Ok(Forwarding {
            micros: (far - near) / 1e3,
            instructions: instructions.map(|(far, near)| (far as f64 - near as f64) / count as f64),
        })
    }

    fn nanos(
        &self,
        to: Ipv6Addr,
        octets: usize,
        count: usize,
        rounds: usize,
    ) -> Result<f64, String> {
        let mut send = self.inside(&self.names[0], &self.own);
        let output = run(send.args(arguments(to, octets, count, rounds)))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.trim().parse().map_err(|_| format!("the sender says: {text}"))
    }

    fn instructions(
        &self,
        to: Ipv6Addr,
        octets: usize,
        count: usize,
    ) -> Result<Option<u64>, String> {
        let mut counted = self.inside(&self.names[0], "perf");
        counted.args(["stat", "-x,", "-e", "instructions", "--", &self.own]);
        perf(counted.args(arguments(to, octets, count, 1)))
    }

    fn forwarded(&self) -> Result<u64, String> {
        let output = run(self.inside(&self.names[1], "cat").arg("/proc/self/net/snmp6"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("Ip6OutForwDatagrams"));
        let count = line.and_then(|count| count.trim().parse().ok());
        count.ok_or_else(|| "the kernel does not tell what it forwarded".into())
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        if let Some(sink) = &mut self.sink {
            let _ = sink.kill();
            let _ = sink.wait();
        }
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    run(Command::new("ip").args(arguments.split(' '))).map(drop)
}

fn arguments(to: Ipv6Addr, octets: usize, count: usize, rounds: usize) -> [String; 5] {
    let [octets, count, rounds] = [octets, count, rounds].map(|number| number.to_string());
    ["send".into(), to.to_string(), octets, count, rounds]
}

/// Sends `count` datagrams in each of several rounds; nanoseconds for one.
pub(crate) fn send(to: Ipv6Addr, octets: usize, count: usize, rounds: usize) -> io::Result<f64> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    socket.connect((to, PORT))?;
    let payload = vec![0x55; octets];
    let mut fault = None;
    let nanos = shortest(rounds, || {
        let started = Instant::now();
        let sent = (0..count).try_for_each(|_| socket.send(&payload).map(drop));
        fault = sent.err().or(fault.take());
        started.elapsed().as_secs_f64() * 1e9 / count as f64
    });
    fault.map_or(Ok(nanos), Err)
}

/// Holds the port until nobody wants it any more.
pub(crate) fn sink() -> io::Result<()> {
    let _socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT))?;
    println!("!");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
