//! IBM i names and generic names: `BOB` is one name, `PAY*` every name that begins so, `*ALL` every name.
//!
//! Lower case is taken as upper case, as IBM i commands do. A [`NameSet`] compares names of up to 16 bytes
//! as one integer, which covers every IBM i name of 10 characters in practice; longer ones take a slower
//! path with the same answer.

/// Most characters of an IBM i name.
pub const MAX_NAME: usize = 10;

/// A name or generic name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamePattern {
    /// `*ALL`.
    All,
    /// A name as it is.
    Exact(String),
    /// What a name must begin with, without the star.
    Prefix(String),
}

/// Why a text is no name pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing between the quotes.
    #[error("is empty; write a name such as QSECOFR, a generic name such as PAY*, or *ALL")]
    Empty,
    /// A star that is not at the end, or a special value other than *ALL.
    #[error(
        "`{0}` has a star in the wrong place; a generic name ends with its only star (PAY*), *ALL means every name"
    )]
    Star(String),
    /// More characters than IBM i allows.
    #[error("`{name}` is longer than the {most} characters of an IBM i name")]
    TooLong {
        /// The pattern.
        name: String,
        /// Most characters of such a name.
        most: usize,
    },
    /// A character that no IBM i name has.
    #[error("`{name}` contains {character:?}, which no IBM i name has")]
    Character {
        /// The pattern.
        name: String,
        /// The character refused.
        character: char,
    },
    /// An object without its library.
    #[error("`{0}` names no library; write LIBRARY/NAME, for example PAYROLL/EMP* or *ALL/EMP*")]
    NoLibrary(String),
    /// More parts than a program or job has.
    #[error("`{name}` has too many parts; write {expected}")]
    Parts {
        /// The pattern.
        name: String,
        /// What may be written.
        expected: &'static str,
    },
    /// A type of object without its star.
    #[error("`{0}` is no type of object; write the star and the type, such as *FILE or *USRPRF")]
    ObjectType(String),
    /// No path, or one that can match nothing.
    #[error("`{path}` {reason}")]
    Path {
        /// The pattern.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] says what no IBM i name can have.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Self::parse_within(text, MAX_NAME)
    }

    /// Reads a pattern for names that have at most `most` characters, such as message identifiers and exit points.
    ///
    /// # Errors
    /// [`PatternError`] says what no such name can have.
    pub fn parse_within(text: &str, most: usize) -> Result<Self, PatternError> {
        let name = text.trim().to_ascii_uppercase();
        if name.is_empty() {
            return Err(PatternError::Empty);
        }
        if name == "*ALL" {
            return Ok(Self::All);
        }
        let (stem, generic) = match name.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (name.as_str(), false),
        };
        if stem.is_empty() || stem.contains('*') {
            return Err(PatternError::Star(name));
        }
        if let Some(character) = stem.chars().find(|c| !allowed(*c)) {
            return Err(PatternError::Character { name, character });
        }
        if stem.chars().count() > most {
            return Err(PatternError::TooLong { name, most });
        }
        Ok(if generic { Self::Prefix(stem.to_owned()) } else { Self::Exact(stem.to_owned()) })
    }

    /// Reads a type of object, `*FILE`; `*ALL` is every type.
    ///
    /// # Errors
    /// [`PatternError::ObjectType`] where the star is missing.
    pub fn parse_object_type(text: &str) -> Result<Self, PatternError> {
        let name = text.trim().to_ascii_uppercase();
        let Some(stem) = name.strip_prefix('*') else { return Err(PatternError::ObjectType(name)) };
        match Self::parse(stem)? {
            Self::Exact(_) if stem == "ALL" => Ok(Self::All),
            Self::Exact(_) => Ok(Self::Exact(name)),
            Self::All | Self::Prefix(_) => Err(PatternError::ObjectType(name)),
        }
    }

    /// Whether a name matches. An absent name is given as empty text and matches `*ALL` only.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(exact) => name == exact,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

/// Letters, digits and the marks of IBM i names. National letters are allowed: which ones a name may hold
/// depends on the code page of the partition. A blank, a slash, a quote or a control character never is.
fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '$' | '#' | '@' | '_' | '.')
        || (!c.is_ascii() && !c.is_control())
}

/// An object as `LIBRARY/NAME`, each part a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPattern {
    /// Library.
    pub library: NamePattern,
    /// Name.
    pub name: NamePattern,
}

