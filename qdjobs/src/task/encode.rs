//! Writes typed params as the JSON text to store: [`encode`], [`encode_by_name`].
//!
//! Which values are refused because they could not be read back is decided in `model/json/`. Params are read in
//! `param.rs`. Params of a task named by a string are checked in `check_params.rs`.
//!
//! Depends on `model/json/` and on the definition of a task.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::def::TaskDef;
use crate::model::error::{Error, ErrorKind, ParamProblem, Result};
use crate::model::json::{self, Unstorable};

/// The JSON text of typed params.
pub(crate) fn encode<P: Serialize + DeserializeOwned>(def: &TaskDef, params: &P) -> Result<String> {
    json::write_and_read(params).map_err(|refused| cannot_store(def, refused))
}

/// The JSON text of params for a task that is named by a string. The task decides what `null` means.
pub(crate) fn encode_by_name<P: Serialize + ?Sized>(def: &TaskDef, params: &P) -> Result<String> {
    json::write_as_it_is(params).map_err(|refused| cannot_store(def, refused))
}

fn cannot_store(def: &TaskDef, refused: Unstorable) -> Error {
    let help = refused.flaw.help();
    let place = if refused.path.is_empty() { "params".to_owned() } else { refused.path };
    Error::new(ErrorKind::InvalidParams, format!("the params of `{}` cannot be stored", def.name))
        .with_problems(vec![ParamProblem::new(place, refused.flaw.to_string())])
        .help(help)
}
