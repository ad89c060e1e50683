//! The system itself: status, system values, environment, journal and receivers.

use super::{Column, Table, column, required};
use crate::journal::{Journal, Receiver};
use crate::sql::{SqlType, Value};
use crate::world::World;

const NAME10: SqlType = SqlType::Varchar(10);

const STATUS: [Column; 17] = [
    column("TOTAL_JOBS_IN_SYSTEM", SqlType::Integer),
    column("MAXIMUM_JOBS_IN_SYSTEM", SqlType::Integer),
    column("ELAPSED_CPU_USED", SqlType::Decimal(6, 2)),
    column("SYSTEM_ASP_USED", SqlType::Decimal(5, 2)),
    column("SYSTEM_ASP_STORAGE", SqlType::Bigint),
    column("HOST_NAME", SqlType::Varchar(255)),
    column("PARTITION_ID", SqlType::Smallint),
    column("NUMBER_OF_PARTITIONS", SqlType::Smallint),
    column("ACTIVE_JOBS_IN_SYSTEM", SqlType::Integer),
    column("PARTITION_NAME", SqlType::Varchar(48)),
    column("MACHINE_TYPE", SqlType::Char(4)),
    column("MACHINE_MODEL", SqlType::Char(4)),
    column("SERIAL_NUMBER", SqlType::Char(8)),
    column("IPL_MODE", SqlType::Varchar(13)),
    column("ATTENTION_LIGHT", SqlType::Varchar(3)),
    column("CONFIGURED_CPUS", SqlType::Integer),
    column("MAIN_STORAGE_SIZE", SqlType::Bigint),
];

const ENV: [Column; 8] = [
    column("OS_NAME", SqlType::Varchar(256)),
    column("OS_VERSION", SqlType::Varchar(256)),
    column("OS_RELEASE", SqlType::Varchar(256)),
    column("HOST_NAME", SqlType::Varchar(256)),
    column("TOTAL_CPUS", SqlType::Integer),
    column("CONFIGURED_CPUS", SqlType::Integer),
    column("CONFIGURED_MEMORY", SqlType::Bigint),
    column("TOTAL_MEMORY", SqlType::Integer),
];

const VALUES: [Column; 3] = [
    required("SYSTEM_VALUE_NAME", NAME10),
    column("CURRENT_NUMERIC_VALUE", SqlType::Bigint),
    column("CURRENT_CHARACTER_VALUE", SqlType::Varchar(1280)),
];

const JOURNAL_INFO: [Column; 14] = [
    required("JOURNAL_NAME", NAME10),
    required("JOURNAL_LIBRARY", NAME10),
    required("JOURNAL_ASP", SqlType::Integer),
    column("JOURNAL_TEXT", SqlType::Varchar(50)),
    required("JOURNAL_TYPE", NAME10),
    required("JOURNAL_STATE", NAME10),
    column("ATTACHED_JOURNAL_RECEIVER_NAME", NAME10),
    column("ATTACHED_JOURNAL_RECEIVER_LIBRARY", NAME10),
    required("NUMBER_JOURNAL_RECEIVERS", SqlType::Integer),
    required("TOTAL_SIZE_JOURNAL_RECEIVERS", SqlType::Bigint),
    required("DELETE_RECEIVER_OPTION", SqlType::Varchar(4)),
    required("MANAGE_RECEIVER_OPTION", SqlType::Varchar(7)),
    required("FIXED_LENGTH_DATA_INCLUDES_JOB_NAME", SqlType::Varchar(3)),
    required("FIXED_LENGTH_DATA_INCLUDES_REMOTE_ADDRESS", SqlType::Varchar(3)),
];

