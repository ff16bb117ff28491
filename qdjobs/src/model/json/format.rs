//! The format of stored JSON: no spaces, a limit of nesting, and integers of 64 bits: [`Compact`].
//!
//! Which values are refused before they get here is in `strict.rs`.
//!
//! Depends on serde_json.

use std::io;

use serde_json::ser::Formatter;

use super::flaw::{Flaw, Found};
use super::text::depth;
use crate::model::job::JSON_DEPTH_MAX;

/// The formatter of JSON without spaces. It stops at nesting that is too deep, at an integer that is too wide, and
/// at raw JSON that is `null` in a `Some`.
///
/// The serializer calls it, so the check costs only a counter. A check of the finished text would cost as
/// much as writing it.
pub(super) struct Compact<'f> {
    levels: usize,
    /// Whether a member name is being written. A number in it is part of a text, so it can have any size.
    in_key: bool,
    found: &'f Found,
}

impl Compact<'_> {
    pub(super) fn new(found: &Found) -> Compact<'_> {
        Compact { levels: 0, in_key: false, found }
    }

    fn stop(&self, flaw: Flaw) -> io::Result<()> {
        self.found.flaw.set(Some(flaw));
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
        if fits || self.in_key || self.found.rules.takes_wide {
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
        if self.found.raw_in_some.take() && fragment.trim_ascii() == "null" {
            return self.stop(Flaw::SomeNull);
        }
        writer.write_all(fragment.as_bytes())
    }
}
