//! Purpose: what hellos can agree on beside keys. RFC 6066 sections 3 and 4, RFC 5705.

use crate::world::*;
use lowgate_dtls::{
    AlertDescription, ClientConfig, CloseReason, ExportRefused, FragmentLen, SavedSession,
    SendRefused, ServerConfig,
};

fn joined(
    server: impl FnOnce(&mut ServerConfig),
    client: impl FnOnce(&mut ClientConfig<'_>),
) -> World {
    let mut world = World::with(1, server);
    let mut config = config(b"d1");
    client(&mut config);
    world.add(peer(1), config);
    world.start(0);
    world.run_for(secs(1));
    world
}

/// Both ends keep to the length; what is too long uses up no record number.
#[test]
fn fragment_length() {
    let mut world = joined(|_| {}, |config| config.fragment_len = Some(FragmentLen::Octets512));
    world.expect_joined();
    let session = world.said.established[0].session;
    let (fits, long) = ([1; 512], [1; 513]);
    let mut out = [0; 1024];
    let now = world.now;
    let refused = world.nodes[0].client.send(DATA, &long, &mut out);
    assert_eq!(refused, Err(SendRefused::TooLong));
    assert_eq!(world.server.send(now, session, DATA, &long), Err(SendRefused::TooLong));
    world.client_sends(0, DATA, &fits);
    world.server_sends(session, DATA, &fits);
    world.run_for(secs(1));
    assert_eq!(world.said.received, [(session, DATA, fits.to_vec())]);
    assert_eq!(world.nodes[0].received, [(DATA, fits.to_vec())]);
    world.expect_working();
}

/// An answer that was not asked for, or another one than was asked for, is none.
#[test]
fn another_fragment_length() {
    let mut world = World::new(1);
    let config = ClientConfig { fragment_len: Some(FragmentLen::Octets512), ..config(b"d1") };
    world.add(peer(1), config);
    world.tap = Some(Box::new(|towards, octets| {
        let at = octets.windows(5).position(|part| part == [0, 1, 0, 1, 1])?;
        (towards == Towards::Client).then(|| {
            let mut changed = octets.to_vec();
            changed[at + 4] = 2;
            vec![(millis(1), changed)]
        })
    }));
    world.start(0);
    world.run_for(secs(70));
    let (_, reason) = world.nodes[0].closed.expect("no session");
    assert_eq!(reason, CloseReason::IllegalHello);
    let alert = &world.nodes[0].sent.last().expect("alert").1;
    assert_eq!(alert[13..], [2, AlertDescription::ILLEGAL_PARAMETER.0]);
}

/// RFC 6066 section 4: the length goes on with the session, and who wants another one makes another.
#[test]
fn fragment_length_of_a_resumed_session() {
    let length = Some(FragmentLen::Octets1024);
    for tickets in [false, true] {
        let server = |config: &mut ServerConfig| {
            config.resumable_max = 2;
            config.tickets = tickets;
        };
        let edit = |config: &mut ClientConfig<'_>, resume: Option<SavedSession>| {
            (config.fragment_len, config.session_ticket, config.resume) = (length, true, resume);
        };
        let mut world = joined(server, |config| edit(config, None));
        let saved = world.nodes[0].client.saved_session().expect("it can be resumed").clone();
        for (wanted, resumed) in
            [(length, true), (None, false), (Some(FragmentLen::Octets512), false)]
        {
            world.nodes.clear();
            let mut config = config(b"d1");
            edit(&mut config, Some(saved.clone()));
            config.fragment_len = wanted;
            world.add(peer(1), config);
            world.start(0);
            world.run_for(secs(1));
            assert_eq!(world.nodes[0].established.len(), 1);
            assert_eq!(world.nodes[0].client.is_resumed(), resumed);
            let max = wanted.map_or(990, FragmentLen::octets).min(990);
            let mut out = [0; 1024];
            let client = &mut world.nodes[0].client;
            assert!(client.send(DATA, &vec![0; max + 1], &mut out).is_err());
            assert_eq!(client.send(DATA, &vec![0; max], &mut out), Ok(max + 34));
        }
    }
}

