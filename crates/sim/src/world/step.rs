//! The next wish of whatever runs on a station, in one form.
//!
//! **Invariant:** a translation, and nothing else.

use super::station::Output;
use lowgate_mac::RadioCommand;
use lowgate_node::Output as NodeOutput;
use lowgate_node::flash::{Record, RecordKey};
use lowgate_rcp::RcpOutput;
use lowgate_router::Output as RouterOutput;
use lowgate_units::Instant;

pub(super) enum Step {
    Radio(RadioCommand),
    Store(u32, Record),
    Erase(RecordKey),
    Out(Output),
    Serial(Vec<u8>),
    Wait(Instant),
}

impl Step {
    pub(super) fn of_node(output: NodeOutput) -> Self {
        match output {
            NodeOutput::Radio(command) => Self::Radio(command),
            NodeOutput::Store { ticket, record } => Self::Store(ticket, record),
            NodeOutput::Erase(key) => Self::Erase(key),
            NodeOutput::Event(event) => Self::Out(Output::Event(event)),
            NodeOutput::Wait { until } => Self::Wait(until),
            NodeOutput::ToManager(_) | NodeOutput::ToBackbone(_) | NodeOutput::Managed { .. } => {
                unreachable!("only a border router has a backbone")
            }
        }
    }

    pub(super) fn of_router(output: RouterOutput) -> Self {
        match output {
            RouterOutput::Radio(command) => Self::Radio(command),
            RouterOutput::Store { ticket, record } => Self::Store(ticket, record),
            RouterOutput::Erase(key) => Self::Erase(key),
            RouterOutput::Backbone(packet) => Self::Out(Output::Backbone(packet)),
            RouterOutput::Event(event) => Self::Out(Output::Event(event)),
            RouterOutput::Wait { until } => Self::Wait(until),
        }
    }

    pub(super) fn of_co_processor(output: RcpOutput) -> Self {
        match output {
            RcpOutput::Serial(octets) => Self::Serial(octets.to_vec()),
            RcpOutput::Radio(command) => Self::Radio(command),
            RcpOutput::Wait { until } => Self::Wait(until),
            RcpOutput::Demand(_) | RcpOutput::EnterBootloader => {
                unreachable!("its radio is the seam")
            }
        }
    }
}
