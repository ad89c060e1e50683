//! Fields of an event from a text that was read.

use super::{Pair, Payload, PayloadKind};
use crate::event::{Event, FieldId, dictionary, field};
use std::net::IpAddr;
use std::sync::LazyLock;

/// Fields that are looked up once.
struct Ids {
    format: FieldId,
    vendor: FieldId,
    product: FieldId,
    version: FieldId,
    event_id: FieldId,
    name: FieldId,
    severity: FieldId,
    user: FieldId,
    pair: FieldId,
}

static IDS: LazyLock<Ids> = LazyLock::new(|| {
    let find = |keyword: &str| {
        dictionary().find(keyword).unwrap_or_else(|| panic!("dictionary.csv has no row {keyword}"))
    };
    Ids {
        format: find("app_format"),
        vendor: find("app_vendor"),
        product: find("app_product"),
        version: find("app_version"),
        event_id: find("app_event_id"),
        name: find("app_name"),
        severity: find("app_severity"),
        user: find("app_user"),
        pair: find("app_field"),
    }
});

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
        let ids = &*IDS;
        for (id, text) in [
            (ids.format, self.kind.as_str()),
            (ids.vendor, &*self.vendor),
            (ids.product, &*self.product),
            (ids.version, &*self.version),
            (ids.event_id, &*self.event_id),
            (ids.name, &*self.name),
            (ids.severity, &*self.severity),
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
                None => event.push_with(ids.pair, None, |text| {
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
            (PayloadKind::Cef, "suser") | (PayloadKind::Leef, "usrName") => Some(IDS.user),
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
                Some(IDS.user)
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
