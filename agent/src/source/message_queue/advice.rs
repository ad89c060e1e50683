//! Advice for what only a person can mend, with the exact commands. Pure.

use super::Settings;
use crate::host::HostError;
use crate::source::SourceError;

/// Texts of the service for a queue that is not there. That the first is meant so is documented nowhere.
const MISSING: [&str; 1] = ["CPF2403"];
/// Texts of the service for a queue that the profile may not read.
const REFUSED: [&str; 1] = ["CPF2408"];

/// Turns an error of the partition into advice where advice can be given.
pub(super) fn explain(error: HostError, settings: &Settings, user: &str) -> SourceError {
    let Some(sql) = error.sql() else { return SourceError::Host(error) };
    let says = |texts: &[&str]| texts.iter().any(|text| sql.message.contains(text));
    let names_queue = sql.message.contains(settings.name.as_str());
    if sql.not_authorized() || says(&REFUSED) {
        SourceError::Setup(no_authority(settings, user, &sql.message))
    } else if says(&MISSING) || (sql.not_found_object() && names_queue) {
        SourceError::Setup(missing(settings, user))
    } else if sql.is_lack() {
        SourceError::Setup(format!(
            "the partition lacks an SQL service that reading message queue {settings} needs ({}); IBM i 7.3 or later \
             with a current Db2 PTF group is needed",
            sql.message
        ))
    } else {
        SourceError::Host(error)
    }
}

/// The queue is not there, or cannot be seen.
pub(super) fn missing(settings: &Settings, user: &str) -> String {
    let optional = if settings.is_critical_queue() {
        ". It is optional: the system sends what is critical to it as soon as it exists"
    } else {
        ""
    };
    format!(
        "message queue {settings} does not exist, or {user} may not see it{optional}. To create it: CRTMSGQ \
         MSGQ({settings}); it is read as soon as it is there. If it exists: {}",
        grants(settings, user)
    )
}

fn no_authority(settings: &Settings, user: &str, message: &str) -> String {
    format!(
        "{user} may not read message queue {settings}: {message} It needs *USE on the queue and *EXECUTE on its library: \
         {}",
        grants(settings, user)
    )
}

fn grants(settings: &Settings, user: &str) -> String {
    format!(
        "GRTOBJAUT OBJ({settings}) OBJTYPE(*MSGQ) USER({user}) AUT(*USE) and GRTOBJAUT OBJ(QSYS/{}) OBJTYPE(*LIB) \
         USER({user}) AUT(*EXECUTE)",
        settings.library
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::SqlError;
    use muster_shared::policy::model::MessageQueueSpec;

    fn told(queue: &str, code: i64, message: &str) -> String {
        let spec = MessageQueueSpec { queue: queue.to_owned(), ..MessageQueueSpec::default() };
        let error = SqlError { code, state: String::new(), message: message.to_owned() };
        explain(HostError::Sql(error), &Settings::new(&spec).unwrap(), "MUSTER").to_string()
    }

    #[test]
    fn each_trouble_has_its_command() {
        let grant = "GRTOBJAUT OBJ(QSYS/QSYSMSG) OBJTYPE(*MSGQ) USER(MUSTER) AUT(*USE)";
        for (code, message) in [
            (-551, "[SQL0551] Not authorized to object QSYSMSG in QSYS type *MSGQ."),
            (-443, "[SQL0443] CPF9802 Not authorized to object QSYSMSG in QSYS."),
            (-443, "[SQL0443] CPF2408"),
        ] {
            let told = told("QSYS/QSYSMSG", code, message);
            assert!(told.starts_with("MUSTER may not read message queue QSYS/QSYSMSG: [SQL"), "{told}");
            assert!(told.contains(grant), "{told}");
        }
        for (code, message) in [
            (-443, "[SQL0443] CPF9801 Object QSYSMSG in library QSYS not found."),
            (-443, "[SQL0443] CPF2403"),
            (-204, "[SQL0204] QSYSMSG in QSYS type *MSGQ not found."),
        ] {
            let told = told("QSYS/QSYSMSG", code, message);
            assert!(told.contains("CRTMSGQ MSGQ(QSYS/QSYSMSG)") && told.contains("optional"), "{told}");
            assert!(told.contains(grant), "{told}");
        }
        assert!(!told("QGPL/OPS", -443, "[SQL0443] CPF2403").contains("optional"));
        let service = told("QGPL/OPS", -204, "[SQL0204] MESSAGE_QUEUE_INFO in QSYS2 type *N not found.");
        assert!(service.contains("PTF"), "{service}");
        assert!(told("QGPL/OPS", -901, "x").starts_with("the partition answered SQLCODE -901"));
    }
}
