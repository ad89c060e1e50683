//! Fields of an event from a text that was read.

use super::{Pair, Payload, PayloadKind};
use crate::event::{Event, FieldId, field};
use std::net::IpAddr;

/// Highest port number.
const PORT_MAX: u32 = 65_535;

impl Payload<'_> {
    /// Appends `message`, the whole text, and where it is more than plain text what the application says: its header
    /// (`app_vendor` …), the few pairs that are a field of the dictionary, and every other pair under its own
    /// name (`app_field`). A severity that the application gives becomes the event's.
    ///
    /// The fields that the source has filled already win: who acted and from where is what the system saw, not what
    /// a text claims.
    pub fn push_into(&self, event: &mut Event) {
        event.push(field::MESSAGE, self.text);
        if self.kind == PayloadKind::Text {
            return;
        }
        for (id, text) in [
            (field::APP_FORMAT, self.kind.as_str()),
            (field::APP_VENDOR, &*self.vendor),
            (field::APP_PRODUCT, &*self.product),
            (field::APP_VERSION, &*self.version),
            (field::APP_EVENT_ID, &*self.event_id),
            (field::APP_NAME, &*self.name),
            (field::APP_SEVERITY, &*self.severity),
        ] {
            event.push(id, text);
        }
        if let Some(severity) = self.level() {
            event.severity = severity;
        }
        let seen_by_system = event.get(field::REMOTE_ADDRESS).is_some();
        for pair in &self.pairs {
            let meant = self.meant(pair, seen_by_system).filter(|id| event.get(*id).is_none());
            match meant {
                Some(id) => event.push(id, &pair.value),
                None => event.push_with(field::APP_FIELD, None, |text| {
                    // The first equals sign ends the key.
                    text.extend(pair.key.chars().map(|c| if c == '=' { '_' } else { c }));
                    text.push('=');
                    text.push_str(&pair.value);
                }),
            }
        }
    }

    /// The field that a key of this format means.
    fn meant(&self, pair: &Pair<'_>, seen_by_system: bool) -> Option<FieldId> {
        let is_address = || !seen_by_system && pair.value.parse::<IpAddr>().is_ok();
        let is_port = || !seen_by_system && pair.value.parse::<u32>().is_ok_and(|port| port <= PORT_MAX);
        match (self.kind, pair.key.as_ref()) {
            (PayloadKind::Cef, "suser") | (PayloadKind::Leef, "usrName") => Some(field::APP_USER),
            (PayloadKind::Cef, "duser") => Some(field::TARGET_USER),
            (PayloadKind::Cef, "filePath") => Some(field::PATH),
            (PayloadKind::Cef, "reason") => Some(field::REASON),
            (PayloadKind::Cef | PayloadKind::Leef, "src") if is_address() => Some(field::REMOTE_ADDRESS),
            (PayloadKind::Cef, "spt") | (PayloadKind::Leef, "srcPort") if is_port() => {
                Some(field::REMOTE_PORT)
            }
            (PayloadKind::Json | PayloadKind::KeyValue, key)
                if ["user", "username", "user_name"].iter().any(|name| key.eq_ignore_ascii_case(name)) =>
            {
                Some(field::APP_USER)
            }
            (
                PayloadKind::Text
                | PayloadKind::Cef
                | PayloadKind::Leef
                | PayloadKind::Json
                | PayloadKind::KeyValue,
                _,
            ) => None,
        }
    }
}
