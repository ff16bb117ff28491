//! Tests of `process_image`: zune decodes what it writes, and an error leaves no file.

use std::fs;

use qdjobs::{JobId, TaskError, TaskErrorKind, Timestamp};
use qdjobs_examples::image::{Album, Operation, Processed};
use qdjobs_examples::job_output::Run;
use zune_jpeg::JpegDecoder;
use zune_png::PngDecoder;
use zune_png::zune_core::bytestream::ZCursor;

use crate::Folder;

/// A directory with images.
pub(crate) struct Pictures(pub(crate) Folder);

impl Pictures {
    pub(crate) fn new(test: &str) -> Pictures {
        Pictures(Folder::new(test))
    }

    fn with_sample(test: &str) -> Pictures {
        let folder = Pictures(Folder::new(test));
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/sample.png"), folder.0.0.join("sample.png")).unwrap();
        folder
    }

    /// An image of four quarters: red, green / blue, white.
    fn with_quarters(test: &str) -> Pictures {
        let folder = Pictures(Folder::new(test));
        image::RgbaImage::from_fn(40, 20, |x, y| {
            image::Rgba(match (x < 20, y < 10) {
                (true, true) => RED,
                (false, true) => GREEN,
                (true, false) => BLUE,
                (false, false) => WHITE,
            })
        })
        .save(folder.0.0.join("quarters.png"))
        .unwrap();
        folder
    }

    pub(crate) fn process(&self, path: &str, operations: &[&str]) -> Result<Processed, TaskError> {
        let operations: Vec<Operation> = operations.iter().map(|text| text.parse().unwrap()).collect();
        let run = Run { job: JobId(7), created_at: Timestamp::UNIX_EPOCH, attempt: 1 };
        Album::new(&self.0.0).unwrap().process(path, &operations, &run, &mut |_, _| Ok(()))
    }

    fn png(&self, name: &str) -> Png {
        let mut decoder = PngDecoder::new(ZCursor::new(fs::read(self.0.0.join(name)).unwrap()));
        let bytes = decoder.decode_raw().unwrap();
        let (width, height) = decoder.dimensions().unwrap();
        Png { width, height, channels: decoder.colorspace().unwrap().num_components(), bytes }
    }
}

struct Png {
    width: usize,
    height: usize,
    channels: usize,
    bytes: Vec<u8>,
}

impl Png {
    fn at(&self, x: usize, y: usize) -> &[u8] {
        let start = (y * self.width + x) * self.channels;
        &self.bytes[start..start + self.channels]
    }
}

