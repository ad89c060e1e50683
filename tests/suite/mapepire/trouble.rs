//! What goes wrong with a connection, on servers of every generation: told in its own words, never tried
//! where a try costs something, and mended by itself where it can be.

use super::{WAIT, config, firsts, host, partition, query};
use futures_util::future::join_all;
use ibmi_sim::{Fault, Generation, SimHandle, User};
use muster_agent::host::mapepire::{Mapepire, MapepireConfig, Password, Trust, fingerprint};
use muster_agent::host::reconnect::{Failure, Reconnect};
use muster_agent::host::{CertificateFault, Host, HostError};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::time::Duration;
use tokio::time::Instant;

const ONE: &str = "select 1 as A from SYSIBM.SYSDUMMY1";

/// A statement that keeps the partition busy while faults are made.
async fn interrupted(host: &mut Mapepire, sim: &SimHandle, fault: Fault) -> HostError {
    sim.set_fault(Fault::Slow { ms: 5_000 }).expect("the fault");
    let before = sim.counts().requests;
    let (result, ()) = tokio::join!(host.query(ONE, &[], 5, WAIT), async {
        while sim.counts().requests == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sim.set_fault(fault).expect("the fault");
    });
    sim.set_fault(Fault::Clear).expect("no fault");
    result.expect_err("it is interrupted")
}

