//! Decoding of records of the exit program, as an agent does it.

mod encoder;
mod functions;
mod properties;

use encoder::{Area, Record, bin4, ebcdic, host, ipv4, ipv6, utf16, vlrq};
use functions::{CASES, Function};
use muster_ibmi::ebcdic::code_page;
use muster_ibmi::exit::envelope::EnvelopeError;
use muster_ibmi::exit::{Decoded, ExitDecoder, ExitEntry, formats};
use muster_shared::event::{Event, dictionary};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// 2026-03-01 11:34:56.123456 UTC, as the records of the encoder say.
const TIME_US: i64 = 1_772_364_896_123_456;

fn decode_bytes(ccsid: u16, data: &[u8]) -> (Event, Decoded) {
    let entry = ExitEntry { data, fallback_time_us: 7, sequence: 42 };
    let mut event = Event::new();
    let decoded = ExitDecoder::new(ccsid).decode(&entry, &mut event);
    (event, decoded)
}

thread_local! {
    /// Exit points and formats whose records were decoded by a layout.
    static MET: RefCell<BTreeSet<(String, String)>> = RefCell::default();
}

fn decode(record: &Record) -> (Event, Decoded) {
    let (event, decoded) = decode_bytes(37, &record.bytes());
    if decoded.known_format {
        MET.with_borrow_mut(|met| met.insert((record.exit_point.clone(), record.format.clone())));
    }
    (event, decoded)
}

fn fields(event: &Event) -> Vec<(&str, &str)> {
    let keyword = |field: &muster_shared::event::Field| dictionary().get(field.id).keyword.as_str();
    event.fields().iter().map(|field| (keyword(field), event.text(field))).collect()
}

fn get<'e>(event: &'e Event, keyword: &str) -> Option<&'e str> {
    event.get(dictionary().find(keyword).unwrap())
}

fn meaning(event: &Event, keyword: &str) -> Option<&'static str> {
    let id = dictionary().find(keyword).unwrap();
    event.fields().iter().find(|field| field.id == id).and_then(|field| field.meaning)
}

fn event_id(event: &Event) -> String {
    let mut out = Vec::new();
    event.kind.write_event_id(&mut out);
    String::from_utf8(out).unwrap()
}

/// Fields of the head, up to the exit point.
const HEAD: [(&str, &str); 4] =
    [("user", "BOB"), ("job_name", "QZDASOINIT"), ("job_user", "QUSER"), ("job_number", "012345")];

/// What an event of this format must hold, the head and the exit point included.
fn expect(record: &Record, function: Option<&str>, own: &[(&str, &str)]) -> Event {
    let (event, decoded) = decode(record);
    let mut expected = HEAD.to_vec();
    expected.extend([("exit_point", record.exit_point.as_str()), ("exit_format", record.format.as_str())]);
    expected.extend(function.map(|function| ("exit_function", function)));
    expected.push(("outcome", "unknown"));
    expected.extend(own);
    assert_eq!(fields(&event), expected, "{} {}", record.exit_point, record.format);
    assert!(decoded.known_format && !decoded.damaged, "{} {decoded:?}", record.format);
    assert_eq!((decoded.raw_bytes, decoded.refused, decoded.ccsid_replaced), (0, None, false));
    assert_eq!((event.time_us, event.sequence), (TIME_US, 42));
    event
}

#[test]
fn every_function_becomes_its_event() {
    for case in CASES {
        let record = match (case.function, case.format) {
            (Function::Number(number), "VLRQ0100") => vlrq(case.exit_point, 1, number, "192.0.2.7", "/A"),
            (Function::Number(number), "PWFS0100") => {
                let area =
                    Area::blank(40).text(0, "BOB").text(10, "*FILESRV").number(20, number).number(36, 0);
                Record::host(case.exit_point, case.format, &area.text(24, "PWFS0100"))
            }
            (Function::Number(number), format) => {
                Record::host(case.exit_point, format, &host("*SERVER", format, number, 32))
            }
            (Function::Name(name), format) => {
                let area = Area::blank(60).text(0, "BOB").text(10, "*DDM").text(20, name);
                Record::host(case.exit_point, format, &area)
            }
        };
        let (event, decoded) = decode(&record);
        let seen = (event_id(&event), get(&event, "exit_function"), meaning(&event, "exit_function"));
        let what = format!("{} {}", case.exit_point, case.shown);
        assert_eq!(seen, (case.id.to_owned(), Some(case.shown), Some(case.word)), "{what}");
        assert_eq!(event.severity.get(), case.severity, "{what}");
        assert!(decoded.known_format && event.name.contains(':'), "{what}");
    }
}

#[test]
fn no_function_of_the_tables_is_without_a_case() {
    let mut reader = csv::Reader::from_reader(include_str!("../../data/exit-functions.csv").as_bytes());
    let mut tabled = BTreeSet::new();
    for row in reader.records().map(Result::unwrap) {
        tabled.extend(row[0].split(' ').map(|point| (point.to_owned(), row[1].to_owned())));
    }
    let tested: BTreeSet<_> =
        CASES.iter().map(|case| (case.exit_point.to_owned(), case.shown.to_owned())).collect();
    assert_eq!(tested, tabled);
}

