//! Finds passwords in command text, so that they never leave the partition in an event.
//!
//! Looked for are values of parameters whose name speaks of a password (`PASSWORD(…)`, `NEWPWD(…)`,
//! `PASSWORD = '…'`, `"password": "…"`), the password that is the second positional parameter of the user profile commands, and
//! `IDENTIFIED BY`, `CONNECT … USING` and the arguments of the encryption functions of SQL. Special values such as
//! `*NONE` stay, since they say much and give away nothing.

use crate::ebcdic::{CodePage, code_page};
use memchr::memchr3;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::ops::Range;

/// Places of passwords in the bytes, by rising start, without overlap.
pub(crate) type Secrets = SmallVec<[Range<usize>; 4]>;

/// Longer than any name of a user profile, quotes included.
const MAX_NAME: usize = 64;

/// What a masked value is replaced with, whatever its length was.
const MASKED: &str = "********";

/// Parameters whose name speaks of a password though their value is none.
const HARMLESS: [&[u8]; 7] =
    [b"PWDEXP", b"PWDEXPITV", b"PWDCHGBLK", b"LCLPWDMGT", b"PWDLVL", b"PWDVLDPGM", b"PWDPOSDIF"];

/// Values that are no password.
const SPECIAL: [&[u8]; 9] =
    [b"*NONE", b"*SAME", b"*USRPRF", b"*NO", b"*YES", b"*BLANK", b"*SYSGEN", b"*PROMPT", b"*DFT"];

/// Parts of a parameter name that make its value a secret.
const SPEAKING: [&[u8]; 6] = [b"PASSWORD", b"PASSWD", b"PASSPHRASE", b"PASSCODE", b"PWD", b"SECRET"];

/// Three letters of each word that [`Scan::word`] acts upon, in upper-case EBCDIC: PWD, PASsword, SECret,
/// uSRPrf, identifIED, uSINg, enCRYpt_. Most commands have none of them and need no closer look.
const HINTS: [[u8; 3]; 7] = [
    [0xD7, 0xE6, 0xC4],
    [0xD7, 0xC1, 0xE2],
    [0xE2, 0xC5, 0xC3],
    [0xE2, 0xD9, 0xD7],
    [0xC9, 0xC5, 0xC4],
    [0xE2, 0xC9, 0xD5],
    [0xC3, 0xD9, 0xE8],
];

/// The same in ASCII.
const ASCII_HINTS: [&[u8; 3]; 7] = [b"PWD", b"PAS", b"SEC", b"SRP", b"IED", b"SIN", b"CRY"];

/// A page with letters, parentheses and quotes where nearly all pages have them.
const USUAL_CCSID: u16 = 37;

/// Asterisk in EBCDIC.
const STAR_EBCDIC: u8 = 0x5C;

/// A letter in upper case: in EBCDIC the bit of 0x40 is all that differs.
const UPPER: u8 = 0x40;

fn has_hint(page: &CodePage, bytes: &[u8]) -> bool {
    !page.has_usual_small_letters()
        || bytes
            .windows(3)
            .any(|three| HINTS.contains(&[three[0] | UPPER, three[1] | UPPER, three[2] | UPPER]))
}

/// Whether a stretch of undecoded bytes has an opening parenthesis, an equals sign or a quote at all. EBCDIC,
/// the same in every page.
pub(crate) fn may_hold_secrets(data: &[u8], stretch: Range<usize>) -> bool {
    memchr3(0x4D, 0x7E, 0x7D, &data[stretch]).is_some()
}

/// Appends the text of a command with its passwords masked; returns how many there were, and whether the rest
/// could be read.
pub(crate) fn decode_masked(page: &CodePage, bytes: &[u8], out: &mut String) -> (u32, bool) {
    let secrets = find(page, bytes);
    let (mut at, mut clean) = (0, true);
    for secret in &secrets {
        // No place lies between a shift-out and its shift-in, so each part can be read by itself.
        clean &= page.decode_into(&bytes[at..secret.start], out);
        out.push_str(MASKED);
        at = secret.end;
    }
    clean &= page.decode_into(&bytes[at..], out);
    (secrets.len() as u32, clean)
}

