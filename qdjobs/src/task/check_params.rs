//! Checks params before they are stored, for a task that the caller names by a string: [`check_params`].
//!
//! Typed params are written and checked by `encode.rs`. How one parameter is read is decided in `param.rs`.
//!
//! Depends on the definition of a task, on `model/json/`, and on the limits of `model/job/checks.rs`.

use serde_json::Value;

use super::def::TaskDef;
use crate::model::error::{Error, ErrorKind, ParamProblem, Result};
use crate::model::job::{JSON_DEPTH_MAX, check_size};
use crate::model::json::{self, KEEP_ELSEWHERE};

/// What to do about params that are not a JSON object.
const OBJECT_HELP: &str = "pass an object with one member for each parameter, for example {\"name\": value}, or {} if the task has none";

/// What to do about JSON text that was passed as a string.
const TEXT_HELP: &str = "pass an object with one member for each parameter; to pass JSON text, parse it first, or pass it as a `RawValue`";

/// Checks params that arrive as text: over HTTP, from a shell, or by name. Refuses what the task could not
/// read, or would read as another value. Returns the text to store: as it was given, without the spaces.
pub fn check_params(def: &TaskDef, text: &str) -> Result<String> {
    check_size("params", text)?;
    let invalid = |message: String| Error::new(ErrorKind::InvalidParams, message);
    let values: Value = serde_json::from_str(text).map_err(|error| {
        invalid(format!("the params of `{}` cannot be read as JSON: {error}", def.name)).help(
            "correct the JSON at this place; the params are one object with one member for each parameter",
        )
    })?;
    if !values.is_object() {
        let found = kind_of(&values);
        let help = if values.is_string() { TEXT_HELP } else { OBJECT_HELP };
        return Err(
            invalid(format!("the params of `{}` are {found} and not a JSON object", def.name)).help(help)
        );
    }
    if json::depth(text) > JSON_DEPTH_MAX {
        return Err(invalid(format!(
            "the params of `{}` are nested deeper than {JSON_DEPTH_MAX} levels",
            def.name
        ))
        .help(KEEP_ELSEWHERE));
    }
    // First, because the task then reads a float.
    let mut problems: Vec<ParamProblem> = json::wide_integer(text).map(too_wide).into_iter().collect();
    problems.extend((def.check)(text));
    if !problems.is_empty() {
        return Err(invalid(format!("the params do not fit the task `{}`", def.name)).with_problems(problems));
    }
    Ok(json::compact(text))
}

fn too_wide((path, number): (String, String)) -> ParamProblem {
    ParamProblem::new(
        path,
        format!(
            "{number} is an integer of more than 64 bits; if the parameter is a float, write it with an exponent (1e20); if it is a \
             string, pass a string"
        ),
    )
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
