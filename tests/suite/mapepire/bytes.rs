//! Bytes to and from servers that write them as hex digits, and those that keep them beside the reply.

use super::{WAIT, config, firsts, host, partition, query};
use ibmi_sim::{Fault, Generation, InjectSpec};
use muster_agent::host::mapepire::{Mapepire, MapepireConfig, Trust, fingerprint};
use muster_agent::host::{Host, HostError, Param, binary_literal, query_bytes};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

const DATA: [&[u8]; 4] = [&[0x00, 0xFB, 0xFF], &[0xC1; 1_000], &[], b"\x0E\x40\x41\x0F"];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[tokio::test]
async fn bytes_go_there_and_come_back_as_parameters_and_as_literals() {
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        let mut host = host(&sim);
        for (number, data) in DATA.iter().enumerate() {
            let id = i64::try_from(number).expect("small");
            let params = [Param::Int(id), Param::Bytes(data.to_vec())];
            let insert = "insert into SAMPLE.NOTES (ID, DATA) values (?, ?)";
            assert_eq!(host.call(insert, &params, WAIT).await.expect("written").updated, 1);
            let literal = binary_literal(data);
            let insert = format!("insert into SAMPLE.NOTES values ({}, 'literal', {literal})", id + 100);
            assert_eq!(host.call(&insert, &[], WAIT).await.expect("written").updated, 1, "{insert}");
        }
        let sql = "select DATA, hex(DATA), ID from SAMPLE.NOTES order by ID";
        let rows = query(&mut host, sql).await.expect("rows").texts();
        for (row, data) in rows.iter().zip(DATA.iter().chain(&DATA)) {
            assert_eq!(row[..2], [Some(hex(data)), Some(hex(data))], "{generation:?} {row:?}");
        }
        assert_eq!(rows.len(), 8);
        // Found again by bytes, in a prepared statement too.
        let params = [Param::Bytes(DATA[0].to_vec())];
        let sql = "select ID from SAMPLE.NOTES where DATA = cast(? as varbinary(1000)) order by ID";
        let rows = host.query(sql, &params, 10, WAIT).await.expect("rows");
        assert_eq!(firsts(&rows), ["0", "100"], "{generation:?}");
        let statement = host.statement(sql.to_owned());
        for _ in 0..2 {
            let rows = host.execute(statement, &params, 10, WAIT).await.expect("rows");
            assert_eq!(firsts(&rows), ["0", "100"], "{generation:?}");
        }
        let counts = sim.counts();
        let fetched = if generation == Generation::G2 { 8 } else { 0 };
        assert_eq!((counts.blobs_fetched, counts.blobs_refused), (fetched, 0), "{generation:?}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn whole_entries_come_as_bytes_from_every_generation_under_either_trust() {
    let sql = "select D.ENTRY_DATA, hex(substr(D.ENTRY_DATA, 1, 100)), length(D.ENTRY_DATA) from \
               table(QSYS2.DISPLAY_JOURNAL('QSYS', 'QAUDJRN', JOURNAL_CODES => 'T')) as D";
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        for _ in 0..20 {
            sim.inject(&InjectSpec::parse("AF, violation A, user BOB, PAYROLL/EMP").expect("good"))
                .expect("written");
        }
        let shown = CertificateDer::from_pem_slice(sim.ca_pem.as_bytes()).expect("PEM");
        let pin = Trust::pin(&fingerprint(&shown)).expect("a pin");
        for trust in [pin, Trust::Authorities(sim.ca_pem.clone())] {
            let mut host = Mapepire::new(MapepireConfig { trust, ..config(&sim) }).expect("good");
            let rows = host.open(sql, &[], 8, WAIT).await.expect("rows");
            let mut texts = rows.texts();
            texts.extend(host.more(30, WAIT).await.expect("rows").texts());
            assert_eq!(texts.len(), 20, "{generation:?}");
            for row in texts {
                let [Some(data), Some(front), Some(length)] = &row[..] else { panic!("{row:?}") };
                assert!(data.starts_with(front.as_str()), "{generation:?}");
                assert_eq!(data.len(), 2 * length.parse::<usize>().expect("a number"), "{generation:?}");
            }
        }
        sim.stop().await;
    }
}

#[tokio::test]
async fn bytes_that_are_gone_are_asked_for_once_more_and_only_by_who_may() {
    let sim = partition(Generation::G2, |_| {}).await;
    let mut host = host(&sim);
    let sql = "values (x'C1C2')";
    sim.set_fault(Fault::BlobsLost { count: 1 }).expect("the fault");
    let error = query(&mut host, sql).await.expect_err("gone");
    assert!(error.is_expired() && !error.is_disconnected(), "{error}");
    assert!(error.to_string().contains("does not have them any more"), "{error}");
    assert_eq!(firsts(&query(&mut host, sql).await.expect("a row")), ["C1C2"], "the connection is well");
    sim.set_fault(Fault::BlobsLost { count: 1 }).expect("the fault");
    let kept = sim.counts().blobs_kept;
    let rows = query_bytes(&mut host, sql, &[], 5, WAIT).await.expect("at the second try");
    assert_eq!(firsts(&rows), ["C1C2"]);
    assert_eq!(sim.counts().blobs_kept - kept, 2, "it was run twice");
    sim.set_fault(Fault::BlobsLost { count: 2 }).expect("the fault");
    let error = query_bytes(&mut host, sql, &[], 5, WAIT).await.expect_err("gone twice");
    assert!(error.is_expired(), "{error}");
    assert_eq!(sim.counts().sign_ons, 1);
    sim.stop().await;
}

#[tokio::test]
async fn more_bytes_than_a_reply_may_have_are_not_fetched() {
    let sim = partition(Generation::G2, |_| {}).await;
    sim.append_mix(6_000);
    let mut host = host(&sim);
    let sql =
        "select D.ENTRY_DATA from table(QSYS2.DISPLAY_JOURNAL('QSYS', 'QAUDJRN', JOURNAL_CODES => 'T')) as D";
    let error = host.query(sql, &[], 10_000, WAIT).await.expect_err("too much");
    assert!(matches!(error, HostError::TooLarge { limit: 8_388_608, .. }) && error.is_too_much(), "{error}");
    assert_eq!(sim.counts().blobs_fetched, 0);
    assert_eq!(host.query(sql, &[], 100, WAIT).await.expect("fewer rows").len(), 100);
    sim.stop().await;
}

#[tokio::test]
async fn bytes_are_fetched_only_from_the_server_that_is_trusted() {
    let sim = partition(Generation::G2, |_| {}).await;
    let mut host = host(&sim);
    query(&mut host, "values (1)").await.expect("a row");
    // Only the next connection meets the new certificate: the fetch is one.
    sim.set_fault(Fault::CertificateShown).expect("the fault");
    let error = query(&mut host, "values (x'C1')").await.expect_err("a foreign certificate");
    let shown = CertificateDer::from_pem_slice(sim.current_ca_pem().as_bytes()).expect("PEM");
    assert!(
        matches!(&error, HostError::Certificate { fingerprint: seen, .. } if *seen == fingerprint(&shown)),
        "{error}"
    );
    assert_eq!(sim.counts().blobs_fetched, 0);
    sim.stop().await;
}