#[tokio::test]
async fn a_restart_in_mid_query_is_come_back_from_with_few_tries() {
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        let mut host = host(&sim);
        query(&mut host, ONE).await.expect("a row");
        let error = interrupted(&mut host, &sim, Fault::Restart { ms: 1_500 }).await;
        assert!(matches!(error, HostError::Dropped { .. }), "{generation:?} {error}");
        // As a source does: it waits as it is told, and tries again.
        let (mut backoff, mut tries) = (Reconnect::new(), 0);
        let mut wait = backoff.failed(error.failure(), 0.5);
        loop {
            tokio::time::sleep(wait).await;
            tries += 1;
            match query(&mut host, ONE).await {
                Ok(rows) => break assert_eq!(firsts(&rows), ["1"]),
                Err(error) => {
                    assert_eq!(error.failure(), Failure::Other, "{error}");
                    wait = backoff.failed(error.failure(), 0.5);
                }
            }
        }
        assert!(tries <= 3, "{tries} tries in about three seconds");
        let counts = sim.counts();
        assert_eq!((counts.connections, counts.sign_ons), (1 + tries, 2), "{generation:?}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_half_open_connection_and_a_slow_reply_are_told_by_the_deadline() {
    let sim = partition(Generation::G1b, |_| {}).await;
    let mut host = host(&sim);
    query(&mut host, ONE).await.expect("a row");
    sim.set_fault(Fault::HalfOpen).expect("the fault");
    let began = Instant::now();
    let error = host.query(ONE, &[], 5, Duration::from_millis(300)).await.expect_err("nobody answers");
    assert!(matches!(error, HostError::Timeout { .. }) && error.is_too_much(), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
    query(&mut host, ONE).await.expect("over a new connection");
    sim.set_fault(Fault::Slow { ms: 300 }).expect("the fault");
    assert_eq!(firsts(&query(&mut host, ONE).await.expect("late, and in time")), ["1"]);
    let error = host.query(ONE, &[], 5, Duration::from_millis(50)).await.expect_err("too late");
    assert!(matches!(error, HostError::Timeout { .. }), "{error}");
    assert_eq!(sim.counts().sign_ons, 2);
    sim.stop().await;
}

#[tokio::test]
async fn a_reply_over_the_limit_is_cut_off_and_fewer_rows_come() {
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        sim.append_mix(6_000);
        let mut host = host(&sim);
        let sql = "select hex(substr(D.ENTRY_DATA, 1, min(length(D.ENTRY_DATA), 16336))) from \
                   table(QSYS2.DISPLAY_JOURNAL('QSYS', 'QAUDJRN', JOURNAL_CODES => 'T')) as D";
        let error = host.query(sql, &[], 10_000, WAIT).await.expect_err("too large");
        assert!(matches!(error, HostError::TooLarge { .. }) && error.is_too_much(), "{error}");
        let mut rows = host.open(sql, &[], 500, WAIT).await.expect("a block");
        let mut count = rows.len();
        while !rows.done {
            rows = host.more(500, WAIT).await.expect("a block");
            count += rows.len();
        }
        assert_eq!(count, 6_000, "{generation:?}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_password_that_expires_in_mid_life_is_tried_once_by_all_connections_together() {
    for (_, generation) in Generation::ALL {
        for (fault, word) in
            [(Fault::PasswordExpired, "Password is expired"), (Fault::ProfileDisabled, "User ID is disabled")]
        {
            let sim = partition(generation, |_| {}).await;
            let shared = config(&sim);
            let mut hosts: Vec<Mapepire> =
                (0..5).map(|_| Mapepire::new(shared.clone()).expect("good")).collect();
            for host in &mut hosts {
                query(host, ONE).await.expect("a row");
            }
            sim.set_fault(fault).expect("the fault");
            sim.set_fault(Fault::DropSocket).expect("the fault");
            for host in &mut hosts {
                let error = query(host, ONE).await.expect_err("the connection broke");
                assert!(matches!(error, HostError::Dropped { .. }), "{error}");
            }
            // All of them come back at the same time, and once more after it.
            for _ in 0..2 {
                for result in join_all(hosts.iter_mut().map(|host| query(host, ONE))).await {
                    let error = result.expect_err("rejected");
                    assert!(matches!(error, HostError::SignOn { .. }), "{error}");
                    assert!(error.to_string().contains(word), "{error}");
                }
            }
            // A connection that was not there before believes it as well.
            let mut new = Mapepire::new(shared.clone()).expect("good");
            assert!(matches!(query(&mut new, ONE).await, Err(HostError::SignOn { .. })));
            let counts = sim.counts();
            assert_eq!((counts.sign_ons, counts.refused_sign_ons), (5, 1), "{generation:?} {fault:?}");
            // Mended, and another password file read: as after a restart of the agent.
            sim.set_fault(Fault::Clear).expect("mended");
            query(&mut host(&sim), ONE).await.expect("a row");
            sim.stop().await;
        }
    }
}

#[tokio::test]
async fn a_wrong_password_does_not_reach_qmaxsign_however_many_connections_there_are() {
    let sim = partition(Generation::G1b, |scenario| scenario.system.max_sign_on_attempts = 3).await;
    let wrong = MapepireConfig { password: Password::new("wrong".to_owned()), ..config(&sim) };
    let mut hosts: Vec<Mapepire> = (0..6).map(|_| Mapepire::new(wrong.clone()).expect("good")).collect();
    for result in join_all(hosts.iter_mut().map(|host| query(host, ONE))).await {
        assert!(matches!(result, Err(HostError::SignOn { .. })), "{result:?}");
    }
    assert_eq!(sim.profile("MUSTER"), (1, false));
    sim.stop().await;
}

#[tokio::test]
async fn refusals_are_told_apart() {
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |scenario| {
            let user = |name: &str, password: &str| User {
                name: name.into(),
                password: password.into(),
                reads_audit: true,
                expired: false,
                disabled: false,
            };
            scenario.users.extend([user("QSECOFR", "q"), user("COLON", "a:b")]);
        })
        .await;
        let with = |user: &str, password: &str| {
            let (user, password) = (user.to_owned(), Password::new(password.to_owned()));
            Mapepire::new(MapepireConfig { user, password, ..config(&sim) }).expect("good")
        };
        let error = query(&mut with("QSECOFR", "q"), ONE).await.expect_err("names with Q are denied");
        assert!(matches!(error, HostError::Rule { .. }), "{error}");
        assert_eq!(error.failure(), Failure::Other, "it costs the profile nothing");
        assert!(error.to_string().contains("iprules.conf"), "{error}");
        // The form of the credentials, which the server looks at before it knows anybody.
        let colon = query(&mut with("COLON", "a:b"), ONE).await;
        match generation {
            Generation::G2 => assert_eq!(firsts(&colon.expect("a row")), ["1"]),
            Generation::G1 | Generation::G1b => {
                let error = colon.expect_err("no colon in a password");
                assert!(matches!(error, HostError::Upgrade { status: 403, .. }), "{error}");
                assert!(error.to_string().contains("no `:` in a password"), "{error}");
            }
        }
        let error = query(&mut with("B*B", "x"), ONE).await.expect_err("no asterisk in a name");
        assert!(matches!(error, HostError::Upgrade { status: 403, .. }), "{error}");
        // An SQL error leaves the connection as it is.
        let mut host = host(&sim);
        for _ in 0..3 {
            let error = query(&mut host, "select nothing").await.expect_err("no FROM");
            assert!(
                error.sql().is_some_and(|error| error.code == -104) && !error.is_disconnected(),
                "{error}"
            );
        }
        query(&mut host, ONE).await.expect("a row");
        let sign_ons = if generation == Generation::G2 { 2 } else { 1 };
        assert_eq!(sim.counts().sign_ons, sign_ons, "{generation:?}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_certificate_that_changes_is_met_at_the_next_connection_and_has_to_be_pinned_anew() {
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        let pin = |pem: &str| {
            let shown = fingerprint(&CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM"));
            (Trust::pin(&shown).expect("a pin"), shown)
        };
        let (old, _) = pin(&sim.ca_pem);
        let mut host = Mapepire::new(MapepireConfig { trust: old, ..config(&sim) }).expect("good");
        query(&mut host, ONE).await.expect("a row");
        sim.set_fault(Fault::CertificateShown).expect("the fault");
        query(&mut host, ONE).await.expect("the connection that is there goes on");
        sim.set_fault(Fault::DropSocket).expect("the fault");
        query(&mut host, ONE).await.expect_err("it broke");
        let (new, seen) = pin(&sim.current_ca_pem());
        for _ in 0..2 {
            let error = query(&mut host, ONE).await.expect_err("not the pinned one");
            let HostError::Certificate { fault: CertificateFault::PinMismatch, fingerprint, .. } = &error
            else {
                panic!("{error}")
            };
            assert_eq!(*fingerprint, seen);
            assert!(error.to_string().contains(&format!("pin_sha256 = \"{seen}\"")), "{error}");
            assert_eq!(error.failure(), Failure::Other);
        }
        assert_eq!(sim.counts().sign_ons, 1, "no credentials go to a server that is not trusted");
        let mut host = Mapepire::new(MapepireConfig { trust: new, ..config(&sim) }).expect("good");
        query(&mut host, ONE).await.expect("a row");
        sim.stop().await;
    }
}
