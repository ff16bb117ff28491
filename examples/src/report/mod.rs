//! The task `generate_report`: the history of the queue as a document.
//!
//! Depends on `history` for the figures, on `pdf` and `text` for the formats, and on `job_output` for the
//! file. The name of a report becomes a file name, so its characters are checked before a file is opened.

mod history;
mod pdf;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use qdjobs::rusqlite::{self, ErrorCode};
use qdjobs::{TaskError, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::job_output::{Draft, Run, Step, file_error};
use history::History;

/// Longest name of a report.
const NAME_BYTES_MAX: usize = 64;

/// Longest range, in days: a page has space for one bar per day.
const DAYS_MAX: i64 = 366;

/// Longest range with one bar per hour by default, in days.
const HOURLY_DAYS_MAX: i64 = 3;

const DAY_MICROS: i64 = 86_400_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// The parsed parameters of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRequest {
    /// The name, which is the title and the file name.
    pub name: String,
    /// The format of the document.
    pub format: Format,
    /// The start of the range: jobs that ended at this instant or later.
    pub since: Timestamp,
    /// The end of the range: jobs that ended before this instant.
    pub until: Timestamp,
    /// The duration of one bar of the chart, in microseconds.
    pub bucket_micros: i64,
    /// Other parameters, which are printed in the report.
    pub notes: Vec<(String, String)>,
}

/// The format of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For reading and printing.
    Pdf,
    /// The table of tasks, for a spreadsheet.
    Csv,
    /// For a browser.
    Html,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 3] = [Format::Pdf, Format::Csv, Format::Html];

    /// The extension of the file name.
    pub const fn ending(self) -> &'static str {
        match self {
            Format::Pdf => "pdf",
            Format::Csv => "csv",
            Format::Html => "html",
        }
    }

    /// The content type over HTTP.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Pdf => "application/pdf",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Html => "text/html; charset=utf-8",
        }
    }
}

/// The result of the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The path of the report on the service: `/reports/<report_type>.pdf`.
    pub report_url: String,
    /// The number of jobs in the report.
    pub jobs: u64,
    /// The size of the document.
    pub bytes: u64,
}

/// The database that reports are read from, and the directory that they are written to.
#[derive(Clone, Debug)]
pub struct Archive {
    database: PathBuf,
    folder: PathBuf,
}

impl Archive {
    /// Reports on the queue in `database`, written to `folder`, which is created with the first report.
    pub fn new(database: &Path, folder: &Path) -> Archive {
        Archive { database: database.to_owned(), folder: folder.to_owned() }
    }

    /// The directory of the reports.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the report. It replaces an earlier one of the same name.
    pub fn generate(
        &self,
        name: &str,
        params: &Map<String, Value>,
        now: Timestamp,
        run: &Run,
        step: Step<'_>,
    ) -> Result<Generated, TaskError> {
        let request = ReportRequest::read(name, params, now).map_err(TaskError::permanent)?;
        step(0.1, "reading the history")?;
        let history =
            History::read(&self.database, &request).map_err(|error| unread(&self.database, &error))?;
        step(0.6, "writing the document")?;
        let document = match request.format {
            Format::Pdf => pdf::write(&request, &history, now),
            Format::Csv => text::csv(&history).into_bytes(),
            Format::Html => text::html(&request, &history, now).into_bytes(),
        };
        let file = format!("{}.{}", request.name, request.format.ending());
        let target = self.folder.join(&file);
        fs::create_dir_all(&self.folder)
            .and_then(|()| Draft::new(&target, run).write(&document))
            .map_err(|error| file_error(format!("cannot write {}", target.display()), &error))?;
        Ok(Generated {
            report_url: format!("/reports/{file}"),
            jobs: history.total().ended(),
            bytes: document.len() as u64,
        })
    }

    /// The document named `file` and its content type, if it exists. Only names that a report can have are
    /// opened, so a name cannot refer to another directory.
    pub fn open(&self, file: &str) -> Option<(Vec<u8>, &'static str)> {
        let (name, ending) = file.split_once('.')?;
        let format = Format::ALL.into_iter().find(|format| format.ending() == ending)?;
        check_name(name).ok()?;
        let document = fs::read(self.folder.join(file)).ok()?;
        Some((document, format.content_type()))
    }
}

