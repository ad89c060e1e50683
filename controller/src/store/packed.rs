//! Values of which there is one an agent, stored small.
//!
//! sled keeps a page until half of what its segment holds was written anew, so a store that ten thousand agents
//! write to all day is several times its content. What agents say of themselves is mostly the same words: JSON,
//! compressed (LZ4) against a dictionary of them, is a third of its size at a few microseconds.

use super::{Batch, Condition, Store, StoreError, decode, encode};
use serde::{Serialize, de::DeserializeOwned};

/// First byte of a value that is compressed against [`WORDS`]; JSON begins with none such. Other words need another
/// byte, and these must stay readable.
const WORDS_1: u8 = 1;

/// What values have in common, the commonest last.
const WORDS: &[u8] = br#"{"attributes":{"host.arch":"amd64","host.name":"","ibmi.os_release":"V7R5M0","ibmi.partition_id":"1","ibmi.serial_number":"78","ibmi.system_name":"","muster.boot_id":"","muster.controller_url":"wss://","muster.limits":"{\"destinations\":[","muster.secrets":"[","os.type":"linux","service.instance.id":"01","service.name":"io.muster.agent","service.version":"0.1.0"},"capabilities":48391,"healthy":true,"reason":"","components":[{"kind":"source","name":"audit","healthy":false,"status":"degraded","reason":"","since":"2026-"},{"kind":"source","name":"history","healthy":true,"status":"starting","since":"2026-"},{"kind":"destination","name":"siem","healthy":true,"status":"healthy","since":"2026-"},{"kind":"other","name":"partition","healthy":true,"status":"healthy","since":"2026-"},{"kind":"other","name":"pipeline","healthy":true,"status":"healthy","since":"2026-"},{"kind":"other","name":"policy","healthy":true,"status":"healthy","since":"2026-"},{"kind":"other","name":"state","healthy":true,"status":"healthy","since":"2026-"}],"custom":["io.muster.rates/v1","io.muster.inspect/v1"],"settings_refused":"","last_seen":"2026-"}{"report":null,"running":null,"refused":{"hash":"","reason":""},"offers":[],{"report":{"hash":"","word":"applied","since":"2026-"},"running":{"hash":"","revision":1},"refused":null,"offers":[{"hash":"","revision":1},{"hash":"","revision":1}],"effective":""}"#;

/// Largest value that is unpacked, in bytes.
const MAX_UNPACKED: usize = super::MAX_VALUE;

/// Adds a value to a batch, whatever is stored.
pub fn put<T: Serialize>(batch: &mut Batch, key: String, value: &T) {
    batch.put(key, Condition::Any, pack(&encode(value)));
}

/// Reads a value that was stored packed, or as JSON by an earlier release.
///
/// # Errors
/// If the disk fails or the value is not a `T`.
pub fn get<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>, StoreError> {
    let Some(bytes) = store.get(key)? else { return Ok(None) };
    match unpack(&bytes) {
        Ok(Some(json)) => decode(key, &json).map(Some),
        Ok(None) => decode(key, &bytes).map(Some),
        Err(why) => {
            let source = <serde_json::Error as serde::de::Error>::custom(why);
            Err(StoreError::Unreadable { key: key.to_owned(), source })
        }
    }
}

/// The byte of the words, the length as four bytes (little endian), LZ4.
fn pack(json: &[u8]) -> Vec<u8> {
    let mut packed = vec![WORDS_1];
    packed.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_le_bytes());
    packed.extend_from_slice(&lz4_flex::block::compress_with_dict(json, WORDS));
    packed
}

/// JSON of a packed value; `None` if it is not packed.
fn unpack(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let Some((&WORDS_1, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((length, packed)) = rest.split_first_chunk() else { return Err("it ends too early".to_owned()) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_UNPACKED {
        return Err(format!("{length} bytes are more than the {MAX_UNPACKED} of the largest value"));
    }
    let json = lz4_flex::block::decompress_with_dict(packed, length, WORDS).map_err(|e| e.to_string())?;
    Ok(Some(json))
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn what_is_packed_is_read_as_it_was() {
        let store = MemoryStore::default();
        let values = [json!(null), json!({}), json!({"a": "ü".repeat(10_000)}), json!([1, 2, 3])];
        for value in values {
            let mut batch = Batch::new();
            put(&mut batch, "k".to_owned(), &value);
            store.apply(batch).await.unwrap();
            assert_eq!(get::<Value>(&store, "k").unwrap(), Some(value));
        }
        assert_eq!(get::<Value>(&store, "other").unwrap(), None);
    }

    #[tokio::test]
    async fn json_of_an_earlier_release_is_read() {
        let store = MemoryStore::default();
        let mut batch = Batch::new();
        batch.put_json("k", Condition::Any, &json!({"healthy": true}));
        store.apply(batch).await.unwrap();
        assert_eq!(get::<Value>(&store, "k").unwrap(), Some(json!({"healthy": true})));
    }

    #[test]
    fn a_damaged_value_is_told() {
        for (bytes, why) in [
            (&[WORDS_1, 1, 2][..], "too early"),
            (&[WORDS_1, 255, 255, 255, 255, 0], "more than"),
            (&[WORDS_1, 9, 0, 0, 0, 255, 255, 255], ""),
        ] {
            let error = unpack(bytes).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_an_agent_says_takes_a_third() {
        let component = |name: &str| {
            json!({"kind": "source", "name": name, "healthy": true, "status": "healthy",
                   "since": "2026-11-26T01:02:10.253573025Z"})
        };
        let components = ["audit", "payroll", "archive", "siem", "partition", "pipeline"].map(component);
        let said = encode(&json!({
            "attributes": {"host.name": "prod1.example.net", "ibmi.os_release": "V7R4M0",
                "ibmi.partition_id": "3", "ibmi.serial_number": "78A1B2C", "ibmi.system_name": "PROD1",
                "muster.boot_id": "6d6cb40a-78ef-42db-b762-ae9c43ce8f33", "os.type": "linux",
                "service.instance.id": "01a2155f-685a-75e3-b810-e39aa033d612"},
            "capabilities": 48391, "healthy": true, "reason": "",
            "components": components,
        }));
        let packed = pack(&said).len();
        assert!(packed * 3 <= said.len(), "{packed} of {}", said.len());
    }
}