/// Places of all passwords in EBCDIC text.
pub(crate) fn find(page: &CodePage, bytes: &[u8]) -> Secrets {
    if has_hint(page, bytes) { scan(page.outline(bytes)) } else { Secrets::new() }
}

/// Places of all passwords in data that is text in parts only: what looks like a shift-out there must not hide one.
pub(crate) fn find_in_data(page: &CodePage, bytes: &[u8]) -> Secrets {
    let mut all = find(page, bytes);
    if !page.is_mixed() || !has_hint(page, bytes) {
        return all;
    }
    all.extend(scan(page.single_outline(bytes)));
    all.sort_by_key(|secret| secret.start);
    let mut secrets = Secrets::new();
    for secret in all {
        match secrets.last_mut().filter(|last| secret.start <= last.end) {
            Some(last) => last.end = last.end.max(secret.end),
            None => secrets.push(secret),
        }
    }
    secrets
}

/// The text has one character a byte, so that places are the same in both.
fn scan(mut text: Vec<u8>) -> Secrets {
    text.make_ascii_uppercase();
    Scan { text: &text, at: 0, after_connect: false, secrets: Secrets::new() }.run()
}

/// A text with its passwords masked, and how many there were.
pub(crate) fn masked(text: String) -> (String, u32) {
    let upper = text.to_ascii_uppercase();
    let secrets = Scan { text: upper.as_bytes(), at: 0, after_connect: false, secrets: Secrets::new() }.run();
    if secrets.is_empty() {
        return (text, 0);
    }
    let mut out = String::with_capacity(text.len() + secrets.len() * MASKED.len());
    let mut at = 0;
    for secret in &secrets {
        // They begin and end beside ASCII characters, so never within one.
        out.push_str(text.get(at..secret.start).unwrap_or_default());
        out.push_str(MASKED);
        at = secret.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, secrets.len() as u32)
}

/// Bytes in which stars stand for each byte of a password, whatever the bytes are written in: the text of this page, of
/// page 37, ASCII with its kin, or UTF-16.
///
/// For data whose code page is only believed: read in the wrong one, a password would not be found and still be there.
pub(crate) fn blanked<'b>(page: Option<&CodePage>, bytes: &'b [u8]) -> Cow<'b, [u8]> {
    let usual = code_page(USUAL_CCSID);
    let mut out = Cow::Borrowed(bytes);
    for page in page.into_iter().chain(usual) {
        for secret in find_in_data(page, bytes) {
            out.to_mut()[secret].fill(STAR_EBCDIC);
        }
    }
    if has_ascii_hint(bytes) {
        for secret in scan(bytes.to_vec()) {
            out.to_mut()[secret].fill(b'*');
        }
    }
    for start in 0..2 {
        let units: Vec<u8> = bytes.get(start..).unwrap_or_default().chunks_exact(2).map(narrow).collect();
        if !has_ascii_hint(&units) {
            continue;
        }
        for secret in scan(units) {
            for pair in out.to_mut()[start + 2 * secret.start..start + 2 * secret.end].chunks_exact_mut(2) {
                pair.copy_from_slice(&[0, b'*']);
            }
        }
    }
    out
}

/// The character of a unit of UTF-16, or something that is none of a word.
fn narrow(unit: &[u8]) -> u8 {
    match unit {
        [0, character] if character.is_ascii() => *character,
        _ => 0xFF,
    }
}

fn has_ascii_hint(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| ASCII_HINTS.iter().any(|hint| three.eq_ignore_ascii_case(*hint)))
}

struct Scan<'a> {
    /// Upper case.
    text: &'a [u8],
    at: usize,
    after_connect: bool,
    secrets: Secrets,
}