#[test]
fn a_function_that_no_table_knows_is_shown_and_kept() {
    let record = Record::host("QIBM_QZDA_SQL2", "ZDAQ0200", &host("*SQLSRV", "ZDAQ0200", 0x18FF, 32));
    let event = expect(&record, Some("18FF"), &[("server_id", "*SQLSRV")]);
    assert_eq!((event_id(&event).as_str(), meaning(&event, "exit_function")), ("EXIT_SQL_REQUEST", None));
    // What the server says about such an operation is not known, so it is in raw.
    let (event, decoded) = decode(&vlrq("QIBM_QTMF_SERVER_REQ", 1, 77, "192.0.2.7", "XY"));
    assert_eq!(event_id(&event), "EXIT_FTP_SERVER_REQUEST");
    assert_eq!((get(&event, "raw"), decoded.raw_bytes), (Some("6.0:E7E8"), 2));
    let (event, _) = decode(&vlrq("QIBM_QTMF_SERVER_REQ", 1, -1, "", ""));
    assert_eq!(get(&event, "exit_function"), Some("-1"));
}

#[test]
fn ftp_rexec_and_tftp() {
    let path = "/QSYS.LIB/PAYROLL.LIB/EMP.FILE/EMP.MBR";
    let event = expect(
        &vlrq("QIBM_QTMF_SERVER_REQ", 1, 6, "192.0.2.7", path),
        Some("6"),
        &[("remote_address", "192.0.2.7"), ("path", path)],
    );
    assert_eq!((event_id(&event).as_str(), event.severity.get()), ("EXIT_FTP_SERVER_SEND", 5));
    assert_eq!(event.name, "FTP server: file to be sent from the partition");
    // The address of the client comes twice at the start of a session.
    expect(
        &vlrq("QIBM_QTMF_SERVER_REQ", 1, 0, "2001:db8::7", "2001:db8::7"),
        Some("0"),
        &[("remote_address", "2001:db8::7")],
    );
    // Of the client the remote system is the one that is asked.
    expect(
        &vlrq("QIBM_QTMF_CLIENT_REQ", 0, 7, "198.51.100.9", "/home/bob/x"),
        Some("7"),
        &[("peer_address", "198.51.100.9"), ("path", "/home/bob/x")],
    );
    let event = expect(
        &vlrq("QIBM_QTMX_SERVER_REQ", 2, 9, "::ffff:192.0.2.7", "CHGUSRPRF BOB GEHEIM1"),
        Some("9"),
        &[("remote_address", "192.0.2.7"), ("command", "CHGUSRPRF BOB ********")],
    );
    assert_eq!((event_id(&event).as_str(), event.severity.get()), ("EXIT_REXEC_COMMAND", 7));
    expect(
        &vlrq("QIBM_QTOD_SERVER_REQ", 3, 7, "192.0.2.7", "/tftp/boot"),
        Some("7"),
        &[("remote_address", "192.0.2.7"), ("path", "/tftp/boot")],
    );
    let record = Record::new(
        "QIBM_QTMX_SVR_SELECT",
        "RXCS0100",
        &[&ebcdic("BOB       "), &ebcdic("192.0.2.7"), &bin4(9), &ebcdic("ls -l"), &bin4(5)],
    );
    let event = expect(&record, None, &[("remote_address", "192.0.2.7"), ("command", "ls -l")]);
    assert_eq!(event_id(&event), "EXIT_REXEC_SELECT");
}

#[test]
fn logons_have_no_password_whatever_the_record_holds() {
    let user = ebcdic("BOB");
    let secret = ebcdic("GEHEIM1");
    let address = ebcdic("192.0.2.7");
    let (three, seven, nine) = (bin4(3), bin4(7), bin4(9));
    let password = ebcdic("GEHEIM1   ");
    let first: Vec<&[u8]> =
        vec![&[], &user, &three, &secret, &seven, &address, &nine, &[], &[], &password, &[]];
    let third: Vec<&[u8]> =
        vec![&[], &user, &three, &secret, &seven, &[], &address, &nine, &[], &[], &secret, &seven];
    let cases = [
        ("QIBM_QTMF_SVR_LOGON", "TCPL0100", &first, "EXIT_FTP_LOGON"),
        ("QIBM_QTMF_SVR_LOGON", "TCPL0200", &first, "EXIT_FTP_LOGON"),
        ("QIBM_QTMF_SVR_LOGON", "TCPL0300", &third, "EXIT_FTP_LOGON"),
        ("QIBM_QTMX_SVR_LOGON", "TCPL0100", &first, "EXIT_REXEC_LOGON"),
        ("QIBM_QTMX_SVR_LOGON", "TCPL0300", &third, "EXIT_REXEC_LOGON"),
    ];
    for (exit_point, format, parameters, id) in cases {
        let event =
            expect(&Record::new(exit_point, format, parameters), None, &[("remote_address", "192.0.2.7")]);
        assert_eq!(event_id(&event), id);
    }
    // As our exit program writes it: the places of the password are empty.
    let blanked: Vec<&[u8]> = vec![&[], &user, &three, &[], &[], &address, &nine];
    expect(
        &Record::new("QIBM_QTMF_SVR_LOGON", "TCPL0100", &blanked),
        None,
        &[("remote_address", "192.0.2.7")],
    );
}

