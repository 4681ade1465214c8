//! Purpose: a power cut takes a member's session and leaves its keys. Topology: border router and a light.
//! Pass: the light makes a session anew and answers the manager in it; a revocation does not wait for it
//! to notice that a change of key passed it by.

use crate::world::{LIGHT, ask, eui64, office};
use lowgate_manager::{ManagerEvent, Reply, Request};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{What, World};
use lowgate_units::Duration;

fn restart(world: &mut World, station: StationId) {
    world.power_off(station);
    world.run_for(Duration::from_secs(2));
    world.power_on(station);
    world.run_for(Duration::from_secs(30));
}

#[test]
fn a_light_answers_after_a_power_cut() {
    let mut world = office(1);
    restart(&mut world, LIGHT);
    let returned = world.take_happenings().into_iter().any(|happening| {
        matches!(happening.what, What::Manager(ManagerEvent::Returned { eui64: who, .. })
            if who == eui64(1))
    });
    assert!(returned);
    let reply = ask(&mut world, Request::ReadResource { eui64: eui64(1), path: "light".into() });
    assert!(matches!(reply, Some(Reply::Resource { .. })), "{reply:?}");
    assert_eq!(world.findings(), []);
}

#[test]
fn a_revocation_after_a_power_cut_does_not_wait() {
    let mut world = office(2);
    restart(&mut world, LIGHT);
    assert_eq!(ask(&mut world, Request::Revoke { eui64: eui64(2) }), Some(Reply::Done));
    let effective = |world: &World| {
        world.checkers().revocation().is_some_and(|revocation| revocation.effective_at.is_some())
    };
    assert!(world.run_until(Duration::from_secs(10), effective));
    assert_eq!(world.findings(), []);
}