impl ReportRequest {
    /// Parses the parameters of the task. The range is relative to `now`.
    pub fn read(name: &str, params: &Map<String, Value>, now: Timestamp) -> Result<ReportRequest, String> {
        check_name(name)?;
        let text = |key: &str| params.get(key).map(plain).filter(|text| !text.is_empty());
        let format = match text("format").as_deref() {
            None => Format::Pdf,
            Some(word) => Format::ALL
                .into_iter()
                .find(|format| format.ending() == word)
                .ok_or_else(|| format!("`format` is `{word}`; write pdf, csv or html"))?,
        };
        let until = text("until").map_or(Ok(now), |text| instant("until", &text))?;
        let since = match (text("since"), text("days")) {
            (Some(_), Some(_)) => return Err("write `since` or `days`, not both".to_owned()),
            (Some(text), None) => instant("since", &text)?,
            (None, days) => before(until, days.map_or(Ok(usual_days(name)), |text| self::days(&text))?),
        };
        let span = until.as_microsecond() - since.as_microsecond();
        if span <= 0 {
            return Err(format!("`until` ({until}) is not after `since` ({since})"));
        }
        if span > DAYS_MAX * DAY_MICROS {
            return Err(format!("the range is longer than {DAYS_MAX} days; write a later `since`"));
        }
        let bucket_micros = match text("per").as_deref() {
            None if span <= HOURLY_DAYS_MAX * DAY_MICROS => HOUR_MICROS,
            None | Some("day") => DAY_MICROS,
            Some("hour") if span <= 31 * DAY_MICROS => HOUR_MICROS,
            Some("hour") => return Err("`per` can be hour for up to 31 days; write day".to_owned()),
            Some(word) => return Err(format!("`per` is `{word}`; write hour or day")),
        };
        let known = ["format", "days", "since", "until", "per"];
        let notes = params
            .iter()
            .filter(|(key, _)| !known.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), plain(value)))
            .collect();
        Ok(ReportRequest { name: name.to_owned(), format, since, until, bucket_micros, notes })
    }
}

/// The error for a database that cannot be read. A damaged file is the same at the next attempt; a lock or a
/// disk that does not respond can pass.
fn unread(database: &Path, error: &rusqlite::Error) -> TaskError {
    let text = format!("cannot read {}: {error}", database.display());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::PermissionDenied) => {
            TaskError::permanent(text)
        }
        _ => TaskError::retry(text),
    }
}

/// Checks that a name has only characters that are safe in file names and URLs.
fn check_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(format!(
        "`report_type` is `{}`, which cannot be the name of a report; use 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ -",
        shown.escape_debug()
    ))
}

/// The default range of a report, by its name.
fn usual_days(name: &str) -> i64 {
    match name {
        "daily" => 1,
        "monthly" => 30,
        _ => 7,
    }
}

/// A value as text: the values of a query string are all texts.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn days(text: &str) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|days| (1..=DAYS_MAX).contains(days))
        .ok_or_else(|| format!("`days` is `{text}`; write a whole number from 1 to {DAYS_MAX}"))
}

/// A date, an instant, or an instant without an offset, in UTC.
fn instant(key: &str, text: &str) -> Result<Timestamp, String> {
    [text.to_owned(), format!("{text}Z"), format!("{text}T00:00:00Z")]
        .iter()
        .find_map(|text| text.parse().ok())
        .ok_or_else(|| {
            format!(
                "`{key}` is `{text}`; write a date like 2026-11-23 or an instant like 2026-11-23T16:40:39Z"
            )
        })
}

fn before(until: Timestamp, days: i64) -> Timestamp {
    Timestamp::from_microsecond(until.as_microsecond() - days * DAY_MICROS).unwrap_or(Timestamp::MIN)
}

/// A duration for people.
fn show_span(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.2} s"),
        s if s < 3600.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}

