//! Values for parameter markers: from JSON, by the type of the marker, as the generation reads bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_proto::mapepire::RequestFrame;
use serde_json::Value as Json;

use super::statement::Failure;
use crate::service::Mode;
use crate::sql::compile::{Change, Expr};
use crate::sql::{Action, SqlError, SqlType, Value};

/// What a request gives.
pub(super) enum Given {
    /// Values for one run.
    One(Vec<Value>),
    /// Values for several.
    Batch(Vec<Vec<Value>>),
}

/// Values for the markers, all through their text form; null stays NULL.
pub(super) fn given(frame: &RequestFrame, required: bool) -> Result<Given, Failure> {
    let list = match &frame.parameters {
        Some(Json::Array(list)) => list,
        None | Some(Json::Null) if !required => return Ok(Given::One(Vec::new())),
        None | Some(Json::Null) => {
            return Err(Failure::Request(
                "Internal Error: NullPointerException: Cannot invoke \"com.google.gson.JsonElement.getAsJsonArray()\" \
                 because the return value is null"
                    .into(),
            ));
        }
        Some(other) => return Err(Failure::Request(format!("Not a JSON Array: {other}"))),
    };
    if !matches!(list.first(), Some(Json::Array(_))) {
        return values(list).map(Given::One);
    }
    let rows = list.iter().map(|row| match row {
        Json::Array(row) => values(row),
        other => Err(Failure::Request(format!("Not a JSON Array: {other}"))),
    });
    rows.collect::<Result<_, _>>().map(Given::Batch)
}

fn values(list: &[Json]) -> Result<Vec<Value>, Failure> {
    list.iter()
        .map(|item| match item {
            Json::Null => Ok(Value::Null),
            Json::String(text) => Ok(Value::Text(text.clone())),
            Json::Number(number) => Ok(Value::Text(number.to_string())),
            Json::Bool(flag) => Ok(Value::Text(flag.to_string())),
            Json::Array(_) => {
                Err(Failure::Request("Internal Error: UnsupportedOperationException: JsonArray".into()))
            }
            Json::Object(_) => {
                Err(Failure::Request("Internal Error: UnsupportedOperationException: JsonObject".into()))
            }
        })
        .collect()
}

/// The values as the markers' types want them. Values beyond the markers stay as they are: the statement
/// refuses them.
pub(super) fn bind(values: Vec<Value>, kinds: &[SqlType], base64: bool) -> Result<Vec<Value>, Failure> {
    let kinds = kinds.iter().map(Some).chain(std::iter::repeat(None));
    values
        .into_iter()
        .zip(kinds)
        .map(|(value, kind)| match (value, kind) {
            (Value::Text(text), Some(SqlType::VarcharBit(_))) => hex(&text).map(Value::Bits),
            (Value::Text(text), Some(SqlType::Varbinary(_) | SqlType::Blob(_))) if base64 => {
                STANDARD.decode(&text).map(Value::Binary).map_err(|error| {
                    Failure::Request(format!("Internal Error: IllegalArgumentException: {error}"))
                })
            }
            (Value::Text(text), Some(SqlType::Varbinary(_) | SqlType::Blob(_))) => {
                hex(&text).map(Value::Binary)
            }
            (value, _) => Ok(value),
        })
        .collect()
}

fn hex(digits: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; digits.len() / 2];
    faster_hex::hex_decode(digits.as_bytes(), &mut bytes)
        .map_err(|_| SqlError::driver("07006", "Data type mismatch."))?;
    Ok(bytes)
}

/// The parameters of a CALL that markers stand for, by number of the marker: the place and the way it goes.
fn marked(action: &Action) -> Vec<Option<(usize, Mode)>> {
    let mut found = vec![None; action.markers.len()];
    if let Change::Call(procedure, arguments) = &action.change {
        for (place, (argument, parameter)) in arguments.iter().zip(procedure.parameters).enumerate() {
            if let Expr::Marker(index) = argument
                && let Some(slot) = found.get_mut(*index)
            {
                *slot = Some((place, parameter.mode));
            }
        }
    }
    found
}

/// Which way each marker goes.
pub(super) fn modes(action: Option<&Action>, markers: usize) -> Vec<Mode> {
    let Some(action) = action else { return vec![Mode::In; markers] };
    marked(action).into_iter().map(|mark| mark.map_or(Mode::In, |(_, mode)| mode)).collect()
}

/// Type of each marker, and what came out of it.
pub(super) fn outputs(action: &Action, values: &[Value]) -> Vec<(SqlType, Option<Value>)> {
    let value = |mark: Option<(usize, Mode)>| match mark {
        None | Some((_, Mode::In)) => None,
        Some((place, Mode::Out | Mode::InOut)) => Some(values.get(place).cloned().unwrap_or(Value::Null)),
    };
    action.markers.iter().copied().zip(marked(action).into_iter().map(value)).collect()
}
