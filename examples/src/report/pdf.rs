//! A report as PDF: A4 pages in two standard fonts.
//!
//! Depends on pdf-writer for the objects of the file, and on `history` for the figures. Contains the layout:
//! the parts of a page, page breaks, and the width of text. Reads no database.

use pdf_writer::{Content, Date, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use qdjobs::Timestamp;

use super::history::{Bucket, History};
use super::{ReportRequest, show_bucket, show_instant, show_share, show_span};

const PAGE: (f32, f32) = (595.0, 842.0);
const LEFT: f32 = 56.0;
const RIGHT: f32 = PAGE.0 - 56.0;
const TOP: f32 = PAGE.1 - 60.0;
/// The lower margin, above the page number.
const BOTTOM: f32 = 64.0;

const CHART_HEIGHT: f32 = 130.0;
/// The number of lines that are shown of an error.
const ERROR_LINES_MAX: usize = 4;

const REGULAR: Name<'static> = Name(b"F1");
const BOLD: Name<'static> = Name(b"F2");

type Color = [f32; 3];
const INK: Color = [0.11, 0.15, 0.20];
const DIM: Color = [0.42, 0.46, 0.52];
const LINE: Color = [0.86, 0.88, 0.91];
const GOOD: Color = [0.18, 0.49, 0.36];
const BAD: Color = [0.76, 0.27, 0.24];

/// The right edges of the columns with figures.
const COLUMNS: [(&str, f32); 6] = [
    ("Completed", 270.0),
    ("Failed", 320.0),
    ("Cancelled", 378.0),
    ("Success", 428.0),
    ("Median", 484.0),
    ("95 %", RIGHT),
];

/// The PDF document.
pub(super) fn write(request: &ReportRequest, history: &History, now: Timestamp) -> Vec<u8> {
    let mut sheets = Sheets::new();
    heading(&mut sheets, request, now);
    summary(&mut sheets, history);
    chart(&mut sheets, request, &history.buckets);
    tasks(&mut sheets, history);
    errors(&mut sheets, history);
    assemble(sheets, request, now)
}

fn heading(sheets: &mut Sheets, request: &ReportRequest, now: Timestamp) {
    sheets.down(10.0);
    sheets.text(LEFT, 24.0, BOLD, INK, &clip(&request.name, 30.0, RIGHT - LEFT));
    sheets.down(22.0);
    let range = format!(
        "{} to {} UTC · made {} UTC",
        show_instant(request.since),
        show_instant(request.until),
        show_instant(now)
    );
    sheets.text(LEFT, 9.5, REGULAR, DIM, &range);
    for (key, value) in &request.notes {
        for line in wrap(&format!("{key}: {value}"), 9.5, RIGHT - LEFT, ERROR_LINES_MAX) {
            sheets.line(13.0);
            sheets.text(LEFT, 9.5, REGULAR, DIM, &line);
        }
    }
}

/// A row of six figures.
fn summary(sheets: &mut Sheets, history: &History) {
    let total = history.total();
    sheets.line(46.0);
    let figures = [
        ("ended", total.ended().to_string()),
        ("completed", total.completed.to_string()),
        ("failed", total.failed.to_string()),
        ("success rate", show_share(total.completed, total.judged())),
        ("pending now", history.pending.to_string()),
        ("running now", history.running.to_string()),
    ];
    let width = (RIGHT - LEFT) / figures.len() as f32;
    for (at, (name, figure)) in figures.iter().enumerate() {
        let x = LEFT + at as f32 * width;
        sheets.text(x, 16.0, BOLD, if *name == "failed" && total.failed > 0 { BAD } else { INK }, figure);
        sheets.text_below(x, 12.0, 8.0, DIM, name);
    }
    sheets.down(14.0);
}

/// A bar for each hour or day: completed jobs, with the failed jobs on top.
fn chart(sheets: &mut Sheets, request: &ReportRequest, buckets: &[Bucket]) {
    section(sheets, "Throughput", CHART_HEIGHT + 50.0);
    let highest = buckets.iter().map(|bucket| bucket.completed + bucket.failed).max().unwrap_or(0);
    let ceiling = round_up(highest.max(1));
    sheets.line(CHART_HEIGHT + 18.0);
    let (floor, left) = (sheets.y, LEFT + 30.0);
    for quarter in 0..=2 {
        let y = floor + CHART_HEIGHT * quarter as f32 / 2.0;
        sheets.rule(left, RIGHT, y);
        let value = ceiling as f64 * f64::from(quarter) / 2.0;
        sheets.text_right_at(left - 6.0, y - 3.0, 8.0, DIM, &value.to_string());
    }
    let width = (RIGHT - left) / buckets.len().max(1) as f32;
    let height = |count: u64| count as f32 / ceiling as f32 * CHART_HEIGHT;
    for (at, bucket) in buckets.iter().enumerate() {
        let x = left + at as f32 * width + width * 0.12;
        sheets.bar(x, floor, width * 0.76, height(bucket.completed), GOOD);
        sheets.bar(x, floor + height(bucket.completed), width * 0.76, height(bucket.failed), BAD);
    }
    // As many labels as fit without overlap.
    let names_every = (62.0 / width).ceil().max(1.0) as usize;
    sheets.down(14.0);
    for (at, bucket) in buckets.iter().enumerate().step_by(names_every) {
        let name = show_bucket(bucket.start, request.bucket_micros);
        let middle = left + (at as f32 + 0.5) * width;
        let x = (middle - measure(&name, 8.0) / 2.0).clamp(left, RIGHT - measure(&name, 8.0));
        sheets.text(x, 8.0, REGULAR, DIM, &name);
    }
    sheets.down(16.0);
    sheets.bar(left, sheets.y, 7.0, 7.0, GOOD);
    sheets.text(left + 11.0, 8.0, REGULAR, DIM, "completed");
    sheets.bar(left + 66.0, sheets.y, 7.0, 7.0, BAD);
    sheets.text(left + 77.0, 8.0, REGULAR, DIM, "failed");
}

fn tasks(sheets: &mut Sheets, history: &History) {
    section(sheets, "Tasks", 60.0);
    if history.tasks.is_empty() {
        sheets.line(18.0);
        sheets.text(LEFT, 10.0, REGULAR, DIM, "No job ended in this time.");
        return;
    }
    columns(sheets);
    for task in &history.tasks {
        if sheets.line(18.0) {
            columns(sheets);
            sheets.line(18.0);
        }
        let span = |span: Option<f64>| span.map_or("–".to_owned(), show_span);
        sheets.text(LEFT, 10.0, REGULAR, INK, &clip(&task.name, 10.0, COLUMNS[0].1 - LEFT - 50.0));
        let figures = [
            task.ends.completed.to_string(),
            task.ends.failed.to_string(),
            task.ends.cancelled.to_string(),
            show_share(task.ends.completed, task.ends.judged()),
            span(task.median),
            span(task.p95),
        ];
        for ((_, right), figure) in COLUMNS.iter().zip(&figures) {
            sheets.text_right_at(*right, sheets.y, 10.0, INK, figure);
        }
        sheets.rule(LEFT, RIGHT, sheets.y - 5.5);
    }
}

/// The header of the table, on each page of the table.
fn columns(sheets: &mut Sheets) {
    sheets.line(18.0);
    sheets.text(LEFT, 8.5, REGULAR, DIM, "Task");
    for (name, right) in COLUMNS {
        sheets.text_right_at(right, sheets.y, 8.5, DIM, name);
    }
    sheets.rule(LEFT, RIGHT, sheets.y - 5.5);
}

fn errors(sheets: &mut Sheets, history: &History) {
    if history.errors.is_empty() {
        return;
    }
    section(sheets, "Newest errors", 60.0);
    for error in &history.errors {
        let lines = wrap(&error.error, 9.5, RIGHT - LEFT, ERROR_LINES_MAX);
        // An error is not split over pages.
        sheets.room(19.0 + lines.len() as f32 * 12.5);
        sheets.line(19.0);
        let about = format!("{} UTC · {} · job {}", show_instant(error.at), error.task, error.job);
        sheets.text(LEFT, 8.5, REGULAR, DIM, &clip(&about, 8.5, RIGHT - LEFT));
        for line in lines {
            sheets.line(12.5);
            sheets.text(LEFT, 9.5, REGULAR, INK, &line);
        }
    }
}

/// A headline. `follows` is the height that must fit below it on the same page.
fn section(sheets: &mut Sheets, title: &str, follows: f32) {
    sheets.room(36.0 + follows);
    sheets.line(36.0);
    sheets.text(LEFT, 13.0, BOLD, INK, title);
}

/// The pages, filled from the top.
struct Sheets {
    pages: Vec<Content>,
    /// The distance of the baseline from the lower edge.
    y: f32,
}

impl Sheets {
    fn new() -> Sheets {
        Sheets { pages: vec![Content::new()], y: TOP }
    }

    fn page(&mut self) -> &mut Content {
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }

    /// Starts a new page if this one has less space than `height`; returns whether it did.
    fn room(&mut self, height: f32) -> bool {
        let full = self.y - height < BOTTOM;
        if full {
            self.pages.push(Content::new());
            self.y = TOP;
        }
        full
    }

    /// Moves to the next baseline, `height` below, on this page or at the top of the next one.
    fn line(&mut self, height: f32) -> bool {
        let broke = self.room(height);
        if !broke {
            self.y -= height;
        }
        broke
    }

    /// Moves down by `height`, within the space that `room` has checked.
    fn down(&mut self, height: f32) {
        self.y -= height;
    }

    fn text(&mut self, x: f32, size: f32, font: Name<'_>, color: Color, text: &str) {
        let y = self.y;
        show(self.page(), (x, y), size, font, color, text);
    }

    fn text_below(&mut self, x: f32, below: f32, size: f32, color: Color, text: &str) {
        let y = self.y - below;
        show(self.page(), (x, y), size, REGULAR, color, text);
    }

    fn text_right_at(&mut self, right: f32, y: f32, size: f32, color: Color, text: &str) {
        show(self.page(), (right - measure(text, size), y), size, REGULAR, color, text);
    }

    fn rule(&mut self, from: f32, to: f32, y: f32) {
        let [r, g, b] = LINE;
        let page = self.page();
        page.set_line_width(0.6).set_stroke_rgb(r, g, b).move_to(from, y).line_to(to, y).stroke();
    }

    fn bar(&mut self, x: f32, y: f32, width: f32, height: f32, [r, g, b]: Color) {
        if height > 0.0 {
            self.page().set_fill_rgb(r, g, b).rect(x, y, width, height).fill_nonzero();
        }
    }
}

fn show(page: &mut Content, (x, y): (f32, f32), size: f32, font: Name<'_>, [r, g, b]: Color, text: &str) {
    page.begin_text().set_fill_rgb(r, g, b).set_font(font, size).next_line(x, y);
    page.show(Str(&win_ansi(text))).end_text();
}

/// Writes the pages with their numbers, and the structure of the document.
fn assemble(sheets: Sheets, request: &ReportRequest, now: Timestamp) -> Vec<u8> {
    let [catalog, tree, info, regular, bold] = [1, 2, 3, 4, 5].map(Ref::new);
    let count = sheets.pages.len() as i32;
    let ids = |at: i32| (Ref::new(6 + 2 * at), Ref::new(7 + 2 * at));
    let mut pdf = Pdf::new();
    let mut root = pdf.catalog(catalog);
    root.pages(tree).lang(TextStr("en"));
    root.viewer_preferences().display_doc_title(true);
    root.finish();
    pdf.pages(tree).kids((0..count).map(|at| ids(at).0)).count(count);
    for (at, mut content) in (0..count).zip(sheets.pages) {
        let (page_id, content_id) = ids(at);
        let number = format!("{} of {count}", at + 1);
        show(&mut content, (LEFT, 40.0), 8.0, REGULAR, DIM, &clip(&request.name, 8.0, 300.0));
        show(&mut content, (RIGHT - measure(&number, 8.0), 40.0), 8.0, REGULAR, DIM, &number);
        let mut page = pdf.page(page_id);
        page.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(tree).contents(content_id);
        page.resources().fonts().pair(REGULAR, regular).pair(BOLD, bold);
        page.finish();
        pdf.stream(content_id, &content.finish());
    }
    for (id, name) in [(regular, &b"Helvetica"[..]), (bold, b"Helvetica-Bold")] {
        pdf.type1_font(id).base_font(Name(name)).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    pdf.document_info(info).title(TextStr(&request.name)).creator(TextStr("qdjobs")).creation_date(date(now));
    pdf.finish()
}

fn date(at: Timestamp) -> Date {
    let part = |format: &str| at.strftime(format).to_string().parse::<u16>().unwrap_or(0);
    let small = |format: &str| part(format) as u8;
    Date::new(part("%Y"))
        .month(small("%m"))
        .day(small("%d"))
        .hour(small("%H"))
        .minute(small("%M"))
        .second(small("%S"))
        .utc_offset_hour(0)
}

/// Rounds up to a number for the axis of a chart that can be halved: 2, 4, 6, 8, 10, 20, 40, …
fn round_up(value: u64) -> u64 {
    let steps = (0..).flat_map(|power| {
        [2, 4, 6, 8, 10].map(|digit: u64| digit.saturating_mul(10_u64.saturating_pow(power)))
    });
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

/// Text in the encoding of the fonts. A character that is not in it becomes a question mark.
fn win_ansi(text: &str) -> Vec<u8> {
    text.chars().map(win_ansi_byte).collect()
}

fn win_ansi_byte(c: char) -> u8 {
    /// 0x80 to 0x9F of Windows-1252; the rest is Latin-1.
    const WINDOWS: [char; 32] = [
        '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘', '’',
        '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
    ];
    match c {
        ' '..='~' | '\u{a0}'..='\u{ff}' => c as u8,
        c if c.is_control() => b' ',
        c => WINDOWS.iter().position(|&letter| letter == c).map_or(b'?', |at| 0x80 + at as u8),
    }
}

/// The width of `text` in the regular font.
fn measure(text: &str, size: f32) -> f32 {
    text.chars().map(|c| f32::from(advance(c))).sum::<f32>() * size / 1000.0
}

/// The advance widths of Helvetica for ASCII, in thousandths of the font size, from its published metrics.
/// Other characters get a large width, so that a line is not too long.
fn advance(c: char) -> u16 {
    const ASCII: [u16; 95] = [
        278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556,
        556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778,
        722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278,
        278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
        556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
    ];
    match c {
        ' '..='~' => ASCII[c as usize - 0x20],
        '–' | 'µ' => 556,
        '·' => 278,
        '…' | '—' | '‰' | '™' | 'Œ' | 'Æ' => 1000,
        _ => 722,
    }
}

/// `text` on one line of this width, shortened with an ellipsis.
fn clip(text: &str, size: f32, width: f32) -> String {
    if measure(text, size) <= width {
        return text.to_owned();
    }
    let mut room = width - measure("…", size);
    let mut clipped: String = text
        .chars()
        .take_while(|&c| {
            room -= f32::from(advance(c)) * size / 1000.0;
            room >= 0.0
        })
        .collect();
    clipped.push('…');
    clipped
}

/// `text` on at most `lines_max` lines of this width, broken between words if possible.
fn wrap(text: &str, size: f32, width: f32, lines_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if measure(&longer, size) <= width {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line = break_word(word, size, width, &mut lines);
        }
        lines.push(line);
        // The rest is not shown, and an error can have 8 KiB.
        if lines.len() > lines_max {
            break;
        }
    }
    if lines.len() > lines_max {
        lines.truncate(lines_max);
        if let Some(last) = lines.last_mut() {
            *last = clip(&format!("{last} …"), size, width);
        }
    }
    lines
}

/// Appends the parts of a word that is wider than a line to `lines` and returns the rest.
fn break_word(word: &str, size: f32, width: f32, lines: &mut Vec<String>) -> String {
    let mut line = String::new();
    for c in word.chars() {
        if measure(&line, size) + f32::from(advance(c)) * size / 1000.0 > width {
            lines.push(std::mem::take(&mut line));
        }
        line.push(c);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_written_in_the_encoding_of_the_fonts() {
        assert_eq!(win_ansi("a~ é€–…Ÿ"), [b'a', b'~', b' ', 0xE9, 0x80, 0x96, 0x85, 0x9F]);
        assert_eq!(win_ansi("\n日\0"), *b" ? ");
    }

    #[test]
    fn lines_fit_whatever_the_text_is() {
        let words = "a few words that go over the line ".repeat(20);
        let unbroken = "W".repeat(500);
        for text in [words.as_str(), &unbroken, "short", "two\nlines", "ünïcödé ".repeat(40).as_str()] {
            let lines = wrap(text, 9.5, 200.0, 4);
            assert!((1..=4).contains(&lines.len()), "{lines:?}");
            assert!(lines.iter().all(|line| measure(line, 9.5) <= 200.0), "{lines:?}");
        }
        assert!(wrap(&unbroken, 9.5, 200.0, 4)[3].ends_with('…'));
        assert!(measure(&clip(&unbroken, 9.5, 80.0), 9.5) <= 80.0);
    }

    #[test]
    fn the_axis_of_a_chart_ends_at_a_round_number() {
        assert_eq!([1, 2, 3, 5, 11, 40, 41, 1_000].map(round_up), [2, 2, 4, 6, 20, 40, 60, 1_000]);
    }
}
