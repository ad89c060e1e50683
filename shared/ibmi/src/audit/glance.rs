//! A glance at a field: whether it holds anything at all, and if so, whether it can be lined up as it is.

use super::run::{Line, WINDOW, Window};
use super::step::{Kind, Run, Step};
use crate::blank::trimmed;
use crate::ebcdic::BLANK;
use muster_shared::event::Event;

/// What is asked of most steps of most entries, in little memory: whether the field holds anything at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glance {
    pub(crate) start: u32,
    pub(crate) action: Action,
    /// Whether the action is [`Action::Text`].
    is_text: bool,
    /// The field's bytes in the window that begins with it.
    pub(crate) mask: u128,
}

/// What to do with a field, by a glance at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// One character.
    Code,
    /// Text.
    Text,
    /// A number.
    Number,
    /// Text that is longer than a window.
    LongText,
    /// Run the step, unless the field is blank, which a window does not tell.
    LongRun,
    /// Run the step, unless the field is blank.
    Run,
    /// Run the step whatever is there.
    Always,
}

impl Glance {
    pub(crate) fn of(step: &Step) -> Self {
        let length = (step.stretch.end - step.stretch.start) as usize;
        let action = match &step.kind {
            // A length row of its own may have something to tell even where the text is blank.
            Kind::Named(_) => Action::Always,
            Kind::Text if length > WINDOW && step.field == step.fallback => Action::LongText,
            _ if !(1..=WINDOW).contains(&length) => Action::LongRun,
            // Which field it becomes is decided entry by entry.
            _ if step.field != step.fallback => Action::Run,
            Kind::Code => Action::Code,
            Kind::Text => Action::Text,
            Kind::Digits | Kind::Binary | Kind::Zoned | Kind::Packed => Action::Number,
            Kind::Command | Kind::Names | Kind::Hex | Kind::ZonedText | Kind::Timestamp => Action::Run,
        };
        let mask = if (1..=WINDOW).contains(&length) { Window::mask(length) } else { u128::MAX };
        Self { start: step.stretch.start, action, is_text: action == Action::Text, mask }
    }
}

impl Run<'_> {
    /// Does what a glance at the field asks for. Nearly every field is blank or lined up here: what goes the way
    /// of [`Run::step`] costs three times as much, and ends the line.
    #[inline]
    pub(crate) fn glance(
        &mut self,
        glance: Glance,
        step: &Step,
        event: &mut Event,
        line: &mut Line,
        scratch: &mut Vec<u8>,
    ) {
        let rest = self.data.get(glance.start as usize..).unwrap_or_default();
        let done = match glance.action {
            Action::Always => false,
            Action::LongText | Action::LongRun => self.long(glance.action, step, rest, event, line),
            Action::Code | Action::Text | Action::Number | Action::Run => {
                let mut padded = [BLANK; WINDOW];
                let (bytes, is_there) = match rest.first_chunk::<WINDOW>() {
                    Some(bytes) => (bytes, true),
                    None => {
                        padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                        // What lies between the bytes and the full length is blank; behind that there is no
                        // number.
                        (&padded, step.stretch.end as usize <= self.full_length.max(self.data.len()))
                    }
                };
                match Window::of(bytes, glance.mask) {
                    None => is_there || matches!(glance.action, Action::Code | Action::Text),
                    // Asked first and by itself, as most fields are texts: one jump to one of four places is
                    // foretold wrongly more often than it is worth.
                    Some(window) if glance.is_text => {
                        let meanings = step.meanings.as_ref();
                        let meaning = meanings.and_then(|meanings| meanings.of_text(&bytes[..window.length]));
                        line.push_window(self.page, window, step.field, meaning, event)
                    }
                    Some(_) => {
                        (is_there || glance.action == Action::Code)
                            && self.code_or_number(glance.action, step, bytes, event, line)
                    }
                }
            }
        };
        if !done {
            line.flush(event);
            self.step(step, event, scratch);
        }
    }

    /// A field of at most [`WINDOW`] bytes that is not blank; false if it has to be run as a step.
    #[inline]
    fn code_or_number(
        &mut self,
        action: Action,
        step: &Step,
        bytes: &[u8; WINDOW],
        event: &mut Event,
        line: &mut Line,
    ) -> bool {
        let meanings = step.meanings.as_ref();
        match action {
            Action::Code => {
                let meaning = meanings.and_then(|meanings| meanings.of_byte(bytes[0]));
                line.push_byte(self.page, bytes[0], step.field, meaning, event)
            }
            Action::Number => {
                let length = (step.stretch.end - step.stretch.start) as usize;
                let Some(value) = bytes.get(..length).and_then(|bytes| step.number(bytes)) else {
                    return false;
                };
                let meaning = meanings.and_then(|meanings| meanings.of_number(value));
                line.push_int(step.field, meaning, value, event);
                true
            }
            Action::Text | Action::LongText | Action::LongRun | Action::Run | Action::Always => false,
        }
    }

    /// A field that is longer than a window; false if it has to be run as a step.
    #[inline]
    fn long(&mut self, action: Action, step: &Step, rest: &[u8], event: &mut Event, line: &mut Line) -> bool {
        let length = (step.stretch.end - step.stretch.start) as usize;
        let value = trimmed(&rest[..length.min(rest.len())]);
        if value.is_empty() || action == Action::LongRun {
            return value.is_empty();
        }
        let meaning = step.meanings.as_ref().and_then(|meanings| meanings.of_text(value));
        line.push_ascii(self.page, value, step.field, meaning, event)
    }
}
