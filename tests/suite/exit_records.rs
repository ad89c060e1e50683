//! What the simulated exit program writes is what the agent reads: two tables, made apart, must say the same.

use ibmi_sim::{ExitRequest, Options, Scenario, Simulator};
use muster_ibmi::exit::{ExitDecoder, ExitEntry};
use muster_shared::event::{Event, dictionary};

/// Exit point, format, function, values, and what the event must hold besides who and where.
type Case = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

const CASES: &[Case] = &[
    (
        "QIBM_QTMF_SERVER_REQ",
        "VLRQ0100",
        "6",
        &[("address", "192.0.2.7"), ("information", "/QSYS.LIB/PAYROLL.LIB/EMP.FILE")],
        "exit_function=6 remote_address=192.0.2.7 path=/QSYS.LIB/PAYROLL.LIB/EMP.FILE",
    ),
    (
        "QIBM_QTMF_CLIENT_REQ",
        "VLRQ0100",
        "9",
        &[("address", "192.0.2.7"), ("information", "CHGPWD NEWPWD(GEHEIM)")],
        "exit_function=9 peer_address=192.0.2.7 command=CHGPWD NEWPWD(********)",
    ),
    ("QIBM_QTMX_SERVER_REQ", "VLRQ0100", "9", &[("information", "ls")], "exit_function=9 command=ls"),
    ("QIBM_QTOD_SERVER_REQ", "VLRQ0100", "7", &[("information", "/b")], "exit_function=7 path=/b"),
    ("QIBM_QTMF_SVR_LOGON", "TCPL0100", "", &[("address", "2001:db8::7")], "remote_address=2001:db8::7"),
    ("QIBM_QTMX_SVR_LOGON", "TCPL0100", "", &[], ""),
    (
        "QIBM_QTG_DEVINIT",
        "INIT0100",
        "",
        &[
            ("remote", "192.0.2.7:1023"),
            ("device", "QPADEV0001"),
            ("password checked", "1"),
            ("menu", "MAIN"),
        ],
        "initial_menu=MAIN device_name=QPADEV0001 remote_address=192.0.2.7 remote_port=1023 password_validated=1",
    ),
    ("QIBM_QTG_DEVTERM", "TERM0100", "", &[("device", "QPADEV0001")], "device_name=QPADEV0001"),
    ("QIBM_QZSO_SIGNONSRV", "ZSOY0100", "x7004", &[], "exit_function=7004 server_id=*SIGNON"),
    (
        "QIBM_QZDA_INIT",
        "ZDAI0100",
        "0",
        &[("interface type", "JDBC"), ("interface level", "20")],
        "server_id=*SQL interface_type=JDBC interface_level=20",
    ),
    (
        "QIBM_QZDA_SQL1",
        "ZDAQ0100",
        "x1806",
        &[("sql", "delete from sales.orders"), ("commitment", "N")],
        "exit_function=1806 server_id=*SQLSRV commitment_level=N sql_text=delete from sales.orders",
    ),
    (
        "QIBM_QZDA_SQL2",
        "ZDAQ0200",
        "x180D",
        &[("sql", "select * from payroll.emp"), ("collection", "PAYROLL"), ("package", "P"), ("remote", "1")],
        "exit_function=180D server_id=*SQLSRV sql_package=P database_location=1 default_collection=PAYROLL \
         sql_text=select * from payroll.emp",
    ),
    (
        "QIBM_QZDA_NDB1",
        "ZDAD0100",
        "x1809",
        &[("file", "EMP"), ("library", "PAYROLL")],
        "exit_function=1809 server_id=*NDB object_type=*FILE object_name=EMP object_library=PAYROLL",
    ),
    (
        "QIBM_QZDA_NDB1",
        "ZDAD0200",
        "x180C",
        &[("libraries", "PAYROLL QGPL SALES")],
        "exit_function=180C server_id=*NDB library_list=PAYROLL QGPL SALES",
    ),
    (
        "QIBM_QZDA_ROI1",
        "ZDAR0100",
        "x1807",
        &[("library", "PAY%"), ("file", "EMP%"), ("record format", "F%")],
        "exit_function=1807 server_id=*RTVOBJINF object_library=PAY% object_name=EMP% record_format=F%",
    ),
    (
        "QIBM_QZDA_ROI1",
        "ZDAR0200",
        "x180A",
        &[("library", "PAYROLL"), ("table", "EMP"), ("foreign table", "DEPT")],
        "exit_function=180A server_id=*RTVOBJINF object_library=PAYROLL object_name=EMP foreign_table=DEPT",
    ),
    (
        "QIBM_QZRC_RMT",
        "CZRC0100",
        "x1002",
        &[("command", "WRKACTJOB")],
        "exit_function=1002 server_id=*RMTSRV command=WRKACTJOB",
    ),
    (
        "QIBM_QZHQ_DATA_QUEUE",
        "ZHQ00100",
        "x12",
        &[("queue", "ORDERS"), ("library", "SALES"), ("relation", "GE"), ("key", "00FF")],
        "exit_function=0012 server_id=*DATAQSRV object_type=*DTAQ object_name=ORDERS object_library=SALES \
         key_order=GE queue_key=00FF",
    ),
    (
        "QIBM_QPWFS_FILE_SERV",
        "PWFS0100",
        "5",
        &[("access", "1001"), ("name", "/home/bob/Löhne.ods")],
        "exit_function=0005 server_id=*FILESRV file_access=read, delete path=/home/bob/Löhne.ods",
    ),
    (
        "QIBM_QZSC_LM",
        "ZSCL0100",
        "x1001",
        &[("client", "PC7"), ("product", "5770XW1"), ("handle", "H")],
        "exit_function=1001 server_id=*CNTRLSRV client_name=PC7 product_id=5770XW1",
    ),
    (
        "QIBM_QZSC_SM",
        "ZSCS0100",
        "x1101",
        &[("client", "PC7")],
        "exit_function=1101 server_id=*CNTRLSRV client_name=PC7",
    ),
    (
        "QIBM_QZSC_NLS",
        "ZSCN0100",
        "x1201",
        &[("from", "37"), ("to", "1252"), ("map type", "1")],
        "exit_function=1201 server_id=*CNTRLSRV from_ccsid=37 to_ccsid=1252 map_type=1",
    ),
    ("QIBM_QNPS_ENTRY", "ENTR0100", "x802", &[], "server_id=QNPSERVR"),
    (
        "QIBM_QNPS_SPLF",
        "SPLF0100",
        "",
        &[("file", "QSYSPRT"), ("file number", "7"), ("file job", "PAYJOB")],
        "server_id=QNPSERVR related_job_name=PAYJOB spooled_file=QSYSPRT spooled_file_number=7",
    ),
    (
        "DDMACC",
        "DDMACC",
        "DELETE",
        &[("object", "EMP"), ("library", "PAYROLL"), ("application", "*DRDA")],
        "exit_function=DELETE server_id=*DRDA object_name=EMP object_library=PAYROLL",
    ),
    (
        "QIBM_QSO_ACCEPT",
        "ACPT0100",
        "",
        &[("remote", "[2001:db8::7]:50000"), ("local", "192.0.2.1:22"), ("bound", "0.0.0.0:22")],
        "bound_address=0.0.0.0 bound_port=22 local_address=192.0.2.1 local_port=22 remote_address=2001:db8::7 \
         remote_port=50000",
    ),
    (
        "QIBM_QSO_CONNECT",
        "CONN0100",
        "",
        &[("remote", "198.51.100.9:443")],
        "peer_address=198.51.100.9 peer_port=443",
    ),
    (
        "QIBM_QSO_LISTEN",
        "LSTN0100",
        "",
        &[("local", "[::]:8080"), ("backlog", "5")],
        "listen_backlog=5 local_address=:: local_port=8080",
    ),
    (
        "QIBM_QDB_OPEN",
        "DBOP0100",
        "",
        &[("file", "EMP"), ("library", "PAYROLL"), ("member", "EMP"), ("options", "1110"), ("query", "1")],
        "query_open=1 object_name=EMP object_library=PAYROLL object_type=*FILE member=EMP \
         open_options=input, output, update",
    ),
];

