//! The registration facility: exit points, and the programs that are registered there.

use serde::{Deserialize, Serialize};

/// An exit point of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitPoint {
    /// Name.
    pub name: &'static str,
    /// Format.
    pub format: &'static str,
    /// Most programs; none where there is no limit.
    pub most: Option<usize>,
    /// What it is for.
    pub text: &'static str,
}

/// A registered program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitProgram {
    /// Exit point.
    pub exit_point: String,
    /// Its format.
    pub format: String,
    /// Program as LIBRARY/NAME.
    pub program: String,
    /// Order among the programs of the exit point.
    #[serde(default = "first")]
    pub number: i64,
    /// Text description.
    #[serde(default)]
    pub text: String,
}

fn first() -> i64 {
    1
}

const fn point(name: &'static str, format: &'static str, most: usize, text: &'static str) -> ExitPoint {
    ExitPoint { name, format, most: Some(most), text }
}

const fn open(name: &'static str, format: &'static str, text: &'static str) -> ExitPoint {
    ExitPoint { name, format, most: None, text }
}

/// What this system has. Which exit points take one program only is not known for all of them.
pub const POINTS: [ExitPoint; 35] = [
    open("QIBM_QDB_OPEN", "DBOP0100", "Open Data Base"),
    point("QIBM_QNPS_ENTRY", "ENTR0100", 1, "Network Print Server - entry"),
    point("QIBM_QNPS_SPLF", "SPLF0100", 1, "Network Print Server - spool"),
    point("QIBM_QPWFS_FILE_SERV", "PWFS0100", 1, "File Server"),
    point("QIBM_QPWFS_FILE_SERV", "PWFS0200", 1, "File Server"),
    open("QIBM_QSO_ACCEPT", "ACPT0100", "Accept Socket"),
    open("QIBM_QSO_CONNECT", "CONN0100", "Connect Socket"),
    open("QIBM_QSO_LISTEN", "LSTN0100", "Listen Socket"),
    open("QIBM_QSY_CHK_PASSWRD", "CHKP0100", "Check Password"),
    point("QIBM_QTG_DEVINIT", "INIT0100", 1, "Telnet Device Initialization"),
    point("QIBM_QTG_DEVTERM", "TERM0100", 1, "Telnet Device Termination"),
    point("QIBM_QTMF_CLIENT_REQ", "VLRQ0100", 1, "FTP Client Request Validation"),
    point("QIBM_QTMF_SERVER_REQ", "VLRQ0100", 1, "FTP Server Request Validation"),
    point("QIBM_QTMF_SVR_LOGON", "TCPL0100", 1, "FTP Server Logon"),
    point("QIBM_QTMF_SVR_LOGON", "TCPL0200", 1, "FTP Server Logon"),
    point("QIBM_QTMF_SVR_LOGON", "TCPL0300", 1, "FTP Server Logon"),
    point("QIBM_QTMX_SERVER_REQ", "VLRQ0100", 1, "REXEC Server Request Validation"),
    point("QIBM_QTMX_SVR_LOGON", "TCPL0100", 1, "REXEC Server Logon"),
    point("QIBM_QTMX_SVR_LOGON", "TCPL0300", 1, "REXEC Server Logon"),
    point("QIBM_QTMX_SVR_SELECT", "RXCS0100", 1, "REXEC Server Command Proc. Select"),
    point("QIBM_QTOD_SERVER_REQ", "VLRQ0100", 1, "TFTP Server Request Validation"),
    open("QIBM_QWC_QSTGLOWACN", "STGL0100", "Auxiliary Storage Lower Limit"),
    point("QIBM_QZDA_INIT", "ZDAI0100", 1, "Database Server - entry"),
    point("QIBM_QZDA_NDB1", "ZDAD0100", 1, "Database Server - data base access"),
    point("QIBM_QZDA_NDB1", "ZDAD0200", 1, "Database Server - data base access"),
    point("QIBM_QZDA_ROI1", "ZDAR0100", 1, "Database Server - object information"),
    point("QIBM_QZDA_ROI1", "ZDAR0200", 1, "Database Server - object information"),
    point("QIBM_QZDA_SQL1", "ZDAQ0100", 1, "Database Server - SQL access"),
    point("QIBM_QZDA_SQL2", "ZDAQ0200", 1, "Database Server - SQL access"),
    point("QIBM_QZHQ_DATA_QUEUE", "ZHQ00100", 1, "Data Queue Server"),
    point("QIBM_QZRC_RMT", "CZRC0100", 1, "Remote Command/Program Call"),
    point("QIBM_QZSC_LM", "ZSCL0100", 1, "Central Server - license mgmt"),
    point("QIBM_QZSC_NLS", "ZSCN0100", 1, "Central Server - conversion map"),
    point("QIBM_QZSC_SM", "ZSCS0100", 1, "Central Server - client mgmt"),
    point("QIBM_QZSO_SIGNONSRV", "ZSOY0100", 1, "TCP Signon Server"),
];

