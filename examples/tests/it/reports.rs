//! Tests of `generate_report` with known figures: lopdf reads the PDF, and csv reads the CSV.

use std::fs;

use lopdf::Document;
use qdjobs::rusqlite::{Connection, params};
use qdjobs::{JobId, TaskErrorKind, Timestamp};
use qdjobs_examples::job_output::Run;
use qdjobs_examples::report::{Archive, Generated};
use serde_json::{Map, Value, json};

use crate::Folder;

const NOW: &str = "2026-11-23T16:40:39Z";

/// A directory with a database whose table `qdjobs_jobs` has the columns that a report reads.
struct Past {
    folder: Folder,
    db: Connection,
}

impl Past {
    fn new(test: &str) -> Past {
        let folder = Folder::new(test);
        let db = Connection::open(folder.0.join("jobs.db")).unwrap();
        db.execute_batch(
            "CREATE TABLE qdjobs_jobs (id INTEGER PRIMARY KEY, task_name TEXT, status TEXT, started_at INTEGER,
                                       completed_at INTEGER, error TEXT)",
        )
        .unwrap();
        Past { folder, db }
    }

    fn job(&self, task: &str, status: &str, ended: &str, micros: i64, error: Option<&str>) {
        let ended: Timestamp = ended.parse().unwrap();
        let ended = Some(ended.as_microsecond()).filter(|_| !["pending", "running"].contains(&status));
        self.db
            .execute(
                "INSERT INTO qdjobs_jobs (task_name, status, started_at, completed_at, error) VALUES (?, ?, ?, ?, ?)",
                params![task, status, ended.map(|ended| ended - micros), ended, error],
            )
            .unwrap();
    }

    fn report(&self, name: &str, params: Value) -> Generated {
        let params: Map<String, Value> = params.as_object().unwrap().clone();
        let run = Run { job: JobId(7), created_at: Timestamp::UNIX_EPOCH, attempt: 1 };
        self.archive().generate(name, &params, NOW.parse().unwrap(), &run, &mut |_, _| Ok(())).unwrap()
    }

    fn archive(&self) -> Archive {
        Archive::new(&self.folder.0.join("jobs.db"), &self.folder.0.join("reports"))
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.0.join("reports").join(name)).unwrap()
    }
}

/// A hundred emails of 1 to 100 ms, a failed one, a cancelled one, and jobs outside of the week.
fn week(test: &str) -> Past {
    let past = Past::new(test);
    for millis in 1..=100 {
        past.job("send_email", "completed", "2026-11-20T10:00:00Z", millis * 1000, None);
    }
    past.job(
        "send_email",
        "failed",
        "2026-11-21T10:00:00Z",
        5000,
        Some("550 no such user „Zoë“ (日本)\nsecond line"),
    );
    past.job("send_email", "cancelled", "2026-11-21T10:00:00Z", 0, None);
    past.job("process_image", "completed", "2026-11-23T16:40:38Z", 2_500_000, None);
    past.job("process_image", "completed", NOW, 1, None);
    past.job("send_email", "completed", "2026-11-16T16:40:38Z", 1, None);
    past.job("send_email", "pending", NOW, 0, None);
    past.job("send_email", "running", NOW, 0, None);
    past
}

fn text(pdf: &Document) -> String {
    let pages: Vec<u32> = pdf.get_pages().into_keys().collect();
    pdf.extract_text(&pages).unwrap()
}

#[test]
fn the_pdf_contains_the_figures() {
    let past = week("pdf");
    let made = past.report("sales", json!({"region": "north"}));
    assert_eq!((made.report_url.as_str(), made.jobs), ("/reports/sales.pdf", 103));
    let bytes = past.file("sales.pdf");
    assert_eq!(bytes.len() as u64, made.bytes);
    let pdf = Document::load_mem(&bytes).unwrap();
    assert_eq!(pdf.get_pages().len(), 1);
    let text = text(&pdf);
    for shown in [
        "sales",
        "2026-11-16 16:40 to 2026-11-23 16:40 UTC",
        "region: north",
        "103",        // ended
        "99.0 %",     // 101 of 102
        "50 ms",      // median of 1 to 100 ms, by nearest rank
        "95 ms",      // their 95th percentile
        "2.50 s",     // the one picture
        "„Zoë“ (??)", // characters of the fonts, and characters that they lack
        "second line",
        "1 of 1",
    ] {
        assert!(text.contains(shown), "`{shown}` is missing in:\n{text}");
    }
    assert!(past.folder.names().iter().all(|name| !name.contains("part")));
}