const RECEIVER_INFO: [Column; 18] = [
    required("JOURNAL_RECEIVER_NAME", NAME10),
    required("JOURNAL_RECEIVER_LIBRARY", NAME10),
    column("JOURNAL_NAME", NAME10),
    column("JOURNAL_LIBRARY", NAME10),
    required("STATUS", NAME10),
    required("FIRST_SEQUENCE_NUMBER", SqlType::Decimal(21, 0)),
    required("LAST_SEQUENCE_NUMBER", SqlType::Decimal(21, 0)),
    required("NUMBER_OF_JOURNAL_ENTRIES", SqlType::Decimal(21, 0)),
    column("ATTACH_TIMESTAMP", SqlType::Timestamp),
    column("DETACH_TIMESTAMP", SqlType::Timestamp),
    column("SAVE_TIMESTAMP", SqlType::Timestamp),
    column("PREVIOUS_JOURNAL_RECEIVER", NAME10),
    column("PREVIOUS_JOURNAL_RECEIVER_LIBRARY", NAME10),
    column("NEXT_JOURNAL_RECEIVER", NAME10),
    column("NEXT_JOURNAL_RECEIVER_LIBRARY", NAME10),
    required("MAXIMUM_ENTRY_SPECIFIC_DATA_LENGTH", SqlType::Integer),
    required("MAXIMUM_NULL_VALUE_INDICATORS", SqlType::Integer),
    required("MINIMIZE_ESD_FOR_FILES", SqlType::Varchar(3)),
];

pub(super) fn tables() -> Vec<Table> {
    let status = |name| Table {
        schema: "QSYS2",
        name,
        columns: STATUS.to_vec(),
        rows: |world, _| Ok(vec![status_row(world)]),
    };
    vec![
        status("SYSTEM_STATUS_INFO"),
        status("SYSTEM_STATUS_INFO_BASIC"),
        Table {
            schema: "SYSIBMADM",
            name: "ENV_SYS_INFO",
            columns: ENV.to_vec(),
            rows: |world, _| Ok(vec![env_row(world)]),
        },
        Table {
            schema: "QSYS2",
            name: "SYSTEM_VALUE_INFO",
            columns: VALUES.to_vec(),
            rows: |world, _| Ok(system_values(world)),
        },
        Table {
            schema: "QSYS2",
            name: "JOURNAL_INFO",
            columns: JOURNAL_INFO.to_vec(),
            rows: |world, _| Ok(journal_rows(world)),
        },
        Table {
            schema: "QSYS2",
            name: "JOURNAL_RECEIVER_INFO",
            columns: RECEIVER_INFO.to_vec(),
            rows: |world, _| Ok(receiver_rows(world)),
        },
    ]
}

fn status_row(world: &World) -> Vec<Value> {
    let system = &world.scenario.system;
    vec![
        Value::Int(812),
        Value::Int(163_520),
        Value::Dec(312, 2),
        Value::Dec(4_187, 2),
        Value::Int(571_000),
        system.host_name.as_str().into(),
        Value::Int(system.partition_id),
        Value::Int(4),
        Value::Int(264),
        system.partition_name.as_str().into(),
        system.machine_type.as_str().into(),
        system.machine_model.as_str().into(),
        Value::Text(format!("{:<8}", system.serial)),
        "NORMAL".into(),
        "OFF".into(),
        Value::Int(2),
        Value::Int(33_554_432),
    ]
}

fn env_row(world: &World) -> Vec<Value> {
    let system = &world.scenario.system;
    let (version, release) = system.release.split_once('.').unwrap_or((&system.release, "0"));
    vec![
        "IBM i".into(),
        version.into(),
        release.into(),
        system.host_name.as_str().into(),
        Value::Int(2),
        Value::Int(2),
        Value::Int(32_768),
        Value::Int(32_768),
    ]
}