#[test]
fn telnet() {
    let user =
        Area::blank(44).number(0, 44).text(4, "BOB").text(14, "QGPL").text(24, "MENUPGM").text(34, "MAIN");
    let device = Area::blank(28).text(0, "QPADEV0007").text(10, "DSPD0100");
    let mut connection = Area::blank(61).number(0, 61).bytes(4, &[0; 20]);
    connection = connection.bytes(4, &[16, 2, 0xD4, 0x31, 192, 0, 2, 7]).text(24, "2").text(25, "IBM-3179-2");
    connection = connection.text(39, "1").bytes(40, &[0; 20]).bytes(40, &[16, 2, 0, 23, 192, 0, 2, 1]);
    let environment = ebcdic("USER BOB IBMSUBSPW GEHEIM1");
    let record = Record::new(
        "QIBM_QTG_DEVINIT",
        "INIT0100",
        &[&user.0, &device.0, &connection.0, &environment, &bin4(26)],
    );
    let event = expect(
        &record,
        None,
        &[
            ("current_library", "QGPL"),
            ("initial_program", "MENUPGM"),
            ("initial_menu", "MAIN"),
            ("device_name", "QPADEV0007"),
            ("remote_address", "192.0.2.7"),
            ("remote_port", "54321"),
            ("password_validated", "2"),
            ("workstation_type", "IBM-3179-2"),
            ("tls_used", "1"),
            ("local_address", "192.0.2.1"),
            ("local_port", "23"),
        ],
    );
    assert_eq!(event_id(&event), "EXIT_TELNET_START");
    assert_eq!(meaning(&event, "password_validated"), Some("encrypted password was valid"));
    let record = Record::new("QIBM_QTG_DEVTERM", "TERM0100", &[&ebcdic("QPADEV0007")]);
    let event = expect(&record, None, &[("device_name", "QPADEV0007")]);
    assert_eq!(event_id(&event), "EXIT_TELNET_END");
}

#[test]
fn sign_on_and_database_start() {
    let record = Record::host("QIBM_QZSO_SIGNONSRV", "ZSOY0100", &host("*SIGNON", "ZSOY0100", 0x7005, 32));
    expect(&record, Some("7005"), &[("server_id", "*SIGNON")]);
    let area =
        host("*SQL", "ZDAI0100", 0, 285).text(32, "ODBC").text(95, "IBM i Access ODBC").text(222, "07.01");
    let event = expect(
        &Record::host("QIBM_QZDA_INIT", "ZDAI0100", &area),
        None,
        &[
            ("server_id", "*SQL"),
            ("interface_type", "ODBC"),
            ("interface_name", "IBM i Access ODBC"),
            ("interface_level", "07.01"),
        ],
    );
    assert_eq!((event_id(&event).as_str(), event.severity.get()), ("EXIT_DATABASE_START", 3));
    // An older release ends behind the head.
    let record = Record::host("QIBM_QZDA_INIT", "ZDAI0100", &host("*SQL", "ZDAI0100", 0, 32));
    expect(&record, None, &[("server_id", "*SQL")]);
}

#[test]
fn sql_in_both_formats() {
    let common = |format: &str, length: usize| {
        host("*SQLSRV", format, 0x1803, length)
            .text(32, "STMT0001")
            .text(50, "CRSR0001")
            .bytes(68, &[0, 2, 0, 0x80])
            .text(72, "PKG1")
            .text(82, "PAYROLL")
            .bytes(92, &[0, 1])
            .text(94, "C")
    };
    let own = [
        ("server_id", "*SQLSRV"),
        ("statement_name", "STMT0001"),
        ("cursor_name", "CRSR0001"),
        ("prepare_option", "0002"),
        ("open_attributes", "0080"),
        ("sql_package", "PKG1"),
        ("sql_package_library", "PAYROLL"),
        ("database_location", "1"),
        ("commitment_level", "C"),
    ];
    let statement = "select * from payroll.emp where salary > 100";
    let area = common("ZDAQ0100", 95 + 512).text(95, statement);
    let event = expect(
        &Record::host("QIBM_QZDA_SQL1", "ZDAQ0100", &area),
        Some("1803"),
        &[&own[..], &[("sql_text", statement)]].concat(),
    );
    assert_eq!((event_id(&event).as_str(), event.severity.get()), ("EXIT_SQL_PREPARE_DESCRIBE", 4));
    assert_eq!(meaning(&event, "commitment_level"), Some("*CHANGE"));
    assert_eq!(meaning(&event, "database_location"), Some("remote database"));
    let secret = "set encryption password = 'GEHEIM1'";
    let area = common("ZDAQ0200", 238).text(95, "PAYROLL").number(234, secret.len() as i64).text(238, secret);
    let (event, decoded) = decode(&Record::host("QIBM_QZDA_SQL2", "ZDAQ0200", &area));
    assert_eq!(get(&event, "default_collection"), Some("PAYROLL"));
    assert_eq!(get(&event, "sql_text"), Some("set encryption password = ********"));
    assert_eq!((decoded.masked, decoded.raw_bytes), (1, 0));
}

