//! Advice for what only a person can mend, with the exact commands. Pure.

use super::chain::Step;
use super::config::Settings;
use crate::host::{HostError, SqlError};
use crate::source::SourceError;
use muster_shared::cursor::JournalCursor;

/// Turns an error of the partition into advice where advice can be given.
pub(super) fn explain(error: HostError, settings: &Settings, user: &str) -> SourceError {
    match error.sql() {
        Some(sql) if sql.not_authorized() => SourceError::Setup(no_authority(sql, settings, user)),
        Some(sql) if sql.not_found_object() && sql.message.contains(settings.journal.as_str()) => {
            SourceError::Setup(journal_missing(settings, user))
        }
        Some(sql) if sql.is_lack() => SourceError::Setup(format!(
            "the partition lacks an SQL service that reading journal {}/{} needs ({}); IBM i 7.3 or later with a \
             current Db2 PTF group is needed",
            settings.library, settings.journal, sql.message
        )),
        _ => SourceError::Host(error),
    }
}

/// The journal is not there, or cannot be seen.
pub(super) fn journal_missing(settings: &Settings, user: &str) -> String {
    let (library, journal) = (&settings.library, &settings.journal);
    let audit = if journal == "QAUDJRN" {
        ", then switch auditing on: CHGSYSVAL SYSVAL(QAUDCTL) VALUE('*AUDLVL *OBJAUD *NOQTEMP') and CHGSYSVAL \
         SYSVAL(QAUDLVL) VALUE('*AUTFAIL *SECURITY *CREATE *DELETE *SERVICE'), both \
         with what stands there already, for they replace it"
    } else {
        ""
    };
    format!(
        "journal {library}/{journal} does not exist, or {user} may not see it. To create it: CRTJRNRCV \
         JRNRCV(QGPL/AUDRCV0001) THRESHOLD(100000) AUT(*EXCLUDE), CRTJRN JRN({library}/{journal}) \
         JRNRCV(QGPL/AUDRCV0001) MNGRCV(*SYSTEM) DLTRCV(*NO) AUT(*EXCLUDE){audit}. If it exists: {}",
        grants(settings, user)
    )
}

/// The journal is there, and none of its receivers can be seen.
pub(super) fn no_receivers(settings: &Settings, user: &str) -> String {
    format!(
        "journal {}/{} shows no receiver to {user}; the profile needs *USE on every receiver and *EXECUTE on their \
         library: {}",
        settings.library,
        settings.journal,
        grants(settings, user)
    )
}

/// Everything is read, and no receiver can be read next.
pub(super) fn nothing_follows(step: &Step, settings: &Settings, user: &str) -> SourceError {
    SourceError::Setup(match step {
        Step::Unseen { library, name } => unseen(library, name, settings, user),
        _ => detached(settings),
    })
}

/// The attached receiver is not in the catalogue.
fn unseen(library: &str, name: &str, settings: &Settings, user: &str) -> String {
    format!(
        "receiver {library}/{name} is attached to journal {}/{}, but {user} may not see it, so what is recorded there \
         cannot be read; the profile needs *USE on every receiver and *EXECUTE on their library: GRTOBJAUT \
         OBJ({library}/{name}) OBJTYPE(*JRNRCV) USER({user}) AUT(*USE); for receivers to come: {}",
        settings.library,
        settings.journal,
        grants(settings, user)
    )
}

/// Everything is read and nothing can be written.
fn detached(settings: &Settings) -> String {
    let (library, journal) = (&settings.library, &settings.journal);
    format!(
        "no receiver is attached to journal {library}/{journal}, so nothing can be recorded; everything recorded \
         before is read. Attach one: CHGJRN JRN({library}/{journal}) JRNRCV(*GEN)"
    )
}

/// A full reply from `from` on held nothing beyond it.
pub(super) fn not_from(from: &JournalCursor, asked: u32) -> SourceError {
    SourceError::Reply(format!(
        "the partition returned {asked} entries of receiver {}/{} from {} on, and none of them lies beyond it",
        from.receiver.library, from.receiver.name, from.sequence
    ))
}

fn no_authority(error: &SqlError, settings: &Settings, user: &str) -> String {
    format!(
        "{user} may not read journal {}/{}: {}. It needs *USE and *OBJEXIST on the journal, *USE on every receiver \
         and *EXECUTE on the libraries: {}",
        settings.library,
        settings.journal,
        error.message,
        grants(settings, user)
    )
}

fn grants(settings: &Settings, user: &str) -> String {
    let (library, journal) = (&settings.library, &settings.journal);
    format!(
        "GRTOBJAUT OBJ({library}/{journal}) OBJTYPE(*JRN) USER({user}) AUT(*USE *OBJEXIST), GRTOBJAUT \
         OBJ(<receiver library>/*ALL) OBJTYPE(*JRNRCV) USER({user}) AUT(*USE) and GRTOBJAUT OBJ(QSYS/<receiver \
         library>) OBJTYPE(*LIB) USER({user}) AUT(*EXECUTE)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::model::AuditJournalSpec;

    fn advice(code: i64, state: &str, message: &str) -> String {
        let settings = Settings::new(&AuditJournalSpec::default()).expect("the defaults");
        let error = SqlError { code, state: state.into(), message: message.into() };
        explain(HostError::Sql(error), &settings, "MUSTER").to_string()
    }

    #[test]
    fn a_lack_of_authority_names_object_and_command() {
        for (code, state, message) in [
            (-551, "42501", "[SQL0551] Not authorized to object QAUDJRN in QSYS type *JRN."),
            (-443, "38501", "[SQL0443] CPF9802 Not authorized to object AUDRCV0001 in QGPL."),
        ] {
            let advice = advice(code, state, message);
            assert!(advice.contains(message), "{advice}");
            assert!(
                advice.contains("GRTOBJAUT OBJ(QSYS/QAUDJRN) OBJTYPE(*JRN) USER(MUSTER) AUT(*USE *OBJEXIST)"),
                "{advice}"
            );
        }
    }

    #[test]
    fn a_missing_journal_and_a_missing_service_are_told_apart() {
        let journal = advice(-204, "42704", "[SQL0204] QAUDJRN in QSYS type *JRN not found.");
        assert!(journal.contains("CRTJRN JRN(QSYS/QAUDJRN)") && journal.contains("QAUDCTL"), "{journal}");
        let service = advice(-204, "42704", "[SQL0204] DISPLAY_JOURNAL in QSYS2 type *N not found.");
        assert!(service.contains("PTF"), "{service}");
    }

    #[test]
    fn a_receiver_that_is_not_shown_is_named_with_the_command() {
        let settings = Settings::new(&AuditJournalSpec::default()).expect("the defaults");
        let step = Step::Unseen { library: "QGPL".into(), name: "AUDRCV0002".into() };
        let advice = nothing_follows(&step, &settings, "MUSTER").to_string();
        assert!(
            advice.contains("GRTOBJAUT OBJ(QGPL/AUDRCV0002) OBJTYPE(*JRNRCV) USER(MUSTER) AUT(*USE)"),
            "{advice}"
        );
        assert!(!advice.contains("CHGJRN"), "{advice}");
        assert!(nothing_follows(&Step::Detached, &settings, "MUSTER").to_string().contains("CHGJRN"));
    }
}
