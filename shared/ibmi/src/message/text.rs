//! What can be told from the text of a message whatever its language: jobs, addresses, and at the end of a job its
//! processor time and completion code. Numbers and names stand in it as the system put them; only words differ.

use std::net::IpAddr;

/// A qualified job as text names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job<'t> {
    pub(super) number: &'t str,
    pub(super) user: &'t str,
    pub(super) name: &'t str,
}

impl<'t> Job<'t> {
    /// `123456/USER/NAME` and nothing else.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let mut parts = text.split('/');
        let job = Self { number: parts.next()?, user: parts.next()?, name: parts.next()? };
        let number = job.number.len() == 6 && job.number.bytes().all(|byte| byte.is_ascii_digit());
        (number && is_name(job.user) && is_name(job.name) && parts.next().is_none()).then_some(job)
    }
}

/// Whether a text can be a name of the system: up to ten letters, digits and the signs that code pages put in the
/// places of `$`, `#` and `@`.
pub(super) fn is_name(text: &str) -> bool {
    let count = text.chars().count();
    let first_is_digit = text.starts_with(|first: char| first.is_ascii_digit());
    let part = |c: char| {
        c.is_alphanumeric() || (!c.is_control() && !c.is_whitespace() && !"/\\'\"()*,;:<>|=+%&?!".contains(c))
    };
    (1..=10).contains(&count) && !first_is_digit && text.chars().all(|c| c != '\u{FFFD}' && part(c))
}

/// The first qualified job of a text, and what follows it.
pub(super) fn job(text: &str) -> Option<(Job<'_>, &str)> {
    let is_part = |c: char| c == '/' || (!c.is_whitespace() && !"'\"(),;:".contains(c));
    text.match_indices('/').find_map(|(slash, _)| {
        let start = slash.checked_sub(6)?;
        let run = text.get(start..)?;
        if text[..start].ends_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let end = run.find(|c| !is_part(c)).unwrap_or(run.len());
        // A language without blanks goes on directly: names are of ASCII letters then.
        let plain = run.find(|c: char| c != '/' && !is_ascii_name(c)).unwrap_or(run.len());
        [end, plain].into_iter().find_map(|end| {
            let word = run[..end].trim_end_matches('.');
            Job::parse(word).map(|job| (job, &run[word.len()..]))
        })
    })
}

fn is_ascii_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '#' | '@' | '.')
}

/// Names of the system in a text, in their order: capital letters, digits and the like, which words of a language are
/// not. A name with letters that have no capitals is not found, nor one of a single letter: that may be a word.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_uppercase() || c.is_ascii_digit() || "_$#@£§".contains(c);
    let mut before = None;
    text.split_inclusive(move |c| !is_part(c)).filter_map(move |piece| {
        let run = piece.trim_end_matches(|c| !is_part(c));
        let after = piece[run.len()..].chars().next();
        let stands_alone = ![before, after].into_iter().flatten().any(char::is_lowercase);
        before = after;
        let has_letter = run.contains(char::is_uppercase);
        (stands_alone && has_letter && run.chars().nth(1).is_some() && is_name(run)).then_some(run)
    })
}

/// The first IP address of a text.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let is_part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':');
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let before = rest[..start].chars().next_back();
        let run = &rest[start..];
        let end = run.find(|c| !is_part(c)).unwrap_or(run.len());
        let (word, after) = run.split_at(end);
        let stands_alone = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric());
        if stands_alone(before) && stands_alone(after.chars().next()) {
            let trimmed = word.trim_end_matches(['.', ':']);
            if let Some(found) = word.parse().ok().or_else(|| trimmed.parse().ok()) {
                return Some(found);
            }
        }
        rest = after;
    }
    None
}

/// What the end of a job tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JobEnd {
    /// Processor time in milliseconds.
    pub(super) cpu_ms: i64,
    /// Completion code.
    pub(super) code: u16,
}

/// Reads what follows the job in the text of its end: date, time, seconds of processor time, completion code. English
/// has `… ended on 12/01/21 at 08:43:48; .024 seconds used; end code 0 .`; other languages have other words between
/// the numbers.
pub(super) fn job_end(after_job: &str) -> Option<JobEnd> {
    let numbers: Vec<&str> = numbers(after_job).collect();
    let time = numbers.iter().rposition(|number| is_time(number))?;
    let [seconds, code, ..] = numbers.get(time + 1..)? else { return None };
    Some(JobEnd { cpu_ms: milliseconds(seconds)?, code: code.parse().ok()? })
}

/// Runs of digits with separators within, or a separator in front of the first digit: `.024`.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | ':' | '/' | '-');
    text.split(move |c| !is_part(c)).filter_map(|run| {
        let run = run.trim_end_matches(['.', ',', ':', '/', '-']);
        let run = run.trim_start_matches([':', '/', '-']);
        run.contains(|c: char| c.is_ascii_digit()).then_some(run)
    })
}