impl Scan<'_> {
    fn run(mut self) -> Secrets {
        while self.at < self.text.len() {
            if !is_word(self.text[self.at]) {
                self.at += 1;
                continue;
            }
            let start = self.at;
            self.at = self.end_of_word(start);
            self.word(&self.text[start..self.at]);
        }
        self.secrets
    }

    fn word(&mut self, word: &[u8]) {
        match word {
            b"CRTUSRPRF" | b"CHGUSRPRF" => self.positional(),
            b"CONNECT" => self.after_connect = true,
            b"USING" if self.after_connect => self.secret_token(),
            b"IDENTIFIED" => {
                let by = self.skip_blanks(self.at);
                if self.text[by..].starts_with(b"BY ") {
                    self.at = by + 3;
                    self.secret_token();
                }
            }
            _ if speaks_of_password(word) => self.value_of_parameter(),
            _ if word.starts_with(b"ENCRYPT_") || word.starts_with(b"DECRYPT_") => self.arguments(),
            _ => {}
        }
    }

    /// `NAME(value)`, `NAME = value`, `NAME: value`, `"NAME": value` or `NAME 'value'`.
    fn value_of_parameter(&mut self) {
        let mut next = self.skip_blanks(self.at);
        if let Some(b'\'' | b'"') = self.text.get(next) {
            // The quote that ends a name, as JSON has it.
            let behind = self.skip_blanks(next + 1);
            if let Some(b':' | b'=') = self.text.get(behind) {
                next = behind;
            }
        }
        match self.text.get(next) {
            Some(b'(') => {
                let end = self.end_of_parenthesis(next + 1);
                self.add(next + 1..end);
            }
            Some(b'=' | b':') => {
                self.at = next + 1;
                self.secret_token();
            }
            Some(b'\'' | b'"') => self.secret_token(),
            _ => {}
        }
    }

    /// `ENCRYPT_AES(data, password)`: neither the data nor the password is for others.
    fn arguments(&mut self) {
        let open = self.skip_blanks(self.at);
        if self.text.get(open) == Some(&b'(') {
            let end = self.end_of_parenthesis(open + 1);
            self.add(open + 1..end);
        }
    }

    /// `CRTUSRPRF NAME SECRET`: the second value, if both stand without a parameter name.
    fn positional(&mut self) {
        let first = self.skip_blanks(self.at);
        let name = self.length_of_plain(first, MAX_NAME);
        let second = self.skip_blanks(first + name);
        let end = match self.text.get(second) {
            Some(quote @ (b'\'' | b'"')) => self.end_of_quoted(second, *quote),
            _ => second + self.length_of_plain(second, usize::MAX),
        };
        let named = |at: usize| self.text.get(at) == Some(&b'(');
        if name > 0
            && name < MAX_NAME
            && second > first + name
            && end > second
            && !named(first + name)
            && !named(end)
        {
            self.add(second..end);
        }
    }

    /// Characters up to one that ends a value or, with a parenthesis, a parameter's name.
    fn length_of_plain(&self, from: usize, most: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        rest.iter().take(most).take_while(|c| !matches!(c, b' ' | b'(' | b')' | b';')).count()
    }

    fn secret_token(&mut self) {
        let start = self.skip_blanks(self.at);
        let end = self.end_of_token(start);
        let quoted = end > start + 1 && self.text[start] == b'"' && self.text[end - 1] == b'"';
        if quoted {
            // JSON stays JSON.
            self.add(start + 1..end - 1);
            self.at = end;
        } else {
            self.add(start..end);
        }
    }

    fn add(&mut self, range: Range<usize>) {
        self.at = range.end;
        let value = self.text[range.clone()].trim_ascii();
        let bare: Vec<u8> = value.iter().copied().filter(|c| !matches!(c, b'\'' | b'"')).collect();
        if !bare.trim_ascii().is_empty() && !SPECIAL.contains(&bare.trim_ascii()) {
            self.secrets.push(range);
        }
    }

    fn skip_blanks(&self, from: usize) -> usize {
        let blanks = self.text[from.min(self.text.len())..].iter().take_while(|c| **c == b' ').count();
        from + blanks
    }

    fn end_of_word(&self, from: usize) -> usize {
        from + self.text[from..].iter().take_while(|c| is_word(**c)).count()
    }

    /// A quoted text with its quotes, or everything up to a blank or a closing parenthesis.
    fn end_of_token(&self, from: usize) -> usize {
        match self.text.get(from) {
            Some(b'"') => self.end_of_double_quoted(from),
            Some(quote @ b'\'') => self.end_of_quoted(from, *quote),
            _ => {
                let rest = self.text.get(from..).unwrap_or_default();
                let plain =
                    rest.iter().take_while(|c| !matches!(c, b' ' | b')' | b';' | b'\'' | b'\t')).count();
                // In JSON the next name may follow without a blank.
                from + rest[..plain].windows(2).position(|two| two == b",\"").unwrap_or(plain)
            }
        }
    }

    /// Behind the closing quotes: as many as the text opened with, because a quoted command doubles them.
    /// With one opening quote, a double one inside stands for itself. What is never closed reaches to the end.
    fn end_of_quoted(&self, from: usize, quote: u8) -> usize {
        let run = |at: usize| self.text[at..].iter().take_while(|c| **c == quote).count();
        let opened = run(from);
        let mut at = from + opened;
        while at < self.text.len() {
            let closed = run(at);
            if opened == 1 && closed % 2 == 1 {
                return at + closed;
            }
            if opened > 1 && closed >= opened {
                return at + opened;
            }
            at += closed.max(1);
        }
        self.text.len()
    }

    /// Behind the closing quote, as JSON and SQL have it: a backslash escapes one, and so does another quote.
    fn end_of_double_quoted(&self, from: usize) -> usize {
        let mut at = from + 1;
        while let Some(character) = self.text.get(at) {
            match character {
                b'\\' => at += 2,
                b'"' if at > from + 1 && self.text.get(at + 1) == Some(&b'"') => at += 2,
                b'"' => return at + 1,
                _ => at += 1,
            }
        }
        self.text.len()
    }

    fn end_of_parenthesis(&self, from: usize) -> usize {
        let mut depth = 1;
        let mut quoted = false;
        for (position, character) in self.text.iter().enumerate().skip(from) {
            match character {
                b'\'' => quoted = !quoted,
                b'(' if !quoted => depth += 1,
                b')' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return position;
            }
        }
        self.text.len()
    }
}

