//! What holds for any bytes: nothing panics, and no password shows.

use super::encoder::{Area, Record, bin4, ebcdic, host, utf16};
use super::{decode_bytes, fields};
use muster_ibmi::exit::formats;
use proptest::prelude::*;

fn any_bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

/// Exit points and formats of the tables, and some that are in none.
fn places() -> Vec<(String, String)> {
    let known = formats().into_iter().map(|format| (format.exit_point.to_owned(), format.format.to_owned()));
    let unknown = [("QIBM_QTMF_SERVER_REQ", "VLRQ0200"), ("", ""), ("QIBM_QSY_CHK_PASSWRD", "CHKP0100")];
    known.chain(unknown.map(|(point, format)| (point.to_owned(), format.to_owned()))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Whether a text or its bytes in any encoding show anywhere.
fn shows(event: &muster_shared::event::Event, secret: &str) -> bool {
    let needles = [secret.to_owned(), hex(&ebcdic(secret)), hex(secret.as_bytes()), hex(&utf16(secret))];
    fields(event).iter().any(|(_, text)| needles.iter().any(|needle| text.contains(needle.as_str())))
}

/// Records that hold a password where one may stand, or where none should.
fn with_secret(secret: &str, form: usize) -> Record {
    let bytes = ebcdic(secret);
    let length = bin4(bytes.len() as i64);
    let user = ebcdic("BOB");
    let address = ebcdic("192.0.2.7");
    let logon: Vec<&[u8]> = vec![&[], &user, &length, &bytes, &length, &address, &length, &[], &[], &bytes];
    let later: Vec<&[u8]> =
        vec![&[], &user, &length, &bytes, &length, &[], &address, &length, &[], &[], &bytes, &length];
    let command = |text: &str, ccsid: i64, body: &[u8]| {
        let area = host("*RMTSRV", "CZRC0100", 0x1002, 56).number(32, ccsid);
        let area = area.number(52, body.len() as i64).bytes(56, body);
        assert!(!text.is_empty());
        Record::host("QIBM_QZRC_RMT", "CZRC0100", &area)
    };
    let text = format!("CHGUSRPRF USRPRF(BOB) PASSWORD({secret})");
    match form {
        0 => Record::new("QIBM_QTMF_SVR_LOGON", "TCPL0100", &logon),
        1 => Record::new("QIBM_QTMF_SVR_LOGON", "TCPL0200", &logon),
        2 => Record::new("QIBM_QTMF_SVR_LOGON", "TCPL0300", &later),
        3 => Record::new("QIBM_QTMX_SVR_LOGON", "TCPL0100", &logon),
        4 => Record::new("QIBM_QTMX_SVR_LOGON", "TCPL0300", &later),
        5 => Record::new("QIBM_QTG_DEVINIT", "INIT0100", &[&[], &[], &[], &bytes, &length]),
        6 => {
            let area = host("*CNTRLSRV", "ZSCS0100", 0x1101, 798).bytes(287, &bytes);
            Record::host("QIBM_QZSC_SM", "ZSCS0100", &area)
        }
        7 => {
            let area = host("*RMTSRV", "CZRC0100", 0x1003, 56).text(32, "QSYCHGPW").bytes(56, &bytes);
            Record::host("QIBM_QZRC_RMT", "CZRC0100", &area)
        }
        8 => {
            let area = host("*SIGNON", "ZSOY0100", 0x7005, 32).bytes(40, &bytes);
            Record::host("QIBM_QZSO_SIGNONSRV", "ZSOY0100", &area)
        }
        9 => Record::new("QIBM_QSY_CHK_PASSWRD", "CHKP0100", &[&bytes, &bytes]),
        10 => command(&text, 0, &ebcdic(&text)),
        11 => command(&text, 1200, &utf16(&text)),
        12 => command(&text, 1208, text.as_bytes()),
        13 => Record::host("DDMACC", "DDMACC", &Area::blank(60).text(20, "COMMAND").text(70, &text)),
        14 => {
            let area = host("*SQLSRV", "ZDAQ0100", 0x1806, 95);
            Record::host(
                "QIBM_QZDA_SQL1",
                "ZDAQ0100",
                &area.text(95, &format!("values decrypt_char(C, '{secret}')")),
            )
        }
        15 => {
            // Told shorter than it is: the rest is kept in raw.
            let area = host("*SQLSRV", "ZDAQ0200", 0x1806, 238).number(234, 4);
            let text = format!("set encryption password = '{secret}'");
            Record::host("QIBM_QZDA_SQL2", "ZDAQ0200", &area.text(238, &text))
        }
        _ => {
            let area = host("*LICSRV", "ZSCL0100", 0x1001, 287).bytes(287, &bytes[..8.min(bytes.len())]);
            Record::host("QIBM_QZSC_LM", "ZSCL0100", &area)
        }
    }
}

const FORMS: usize = 17;

proptest! {
    #[test]
    fn any_bytes_are_safe(bytes in any_bytes(600)) {
        let (event, _) = decode_bytes(37, &bytes);
        prop_assert!(fields(&event).len() >= 3);
    }

    #[test]
    fn any_parameters_are_safe(
        place in 0..1000_usize,
        parameters in proptest::collection::vec(any_bytes(80), 0..12),
        ccsid in prop_oneof![Just(37_i64), Just(65_535), Just(1208), any::<i32>().prop_map(i64::from)],
        cut in any::<bool>(),
    ) {
        let places = places();
        let (exit_point, format) = &places[place % places.len()];
        let parameters: Vec<&[u8]> = parameters.iter().map(Vec::as_slice).collect();
        let mut record = Record::new(exit_point, format, &parameters);
        record.ccsid = ccsid;
        record.cut = cut;
        let bytes = record.bytes();
        let (event, decoded) = decode_bytes(273, &bytes);
        prop_assert_eq!(decoded.known_format, place % places.len() < formats().len());
        let known = fields(&event);
        prop_assert!(known.contains(&("outcome", "unknown")));
        let raw = known.iter().any(|(keyword, _)| *keyword == "raw");
        prop_assert_eq!(raw, decoded.raw_bytes > 0);
    }

    /// Bytes of a format that is laid out are either read, or kept, or must not be shown.
    #[test]
    fn host_requests_with_any_body_are_safe(place in 0..1000_usize, function in 0x1000..0x1900_i64, body in any_bytes(700)) {
        let places = places();
        let (exit_point, format) = &places[place % places.len()];
        let area = host("*SERVER", format.get(..8).unwrap_or("X"), function, 32).bytes(32, &body);
        let record = Record::host(exit_point, format, &area);
        let (event, _) = decode_bytes(37, &record.bytes());
        prop_assert!(event.fields().len() >= 5);
    }

    #[test]
    fn no_password_shows(secret in "[a-z0-9]{8,12}", form in 0..FORMS, cut in 0..400_usize) {
        let whole = with_secret(&secret, form).bytes();
        let (event, _) = decode_bytes(37, &whole);
        prop_assert!(!shows(&event, &secret), "{form}: {:?}", fields(&event));
        // Nor does the front of it, where the record ends early.
        let (event, _) = decode_bytes(37, &whole[..whole.len().saturating_sub(cut)]);
        prop_assert!(!shows(&event, &secret[..6]), "{form}: {:?}", fields(&event));
    }
}
