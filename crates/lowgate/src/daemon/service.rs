//! The service manager that started the daemon, if one did: it hears when the daemon is ready, that it is
//! alive, and when it ends (sd_notify(3), sd_watchdog_enabled(3)).
//!
//! **Invariant:** a manager that does not listen never stops the daemon.

use lowgate_linux::{Notice, Notify};
use std::env;
use std::time::{Duration, Instant};

/// Who is told.
pub(super) struct Service {
    notify: Option<Notify>,
    /// How often it wants to hear that we are alive.
    every: Option<Duration>,
    told: Instant,
}

impl Service {
    /// What the environment says of it.
    ///
    /// # Errors
    /// One line, with the cause and the remedy.
    pub(super) fn of_environment() -> Result<Self, String> {
        let address = env::var_os("NOTIFY_SOCKET");
        let notify = address.map(|address| Notify::open(&address)).transpose();
        let value = |name| env::var(name).ok();
        Ok(Self {
            notify: notify.map_err(|fault| fault.to_string())?,
            every: watchdog(value("WATCHDOG_USEC").as_deref(), value("WATCHDOG_PID").as_deref()),
            told: Instant::now(),
        })
    }

    pub(super) fn ready(&mut self, status: &str) {
        self.tell(Notice::Ready);
        self.tell(Notice::Status(status));
    }

    pub(super) fn stopping(&self) {
        self.tell(Notice::Stopping);
    }

    /// To be called each time around the loop; how long the next time may take.
    pub(super) fn alive(&mut self) -> Option<Duration> {
        let every = self.every?;
        if self.told.elapsed() >= every {
            self.tell(Notice::Watchdog);
            self.told = Instant::now();
        }
        Some(every.saturating_sub(self.told.elapsed()))
    }

    /// Whoever does not listen acts by its own time limits.
    fn tell(&self, notice: Notice<'_>) {
        let _ = self.notify.as_ref().map(|notify| notify.tell(notice));
    }
}

/// Half of the time after which the manager takes the process for dead, if it is this process that it
/// watches.
fn watchdog(usec: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let usec: u64 = usec?.parse().ok().filter(|usec| *usec > 0)?;
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    ours.then(|| Duration::from_micros(usec / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_watchdog_s_time() {
        let check = |usec, pid, expected| {
            assert_eq!(watchdog(usec, pid), expected, "{usec:?} {pid:?}");
        };
        let (own, minute) = (std::process::id().to_string(), Some("60000000"));
        check(None, None, None);
        check(minute, None, Some(Duration::from_secs(30)));
        check(minute, Some(&own), Some(Duration::from_secs(30)));
        check(minute, Some("1"), None);
        check(minute, Some("x"), None);
        for nonsense in ["0", "", "-1", "1s"] {
            check(Some(nonsense), None, None);
        }
    }

    #[test]
    fn told_when_half_of_the_time_is_over_and_not_before() {
        let mut service = Service { notify: None, every: None, told: Instant::now() };
        assert_eq!(service.alive(), None);
        service.every = Some(Duration::from_secs(3600));
        let told = service.told;
        assert!(service.alive() > Some(Duration::from_secs(3500)) && service.told == told);
        service.every = Some(Duration::ZERO);
        assert_eq!(service.alive(), Some(Duration::ZERO));
        assert!(service.told > told);
    }
}