/// `+0100` for 60 minutes.
fn offset_text(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

fn system_values(world: &World) -> Vec<Vec<Value>> {
    let system = &world.scenario.system;
    let release = system.release.replace('.', "R");
    let text = |name: &'static str, value: &str| vec![name.into(), Value::Null, value.into()];
    let number = |name: &'static str, value: i64| vec![name.into(), Value::Int(value), Value::Null];
    vec![
        text("QAUDCTL", "*OBJAUD *AUDLVL *NOQTEMP"),
        text("QAUDENDACN", "*NOTIFY"),
        number("QAUDFRCLVL", -1),
        text("QAUDLVL", "*AUTFAIL *CREATE *DELETE *JOBDTA *SAVRST *SECURITY *SERVICE"),
        text("QAUDLVL2", "*NONE"),
        number("QCCSID", i64::from(system.ccsid)),
        text("QCHRID", "697 37"),
        text("QCNTRYID", "US"),
        text("QLANGID", &system.language),
        text("QLOCALE", "*NONE"),
        text("QMAXSIGN", &format!("{:06}", system.max_sign_on_attempts)),
        text("QMODEL", &system.machine_model),
        number("QPWDEXPITV", 90),
        number("QPWDLVL", 3),
        text("QSECURITY", "40"),
        text("QSRLNBR", &system.serial),
        text("QTIMZON", "Q0000UTC"),
        text("QUTCOFFSET", &offset_text(system.utc_offset_minutes)),
        text("QRELEASE", &format!("V{release}M0")),
    ]
}

fn bytes_of(receiver: &Receiver) -> i64 {
    receiver.entries.iter().map(|entry| 600 + i64::try_from(entry.body.length()).unwrap_or(0)).sum()
}

fn journal_rows(world: &World) -> Vec<Vec<Value>> {
    let faults = world.faults();
    if faults.journal_missing {
        return Vec::new();
    }
    let journal = world.journal();
    let plan = &journal.plan;
    let attached = journal.receivers().back().filter(|_| !faults.journal_detached);
    vec![vec![
        plan.name.as_str().into(),
        plan.library.as_str().into(),
        Value::Int(1),
        "Audit journal".into(),
        "*LOCAL".into(),
        if attached.is_some() { "*ACTIVE" } else { "*INACTIVE" }.into(),
        attached.map(|receiver| receiver.name.clone()).into(),
        attached.map(|_| plan.receiver_library.clone()).into(),
        Value::Int(i64::try_from(journal.receivers().len()).unwrap_or(0)),
        Value::Int(journal.receivers().iter().map(bytes_of).sum::<i64>() / 1024),
        if plan.keep_receivers > 0 { "*YES" } else { "*NO" }.into(),
        "*SYSTEM".into(),
        "YES".into(),
        "YES".into(),
    ]]
}

fn receiver_rows(world: &World) -> Vec<Vec<Value>> {
    let faults = world.faults();
    if faults.journal_missing {
        return Vec::new();
    }
    let journal = world.journal();
    let receivers = journal.receivers();
    (0..receivers.len())
        .map(|index| receiver_row(&journal, index, faults.journal_detached && index + 1 == receivers.len()))
        .collect()
}

fn receiver_row(journal: &Journal, index: usize, forced_off: bool) -> Vec<Value> {
    let receiver = &journal.receivers()[index];
    let near = |index: Option<usize>| {
        let name =
            index.and_then(|index| journal.receivers().get(index)).map(|receiver| receiver.name.clone());
        let library = name.as_ref().map(|_| journal.plan.receiver_library.clone());
        [Value::from(name), Value::from(library)]
    };
    let online = receiver.detached.is_some() || forced_off;
    let mut row = vec![
        receiver.name.as_str().into(),
        journal.plan.receiver_library.as_str().into(),
        journal.plan.name.as_str().into(),
        journal.plan.library.as_str().into(),
        if online { "ONLINE" } else { "ATTACHED" }.into(),
        Value::sequence(receiver.first),
        Value::sequence(receiver.last()),
        Value::sequence(receiver.entries.len() as u64),
        Value::Timestamp(receiver.attached),
        receiver.detached.map_or(Value::Null, Value::Timestamp),
        Value::Null,
    ];
    row.extend(near(index.checked_sub(1)));
    row.extend(near(index.checked_add(1)));
    row.extend([Value::Int(15_761_440), Value::Int(8_000), "NO".into()]);
    row
}