const RED: [u8; 4] = [255, 0, 0, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
const BLUE: [u8; 4] = [0, 0, 255, 255];
const WHITE: [u8; 4] = [255, 255, 255, 255];

#[test]
fn the_sample_is_scaled_in_proportion() {
    let folder = Pictures::with_sample("fit");
    let done = folder.process("sample.png", &["resize:200x200", "optimize"]).unwrap();
    assert_eq!((done.processed, done.path.as_str()), (true, "sample.png"));
    assert_eq!((done.width, done.height), (200, 131));
    assert_eq!(done.output, "sample.job-7.png");
    assert_eq!(done.bytes, fs::metadata(folder.0.0.join(&done.output)).unwrap().len());
    let png = folder.png(&done.output);
    assert_eq!((png.width, png.height), (200, 131));
    // The color of the sky is at the same place.
    let (made, sample) = (png.at(10, 5).to_owned(), folder.png("sample.png").at(32, 16).to_owned());
    assert!(made.iter().zip(&sample).all(|(a, b)| a.abs_diff(*b) < 6), "{made:?} {sample:?}");
    assert_eq!(folder.0.names(), ["sample.job-7.png", "sample.png"]);
}

#[test]
fn each_operation_has_its_documented_effect() {
    let folder = Pictures::with_quarters("pixels");
    let made = |operations: &[&str]| {
        let done = folder.process("quarters.png", operations).unwrap();
        folder.png(&done.output)
    };
    let turned = made(&["rotate:90"]);
    assert_eq!((turned.width, turned.height), (20, 40));
    assert_eq!((turned.at(0, 0), turned.at(19, 0), turned.at(0, 39)), (&BLUE[..], &RED[..], &WHITE[..]));
    let turned = made(&["rotate:270"]);
    assert_eq!((turned.at(0, 0), turned.at(19, 0)), (&GREEN[..], &WHITE[..]));
    assert_eq!(made(&["rotate:180"]).at(0, 0), WHITE);

    let part = made(&["crop:20,10,5,4"]);
    assert_eq!((part.width, part.height, part.at(0, 0)), (5, 4, &WHITE[..]));
    let exact = made(&["resize:10x10!"]);
    assert_eq!((exact.width, exact.height, exact.at(0, 0)), (10, 10, &RED[..]));
    let small = made(&["thumbnail:10x10"]);
    assert_eq!((small.width, small.height), (10, 5));
    let same = made(&["thumbnail:100x100"]);
    assert_eq!((same.width, same.height), (40, 20));

    let gray = made(&["grayscale"]);
    assert!(gray.channels <= 2 && gray.at(0, 0)[0] < gray.at(20, 0)[0], "green is brighter than red");
    let blurred = made(&["blur:3"]);
    let edge = blurred.at(19, 2);
    assert!(edge[0] > 40 && edge[1] > 40, "red runs into green: {edge:?}");

    assert_eq!(made(&[]).channels, 4);
    assert_eq!(made(&["optimize"]).channels, 3, "transparency that hides nothing is left out");
}

#[test]
fn a_jpeg_stays_a_jpeg_whatever_its_name() {
    let folder = Pictures::with_sample("jpeg");
    image::open(folder.0.0.join("sample.png")).unwrap().save(folder.0.0.join("photo.jpeg")).unwrap();
    fs::rename(folder.0.0.join("photo.jpeg"), folder.0.0.join("photo.png")).unwrap();
    let done = folder.process("photo.png", &["resize:64x64"]).unwrap();
    assert_eq!(done.output, "photo.job-7.jpg");
    let mut decoder = JpegDecoder::new(ZCursor::new(fs::read(folder.0.0.join(&done.output)).unwrap()));
    decoder.decode().unwrap();
    assert_eq!(decoder.dimensions(), Some((64, 42)));
}

#[test]
fn an_image_that_cannot_be_processed_is_a_permanent_error_and_leaves_no_file() {
    let folder = Pictures::with_sample("refused");
    let sample = fs::read(folder.0.0.join("sample.png")).unwrap();
    fs::write(folder.0.0.join("short.png"), &sample[..sample.len() / 2]).unwrap();
    fs::write(folder.0.0.join("head.png"), &sample[..20]).unwrap();
    fs::write(folder.0.0.join("empty.png"), b"").unwrap();
    fs::write(folder.0.0.join("text.png"), b"hello").unwrap();
    fs::write(folder.0.0.join("huge.png"), png_that_says(60_000, 60_000)).unwrap();
    fs::write(folder.0.0.join("many.png"), png_that_says(16_000, 16_000)).unwrap();
    fs::create_dir(folder.0.0.join("folder.png")).unwrap();
    let before = folder.0.names();
    for (path, operations, named) in [
        ("missing.png", &[][..], "missing.png"),
        ("short.png", &[], "incomplete"),
        ("head.png", &[], "incomplete"),
        ("empty.png", &[], "neither a PNG nor a JPEG"),
        ("text.png", &[], "neither a PNG nor a JPEG"),
        ("huge.png", &[], "60000 by 60000"),
        ("many.png", &[], "more than 64 million"),
        ("folder.png", &[], "not a regular file"),
        ("", &[], "not a regular file"),
        ("a\0b", &[], "cannot open"),
        ("../sample.png", &[], "QDJOBS_IMAGES"),
        ("/etc/passwd", &[], "QDJOBS_IMAGES"),
        ("sample.png", &["crop:600,0,100,100"], "X + W up to 640"),
        ("sample.png", &["crop:4294967295,0,100,100"], "X + W up to 640"),
        ("sample.png", &["resize:16384x16384!"], "use a smaller size"),
        ("sample.png", &["optimize"; 33], "split them"),
    ] {
        let error = folder.process(path, operations).unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Permanent, "{path} {operations:?}: {error}");
        assert!(error.to_string().contains(named), "{path} {operations:?}: {error}");
    }
    assert_eq!(folder.0.names(), before);
}

