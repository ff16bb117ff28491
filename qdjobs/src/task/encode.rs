//! How typed params become the text that is stored: [`encode`].
//!
//! Leans on serde_json's writer and asks it, while it writes, what no reader would take back. Reads nothing: that is
//! `param`'s.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use super::check_params;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::JSON_DEPTH_MAX;
use crate::task::TaskDef;

/// The text of typed params.
pub(crate) fn encode<P: Serialize>(def: &TaskDef, params: &P) -> Result<String> {
    let mut flaw = None;
    let text = write(params, &mut flaw).map_err(|error| match flaw {
        Some(flaw) => flaw.told(def),
        None => {
            let message = format!("the params of `{}` cannot be written as JSON: {error}", def.name);
            Error::new(ErrorKind::InvalidParams, message).help("JSON has text keys and finite numbers only")
        }
    })?;
    // A NaN or an infinity is written as null, which no number is read from: the job would be stored only to fail.
    let floats = def.params.iter().any(|param| param.ty.contains("f64") || param.ty.contains("f32"));
    if floats && text.contains("null") { check_params(def, &text) } else { Ok(text) }
}

fn write<P: Serialize>(params: &P, flaw: &mut Option<Flaw>) -> serde_json::Result<String> {
    let mut text = Vec::with_capacity(128);
    params.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Compact::new(flaw)))?;
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// What can be written and not be read back.
#[derive(Debug)]
enum Flaw {
    TooDeep,
    TooWide(String),
}

impl Flaw {
    fn told(self, def: &TaskDef) -> Error {
        let invalid = |message: String| Error::new(ErrorKind::InvalidParams, message);
        match self {
            Flaw::TooDeep => too_deep(def),
            Flaw::TooWide(number) => invalid(format!(
                "the params of `{}` hold the number {number}, an integer of more than 64 bits",
                def.name
            ))
            .help("pass it as a text, and parse it in the body: JSON numbers are read with 64 bits"),
        }
    }
}

/// Params nested deeper than a reader should have to go.
pub(super) fn too_deep(def: &TaskDef) -> Error {
    let message = format!("the params of `{}` are nested deeper than {JSON_DEPTH_MAX} levels", def.name);
    Error::new(ErrorKind::InvalidParams, message)
        .help("store the data in a file or a table of your own and pass its name or id")
}

/// JSON without spaces, as serde_json writes it, that stops at the first [`Flaw`].
///
/// Asked by the writer itself, this costs a counter; to look through the text afterwards would cost as much as writing it.
struct Compact<'a> {
    levels: usize,
    /// The name of a member is a text whatever it is made of, and may be a number of any size.
    in_key: bool,
    flaw: &'a mut Option<Flaw>,
}

impl Compact<'_> {
    fn new(flaw: &mut Option<Flaw>) -> Compact<'_> {
        Compact { levels: 0, in_key: false, flaw }
    }

    fn stop(&mut self, flaw: Flaw) -> io::Result<()> {
        *self.flaw = Some(flaw);
        // Seen by nobody: the flaw says it better.
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

    /// JSON that was ready before: how deep it is nobody has counted yet.
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

/// How deep arrays and objects are nested in JSON text. By its bytes: a reader that calls itself would end at its own limit.
fn depth(json: &str) -> usize {
    let (mut levels, mut most, mut in_text) = (0_usize, 0, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_text = !in_text,
            // What follows it ends no text.
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
    fn depth_is_that_of_brackets_outside_of_texts() {
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
