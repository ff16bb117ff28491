//! Checks params before they are stored, for a task that the caller names by a string: [`check_params`].
//!
//! Typed params are written and checked by `encode.rs`. How one parameter is read is decided in `param.rs`.
//!
//! Depends on the description of a task and on the limits of `model/job/checks.rs`.

use serde_json::Value;

use super::def::TaskDef;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{JSON_DEPTH_MAX, check_size};

/// What to do about params that are not a JSON object.
const OBJECT_HELP: &str = "write an object with one member for each parameter: {\"name\": value}";

/// Checks params that arrive as text: over HTTP, from a shell, or by name. Refuses what the task could not
/// read, and returns the text to store.
pub fn check_params(def: &TaskDef, json: &str) -> Result<String> {
    check_size("params", json)?;
    let invalid = |message: String| Error::new(ErrorKind::InvalidParams, message);
    let values: Value = serde_json::from_str(json).map_err(|error| {
        invalid(format!("the params of `{}` are not JSON: {error}", def.name)).help(OBJECT_HELP)
    })?;
    let Value::Object(values) = values else {
        let found = kind_of(&values);
        return Err(invalid(format!("the params of `{}` are {found} and not a JSON object", def.name))
            .help(OBJECT_HELP));
    };
    // The object itself is the first level.
    if values.values().any(|value| is_deeper(value, JSON_DEPTH_MAX - 1)) {
        return Err(too_deep(def));
    }
    let problems = (def.check)(&values);
    if !problems.is_empty() {
        return Err(invalid(format!("the params do not fit the task `{}`", def.name)).with_problems(problems));
    }
    let text = Value::Object(values).to_string();
    // The text can be longer than the input: serde_json writes `1e15` as `1000000000000000.0`.
    check_size("params", &text)?;
    Ok(text)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Whether arrays and objects are nested in `value` to more than `levels` levels. The parser refuses more
/// than 128 levels, which limits the recursion.
fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(map) => levels == 0 || map.values().any(|item| is_deeper(item, levels - 1)),
        _ => false,
    }
}

/// The error for params that are nested deeper than every reader accepts.
pub(super) fn too_deep(def: &TaskDef) -> Error {
    let message = format!("the params of `{}` are nested deeper than {JSON_DEPTH_MAX} levels", def.name);
    Error::new(ErrorKind::InvalidParams, message)
        .help("store the data in a file or a table of your own and pass its name or id")
}
