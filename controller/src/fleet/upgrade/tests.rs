//! Steps, offers and answers.

use super::*;
use muster_proto::opamp::PackageDownloadDetails;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn wanted(version: &str, rollout: u64) -> Wanted {
    let file = WantedFile { sha256: "ab".repeat(32), signature: "signature".to_owned() };
    Wanted {
        version: version.parse().unwrap(),
        platform: "x86_64-linux".to_owned(),
        file: Some(file),
        rollout,
        back: false,
        at: at(0),
    }
}

fn status(kind: PackageStatusEnum, error: &str, hash: &[u8]) -> PackageStatus {
    let details = PackageDownloadDetails { download_percent: 41.9, ..Default::default() };
    PackageStatus {
        name: AGENT.to_owned(),
        status: kind.into(),
        error_message: error.to_owned(),
        server_offered_hash: hash.to_vec(),
        download_details: (kind == PackageStatusEnum::Downloading).then_some(details),
        ..PackageStatus::default()
    }
}

fn statuses(status: PackageStatus) -> PackageStatuses {
    PackageStatuses { packages: [(AGENT.to_owned(), status)].into(), ..PackageStatuses::default() }
}

#[test]
fn words_of_the_wire_and_of_health_make_the_step() {
    use PackageStatusEnum as S;
    let cases = [
        (S::InstallPending, "", None, Step::Waiting, None, ""),
        (S::InstallPending, "", Some(Step::Confirming), Step::Waiting, None, ""),
        (S::Downloading, "", None, Step::Downloading, Some(41), ""),
        (S::Installing, "", None, Step::Verified, None, ""),
        (S::Installing, "", Some(Step::Downloading), Step::Verified, None, ""),
        (S::Installing, "", Some(Step::Verified), Step::Verified, None, ""),
        (S::Installing, "", Some(Step::Staged), Step::Staged, None, ""),
        (S::Installing, "", Some(Step::Switching), Step::Switching, None, ""),
        (S::Installing, "", Some(Step::Confirming), Step::Confirming, None, ""),
        (S::Installing, "", Some(Step::Done), Step::Verified, None, ""),
        (S::Installed, "", Some(Step::Confirming), Step::Done, None, ""),
        (S::InstallFailed, "rolled back: it died", None, Step::RolledBack, None, "it died"),
        (S::InstallFailed, "the disk is full", None, Step::Failed, None, "the disk is full"),
        (S::InstallFailed, "", Some(Step::Staged), Step::Failed, None, ""),
    ];
    for (kind, error, word, step, percent, reason) in cases {
        let told = told(&status(kind, error, b"h"), word);
        assert_eq!(
            (told.step, told.percent, told.reason.as_str()),
            (step, percent, reason),
            "{kind:?} {word:?}"
        );
    }
    let unknown = PackageStatus { status: 99, ..PackageStatus::default() };
    assert_eq!(told(&unknown, None).step, Step::Verified, "of a later release");
    for (percent, whole) in [(-1.0, 0), (f64::NAN, 0), (99.99, 99), (1e9, 100)] {
        assert_eq!(whole_percent(percent), whole);
    }
}

#[test]
fn a_step_has_a_beginning_and_a_deadline() {
    let wanted = wanted("0.2.0", 7);
    let hash = wanted.hash();
    let mut state = UpgradeState { wanted: Some(Box::new(wanted)), ..UpgradeState::default() };
    assert!(state.is_due(Some(&Version::new(0, 1, 0))) && !state.is_under_way());
    let mut hear = |kind, word, second| {
        let news = state.hear(Some(&statuses(status(kind, "", &hash))), word, at(second));
        let report = state.answer().unwrap();
        (news, report.step, report.since, report.deadline())
    };
    use PackageStatusEnum as S;
    let downloading = Step::Downloading;
    assert_eq!(hear(S::Downloading, None, 10), (true, downloading, at(10), Some(at(3_610))));
    assert_eq!(hear(S::Downloading, None, 20), (false, downloading, at(10), Some(at(3_610))));
    assert_eq!(hear(S::Installing, None, 30), (true, Step::Verified, at(30), Some(at(330))));
    // The finer words come with its health.
    assert!(state.hear(None, Some(Step::Staged), at(40)));
    assert!(!state.hear(None, Some(Step::Staged), at(50)));
    let report = state.answer().unwrap();
    assert_eq!((report.step, report.since, report.deadline()), (Step::Staged, at(40), Some(at(100))));
    assert!(state.is_under_way() && !state.is_due(Some(&Version::new(0, 1, 0))));
    assert!(state.hear(Some(&statuses(status(S::Installed, "", &hash))), None, at(60)));
    assert_eq!(state.answer().and_then(Report::deadline), None);
    // It forgot the offer, as after its state folder was lost: it is due again.
    assert!(state.hear(Some(&PackageStatuses::default()), None, at(70)));
    assert!(state.is_due(Some(&Version::new(0, 1, 0))));
    assert!(!state.is_due(Some(&Version::new(0, 2, 0))), "it runs it");
}

#[test]
fn what_is_said_of_another_offer_is_no_answer() {
    let first = wanted("0.2.0", 7);
    let mut state = UpgradeState { wanted: Some(Box::new(wanted("0.2.0", 8))), ..UpgradeState::default() };
    let failed = status(PackageStatusEnum::InstallFailed, "no", &first.hash());
    assert!(state.hear(Some(&statuses(failed)), None, at(1)));
    assert!(state.answer().is_none() && state.is_due(None), "another rollout is another try");
    let long = status(PackageStatusEnum::Installed, "", &[1; 65]);
    state.hear(Some(&statuses(long)), None, at(2));
    assert_eq!(state.report, None);
}

#[test]
fn the_offer() {
    let wanted = wanted("0.2.0", 7);
    let offer = wanted.offer("wss://muster.example:4320/v1/opamp");
    let package = &offer.packages[AGENT];
    let file = package.file.as_ref().unwrap();
    let url = format!("https://muster.example:4320/v1/packages/{}", "ab".repeat(32));
    assert_eq!((file.download_url.as_str(), file.content_hash.as_slice()), (url.as_str(), &[0xab; 32][..]));
    assert_eq!((package.version.as_str(), file.signature.as_slice()), ("0.2.0", &b"signature"[..]));
    assert_eq!(package.hash, wanted.hash());
    assert_eq!(offer.all_packages_hash.len(), 32);
    // Back to a version that the agent keeps.
    let back = Wanted { file: None, back: true, ..wanted.clone() };
    let offer = back.offer("https://[::1]:4320/v1/opamp");
    let file = offer.packages[AGENT].file.as_ref().unwrap();
    assert_eq!((file.download_url.as_str(), file.content_hash.as_slice()), ("", &[][..]));
    let others = [
        back,
        Wanted { rollout: 8, ..wanted.clone() },
        Wanted { version: Version::new(0, 3, 0), ..wanted.clone() },
        Wanted { platform: "powerpc64-aix".to_owned(), ..wanted.clone() },
    ];
    assert!(others.iter().all(|other| other.hash() != wanted.hash()));
}