#[test]
fn files_and_libraries_of_the_database_server() {
    let area = host("*NDB", "ZDAD0100", 0x1801, 358)
        .text(32, "EMPNEW")
        .text(160, "PAYROLL")
        .text(170, "MBR1")
        .text(180, "*CHANGE")
        .text(190, "EMP")
        .text(318, "PAYOLD")
        .text(328, "OVR")
        .text(338, "OVRLIB")
        .text(348, "OVRMBR");
    expect(
        &Record::host("QIBM_QZDA_NDB1", "ZDAD0100", &area),
        Some("1801"),
        &[
            ("server_id", "*NDB"),
            ("object_type", "*FILE"),
            ("object_name", "EMPNEW"),
            ("object_library", "PAYROLL"),
            ("member", "MBR1"),
            ("object_authority", "*CHANGE"),
            ("based_on_file", "EMP"),
            ("based_on_library", "PAYOLD"),
            ("override_file", "OVR"),
            ("override_library", "OVRLIB"),
            ("override_member", "OVRMBR"),
        ],
    );
    let area = host("*NDB", "ZDAD0200", 0x180C, 56).number(32, 2).text(36, "PAYROLL   QGPL");
    expect(
        &Record::host("QIBM_QZDA_NDB1", "ZDAD0200", &area),
        Some("180C"),
        &[("server_id", "*NDB"), ("library_list", "PAYROLL QGPL")],
    );
}

#[test]
fn object_information() {
    let area = host("*RTVOBJINF", "ZDAR0100", 0x1804, 660)
        .text(32, "*EXTDSCHMA")
        .text(52, "RDB1")
        .text(88, "PKG%")
        .text(108, "EMP%")
        .text(364, "MBR%")
        .text(384, "FMT%")
        .text(404, "A_VERY_LONG_SCHEMA_NAME");
    expect(
        &Record::host("QIBM_QZDA_ROI1", "ZDAR0100", &area),
        Some("1804"),
        &[
            ("server_id", "*RTVOBJINF"),
            ("object_library", "*EXTDSCHMA"),
            ("relational_database_name", "RDB1"),
            ("sql_package", "PKG%"),
            ("object_name", "EMP%"),
            ("member", "MBR%"),
            ("record_format", "FMT%"),
            ("long_library", "A_VERY_LONG_SCHEMA_NAME"),
        ],
    );
    let area = host("*RTVOBJINF", "ZDAR0200", 0x1809, 436)
        .text(32, "PAYROLL")
        .text(42, "EMP")
        .text(170, "SALES")
        .text(180, "ORDERS")
        .text(308, "PAYROLL_LONG");
    expect(
        &Record::host("QIBM_QZDA_ROI1", "ZDAR0200", &area),
        Some("1809"),
        &[
            ("server_id", "*RTVOBJINF"),
            ("object_library", "PAYROLL"),
            ("object_name", "EMP"),
            ("foreign_library", "SALES"),
            ("foreign_table", "ORDERS"),
            ("long_library", "PAYROLL_LONG"),
        ],
    );
}

#[test]
fn remote_commands_and_programs() {
    let command = "CRTUSRPRF USRPRF(EVE) PASSWORD(GEHEIM1)";
    let masked = "CRTUSRPRF USRPRF(EVE) PASSWORD(********)";
    let bodies = [
        (0, ebcdic(command)),
        (1200, utf16(command)),
        (1208, command.as_bytes().to_vec()),
        (273, ebcdic(command)),
        // A CCSID that nobody knows is read as the job's.
        (99_999, ebcdic(command)),
    ];
    for (ccsid, body) in bodies {
        let area = host("*RMTSRV", "CZRC0100", 0x1002, 56).number(32, ccsid);
        let area = area.number(52, body.len() as i64).bytes(56, &body);
        let record = Record::host("QIBM_QZRC_RMT", "CZRC0100", &area);
        let event = expect(&record, Some("1002"), &[("server_id", "*RMTSRV"), ("command", masked)]);
        assert_eq!((event_id(&event).as_str(), event.severity.get()), ("EXIT_REMOTE_COMMAND", 6));
    }
    // The parameters of a program may be anything, a password too.
    let area = host("*RMTSRV", "CZRC0100", 0x1003, 56).text(32, "QSYCHGPW").text(42, "QSYS").number(52, 4);
    let record = Record::host("QIBM_QZRC_RMT", "CZRC0100", &area.text(56, "GEHEIM1"));
    let event = expect(
        &record,
        Some("1003"),
        &[
            ("server_id", "*RMTSRV"),
            ("object_type", "*PGM"),
            ("object_name", "QSYCHGPW"),
            ("object_library", "QSYS"),
            ("parameter_count", "4"),
        ],
    );
    assert_eq!(event_id(&event), "EXIT_REMOTE_PROGRAM");
}