impl ObjectPattern {
    /// Reads `LIBRARY/NAME`.
    ///
    /// # Errors
    /// [`PatternError`] where the slash is missing or a part is no pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let Some((library, name)) = text.split_once('/') else {
            return Err(if text.trim().is_empty() {
                PatternError::Empty
            } else {
                PatternError::NoLibrary(text.trim().to_owned())
            });
        };
        Ok(Self { library: NamePattern::parse(library)?, name: NamePattern::parse(name)? })
    }
}

impl ObjectPattern {
    /// Reads `NAME`, in any library, or `LIBRARY/NAME`: programs.
    ///
    /// # Errors
    /// [`PatternError`] where a part is no pattern.
    pub fn parse_program(text: &str) -> Result<Self, PatternError> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [name] => Ok(Self { library: NamePattern::All, name: NamePattern::parse(name)? }),
            [library, name] => {
                Ok(Self { library: NamePattern::parse(library)?, name: NamePattern::parse(name)? })
            }
            _ => Err(PatternError::Parts {
                name: text.trim().to_owned(),
                expected: "NAME or LIBRARY/NAME, for example QCMD or QSYS/QCMD",
            }),
        }
    }
}

/// A job as `NUMBER/USER/NAME`, each part a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobPattern {
    /// Number.
    pub number: NamePattern,
    /// User.
    pub user: NamePattern,
    /// Name.
    pub name: NamePattern,
}

impl JobPattern {
    /// Reads `NAME`, `USER/NAME` or `NUMBER/USER/NAME`.
    ///
    /// # Errors
    /// [`PatternError`] where a part is no pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let part = NamePattern::parse;
        let all = || NamePattern::All;
        match text.split('/').collect::<Vec<_>>()[..] {
            [name] => Ok(Self { number: all(), user: all(), name: part(name)? }),
            [user, name] => Ok(Self { number: all(), user: part(user)?, name: part(name)? }),
            [number, user, name] => Ok(Self { number: part(number)?, user: part(user)?, name: part(name)? }),
            _ => Err(PatternError::Parts {
                name: text.trim().to_owned(),
                expected: "NAME, USER/NAME or NUMBER/USER/NAME, for example QZDASOINIT or *ALL/QUSER/*ALL",
            }),
        }
    }
}

/// A text of up to 16 bytes as one integer, first byte highest, padded with zero bytes.
fn packed(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    let mut block = [0_u8; 16];
    block.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u128::from_be_bytes(block))
}

/// One of 64 bits for a short name: names with different bits are different.
const fn bit_of(packed: u128) -> u64 {
    // The multiplier is 2^64 divided by the golden ratio; its high bits depend on every bit of the name.
    let folded = (packed >> 64) as u64 ^ packed as u64;
    1 << (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58)
}

/// A name as it is asked for: its text, and the same as one integer where it is short enough.
#[derive(Debug, Clone, Copy, Default)]
pub struct Name<'t> {
    text: &'t str,
    packed: Option<u128>,
}

impl<'t> Name<'t> {
    /// A name; an absent one is empty text.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        Self { text, packed: packed(text) }
    }

    /// The name in the first bytes of `from`, which are `text` and whatever follows it.
    #[must_use]
    #[inline]
    pub fn at(text: &'t str, from: &[u8]) -> Self {
        match (text.len(), from.first_chunk::<16>()) {
            (length @ 1..=16, Some(block)) => {
                let mask = u128::MAX << (128 - 8 * length);
                Self { text, packed: Some(u128::from_be_bytes(*block) & mask) }
            }
            _ => Self::new(text),
        }
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The bits of patterns that it could equal, see [`NameSet::exact_bits`]: none for an absent name, all for one that
    /// is too long to tell.
    #[must_use]
    pub fn bits(&self) -> u64 {
        match self.packed {
            _ if self.is_empty() => 0,
            Some(packed) => bit_of(packed),
            None => u64::MAX,
        }
    }
}

/// One compiled name pattern: `value & mask == bits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Masked {
    mask: u128,
    bits: u128,
}

/// A single pattern, compiled.
#[derive(Debug, Clone)]
pub struct NameTest {
    /// For names of up to 16 bytes; none where only a longer name can match.
    masked: Option<Masked>,
    pattern: NamePattern,
}

impl NameTest {
    /// Compiles a pattern.
    #[must_use]
    pub fn new(pattern: NamePattern) -> Self {
        let masked = match &pattern {
            NamePattern::All => Some(Masked { mask: 0, bits: 0 }),
            NamePattern::Exact(text) => packed(text).map(|bits| Masked { mask: u128::MAX, bits }),
            // A prefix is never empty, so the shift stays below 128.
            NamePattern::Prefix(text) => {
                packed(text).map(|bits| Masked { mask: u128::MAX << (128 - 8 * text.len()), bits })
            }
        };
        Self { masked, pattern }
    }

