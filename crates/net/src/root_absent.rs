//! What stands in for the root's tables in a build without them: a type that has no value.

use crate::event::RegistrationStatus;
use crate::route::{DaoVerdict, HopReport, Path};
use crate::wire::nd::Earo;
use crate::wire::rpl::Dao;
use lowgate_units::{Eui64, Instant, Ipv6Addr, ShortAddr};

/// Never exists.
#[derive(Debug)]
pub(crate) enum Root {}

impl Root {
    pub(crate) fn prefix(&self) -> [u8; 8] {
        match *self {}
    }

    pub(crate) fn version(&self) -> u8 {
        match *self {}
    }

    pub(crate) fn holds(&self, _now: Instant, _addr: Ipv6Addr) -> bool {
        match *self {}
    }

    pub(crate) fn dtsn(&self) -> u8 {
        match *self {}
    }

    pub(crate) fn gap(&self, _now: Instant, _dst: Ipv6Addr) -> Option<ShortAddr> {
        match *self {}
    }

    pub(crate) fn refresh(&mut self, _now: Instant, _missing: ShortAddr) -> bool {
        match *self {}
    }

    pub(crate) fn may_try(&mut self, _now: Instant, _dst: Ipv6Addr) -> bool {
        match *self {}
    }

    pub(crate) fn overtake(&mut self, _version: u8) {
        match *self {}
    }

    pub(crate) fn next_version(&self) -> u8 {
        match *self {}
    }

    pub(crate) fn begin_version(&mut self, _version: u8) {
        match *self {}
    }

    pub(crate) fn carries(&self, _eui64: Eui64) -> bool {
        match *self {}
    }

    pub(crate) fn addr(&self) -> Ipv6Addr {
        match *self {}
    }

    pub(crate) fn in_mesh(&self, _addr: Ipv6Addr) -> bool {
        match *self {}
    }

    pub(crate) fn admit(&mut self, _eui64: Eui64, _short: ShortAddr) -> bool {
        match *self {}
    }

    pub(crate) fn expel(&mut self, _eui64: Eui64) -> Option<ShortAddr> {
        match *self {}
    }

    pub(crate) fn register(
        &mut self,
        _now: Instant,
        _addr: Ipv6Addr,
        _earo: &Earo,
    ) -> (RegistrationStatus, Option<ShortAddr>) {
        match *self {}
    }

    pub(crate) fn dao(
        &mut self,
        _now: Instant,
        _src: Ipv6Addr,
        _dao: &Dao,
        _lifetime_unit: u16,
    ) -> DaoVerdict {
        match *self {}
    }

    pub(crate) fn path(&self, _now: Instant, _dst: Ipv6Addr) -> Option<Path> {
        match *self {}
    }

    pub(crate) fn path_by(&self, _now: Instant, _dao: &Dao) -> Option<Path> {
        match *self {}
    }

    pub(crate) fn route_error(
        &mut self,
        _now: Instant,
        _reporter: Ipv6Addr,
        _failed: Ipv6Addr,
    ) -> HopReport {
        match *self {}
    }

    pub(crate) fn due(&self) -> Instant {
        match *self {}
    }

    pub(crate) fn sweep(&mut self, _now: Instant) -> [ShortAddr; 0] {
        match *self {}
    }

    pub(crate) fn routes(&self) -> core::iter::Empty<(ShortAddr, ShortAddr, Instant)> {
        match *self {}
    }
}
