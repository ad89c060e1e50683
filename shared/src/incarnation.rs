//! Incarnations of a controller: the first, and one more with every restore from a backup.
//!
//! A restored controller knows less than the one that was lost, whose number of policies and certificates may
//! have been higher; so incarnations are ordered before revisions and generations. Agents keep the highest that
//! they saw and refuse a lower one, and a controller that hears of a higher one knows that it was replaced.
//! A random id tells two restores of one backup apart: they have the same number, and only one of them counts.
//!
//! What travels is a [`Claim`]: the incarnation with the signature of the controller's authority over it, so that
//! an agent cannot make up a higher incarnation and put a controller out of work.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The number of a controller that was never restored.
pub const FIRST: u64 = 1;

/// Highest number that is taken: a restore adds one, or jumps to one that a person names.
pub const LAST: u64 = 1_000_000;

/// Longest text of a claim; one with a signature of 72 bytes takes some 200.
const MAX_TEXT: usize = 512;

/// One life of a controller, from its set-up or restore on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation {
    /// Grows with every restore.
    pub number: u64,
    /// Random.
    pub id: Uuid,
}

/// How an incarnation stands to one that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is the same.
    Same,
    /// It replaced the known one.
    Newer,
    /// The known one replaced it.
    Older,
    /// Two restores of one backup: the same number, and neither knows of the other.
    Rival,
}

impl Incarnation {
    /// How this one stands to one that is known.
    #[must_use]
    pub fn stands_to(&self, known: &Self) -> Standing {
        match self.number.cmp(&known.number) {
            Ordering::Less => Standing::Older,
            Ordering::Greater => Standing::Newer,
            Ordering::Equal if self.id == known.id => Standing::Same,
            Ordering::Equal => Standing::Rival,
        }
    }

    /// What the authority signs.
    #[must_use]
    pub fn statement(&self) -> Vec<u8> {
        format!("muster incarnation 1\n{}\n{}\n", self.number, self.id.hyphenated()).into_bytes()
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.id.hyphenated())
    }
}

/// An incarnation with what proves it, as it travels: `NUMBER/ID/SIGNATURE`, the signature in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which.
    #[serde(flatten)]
    pub incarnation: Incarnation,
    /// The authority's signature over [`Incarnation::statement`], in hex.
    pub signature: String,
}

/// A text that is no claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not have the form NUMBER/ID/SIGNATURE")]
pub struct NoClaim;

impl Claim {
    /// The signature's bytes.
    ///
    /// # Errors
    /// If it is not in hex.
    pub fn signature_bytes(&self) -> Result<Vec<u8>, NoClaim> {
        let mut bytes = vec![0; self.signature.len() / 2];
        faster_hex::hex_decode(self.signature.as_bytes(), &mut bytes).map_err(|_| NoClaim)?;
        Ok(bytes)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.incarnation.number, self.incarnation.id.hyphenated(), self.signature)
    }
}

impl FromStr for Claim {
    type Err = NoClaim;

    fn from_str(text: &str) -> Result<Self, NoClaim> {
        if text.len() > MAX_TEXT {
            return Err(NoClaim);
        }
        let mut parts = text.split('/');
        let (Some(number), Some(id), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoClaim);
        };
        let number: u64 = number.parse().map_err(|_| NoClaim)?;
        let id = Uuid::parse_str(id).map_err(|_| NoClaim)?;
        let claim = Self { incarnation: Incarnation { number, id }, signature: signature.to_owned() };
        if !(FIRST..=LAST).contains(&number) || claim.signature_bytes()?.is_empty() {
            return Err(NoClaim);
        }
        Ok(claim)
    }
}

/// What an agent makes of the incarnation that a controller shows.
///
/// # Errors
/// Why the controller is not the one to talk to, in words for people.
pub fn judge(known: Option<&Incarnation>, shown: &Incarnation) -> Result<Standing, String> {
    let Some(known) = known else { return Ok(Standing::Newer) };
    match shown.stands_to(known) {
        standing @ (Standing::Same | Standing::Newer) => Ok(standing),
        Standing::Older => Err(format!(
            "this controller was replaced by a restored one: it is incarnation {}, and this agent has met {}; \
             shut the old controller down for good",
            shown.number, known.number
        )),
        Standing::Rival => Err(format!(
            "this controller is another restore of the same backup than the one that this agent has met: both are \
             incarnation {}; shut one of them down, and if this is the one to stay, restore it again with \
             --incarnation {}",
            known.number,
            known.number + 1
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(number: u64, id: u128) -> Incarnation {
        Incarnation { number, id: Uuid::from_u128(id) }
    }

    #[test]
    fn numbers_order_and_ids_tell_rivals_apart() {
        for (this, known, standing) in [
            (of(1, 1), of(1, 1), Standing::Same),
            (of(2, 9), of(1, 1), Standing::Newer),
            (of(1, 1), of(2, 9), Standing::Older),
            (of(2, 8), of(2, 9), Standing::Rival),
        ] {
            assert_eq!(this.stands_to(&known), standing, "{this} to {known}");
            assert_eq!(
                judge(Some(&known), &this).ok(),
                match standing {
                    Standing::Same | Standing::Newer => Some(standing),
                    Standing::Older | Standing::Rival => None,
                }
            );
        }
        assert_eq!(judge(None, &of(7, 1)), Ok(Standing::Newer));
        let refused = judge(Some(&of(3, 1)), &of(2, 1)).unwrap_err();
        assert!(refused.contains("was replaced by a restored one: it is incarnation 2"), "{refused}");
        assert!(judge(Some(&of(2, 1)), &of(2, 2)).unwrap_err().contains("--incarnation 3"));
    }

    #[test]
    fn claims_are_read_as_they_are_written() {
        let claim = Claim { incarnation: of(2, 0x77), signature: "3044ff".to_owned() };
        assert_eq!(claim.to_string().parse(), Ok(claim.clone()));
        assert_eq!(claim.signature_bytes(), Ok(vec![0x30, 0x44, 0xff]));
        let json = serde_json::to_string(&claim).unwrap();
        assert_eq!(serde_json::from_str::<Claim>(&json).unwrap(), claim);
        let id = claim.incarnation.id;
        for bad in [
            String::new(),
            "2".to_owned(),
            format!("2/{id}"),
            format!("2/{id}/"),
            format!("2/{id}/xy"),
            format!("2/{id}/304"),
            format!("2/{id}/3044/1"),
            format!("0/{id}/3044"),
            format!("1000001/{id}/3044"),
            format!("-1/{id}/3044"),
            "2/no-id/3044".to_owned(),
            format!("2/{id}/{}", "30".repeat(300)),
        ] {
            assert_eq!(bad.parse::<Claim>(), Err(NoClaim), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,600}") {
            let _ = text.parse::<Claim>();
        }
    }
}