fn show_share(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

fn show_instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// The label of a bar: an hour or a day.
fn show_bucket(start: Timestamp, bucket_micros: i64) -> String {
    let format = if bucket_micros == HOUR_MICROS { "%m-%d %H:00" } else { "%m-%d" };
    start.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-11-23T16:40:39Z".parse().unwrap()
    }

    fn parsed(name: &str, params: Value) -> Result<ReportRequest, String> {
        ReportRequest::read(name, params.as_object().unwrap(), now())
    }

    #[test]
    fn a_report_without_params_covers_a_week_as_pdf() {
        let request = parsed("sales", json!({})).unwrap();
        assert_eq!((request.format, request.until), (Format::Pdf, now()));
        assert_eq!(request.since, "2026-11-16T16:40:39Z".parse().unwrap());
        assert_eq!(request.bucket_micros, DAY_MICROS);
    }

    #[test]
    fn params_can_be_texts_as_in_a_query_string_and_unknown_ones_become_notes() {
        let given = json!({"days": "2", "format": "csv", "region": "north", "limit": 5});
        let request = parsed("sales", given).unwrap();
        assert_eq!((request.format, request.bucket_micros), (Format::Csv, HOUR_MICROS));
        assert_eq!(
            request.notes,
            [("limit".to_owned(), "5".to_owned()), ("region".to_owned(), "north".to_owned())]
        );
    }

    #[test]
    fn the_error_for_an_invalid_param_says_what_to_write() {
        for (name, params, named) in [
            ("../etc/passwd", json!({}), "report_type"),
            ("", json!({}), "report_type"),
            ("a.b", json!({}), "report_type"),
            ("é", json!({}), "report_type"),
            ("sales", json!({"format": "docx"}), "pdf, csv or html"),
            ("sales", json!({"days": 0}), "`days`"),
            ("sales", json!({"days": -1}), "`days`"),
            ("sales", json!({"days": 1e9}), "`days`"),
            ("sales", json!({"days": 3, "since": "2026-11-01"}), "not both"),
            ("sales", json!({"since": "yesterday"}), "2026-11-23"),
            ("sales", json!({"since": "2026-11-24"}), "not after"),
            ("sales", json!({"since": "2020-01-01"}), "366"),
            ("sales", json!({"per": "minute"}), "hour or day"),
        ] {
            let error = parsed(name, params.clone()).unwrap_err();
            assert!(error.contains(named), "{name} {params}: {error}");
        }
        assert!(parsed(&"a".repeat(65), json!({})).is_err());
    }

    #[test]
    fn dates_and_instants_are_parsed() {
        for text in ["2026-11-20", "2026-11-20T00:00:00", "2026-11-20T00:00:00Z", "2026-11-20T01:00:00+01:00"]
        {
            let request = parsed("sales", json!({"since": text})).unwrap();
            assert_eq!(request.since, "2026-11-20T00:00:00Z".parse().unwrap());
        }
    }

    #[test]
    fn only_files_with_the_name_of_a_report_are_opened() {
        let folder = crate::job_output::tests::Folder::new("archive");
        fs::create_dir(folder.0.join("reports")).unwrap();
        fs::write(folder.0.join("secret.pdf"), "x").unwrap();
        fs::write(folder.0.join("reports/a.pdf"), "a").unwrap();
        fs::write(folder.0.join("reports/.a.pdf.1-1.part"), "a").unwrap();
        fs::create_dir(folder.0.join("reports/sub")).unwrap();
        fs::write(folder.0.join("reports/sub/a.pdf"), "a").unwrap();
        let archive = Archive::new(Path::new("jobs.db"), &folder.0.join("reports"));
        assert_eq!(archive.open("a.pdf"), Some((b"a".to_vec(), "application/pdf")));
        for name in [
            "../secret.pdf",
            "sub/a.pdf",
            "b.pdf",
            "a",
            "a.txt",
            ".a.pdf.1-1.part",
            "",
            ".pdf",
            "a.pdf/",
            "/a.pdf",
        ] {
            assert_eq!(archive.open(name), None, "{name}");
        }
    }

    #[test]
    fn durations_are_shown_in_a_readable_unit() {
        let shown = [0.00025, 0.25, 1.5, 125.0, 7_260.0].map(show_span);
        assert_eq!(shown, ["250 µs", "250 ms", "1.50 s", "2 min 05 s", "2 h 01 min"]);
    }
}