fn is_word(character: u8) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, b'_' | b'$' | b'#' | b'@')
}

fn speaks_of_password(word: &[u8]) -> bool {
    let speaks = |part: &[u8]| word.windows(part.len()).any(|window| window == part);
    SPEAKING.iter().any(|part| speaks(part)) && !HARMLESS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::severity::invariant_bytes;
    use crate::ebcdic::code_page;
    use proptest::prelude::*;

    fn masked(command: &str) -> String {
        let mut out = String::new();
        decode_masked(code_page(37).unwrap(), &invariant_bytes(command), &mut out);
        assert_eq!(super::masked(command.to_owned()).0, out);
        out
    }

    #[test]
    fn text_of_any_alphabet_is_masked() {
        let text = "CHGUSRPRF USRPRF(MÜLLER) PASSWORD('größe€') TEXT('Кадры') PWD(ß)ß".to_owned();
        let expected = "CHGUSRPRF USRPRF(MÜLLER) PASSWORD(********) TEXT('Кадры') PWD(********)ß".to_owned();
        assert_eq!(super::masked(text), (expected, 2));
    }

    #[test]
    fn passwords_are_masked() {
        let cases = [
            (
                "CRTUSRPRF USRPRF(BOB) PASSWORD(GEHEIM1) TEXT('x')",
                "CRTUSRPRF USRPRF(BOB) PASSWORD(********) TEXT('x')",
            ),
            (
                "CHGUSRPRF USRPRF(BOB) PASSWORD('a ) b') STATUS(*ENABLED)",
                "CHGUSRPRF USRPRF(BOB) PASSWORD(********) STATUS(*ENABLED)",
            ),
            ("chgusrprf usrprf(bob) password(x)", "chgusrprf usrprf(bob) password(********)"),
            ("CRTUSRPRF BOB GEHEIM1", "CRTUSRPRF BOB ********"),
            ("QSYS/CRTUSRPRF BOB 'a b' TEXT(c)", "QSYS/CRTUSRPRF BOB ******** TEXT(c)"),
            ("SBMJOB CMD(CHGUSRPRF BOB GEHEIM1) JOB(X)", "SBMJOB CMD(CHGUSRPRF BOB ********) JOB(X)"),
            ("CHGPWD CURPWD(A) NEWPWD(B)", "CHGPWD CURPWD(********) NEWPWD(********)"),
            (
                "ADDSVRAUTE USRPRF(B) SERVER(S) PASSWORD(c(d)e) X(1)",
                "ADDSVRAUTE USRPRF(B) SERVER(S) PASSWORD(********) X(1)",
            ),
            (
                "RUNSQL SQL('CONNECT TO R USER U USING ''it''')",
                "RUNSQL SQL('CONNECT TO R USER U USING ********')",
            ),
            (
                "RUNSQL SQL('SET ENCRYPTION PASSWORD = ''x y''') COMMIT(*NONE)",
                "RUNSQL SQL('SET ENCRYPTION PASSWORD = ********') COMMIT(*NONE)",
            ),
            ("QSH CMD('curl --password=abc x')", "QSH CMD('curl --password=******** x')"),
            ("PASSWORD('never closed", "PASSWORD(********"),
            (
                "VALUES ENCRYPT_AES('4111', 'k(1'), decrypt_char(C, :H)",
                "VALUES ENCRYPT_AES(********), decrypt_char(********)",
            ),
            ("IDENTIFIED BY abc", "IDENTIFIED BY ********"),
        ];
        for (command, expected) in cases {
            assert_eq!(masked(command), expected);
        }
    }

    #[test]
    fn passwords_in_texts_of_applications_are_masked() {
        let cases = [
            (
                "CEF:0|A|B|1|7|x|3|suser=bob password=geheim act=x",
                "CEF:0|A|B|1|7|x|3|suser=bob password=******** act=x",
                1,
            ),
            ("LEEF:1.0|A|B|1|7|pwd=geheim\tusrName=bob", "LEEF:1.0|A|B|1|7|pwd=********\tusrName=bob", 1),
            (r#"{"password" : "geheim","user":"bob"}"#, r#"{"password" : "********","user":"bob"}"#, 1),
            (r#"{"newPassword":"ge\"heim","user":"bob"}"#, r#"{"newPassword":"********","user":"bob"}"#, 1),
            (r#"{"password":"","user":"bob"}"#, r#"{"password":"","user":"bob"}"#, 0),
            (r#"{"password":null,"user":"bob"}"#, r#"{"password":********,"user":"bob"}"#, 1),
            (r#"password="never closed"#, "password=********", 1),
            ("Größe ä PASSWORD(geheim) ö", "Größe ä PASSWORD(********) ö", 1),
            ("user=bob text=übrig", "user=bob text=übrig", 0),
        ];
        for (text, expected, count) in cases {
            assert_eq!(super::masked(text.to_owned()), (expected.to_owned(), count));
        }
    }

    #[test]
    fn what_is_no_password_stays() {
        for command in [
            "CRTUSRPRF USRPRF(BOB) PASSWORD(*NONE) PWDEXP(*YES)",
            "CRTUSRPRF USRPRF(BOB) PASSWORD() PWDEXPITV(90)",
            "CHGSYSVAL SYSVAL(QPWDMINLEN) VALUE('8')",
            "CRTUSRPRF BOB *USRPRF",
            "CRTUSRPRF BOB TEXT('x y')",
            "CRTUSRPRF",
            "WRKOBJ OBJ(PAYROLL/PWD)",
            "INSERT INTO T USING 'x'",
            "CHGUSRPRF BOB",
            "CHGUSRPRF USRPRF(BOB) TEXT(X)",
            "CRTUSRPRF(A) B",
            "SELECT ENCRYPT_FLAG, DECRYPT_X FROM T",
        ] {
            assert_eq!(masked(command), command);
        }
    }

    #[test]
    fn passwords_beside_double_bytes_are_masked() {
        let ascii = |ccsid, text: &str| -> Vec<u8> {
            let page = code_page(ccsid).unwrap();
            text.chars().map(|c| page.byte_of(c).unwrap()).collect()
        };
        // Both bytes of the pair are a quote, of the other one a closing parenthesis.
        let (quote, parenthesis) = (&b"\x0E\x7D\x7D\x0F"[..], &b"\x0E\x5D\x5D\x0F"[..]);
        let before = [&ascii(939, "CHGUSRPRF TEXT('")[..], quote, &ascii(939, "') PASSWORD(")].concat();
        let secret = [&ascii(939, "a")[..], parenthesis, &ascii(939, "b")].concat();
        let command = [&before, &secret[..], &ascii(939, ") X(Y)")].concat();
        let mut out = String::new();
        let page = code_page(939).unwrap();
        let (count, _) = decode_masked(page, &command, &mut out);
        assert_eq!(count, 1);
        assert!(out.starts_with("CHGUSRPRF TEXT('") && out.ends_with("') PASSWORD(********) X(Y)"), "{out}");
        let places = |data: &[u8]| -> Vec<_> {
            find_in_data(page, data).into_iter().map(|secret| (secret.start, secret.end)).collect()
        };
        assert_eq!(places(&command), [(before.len(), before.len() + secret.len())]);
        // A number that looks like a shift hides nothing.
        let data = [&[0, 0x0E][..], &ascii(939, "PASSWORD(abc)")].concat();
        assert_eq!(places(&data), [(11, 14)]);
        // Small letters of the Katakana pages are elsewhere.
        for ccsid in [930, 1390, 5026, 939] {
            let mut out = String::new();
            decode_masked(code_page(ccsid).unwrap(), &ascii(ccsid, "chgpwd newpwd(geheim)"), &mut out);
            assert_eq!(out, "chgpwd newpwd(********)", "{ccsid}");
        }
    }

    proptest! {
        /// What is masked in text is masked wherever its bytes travel.
        #[test]
        fn data_hides_what_text_hides(bytes in proptest::collection::vec(
            prop_oneof![Just(0x0E_u8), Just(0x0F), Just(0x4D), Just(0x5D), Just(0x7D), 0x40_u8..=0xFE], 0..60,
        )) {
            let page = code_page(939).unwrap();
            let data = [invariant_bytes("PASSWORD("), bytes].concat();
            let hidden = find_in_data(page, &data);
            for secret in find(page, &data).iter().chain(&scan(page.single_outline(&data))) {
                prop_assert!(hidden.iter().any(|h| h.start <= secret.start && secret.end <= h.end));
            }
            for two in hidden.windows(2) {
                prop_assert!(two[0].end < two[1].start);
            }
        }

        #[test]
        fn any_text_is_safe(command in "[A-C ()'\"=:;]{0,20}(PASSWORD|CRTUSRPRF|IDENTIFIED|CONNECT|USING|BY)[A ()'\"=:;]{0,20}") {
            let bytes = invariant_bytes(&command);
            let secrets = find(code_page(37).unwrap(), &bytes);
            let mut at = 0;
            for secret in &secrets {
                prop_assert!(secret.start >= at && secret.end <= bytes.len() && secret.start < secret.end);
                at = secret.end;
            }
        }

        #[test]
        fn any_decoded_text_is_safe(command in "(\\PC|[ ()'\"=:;]|PASSWORD|CRTUSRPRF|IDENTIFIED|CONNECT|USING|BY|ENCRYPT_X){0,12}") {
            super::masked(command);
        }

        #[test]
        fn the_hints_leave_nothing_out(command in "[A-Ca-c ]{0,9}(PASSWORD|newpwd|Secret|PASSPHRASE|PASSCODE|passwd| ENCRYPT_A| decrypt_b)[(]x[A-C]{1,9}[) ]") {
            prop_assert!(!find(code_page(37).unwrap(), &invariant_bytes(&command)).is_empty());
        }

        #[test]
        fn a_password_never_shows(password in "[a-z0-9]{6,12}", before in "[A-Z]{0,5}", form in 0..4_usize) {
            let command = [
                format!("{before} PASSWORD({password}) X(Y)"),
                format!("{before} NEWPWD('{password}')"),
                format!("CHGUSRPRF {before}X {password} TEXT(A)"),
                format!("{before} password={password}"),
            ];
            prop_assert!(!masked(&command[form]).contains(&password));
        }
    }
}