/// A program cannot be registered or removed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No such exit point.
    #[error("there is no exit point {0} with format {1}")]
    NoPoint(String, String),
    /// The program is not written LIBRARY/NAME.
    #[error("{0:?} is no program; write LIBRARY/NAME")]
    Program(String),
    /// The number is taken.
    #[error("program number {0} is taken at this exit point")]
    Taken(i64),
    /// The exit point is full.
    #[error("the exit point takes {0} programs only")]
    Full(usize),
    /// No such program.
    #[error("no program number {0} is registered at this exit point")]
    NoProgram(i64),
}

/// The registered programs.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    programs: Vec<ExitProgram>,
}

impl Registry {
    /// A registry with these programs.
    ///
    /// # Errors
    /// When one of them cannot be registered.
    pub fn new(programs: &[ExitProgram]) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        for program in programs {
            registry.add(program.clone())?;
        }
        Ok(registry)
    }

    /// The programs, in the order in which they were registered.
    #[must_use]
    pub fn programs(&self) -> &[ExitProgram] {
        &self.programs
    }

    fn at(&self, exit_point: &str, format: &str) -> impl Iterator<Item = &ExitProgram> {
        self.programs.iter().filter(move |p| p.exit_point == exit_point && p.format == format)
    }

    /// How many programs an exit point has.
    #[must_use]
    pub fn count(&self, point: &ExitPoint) -> usize {
        self.at(point.name, point.format).count()
    }

    /// Registers a program (ADDEXITPGM).
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn add(&mut self, program: ExitProgram) -> Result<(), RegistryError> {
        let point = POINTS.iter().find(|p| p.name == program.exit_point && p.format == program.format);
        let Some(point) = point else {
            return Err(RegistryError::NoPoint(program.exit_point, program.format));
        };
        let named = program.program.split_once('/');
        if !named.is_some_and(|(library, name)| !library.is_empty() && !name.is_empty()) {
            return Err(RegistryError::Program(program.program));
        }
        if self.at(point.name, point.format).any(|other| other.number == program.number) {
            return Err(RegistryError::Taken(program.number));
        }
        if let Some(most) = point.most.filter(|most| self.count(point) >= *most) {
            return Err(RegistryError::Full(most));
        }
        self.programs.push(program);
        Ok(())
    }

    /// Takes a program off (RMVEXITPGM).
    ///
    /// # Errors
    /// When there is none with that number.
    pub fn remove(&mut self, exit_point: &str, format: &str, number: i64) -> Result<(), RegistryError> {
        let before = self.programs.len();
        self.programs.retain(|p| !(p.exit_point == exit_point && p.format == format && p.number == number));
        if self.programs.len() == before { Err(RegistryError::NoProgram(number)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(exit_point: &str, format: &str, program: &str, number: i64) -> ExitProgram {
        let [exit_point, format, program] = [exit_point, format, program].map(str::to_owned);
        ExitProgram { exit_point, format, program, number, text: String::new() }
    }

    #[test]
    fn programs_come_and_go_as_the_exit_point_allows() {
        let mut registry = Registry::default();
        registry.add(program("QIBM_QTMF_SERVER_REQ", "VLRQ0100", "MUSTER/MUSTERXV", 4320)).expect("free");
        let second = program("QIBM_QTMF_SERVER_REQ", "VLRQ0100", "VENDOR/EXIT", 1);
        assert_eq!(registry.add(second.clone()), Err(RegistryError::Full(1)));
        assert_eq!(registry.remove("QIBM_QTMF_SERVER_REQ", "VLRQ0100", 1), Err(RegistryError::NoProgram(1)));
        registry.remove("QIBM_QTMF_SERVER_REQ", "VLRQ0100", 4320).expect("there");
        registry.add(second).expect("free again");
        assert_eq!(registry.programs().len(), 1);
        for number in 1..=2 {
            registry.add(program("QIBM_QSO_ACCEPT", "ACPT0100", "A/B", number)).expect("no limit");
        }
        let again = program("QIBM_QSO_ACCEPT", "ACPT0100", "A/B", 2);
        assert_eq!(registry.add(again), Err(RegistryError::Taken(2)));
        let nowhere = program("QIBM_NOTHING", "XXXX0100", "A/B", 1);
        assert_eq!(
            registry.add(nowhere).expect_err("unknown").to_string(),
            "there is no exit point QIBM_NOTHING with format XXXX0100"
        );
        let bad = program("QIBM_QSO_LISTEN", "LSTN0100", "B", 1);
        assert_eq!(registry.add(bad), Err(RegistryError::Program("B".to_owned())));
    }
}