/// Three groups of two digits.
fn is_time(number: &str) -> bool {
    let mut groups = number.split([':', '.', ',']);
    let two = |group: Option<&str>| {
        group.is_some_and(|group| group.len() == 2 && group.bytes().all(|byte| byte.is_ascii_digit()))
    };
    two(groups.next()) && two(groups.next()) && two(groups.next()) && groups.next().is_none()
}

/// Milliseconds of seconds with a decimal point or comma.
fn milliseconds(seconds: &str) -> Option<i64> {
    let (whole, part) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || whole.len() > 12 || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let thousandths: String = part.chars().chain(std::iter::repeat('0')).take(3).collect();
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some(whole * 1_000 + thousandths.parse::<i64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn jobs_are_found_in_any_language() {
        let cases = [
            ("Job 370690/ICESYS/LEADUPLOAD started on 12/01/21", Some("370690 ICESYS LEADUPLOAD")),
            ("Jobb 370690/ÅKE/NATT#1, start", Some("370690 ÅKE NATT#1")),
            ("工作900002/QUSER/QZDASOINIT在26/08/07", Some("900002 QUSER QZDASOINIT")),
            ("(370690/A/B)", Some("370690 A B")),
            ("job 370690/A/B.", Some("370690 A B")),
            ("1370690/A/B", None),
            ("37069/A/B", None),
            ("370690/A", None),
            ("370690/1A/B", None),
            ("370690/ELEVENCHARS/B", None),
            ("12/01/21", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = job(text).map(|(job, _)| format!("{} {} {}", job.number, job.user, job.name));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_are_found_in_any_language() {
        let cases = [
            ("User A from client 10.1.2.3 connected to job 900002/QUSER/Q", Some("10.1.2.3")),
            ("Benutzer A vom Client 2001:db8::17 ist verbunden", Some("2001:db8::17")),
            ("使用者從用戶端10.1.2.3連接", Some("10.1.2.3")),
            ("an ::1: und", Some("::1")),
            ("from 10.1.2.3.", Some("10.1.2.3")),
            ("at 09:15:20 on 26/08/07", None),
            ("v10.1.2.3", None),
            ("10.1.2", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(address(text).map(|found| found.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_job_is_read_in_any_language() {
        let cases = [
            (" ended on 12/01/21 at 08:43:48; .024 seconds used; end code 0 .", Some((24, 0))),
            (" ended on 26/08/07 at 09:45:00; 33.5 seconds used; end code 10", Some((33_500, 10))),
            (" beendet am 07.08.26 um 09:45:00; 0,123 Sekunden verbraucht; Endecode 30.", Some((123, 30))),
            (" s'est arrêté le 07/08/26 à 09:45:00 ; 1234,5 secondes ; code 20 .", Some((1_234_500, 20))),
            ("於26/08/07 09:45:00結束；使用33.5秒；結束碼為 0", Some((33_500, 0))),
            (" ended on 21/074 at 09.45.00; 2 seconds used; end code 50 ; 12 megabytes", Some((2_000, 50))),
            (" ended on 26/08/07 at 09:45:00; 1,234.5 seconds used; end code 10", None),
            (" ended on 26/08/07 at 09:45:00", None),
            (" ended; .024 seconds used; end code 0", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(cpu_ms, code)| JobEnd { cpu_ms, code });
            assert_eq!(job_end(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_found_among_words() {
        let cases: [(&str, &[&str]); 7] = [
            ("User profile BOB has been disabled.", &["BOB"]),
            ("Benutzerprofil MÜLLER wurde inaktiviert; Anzahl 3", &["MÜLLER"]),
            ("CPF1393 User profile P#1$ was disabled", &["CPF1393", "P#1$"]),
            ("使用者設定檔BOB已停用", &["BOB"]),
            ("Subsystem QINTER varied off work station DSP01 for user BOB_1.", &["QINTER", "DSP01", "BOB_1"]),
            ("A profile ELEVENCHARS, 1A and McBOB", &[]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(super::names(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn names() {
        for name in ["A", "QZDASOINIT", "GEHÄLTER", "P§1", "A_B", "£X", "A.B"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1A", "ELEVENCHARS", "A B", "A\u{FFFD}", "A\u{1A}", "A'B", "A/B", "<A"] {
            assert!(!is_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in "[0-9/.:,; A-Cä使\u{FFFD}-]{0,60}") {
            let _ = (job(&text), address(&text), job_end(&text), Job::parse(&text), is_name(&text), super::names(&text).count());
        }
    }
}