#[test]
fn data_queues() {
    let area = host("*DATAQSRV", "ZHQ00100", 5, 58).text(32, "ORDERS").text(42, "SALES").text(52, "EQ");
    let event = expect(
        &Record::host("QIBM_QZHQ_DATA_QUEUE", "ZHQ00100", &area.number(54, 3).bytes(58, &[1, 2, 3])),
        Some("0005"),
        &[
            ("server_id", "*DATAQSRV"),
            ("object_type", "*DTAQ"),
            ("object_name", "ORDERS"),
            ("object_library", "SALES"),
            ("key_order", "EQ"),
            ("queue_key", "010203"),
        ],
    );
    assert_eq!(meaning(&event, "key_order"), Some("equal"));
}

#[test]
fn the_file_server() {
    let name = utf16("/home/bob/Löhne.xlsx");
    let area = Area::blank(40).text(0, "BOB").text(10, "*FILESRV").number(20, 5).text(24, "PWFS0100");
    let area = area.text(32, "0110").number(36, name.len() as i64).bytes(40, &name);
    let event = expect(
        &Record::host("QIBM_QPWFS_FILE_SERV", "PWFS0100", &area),
        Some("0005"),
        &[("server_id", "*FILESRV"), ("file_access", "write, read/write"), ("path", "/home/bob/Löhne.xlsx")],
    );
    assert_eq!((event_id(&event).as_str(), event.severity.get()), ("EXIT_FILE_OPEN", 4));
    // The newer format has no layout here: it is kept as it is.
    let area = Area::blank(32).text(0, "BOB").text(10, "*FILESRV").number(20, 8).text(24, "PWFS0200");
    let (event, decoded) = decode(&Record::host("QIBM_QPWFS_FILE_SERV", "PWFS0200", &area));
    assert_eq!((event_id(&event).as_str(), get(&event, "user")), ("EXIT_FILE_REQUEST", Some("BOB")));
    assert_eq!(get(&event, "raw"), Some("2.0:C2D6C2,2.10:5CC6C9D3C5E2D9E5,2.23:08D7E6C6E2F0F2F0F0"),);
    assert_eq!((decoded.known_format, decoded.raw_bytes), (true, 20));
}

#[test]
fn the_central_server() {
    let area = host("*CNTRLSRV", "ZSCL0100", 0x1003, 314)
        .text(32, "PC0815")
        .text(287, "HANDLE01")
        .text(295, "5770XW1")
        .text(302, "5050")
        .text(306, "V7R1M0")
        .bytes(312, &[0, 1]);
    expect(
        &Record::host("QIBM_QZSC_LM", "ZSCL0100", &area),
        Some("1003"),
        &[
            ("server_id", "*CNTRLSRV"),
            ("client_name", "PC0815"),
            ("product_id", "5770XW1"),
            ("feature_id", "5050"),
            ("product_release", "V7R1M0"),
            ("information_type", "1"),
        ],
    );
    let area = host("*CNTRLSRV", "ZSCS0100", 0x1101, 798).text(32, "PC0815").text(287, "geheim");
    expect(
        &Record::host("QIBM_QZSC_SM", "ZSCS0100", &area.text(542, "3").text(543, "NODE7")),
        Some("1101"),
        &[("server_id", "*CNTRLSRV"), ("client_name", "PC0815"), ("node_type", "3"), ("node_name", "NODE7")],
    );
    let area = host("*CNTRLSRV", "ZSCN0100", 0x1201, 42).number(32, 37).number(36, 1252).bytes(40, &[0, 2]);
    expect(
        &Record::host("QIBM_QZSC_NLS", "ZSCN0100", &area),
        Some("1201"),
        &[("server_id", "*CNTRLSRV"), ("from_ccsid", "37"), ("to_ccsid", "1252"), ("map_type", "2")],
    );
}

#[test]
fn the_network_print_server() {
    let record = Record::host("QIBM_QNPS_ENTRY", "ENTR0100", &host("QNPSERVR", "ENTR0100", 0x0802, 32));
    let event = expect(&record, None, &[("server_id", "QNPSERVR")]);
    assert_eq!(event_id(&event), "EXIT_PRINT_START");
    let spooled = Area::blank(40).text(0, "PAYJOB").text(10, "EVE").text(20, "004711").text(26, "QSYSPRT");
    let record = Record::new(
        "QIBM_QNPS_SPLF",
        "SPLF0100",
        &[&[], &host("QNPSERVR", "SPLF0100", 0x010D, 32).0, &spooled.number(36, 3).0],
    );
    let event = expect(
        &record,
        None,
        &[
            ("server_id", "QNPSERVR"),
            ("related_job_name", "PAYJOB"),
            ("related_job_user", "EVE"),
            ("related_job_number", "004711"),
            ("spooled_file", "QSYSPRT"),
            ("spooled_file_number", "3"),
        ],
    );
    assert_eq!(event_id(&event), "EXIT_PRINT_SPOOLED_FILE");
}

