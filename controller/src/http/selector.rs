//! Labels in queries: `env=prod,site=zrh`.

use super::error::ApiError;
use muster_proto::api::Labels;

/// Reads the labels of the parameter `name`.
pub(super) fn labels(name: &str, text: &str) -> Result<Labels, ApiError> {
    let mut labels = Labels::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let part = crate::fleet::bounded(part, 300);
        let Some((key, value)) = part.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(ApiError::bad_request(name, format!("`{part}` is no label; write key=value")));
        };
        if labels.insert(key.to_owned(), value.to_owned()).is_some_and(|before| before != value) {
            let told = format!("the label `{key}` is given with two values; no agent has both");
            return Err(ApiError::bad_request(name, told));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read() {
        let read = |text: &str| labels("selector", text).map_err(|error| error.to_string());
        assert_eq!(read("").unwrap(), Labels::new());
        let both: Labels =
            [("env", "prod"), ("site", "a=b")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(read("env=prod, site=a=b,env=prod").unwrap(), both);
        assert!(read("env").unwrap_err().contains("no label"));
        assert!(read("=prod").unwrap_err().contains("no label"));
        assert!(read("env=prod,env=test").unwrap_err().contains("two values"));
    }
}