#[test]
fn an_error_of_a_file_that_no_retry_mends_is_permanent() {
    let folder = Pictures::with_sample("names");
    let long = format!("{}.png", "n".repeat(251));
    fs::copy(folder.0.0.join("sample.png"), folder.0.0.join(&long)).unwrap();
    fs::create_dir(folder.0.0.join("sample.job-7.png")).unwrap();
    let before = folder.0.names();
    for (path, named) in [
        // The image can be read, but the name of the result would be too long.
        (long.as_str(), "use a shorter file name"),
        (&"n".repeat(300), "use a shorter file name"),
        ("sample.png/x.png", "not a directory"),
        ("a\0b.png", "NUL"),
        // A directory has the name of the result.
        ("sample.png", "a directory has this name"),
    ] {
        let error = folder.process(path, &[]).unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Permanent, "{path}: {error}");
        assert!(error.to_string().contains(named), "{path}: {error}");
    }
    assert_eq!(folder.0.names(), before);
}

#[cfg(unix)]
#[test]
fn a_circle_of_links_is_a_permanent_error() {
    let folder = Pictures::new("circle");
    for (from, to) in [("a.png", "b.png"), ("b.png", "a.png")] {
        std::os::unix::fs::symlink(from, folder.0.0.join(to)).unwrap();
    }
    let error = folder.process("a.png", &[]).unwrap_err();
    assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
    assert!(error.to_string().contains("form a circle"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_outside_is_not_followed() {
    let (folder, elsewhere) = (Pictures::new("link"), Pictures::with_sample("elsewhere"));
    std::os::unix::fs::symlink(elsewhere.0.0.join("sample.png"), folder.0.0.join("link.png")).unwrap();
    let error = folder.process("link.png", &[]).unwrap_err();
    assert!(error.to_string().contains("outside"), "{error}");
}

#[test]
fn progress_names_each_operation_and_a_cancelled_job_stops_between_two() {
    let folder = Pictures::with_sample("steps");
    let run = Run { job: JobId(7), created_at: Timestamp::UNIX_EPOCH, attempt: 1 };
    let operations = [Operation::Grayscale, Operation::Rotate90, Operation::Blur(2.0)];
    let mut steps = Vec::new();
    let album = Album::new(&folder.0.0).unwrap();
    album
        .process("sample.png", &operations, &run, &mut |fraction, doing| {
            steps.push(format!("{fraction:.2} {doing}"));
            Ok(())
        })
        .unwrap();
    assert_eq!(steps, ["0.00 grayscale", "0.25 rotate:90", "0.50 blur:2", "0.75 writing"]);

    fs::remove_file(folder.0.0.join("sample.job-7.png")).unwrap();
    let stopped = album.process("sample.png", &operations, &run, &mut |fraction, _| {
        if fraction < 0.5 { Ok(()) } else { Err(TaskError::cancel("not wanted any more")) }
    });
    assert_eq!(stopped.unwrap_err().kind(), TaskErrorKind::Cancel);
    assert_eq!(folder.0.names(), ["sample.png"]);
}

/// The start of a PNG whose header states this size, with a valid checksum.
fn png_that_says(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 6, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(&header);
    png.extend(crc32(&header).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT");
    png.extend(crc32(b"IDAT").to_be_bytes());
    png
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}