#[test]
fn a_later_report_replaces_the_one_of_the_same_name() {
    let past = week("renew");
    let first = past.report("sales", json!({}));
    past.job("send_email", "failed", "2026-11-22T10:00:00Z", 5000, Some("a new error"));
    let second = past.report("sales", json!({}));
    assert_eq!(first.report_url, second.report_url);
    assert!(text(&Document::load_mem(&past.file("sales.pdf")).unwrap()).contains("a new error"));
    assert_eq!(fs::read_dir(past.folder.0.join("reports")).unwrap().count(), 1);
}

#[test]
fn a_long_report_has_pages_with_the_table_header_on_each() {
    let past = Past::new("long");
    for task in 0..90 {
        past.job(&format!("task_{task:03}"), "completed", "2026-11-20T10:00:00Z", 1000, None);
    }
    for _ in 0..20 {
        past.job(
            "task_000",
            "failed",
            "2026-11-21T10:00:00Z",
            1000,
            Some(&"words that fill a line ".repeat(60)),
        );
    }
    past.report("long", json!({}));
    let pdf = Document::load_mem(&past.file("long.pdf")).unwrap();
    let pages = pdf.get_pages().len();
    assert!(pages >= 4, "{pages} pages");
    let all = text(&pdf);
    assert!((0..90).all(|task| all.contains(&format!("task_{task:03}"))));
    for page in 1..=pages as u32 {
        let text = pdf.extract_text(&[page]).unwrap();
        assert!(text.contains(&format!("{page} of {pages}")), "page {page}:\n{text}");
        if (2..4).contains(&page) {
            assert!(text.contains("Median"), "page {page}:\n{text}");
        }
    }
}

#[test]
fn an_empty_history_is_a_report_too() {
    let past = Past::new("empty");
    for format in ["pdf", "csv", "html"] {
        assert_eq!(past.report("daily", json!({ "format": format })).jobs, 0);
    }
    assert!(text(&Document::load_mem(&past.file("daily.pdf")).unwrap()).contains("No job ended"));
}

#[test]
fn the_csv_has_one_line_for_each_task() {
    let past = week("csv");
    past.job("odd,\"name\"", "failed", "2026-11-20T10:00:00Z", 1, None);
    assert_eq!(past.report("sales", json!({"format": "csv"})).report_url, "/reports/sales.csv");
    let bytes = past.file("sales.csv");
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    assert_eq!(reader.headers().unwrap().get(0), Some("task"));
    let rows: Vec<Vec<String>> =
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    assert_eq!(rows[0], ["send_email", "100", "1", "1", "0.9901", "0.050000", "0.095000"]);
    assert_eq!(rows[1], ["odd,\"name\"", "0", "1", "0", "0.0000", "", ""]);
    assert_eq!(rows[2], ["process_image", "1", "0", "0", "1.0000", "2.500000", "2.500000"]);
}

#[test]
fn the_html_escapes_texts() {
    let past = week("html");
    past.job("x", "failed", "2026-11-20T10:00:00Z", 1, Some("<script>alert(1)</script>"));
    past.report("sales", json!({"format": "html", "<b>": "\"><img src=x>"}));
    let page = String::from_utf8(past.file("sales.html")).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("send_email"));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
}

#[test]
fn a_name_with_a_path_is_a_permanent_error_and_writes_nothing() {
    let past = week("traversal");
    let run = Run { job: JobId(7), created_at: Timestamp::UNIX_EPOCH, attempt: 1 };
    for name in ["../up", "a/b", "..", "", "a.pdf", "a\0"] {
        let error = past
            .archive()
            .generate(name, &Map::new(), NOW.parse().unwrap(), &run, &mut |_, _| Ok(()))
            .unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Permanent, "{name}: {error}");
    }
    assert!(!past.folder.names().contains(&"reports".to_owned()));
}

#[test]
fn a_folder_or_a_database_that_can_never_be_used_is_a_permanent_error() {
    let past = week("file");
    fs::write(past.folder.0.join("reports"), "").unwrap();
    fs::write(past.folder.0.join("text.db"), "not a database, whatever its name says".repeat(100)).unwrap();
    let run = Run { job: JobId(7), created_at: Timestamp::UNIX_EPOCH, attempt: 1 };
    let text = Archive::new(&past.folder.0.join("text.db"), &past.folder.0.join("other"));
    for archive in [past.archive(), text] {
        let error = archive
            .generate("sales", &Map::new(), NOW.parse().unwrap(), &run, &mut |_, _| Ok(()))
            .unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
    }
    assert!(!past.folder.names().contains(&"other".to_owned()));
}
