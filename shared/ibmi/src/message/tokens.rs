//! Replacement data: fields at the places that are documented, and the job in front.

use super::text::{Job, is_name};
use super::{Doubt, tables::Token};
use crate::text::Encoding;
use muster_shared::event::Event;
use std::ops::Range;

/// Length of a job in replacement data: name and user of ten characters, number of six.
const JOB: usize = 26;

/// The job at the front: its number, user and name in one of the two orders that the system uses, told apart by where
/// the six digits stand, since no name begins with a digit.
pub(super) fn job_in_front(encoding: Encoding, tokens: &[u8]) -> Option<(String, Range<usize>)> {
    let front = tokens.get(..JOB)?;
    let part = |range: Range<usize>| {
        let mut text = String::new();
        encoding.decode_trimmed_into(&front[range], &mut text);
        text
    };
    let orders = [[0..6, 6..16, 16..26], [20..26, 10..20, 0..10]];
    orders.into_iter().find_map(|[number, user, name]| {
        let job = format!("{}/{}/{}", part(number), part(user), part(name));
        Job::parse(&job).is_some().then_some((job, 0..JOB))
    })
}

/// Pushes the fields that are there and gives their places; `doubt` tells of the first one that is not.
pub(super) fn push_fields(
    encoding: Encoding,
    fields: &[Token],
    tokens: &[u8],
    event: &mut Event,
    doubt: &mut Option<Doubt>,
) -> Vec<Range<usize>> {
    let mut places = Vec::with_capacity(fields.len());
    for token in fields {
        match read(encoding, token, tokens) {
            Ok(text) => {
                event.push(token.field, &text);
                places.push(token.place.clone());
            }
            Err(wrong) => {
                doubt.get_or_insert(wrong);
            }
        }
    }
    places
}

/// What is wrong with the fields of replacement data, if anything.
pub(super) fn doubt(encoding: Encoding, fields: &[Token], tokens: &[u8]) -> Option<Doubt> {
    fields.iter().find_map(|token| read(encoding, token, tokens).err())
}

fn read(encoding: Encoding, token: &Token, tokens: &[u8]) -> Result<String, Doubt> {
    let bytes = tokens
        .get(token.place.clone())
        .ok_or(Doubt::ShortTokens { have: tokens.len(), need: token.place.end })?;
    let mut text = String::new();
    let clean = encoding.decode_trimmed_into(bytes, &mut text);
    if clean && is_name(&text) { Ok(text) } else { Err(Doubt::UnreadableToken { field: token.keyword }) }
}