    /// As [`NameSet::exact_bits`].
    #[must_use]
    pub fn exact_bits(&self) -> Option<u64> {
        match self.pattern {
            NamePattern::Exact(_) => Some(self.masked.map_or(0, |masked| bit_of(masked.bits))),
            NamePattern::All | NamePattern::Prefix(_) => None,
        }
    }

    /// Whether a name matches. An absent name matches `*ALL` only.
    #[must_use]
    #[inline]
    pub fn matches(&self, name: Name<'_>) -> bool {
        match (name.packed, self.masked) {
            // Patterns hold no NUL, so a name that ends with one equals none of them; packed it would.
            (Some(value), Some(Masked { mask, bits })) => {
                value & mask == bits && (mask != u128::MAX || name.text.as_bytes().last() != Some(&0))
            }
            (Some(_), None) => false,
            (None, _) => self.pattern.matches(name.text),
        }
    }
}

/// Many patterns, compiled.
#[derive(Debug, Clone, Default)]
pub struct NameSet {
    all: bool,
    masked: Vec<Masked>,
    exact: Vec<u128>,
    slow: Vec<NamePattern>,
}

/// So many exact names are compared one by one; more are searched by halves.
const LINEAR: usize = 16;

impl NameSet {
    /// Compiles patterns.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = NamePattern>) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match &pattern {
                NamePattern::All => set.all = true,
                NamePattern::Exact(text) => match packed(text) {
                    Some(bits) => set.exact.push(bits),
                    None => set.slow.push(pattern),
                },
                NamePattern::Prefix(text) => {
                    if let Some(bits) = packed(text) {
                        // A prefix is never empty, so the shift stays below 128.
                        let mask = u128::MAX << (128 - 8 * text.len());
                        set.masked.push(Masked { mask, bits });
                    }
                    // Names longer than 16 bytes are not packed: their prefixes are asked as text.
                    set.slow.push(pattern);
                }
            }
        }
        set.exact.sort_unstable();
        set.exact.dedup();
        set
    }

    /// For a set of whole names: a bit of 64 for each, so that a name of which [`Name::bits`] has none of them surely is
    /// not in the set. None where there are generic names.
    #[must_use]
    pub fn exact_bits(&self) -> Option<u64> {
        let generic = |pattern: &NamePattern| !matches!(pattern, NamePattern::Exact(_));
        if self.all || !self.masked.is_empty() || self.slow.iter().any(generic) {
            return None;
        }
        Some(self.exact.iter().fold(0, |bits, exact| bits | bit_of(*exact)))
    }

    /// How many patterns there are, equal ones counted once where they are names.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.all) + self.masked.len() + self.exact.len() + self.slow.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether any pattern matches.
    #[must_use]
    #[inline]
    pub fn contains(&self, name: Name<'_>) -> bool {
        if self.all {
            return true;
        }
        if name.is_empty() {
            return false;
        }
        match name.packed {
            Some(value) => {
                // Patterns hold no NUL, so a name that ends with one equals none of them; packed it would.
                let whole = name.text.as_bytes().last() != Some(&0);
                self.masked.iter().any(|m| value & m.mask == m.bits)
                    || whole
                        && if self.exact.len() <= LINEAR {
                            self.exact.contains(&value)
                        } else {
                            self.exact.binary_search(&value).is_ok()
                        }
            }
            None => self.slow.iter().any(|pattern| pattern.matches(name.text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_are_read_as_ibm_i_reads_them() {
        let exact = |s: &str| Ok(NamePattern::Exact(s.to_owned()));
        let prefix = |s: &str| Ok(NamePattern::Prefix(s.to_owned()));
        let cases: [(&str, Result<NamePattern, &str>); 13] = [
            ("BOB", exact("BOB")),
            ("qsecofr", exact("QSECOFR")),
            (" PAY* ", prefix("PAY")),
            ("$#@_.", exact("$#@_.")),
            ("MÜLLER", exact("MÜLLER")),
            ("*all", Ok(NamePattern::All)),
            ("ABCDEFGHIJ*", prefix("ABCDEFGHIJ")),
            ("", Err("is empty; write a name such as QSECOFR, a generic name such as PAY*, or *ALL")),
            (
                "*",
                Err(
                    "`*` has a star in the wrong place; a generic name ends with its only star (PAY*), *ALL means every name",
                ),
            ),
            (
                "P*Y",
                Err(
                    "`P*Y` has a star in the wrong place; a generic name ends with its only star (PAY*), *ALL means every name",
                ),
            ),
            (
                "*LIBL",
                Err(
                    "`*LIBL` has a star in the wrong place; a generic name ends with its only star (PAY*), *ALL means every name",
                ),
            ),
            ("ABCDEFGHIJK", Err("`ABCDEFGHIJK` is longer than the 10 characters of an IBM i name")),
            ("A B", Err("`A B` contains ' ', which no IBM i name has")),
        ];
        for (text, expected) in cases {
            assert_eq!(
                NamePattern::parse(text).map_err(|e| e.to_string()),
                expected.map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn programs_jobs_and_types_of_object() {
        let exact = |s: &str| NamePattern::Exact(s.to_owned());
        let all = || NamePattern::All;
        assert_eq!(
            ObjectPattern::parse_program("qcmd"),
            Ok(ObjectPattern { library: all(), name: exact("QCMD") })
        );
        assert_eq!(
            ObjectPattern::parse_program("QSYS/QCMD"),
            Ok(ObjectPattern { library: exact("QSYS"), name: exact("QCMD") })
        );
        let job = |number, user, name| Ok(JobPattern { number, user, name });
        assert_eq!(JobPattern::parse("J"), job(all(), all(), exact("J")));
        assert_eq!(JobPattern::parse("u/J"), job(all(), exact("U"), exact("J")));
        assert_eq!(JobPattern::parse("012345/U/*all"), job(exact("012345"), exact("U"), all()));
        for (error, expected) in [
            (
                ObjectPattern::parse_program("A/B/C").map(drop),
                "`A/B/C` has too many parts; write NAME or LIBRARY/NAME, for example QCMD or QSYS/QCMD",
            ),
            (
                JobPattern::parse("1/2/3/4").map(drop),
                "`1/2/3/4` has too many parts; write NAME, USER/NAME or NUMBER/USER/NAME, for example QZDASOINIT or *ALL/QUSER/*ALL",
            ),
            (
                JobPattern::parse("A//B").map(drop),
                "is empty; write a name such as QSECOFR, a generic name such as PAY*, or *ALL",
            ),
            (
                NamePattern::parse_within("CPF12345", 7).map(drop),
                "`CPF12345` is longer than the 7 characters of an IBM i name",
            ),
        ] {
            assert_eq!(error.unwrap_err().to_string(), expected);
        }
        assert_eq!(NamePattern::parse_object_type("*file"), Ok(exact("*FILE")));
        assert_eq!(NamePattern::parse_object_type("*ALL"), Ok(all()));
        for bad in ["FILE", "*", "**", "*FI*", "*FI LE", ""] {
            assert!(NamePattern::parse_object_type(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn objects_need_a_library() {
        assert_eq!(
            ObjectPattern::parse("pay*/*all"),
            Ok(ObjectPattern { library: NamePattern::Prefix("PAY".to_owned()), name: NamePattern::All })
        );
        assert_eq!(
            ObjectPattern::parse("EMP*").unwrap_err().to_string(),
            "`EMP*` names no library; write LIBRARY/NAME, for example PAYROLL/EMP* or *ALL/EMP*"
        );
    }

    fn pattern() -> impl Strategy<Value = NamePattern> {
        prop_oneof![
            1 => Just(NamePattern::All),
            8 => "[AB£Ñ]{1,10}".prop_map(NamePattern::Exact),
            8 => "[AB£Ñ]{1,10}".prop_map(NamePattern::Prefix),
        ]
    }

    proptest! {
        #[test]
        fn the_compiled_set_agrees_with_its_patterns(
            patterns in proptest::collection::vec(pattern(), 0..40), name in "[AB£Ñ\u{0}]{0,12}"
        ) {
            let expected = patterns
                .iter()
                .any(|p| if name.is_empty() { *p == NamePattern::All } else { p.matches(&name) });
            let tests: Vec<NameTest> = patterns.iter().cloned().map(NameTest::new).collect();
            prop_assert_eq!(tests.iter().any(|test| test.matches(Name::new(&name))), expected);
            let set = NameSet::new(patterns);
            prop_assert_eq!(set.contains(Name::new(&name)), expected);
            let longer = format!("{name}ABCDEFGHIJKLMNOP");
            prop_assert_eq!(set.contains(Name::at(&name, longer.as_bytes())), expected);
        }
    }
}