#[test]
fn ddm_and_drda() {
    let area = |function: &str| {
        Area::blank(60).text(0, "BOB").text(10, "*DDM").text(20, function).text(30, "EMP").text(40, "PAYROLL")
    };
    let event = expect(
        &Record::host("DDMACC", "DDMACC", &area("OPEN").text(50, "MBR1")),
        Some("OPEN"),
        &[("server_id", "*DDM"), ("object_name", "EMP"), ("object_library", "PAYROLL"), ("member", "MBR1")],
    );
    assert_eq!((event_id(&event).as_str(), event.severity.get()), ("EXIT_DDM_OPEN", 4));
    // Where the command lies is not documented: it is in raw, with its passwords masked.
    let area = area("COMMAND").text(30, "*N        *N        *N        ").text(90, "CHGPWD NEWPWD(AB)");
    let (event, decoded) = decode(&Record::host("DDMACC", "DDMACC", &area));
    assert_eq!(event_id(&event), "EXIT_DDM_COMMAND");
    assert_eq!(get(&event, "raw"), Some("2.90:C3C8C7D7E6C440D5C5E6D7E6C44D5C5C5D"));
    assert_eq!(decoded.raw_bytes, 17);
}

#[test]
fn passwords_in_raw_are_found_whatever_page_the_job_tells() {
    // Small letters in page 37, and where the Katakana pages have theirs.
    let page = code_page(290).unwrap();
    let katakana: Vec<u8> = "password(AB)".chars().map(|c| page.byte_of(c).unwrap()).collect();
    assert_ne!(katakana, ebcdic("password(AB)"));
    for text in [ebcdic("password(AB)"), katakana] {
        let area = Area::blank(60).text(0, "BOB").text(10, "*DDM").text(20, "COMMAND").bytes(70, &text);
        for ccsid in [37, 273, 290, 930, 939] {
            let mut record = Record::host("DDMACC", "DDMACC", &area);
            record.ccsid = ccsid;
            let (event, _) = decode(&record);
            let raw = get(&event, "raw").unwrap();
            let readable = text[0] == 0x97 || [290, 930].contains(&ccsid);
            assert_eq!(raw.ends_with("4D5C5C5D"), readable, "{ccsid}: {raw}");
        }
    }
}

#[test]
fn sockets_of_both_kinds() {
    let v6 = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7];
    let mapped = [0, 0, 0, 0, 0, 0xFFFF, 0xC000, 0x0207];
    let area = Area::blank(96).bytes(0, &[0; 96]).number(0, 28).bytes(4, &ipv6([0; 8], 8471));
    let area = area.number(32, 28).bytes(36, &ipv6(v6, 8471)).number(64, 28).bytes(68, &ipv6(mapped, 50_000));
    let event = expect(
        &Record::new("QIBM_QSO_ACCEPT", "ACPT0100", &[&area.0]),
        None,
        &[
            ("bound_address", "::"),
            ("bound_port", "8471"),
            ("local_address", "2001:db8::7"),
            ("local_port", "8471"),
            ("remote_address", "192.0.2.7"),
            ("remote_port", "50000"),
        ],
    );
    assert_eq!(event_id(&event), "EXIT_SOCKET_ACCEPT");
    let area = Area::blank(64).bytes(0, &[0; 64]).number(0, 16).bytes(4, &ipv4([192, 0, 2, 1], 50_001));
    let area = area.number(32, 16).bytes(36, &ipv4([198, 51, 100, 9], 443));
    let event = expect(
        &Record::new("QIBM_QSO_CONNECT", "CONN0100", &[&area.0]),
        None,
        &[
            ("local_address", "192.0.2.1"),
            ("local_port", "50001"),
            ("peer_address", "198.51.100.9"),
            ("peer_port", "443"),
        ],
    );
    assert_eq!(event_id(&event), "EXIT_SOCKET_CONNECT");
    let area = Area::blank(36).bytes(0, &[0; 36]).number(0, 128).number(4, 16).bytes(8, &ipv4([0; 4], 2222));
    let event = expect(
        &Record::new("QIBM_QSO_LISTEN", "LSTN0100", &[&area.0]),
        None,
        &[("listen_backlog", "128"), ("local_address", "0.0.0.0"), ("local_port", "2222")],
    );
    assert_eq!((event_id(&event).as_str(), event.severity.get()), ("EXIT_SOCKET_LISTEN", 5));
    // Another length is another kind of socket.
    let area = Area::blank(64).bytes(0, &[0; 64]).number(0, 5).bytes(4, b"/tmp/");
    let (event, decoded) = decode(&Record::new("QIBM_QSO_CONNECT", "CONN0100", &[&area.0]));
    assert_eq!((get(&event, "local_address"), get(&event, "raw")), (None, Some("1.4:2F746D702F")));
    assert!(!decoded.damaged);
}