#[tokio::test]
async fn what_the_simulated_exit_program_writes_is_read() {
    let sim = Simulator::start(Scenario::default(), Options::default()).await.unwrap();
    let decoder = ExitDecoder::new(37);
    let mut tried = Vec::new();
    for (exit_point, format, function, values, expected) in CASES {
        let request = ExitRequest {
            exit_point: (*exit_point).to_owned(),
            format: (*format).to_owned(),
            function: (*function).to_owned(),
            user: "BOB".to_owned(),
            job: "004711/QUSER/QZDASOINIT".to_owned(),
            current_user: "BOB".to_owned(),
            fields: values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let data = sim.exit_record(&request).unwrap();
        let mut event = Event::new();
        let entry = ExitEntry { data: &data, fallback_time_us: 0, sequence: 1 };
        let decoded = decoder.decode(&entry, &mut event);
        let told: Vec<String> = event
            .fields()
            .iter()
            .map(|field| format!("{}={}", dictionary().get(field.id).keyword, event.text(field)))
            .filter(|pair| pair != "outcome=unknown")
            .collect();
        let who = format!(
            "user=BOB job_name=QZDASOINIT job_user=QUSER job_number=004711 exit_point={exit_point} exit_format={format}"
        );
        assert_eq!(told.join(" "), format!("{who} {expected}").trim_end(), "{exit_point} {format}");
        assert!(
            decoded.known_format && !decoded.damaged && decoded.raw_bytes == 0,
            "{exit_point} {decoded:?}"
        );
        let age = jiff::Timestamp::now().as_microsecond() - event.time_us;
        assert!((0..60_000_000).contains(&age), "{exit_point}: {age} us ago");
        tried.push((*exit_point, *format));
    }
    let known: Vec<_> = ibmi_sim::exit_places().collect();
    assert!(known.iter().all(|place| tried.contains(place)), "{known:?}");
    sim.stop().await;
}
