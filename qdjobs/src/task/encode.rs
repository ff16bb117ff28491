//! Writes typed params as the JSON text to store: [`encode`].
//!
//! Which values are refused because they could not be read back is decided in `model/json/`. Params are read in
//! `param.rs`. Params of a task named by a string are checked in `check_params.rs`.
//!
//! Depends on `model/json/` and on the definition of a task.

use serde::Serialize;

use super::def::TaskDef;
use crate::model::error::{Error, ErrorKind, ParamProblem, Result};
use crate::model::json;

/// The JSON text of typed params.
pub(crate) fn encode<P: Serialize + ?Sized>(def: &TaskDef, params: &P) -> Result<String> {
    json::write(params).map_err(|refused| {
        let help = refused.flaw.help();
        Error::new(ErrorKind::InvalidParams, format!("the params of `{}` cannot be stored", def.name))
            .with_problems(vec![ParamProblem::new(refused.path, refused.flaw.to_string())])
            .help(help)
    })
}