#[test]
fn database_files_that_are_opened() {
    let file = |name: &str, library: &str, member: &str, underlying: i64, options: &str| {
        let entry = Area::blank(44).text(0, name).text(10, library).text(20, member).bytes(30, &[0; 2]);
        entry.number(32, 1).number(36, underlying).text(40, options).0
    };
    let area = Area::blank(64).number(0, 61).text(4, "DBOP0100").number(12, 64).number(16, 3).number(20, 44);
    let area = area.text(24, "PAYJOB").text(34, "BOB").text(44, "004711").text(50, "BOB").text(60, "0");
    let area = area
        .bytes(64, &file("EMPPF", "PAYROLL", "EMPPF", 1, "1000"))
        .bytes(108, &file("EMPLF", "PAYROLL", "EMPLF", 0, "1010"))
        .bytes(152, &file("DEPT", "SALES", "", 1, "1000"));
    let event = expect(
        &Record::new("QIBM_QDB_OPEN", "DBOP0100", &[&area.0]),
        None,
        &[
            ("query_open", "0"),
            ("object_name", "EMPLF"),
            ("object_library", "PAYROLL"),
            ("object_type", "*FILE"),
            ("member", "EMPLF"),
            ("open_options", "input, update"),
            ("opened_files", "PAYROLL/EMPPF(EMPPF), SALES/DEPT"),
        ],
    );
    assert_eq!(event_id(&event), "EXIT_DATABASE_OPEN");
    // More files told than there are.
    let (event, decoded) = decode(&Record::new("QIBM_QDB_OPEN", "DBOP0100", &[&area.number(16, 9).0]));
    assert_eq!(get(&event, "object_name"), Some("EMPLF"));
    assert!(decoded.damaged);
}

#[test]
fn every_format_has_a_case_here() {
    // The cases that look at every field of a format, so that a new row of the table is not forgotten.
    let cases: [fn(); 15] = [
        ftp_rexec_and_tftp,
        logons_have_no_password_whatever_the_record_holds,
        telnet,
        sign_on_and_database_start,
        sql_in_both_formats,
        files_and_libraries_of_the_database_server,
        object_information,
        remote_commands_and_programs,
        data_queues,
        the_file_server,
        the_central_server,
        the_network_print_server,
        ddm_and_drda,
        sockets_of_both_kinds,
        database_files_that_are_opened,
    ];
    MET.with_borrow_mut(BTreeSet::clear);
    cases.iter().for_each(|case| case());
    let met = MET.with_borrow(Clone::clone);
    let known: BTreeSet<(String, String)> = formats()
        .into_iter()
        .map(|format| (format.exit_point.to_owned(), format.format.to_owned()))
        .collect();
    assert_eq!(met, known);
}

#[test]
fn unknown_formats_show_where_they_came_from_and_nothing_else() {
    let mut record = Record::new("QIBM_QSY_CHK_PASSWRD", "CHKP0100", &[&ebcdic("BOB GEHEIM1"), &[1; 5]]);
    record.current_user = "EVE".to_owned();
    let (event, decoded) = decode(&record);
    assert_eq!(
        fields(&event),
        [
            ("user", "EVE"),
            ("job_name", "QZDASOINIT"),
            ("job_user", "QUSER"),
            ("job_number", "012345"),
            ("exit_point", "QIBM_QSY_CHK_PASSWRD"),
            ("exit_format", "CHKP0100"),
            ("outcome", "unknown"),
            ("reason", "no layout for this format of this exit point"),
            ("raw_length", "16"),
        ]
    );
    assert_eq!((event_id(&event).as_str(), event.severity.get()), ("EXIT_UNKNOWN", 4));
    assert_eq!(decoded, Decoded { known_format: false, ..Decoded::default() });
    // A known format at another exit point is not known.
    let (event, _) = decode(&vlrq("", 9, 1, "192.0.2.7", "/x"));
    assert_eq!(event_id(&event), "EXIT_UNKNOWN");
}

#[test]
fn what_is_no_record_is_an_event_without_its_bytes() {
    let good = vlrq("QIBM_QTMF_SERVER_REQ", 1, 6, "192.0.2.7", "/x").bytes();
    let cases: [(Vec<u8>, EnvelopeError); 4] = [
        (ebcdic("HELLO FROM SOMEBODY ELSE"), EnvelopeError::Foreign),
        (good[..90].to_vec(), EnvelopeError::Short { found: 90 }),
        (Area(good.clone()).bytes(6, &[0, 9]).0, EnvelopeError::Version { found: 9 }),
        (Area(good.clone()).number(8, 5).0, EnvelopeError::Head { told: 5, found: good.len() }),
    ];
    for (bytes, refused) in cases {
        let (event, decoded) = decode_bytes(37, &bytes);
        assert_eq!(decoded, Decoded { refused: Some(refused), ..Decoded::default() });
        assert_eq!(
            fields(&event),
            [
                ("outcome", "unknown"),
                ("reason", refused.to_string().as_str()),
                ("raw_length", bytes.len().to_string().as_str()),
            ]
        );
        // Without a readable time the one of the queue stands.
        assert_eq!((event_id(&event).as_str(), event.time_us), ("EXIT_UNKNOWN", 7));
    }
}

#[test]
fn another_user_than_the_one_that_asks_is_told() {
    let mut record =
        Record::host("QIBM_QZSO_SIGNONSRV", "ZSOY0100", &host("*SIGNON", "ZSOY0100", 0x7004, 32));
    record.current_user = "QUSER".to_owned();
    let (event, _) = decode(&record);
    assert_eq!((get(&event, "user"), get(&event, "effective_user")), (Some("BOB"), Some("QUSER")));
    // Where the request names nobody, it is the job's user.
    let record = Record::new("QIBM_QTG_DEVTERM", "TERM0100", &[&ebcdic("DEV")]);
    let (event, _) = decode(&record);
    assert_eq!((get(&event, "user"), get(&event, "effective_user")), (Some("BOB"), None));
}

