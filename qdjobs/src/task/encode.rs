//! Writes typed params as the JSON text to store, and refuses what could not be read back: [`encode`].
//!
//! Params are read in `param.rs`. Params of a task named by a string are checked in `check_params.rs`.
//!
//! Depends on serde_json, and on `check_params.rs` for params with floats.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use super::check_params::{check_params, too_deep};
use super::def::TaskDef;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::JSON_DEPTH_MAX;
use crate::model::outcome::JSON_HELP;

/// The JSON text of typed params.
pub(crate) fn encode<P: Serialize>(def: &TaskDef, params: &P) -> Result<String> {
    let mut flaw = None;
    let text = write(params, &mut flaw).map_err(|error| match flaw {
        Some(flaw) => flaw.error(def),
        None => {
            let message = format!("the params of `{}` cannot be written as JSON: {error}", def.name);
            Error::new(ErrorKind::InvalidParams, message).help(JSON_HELP)
        }
    })?;
    // serde_json writes a NaN or an infinity as `null`, which cannot be read as a number: the job would fail
    // at each attempt.
    let floats = def.params.iter().any(|param| param.ty.contains("f64") || param.ty.contains("f32"));
    if floats && text.contains("null") { check_params(def, &text) } else { Ok(text) }
}

fn write<P: Serialize>(params: &P, flaw: &mut Option<Flaw>) -> serde_json::Result<String> {
    let mut text = Vec::with_capacity(128);
    params.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Compact::new(flaw)))?;
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// Something that could be written but not read back.
#[derive(Debug)]
enum Flaw {
    TooDeep,
    TooWide(String),
}

impl Flaw {
    fn error(self, def: &TaskDef) -> Error {
        let invalid = |message: String| Error::new(ErrorKind::InvalidParams, message);
        match self {
            Flaw::TooDeep => too_deep(def),
            Flaw::TooWide(number) => invalid(format!(
                "the params of `{}` contain the number {number}, an integer of more than 64 bits",
                def.name
            ))
            .help("pass it as a string and parse it in the task: JSON integers are read with 64 bits"),
        }
    }
}

/// The formatter of JSON without spaces, which stops at the first [`Flaw`].
///
/// The serializer calls it, so the check costs only a counter. A check of the finished text would cost as
/// much as writing it.
struct Compact<'a> {
    levels: usize,
    /// Whether a member name is being written. A number in it is part of a text, so it can have any size.
    in_key: bool,
    flaw: &'a mut Option<Flaw>,
}

impl Compact<'_> {
    fn new(flaw: &mut Option<Flaw>) -> Compact<'_> {
        Compact { levels: 0, in_key: false, flaw }
    }

    fn stop(&mut self, flaw: Flaw) -> io::Result<()> {
        *self.flaw = Some(flaw);
        // This error is never reported: the caller reports the flaw.
        Err(io::ErrorKind::InvalidData.into())
    }

    fn enter<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        if self.levels == JSON_DEPTH_MAX {
            return self.stop(Flaw::TooDeep);
        }
        self.levels += 1;
        writer.write_all(bracket)
    }

    fn leave<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.levels -= 1;
        writer.write_all(bracket)
    }

    fn integer<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        number: impl ToString,
        fits: bool,
    ) -> io::Result<()> {
        let number = number.to_string();
        if fits || self.in_key {
            return writer.write_all(number.as_bytes());
        }
        self.stop(Flaw::TooWide(number))
    }
}

impl Formatter for Compact<'_> {
    fn begin_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter(writer, b"[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.leave(writer, b"]")
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter(writer, b"{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.leave(writer, b"}")
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.in_key = true;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn end_object_key<W: io::Write + ?Sized>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.in_key = false;
        Ok(())
    }

    fn write_u128<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: u128) -> io::Result<()> {
        self.integer(writer, value, u64::try_from(value).is_ok())
    }

    fn write_i128<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: i128) -> io::Result<()> {
        self.integer(writer, value, i64::try_from(value).is_ok() || u64::try_from(value).is_ok())
    }

    /// Raw JSON, whose depth is not counted yet.
    fn write_raw_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.levels + depth(fragment) > JSON_DEPTH_MAX {
            return self.stop(Flaw::TooDeep);
        }
        writer.write_all(fragment.as_bytes())
    }
}

/// The depth of nested arrays and objects in JSON text. It scans the bytes, because a recursive parser has
/// its own depth limit.
fn depth(json: &str) -> usize {
    let (mut levels, mut most, mut in_text) = (0_usize, 0, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_text = !in_text,
            // The next byte is escaped, so it does not end the text.
            b'\\' => drop(bytes.next()),
            b'[' | b'{' if !in_text => {
                levels += 1;
                most = most.max(levels);
            }
            b']' | b'}' if !in_text => levels = levels.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_texts() {
        for (json, levels) in
            [("1", 0), ("[]", 1), (r#"{"a": [[], {}], "b": [[[1]]]}"#, 4), (r#"["[[[\"[[[", "\\", [0]]"#, 2)]
        {
            assert_eq!(depth(json), levels, "{json}");
        }
    }

    #[test]
    fn the_text_is_the_one_that_serde_json_writes() {
        let value = serde_json::json!({
            "a": [1, -2, 0.5, 1e300, true, null, "x\n\"ä"], "b": {}, "c": {"d": [], "e": [{}, [[]]]}
        });
        let mut flaw = None;
        assert_eq!(write(&value, &mut flaw).unwrap(), serde_json::to_string(&value).unwrap());
        assert!(flaw.is_none());
    }
}