/// The same when it is the server that hears of another length.
#[test]
fn another_fragment_length_resumes_nothing() {
    for tickets in [false, true] {
        let server = |config: &mut ServerConfig| {
            config.resumable_max = 2;
            config.tickets = tickets;
        };
        let edit = |config: &mut ClientConfig<'_>, resume: Option<SavedSession>| {
            config.fragment_len = Some(FragmentLen::Octets512);
            (config.session_ticket, config.resume) = (true, resume);
        };
        let mut world = joined(server, |config| edit(config, None));
        let saved = world.nodes[0].client.saved_session().cloned();
        assert!(saved.is_some());
        world.nodes.clear();
        let mut config = config(b"d1");
        edit(&mut config, saved);
        world.add(peer(1), config);
        world.tap = Some(Box::new(|towards, octets| {
            let at = octets.windows(5).position(|part| part == [0, 1, 0, 1, 1])?;
            (towards == Towards::Server).then(|| {
                let mut changed = octets.to_vec();
                changed[at + 4] = 2;
                vec![(millis(1), changed)]
            })
        }));
        world.said.sent.clear();
        world.start(0);
        world.run_for(millis(100));
        let answer = records(&world.said.sent[1].1, 4);
        assert!(
            answer[0].3[13] == 2 && answer.iter().all(|record| record.1 == 0),
            "nothing resumed"
        );
    }
}

#[test]
fn server_names() {
    let named = |config: &mut ServerConfig| config.server_name = Some("Manager.Example".into());
    for (server, asked, joins) in [
        (true, Some("manager.example"), true),
        (true, Some("other.example"), false),
        (true, None, true),
        (false, Some("other.example"), true),
    ] {
        let world = joined(
            |config| {
                if server {
                    named(config)
                }
            },
            |config| config.server_name = asked,
        );
        assert_eq!(!world.nodes[0].established.is_empty(), joins, "{asked:?}");
        if !joins {
            assert_eq!(world.said.failed[0].2, CloseReason::UnrecognizedName);
            let alert = &world.said.sent[1].1;
            assert_eq!(alert[13..], [2, AlertDescription::UNRECOGNIZED_NAME.0]);
        }
    }
}

fn exported(world: &World, label: &[u8]) -> [Result<[u8; 32], ExportRefused>; 2] {
    let session = world.said.established.last().expect("session").session;
    let [mut ours, mut theirs] = [[0; 32]; 2];
    let context = Some(&b"context"[..]);
    let client = world.nodes[0].client.export(label, context, &mut ours);
    let server = world.server.export(session, label, context, &mut theirs);
    [client.map(|()| ours), server.map(|()| theirs)]
}

#[test]
fn exporters() {
    let server = |config: &mut ServerConfig| (config.exporters, config.resumable_max) = (true, 1);
    let mut world = joined(server, |_| {});
    let [client, server] = exported(&world, b"EXPORTER-lowgate");
    assert!(client.is_ok());
    assert_eq!(client, server);
    // A session that goes on from another one has the same master secret, and other material.
    let saved = world.nodes[0].client.saved_session().cloned();
    world.nodes.clear();
    world.add(peer(1), ClientConfig { resume: saved, ..config(b"d1") });
    world.start(0);
    world.run_for(secs(1));
    assert!(world.nodes[0].client.is_resumed());
    let [again, server] = exported(&world, b"EXPORTER-lowgate");
    assert!(again.is_ok() && again != client);
    assert_eq!(again, server);
    assert_eq!(exported(&world, b"key expansion"), [Err(ExportRefused::LabelReserved); 2]);
}

/// RFC 7627 section 5.4.
#[test]
fn no_exporter_without_extended_master_secret() {
    let world = joined(
        |config| config.exporters = true,
        |config| (config.extended_master_secret, config.group_request) = (false, None),
    );
    let refused = exported(&world, b"EXPORTER-lowgate");
    assert_eq!(refused, [Err(ExportRefused::NoExtendedMasterSecret); 2]);
    let world = World::joining(1, |_| {});
    let refused = world.nodes[0].client.export(b"EXPORTER-lowgate", None, &mut [0; 4]);
    assert_eq!(refused, Err(ExportRefused::NotEstablished));
}