#[test]
fn text_is_read_with_the_ccsid_of_the_job() {
    let path = [&ebcdic("/A")[..], &[0x7B, 0xC0]].concat();
    let mut record = vlrq("QIBM_QTMF_SERVER_REQ", 1, 5, "192.0.2.7", "");
    record.parameters[5] = (path.clone(), 4);
    record.parameters[6] = (bin4(4), 4);
    let cases = [
        // The job's, its default, the partition's where neither is known.
        (37, 37, "/A#{", false),
        (297, 37, "/A£é", false),
        (65_535, 273, "/A#ä", false),
        (65_535, 65_535, "/A#ä", true),
        (1200, 1208, "/A#ä", true),
        (99_999, 0, "/A#ä", true),
    ];
    for (ccsid, default_ccsid, expected, replaced) in cases {
        record.ccsid = ccsid;
        record.default_ccsid = default_ccsid;
        let (event, decoded) = decode_bytes(273, &record.bytes());
        assert_eq!((get(&event, "path"), decoded.ccsid_replaced), (Some(expected), replaced), "{ccsid}");
    }
    // Mixed pages, of which a half character is kept as it is.
    record.ccsid = 939;
    record.parameters[5] = ([&ebcdic("/A")[..], &[0x0E, 0x45, 0x62, 0x0F]].concat(), 6);
    record.parameters[6] = (bin4(6), 4);
    let (event, decoded) = decode(&record);
    assert_eq!((get(&event, "path"), decoded.raw_bytes), (Some("/A日"), 0));
    record.parameters[6] = (bin4(4), 4);
    let (event, decoded) = decode(&record);
    assert_eq!((get(&event, "path"), decoded.raw_bytes), (Some("/A\u{FFFD}"), 6));
    // A partition whose own CCSID has no table reads as 37.
    assert_eq!(ExitDecoder::new(65_535).ccsid(), 37);
}

#[test]
fn lengths_that_are_too_long_or_too_short() {
    let area = |told: i64| {
        let area = host("*SQLSRV", "ZDAQ0200", 0x1800, 238).number(234, told);
        Record::host("QIBM_QZDA_SQL2", "ZDAQ0200", &area.text(238, "select 1"))
    };
    let cases = [
        (8, Some("select 1"), None, false),
        // Longer than what is there: what is there.
        (9, Some("select 1"), None, true),
        (i64::from(i32::MAX), Some("select 1"), None, true),
        (-1, Some("select 1"), None, true),
        // Shorter: the rest is in raw.
        (6, Some("select"), Some("2.245:F1"), false),
        (0, None, Some("2.238:A285938583A340F1"), false),
    ];
    for (told, text, raw, damaged) in cases {
        let (event, decoded) = decode(&area(told));
        let seen = (get(&event, "sql_text"), get(&event, "raw"), decoded.damaged);
        assert_eq!(seen, (text, raw, damaged), "{told}");
    }
    // A parameter that tells the length of another may be missing.
    let mut record = vlrq("QIBM_QTMF_SERVER_REQ", 1, 6, "192.0.2.7", "/x");
    record.parameters[6] = (Vec::new(), 0);
    let (event, decoded) = decode(&record);
    assert_eq!((get(&event, "path"), decoded.damaged), (Some("/x"), false));
    record.parameters[6] = (bin4(1), 4);
    let (event, _) = decode(&record);
    assert_eq!((get(&event, "path"), get(&event, "raw")), (Some("/"), Some("6.1:A7")));
}

#[test]
fn what_the_exit_program_cut_is_said_and_not_damage() {
    let area =
        host("*SQLSRV", "ZDAQ0200", 0x1800, 238).number(234, 100_000).text(238, "select password('abc");
    let mut record = Record::host("QIBM_QZDA_SQL2", "ZDAQ0200", &area);
    record.cut = true;
    record.parameters[1].1 = 100_238;
    let (event, decoded) = decode(&record);
    assert_eq!(get(&event, "exit_data_cut"), Some("Y"));
    assert_eq!(get(&event, "sql_text"), Some("select password(********"));
    assert!(!decoded.damaged);
}

#[test]
fn a_record_that_ends_early_is_decoded_as_far_as_it_goes() {
    let path = "/QSYS.LIB/PAYROLL.LIB";
    let whole = vlrq("QIBM_QTMF_SERVER_REQ", 1, 5, "192.0.2.7", path).bytes();
    let (full, _) = decode_bytes(37, &whole);
    for end in 128..whole.len() {
        let (event, decoded) = decode_bytes(37, &whole[..end]);
        assert!(decoded.damaged && decoded.refused.is_none(), "{end}");
        assert_eq!(event.time_us, full.time_us);
        for (keyword, text) in fields(&event) {
            let stays = get(&full, keyword).is_some_and(|whole| whole.starts_with(text));
            // A user that is cut is another one than the job's.
            assert!(stays || matches!(keyword, "raw" | "effective_user"), "{end}: {keyword} is {text}");
        }
    }
}
