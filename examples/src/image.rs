//! The task `process_image`: decodes an image, applies operations, and writes the result to the same
//! directory.
//!
//! Depends on the image crate, and on `job_output` for the file. Does not use the queue. A path from a job
//! opens only files in the directory of the [`Album`], and an image is decoded only after its size was
//! checked.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufReader, Cursor, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use qdjobs::TaskError;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::job_output::{Draft, Run, Step, file_error};

/// Largest file that is read. Photos have about 20 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Longest side of an input or an output, in pixels.
const SIDE_MAX: u32 = 16_384;

/// Largest number of pixels of an input or an output: half a gigabyte at 8 bytes each. Few cameras have more.
const PIXELS_MAX: u64 = 64_000_000;

/// Largest blur, in pixels. A larger one is slow, and nothing is recognizable in its result.
const SIGMA_MAX: f32 = 100.0;

/// Largest number of operations of one job.
const OPERATIONS_MAX: usize = 32;

/// The operations, for error texts.
const VOCABULARY: &str = "resize:WxH, resize:WxH!, thumbnail:WxH, crop:X,Y,W,H, rotate:90|180|270, grayscale, blur:SIGMA, optimize";

/// One operation on an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// `resize:WxH`: scaled to fit into W by H, in proportion. Small images are enlarged.
    Resize(u32, u32),
    /// `resize:WxH!`: scaled to exactly W by H.
    ResizeExact(u32, u32),
    /// `thumbnail:WxH`: as `resize`, but faster and of lower quality. Small images are not enlarged.
    Thumbnail(u32, u32),
    /// `crop:X,Y,W,H`: the part of W by H pixels whose upper left corner is at X, Y.
    Crop {
        /// The distance from the left edge.
        x: u32,
        /// The distance from the upper edge.
        y: u32,
        /// The width of the part.
        width: u32,
        /// The height of the part.
        height: u32,
    },
    /// `rotate:90`, clockwise.
    Rotate90,
    /// `rotate:180`.
    Rotate180,
    /// `rotate:270`, clockwise.
    Rotate270,
    /// `grayscale`: without colors.
    Grayscale,
    /// `blur:SIGMA`: blurred over SIGMA pixels.
    Blur(f32),
    /// `optimize`: written as a small file. A PNG is lossless, a JPEG has a lower quality.
    Optimize,
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Operation, String> {
        let (verb, rest) = text.split_once(':').unwrap_or((text, ""));
        let wrong =
            |write: &str| format!("the operation `{}` is invalid; write {write}", text.escape_debug());
        match verb {
            "resize" => match rest.strip_suffix('!') {
                Some(rest) => size(rest).map(|(w, h)| Operation::ResizeExact(w, h)),
                None => size(rest).map(|(w, h)| Operation::Resize(w, h)),
            }
            .ok_or_else(|| {
                wrong(&format!("resize:WxH with sides from 1 to {SIDE_MAX}, for example resize:200x200"))
            }),
            "thumbnail" => size(rest).map(|(w, h)| Operation::Thumbnail(w, h)).ok_or_else(|| {
                wrong(&format!(
                    "thumbnail:WxH with sides from 1 to {SIDE_MAX}, for example thumbnail:128x128"
                ))
            }),
            "crop" => {
                crop(rest).ok_or_else(|| wrong("crop:X,Y,W,H in whole pixels, for example crop:0,0,100,50"))
            }
            "rotate" => match rest {
                "90" => Ok(Operation::Rotate90),
                "180" => Ok(Operation::Rotate180),
                "270" => Ok(Operation::Rotate270),
                _ => Err(wrong("rotate:90, rotate:180 or rotate:270")),
            },
            "blur" => rest
                .parse()
                .ok()
                .filter(|sigma: &f32| *sigma > 0.0 && *sigma <= SIGMA_MAX)
                .map(Operation::Blur)
                .ok_or_else(|| {
                    wrong(&format!("blur:SIGMA above 0 and up to {SIGMA_MAX}, for example blur:2.5"))
                }),
            "grayscale" if text == verb => Ok(Operation::Grayscale),
            "optimize" if text == verb => Ok(Operation::Optimize),
            _ => Err(wrong(&format!("one of {VOCABULARY}"))),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Resize(w, h) => write!(f, "resize:{w}x{h}"),
            Operation::ResizeExact(w, h) => write!(f, "resize:{w}x{h}!"),
            Operation::Thumbnail(w, h) => write!(f, "thumbnail:{w}x{h}"),
            Operation::Crop { x, y, width, height } => write!(f, "crop:{x},{y},{width},{height}"),
            Operation::Rotate90 => f.write_str("rotate:90"),
            Operation::Rotate180 => f.write_str("rotate:180"),
            Operation::Rotate270 => f.write_str("rotate:270"),
            Operation::Grayscale => f.write_str("grayscale"),
            Operation::Blur(sigma) => write!(f, "blur:{sigma}"),
            Operation::Optimize => f.write_str("optimize"),
        }
    }
}

// In JSON an operation is its text. An invalid one is refused before the job is stored.
impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Operation, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    Some((side(width)?, side(height)?))
}

fn side(text: &str) -> Option<u32> {
    text.parse().ok().filter(|side| (1..=SIDE_MAX).contains(side))
}

fn crop(text: &str) -> Option<Operation> {
    let numbers: Vec<&str> = text.split(',').map(str::trim).collect();
    let [x, y, width, height] = numbers[..] else { return None };
    Some(Operation::Crop {
        x: x.parse().ok()?,
        y: y.parse().ok()?,
        width: side(width)?,
        height: side(height)?,
    })
}

/// The result of the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Processed {
    /// Always true: if the image was not processed, the job has an error.
    pub processed: bool,
    /// The input file, as the caller wrote it.
    pub path: String,
    /// The output file.
    pub output: String,
    /// The width of the output.
    pub width: u32,
    /// The height of the output.
    pub height: u32,
    /// The size of the output file.
    pub bytes: u64,
}

/// The directory from which images are read and to which results are written.
#[derive(Clone, Debug)]
pub struct Album(PathBuf);

impl Album {
    /// The images in and below `folder`.
    pub fn new(folder: &Path) -> std::io::Result<Album> {
        folder.canonicalize().map(Album)
    }

    /// The path of the directory.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Applies `operations` in order to the image at `path` and writes the result to the same directory. The
    /// output is named after the job: `photo.png` becomes `photo.job-7.png`.
    pub fn process(
        &self,
        path: &str,
        operations: &[Operation],
        run: &Run,
        step: Step<'_>,
    ) -> Result<Processed, TaskError> {
        if operations.len() > OPERATIONS_MAX {
            return Err(TaskError::permanent(format!(
                "the job has {} operations, more than {OPERATIONS_MAX}; split them over several jobs",
                operations.len()
            )));
        }
        let source = self.find(path)?;
        let (mut picture, format) = decode(&source, path)?;
        let steps = operations.len() + 1;
        for (done, operation) in operations.iter().enumerate() {
            step(done as f64 / steps as f64, &operation.to_string())?;
            picture = apply(picture, *operation)?;
        }
        step(operations.len() as f64 / steps as f64, "writing")?;
        let bytes = encode(&picture, format, operations.contains(&Operation::Optimize))?;
        let target = output_path(&source, format, run);
        Draft::new(&target, run)
            .write(&bytes)
            .map_err(|error| file_error(format!("cannot write {}", self.relative(&target)), &error))?;
        Ok(Processed {
            processed: true,
            path: path.to_owned(),
            output: self.relative(&target),
            width: picture.width(),
            height: picture.height(),
            bytes: bytes.len() as u64,
        })
    }

    /// The file at `path`, if it is in this directory. The text of the path is checked first, so that an
    /// error does not reveal which files exist outside. Then the resolved path is checked, for symbolic
    /// links.
    fn find(&self, path: &str) -> Result<PathBuf, TaskError> {
        let outside = || {
            TaskError::permanent(format!(
                "`{}` is outside of {}, the image directory of this service; use a path in that directory, or set \
                 QDJOBS_IMAGES to another one",
                path.escape_debug(),
                self.0.display()
            ))
        };
        let joined = self.0.join(path);
        let climbs = joined.components().any(|part| part == Component::ParentDir);
        if climbs || !joined.starts_with(&self.0) {
            return Err(outside());
        }
        let found = joined.canonicalize().map_err(|error| unopened(&path.escape_debug(), &error))?;
        if found.starts_with(&self.0) { Ok(found) } else { Err(outside()) }
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.0).unwrap_or(path).display().to_string()
    }
}

/// The error for an image that cannot be opened. A missing image is a permanent error: the caller named it.
fn unopened(name: &dyn fmt::Display, error: &std::io::Error) -> TaskError {
    let doing = format!("cannot open image `{name}`");
    match error.kind() {
        ErrorKind::NotFound => TaskError::permanent(format!("{doing}: {error}")),
        _ => file_error(doing, error),
    }
}

fn decode(source: &Path, shown: &str) -> Result<(DynamicImage, ImageFormat), TaskError> {
    let name = shown.escape_debug();
    let open = || -> std::io::Result<(File, fs::Metadata)> {
        // Checked before the file is opened: opening a named pipe would wait for a writer.
        let about = fs::metadata(source)?;
        Ok((File::open(source)?, about))
    };
    let (file, about) = open().map_err(|error| unopened(&name, &error))?;
    if !about.is_file() {
        return Err(TaskError::permanent(format!("`{name}` is not a regular file")));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(TaskError::permanent(format!(
            "image `{name}` has {} bytes, more than {FILE_BYTES_MAX}; scale it down first",
            about.len()
        )));
    }
    let unreadable = |error: ImageError| match error {
        ImageError::IoError(error) if error.kind() != ErrorKind::UnexpectedEof => {
            file_error(format!("cannot read image `{name}`"), &error)
        }
        error => TaskError::permanent(format!("image `{name}` is damaged or incomplete: {error}")),
    };
    // The format is determined by the first bytes, not by the name.
    let reader =
        ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(|e| unreadable(e.into()))?;
    let Some(format) =
        reader.format().filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg))
    else {
        return Err(TaskError::permanent(format!("`{name}` is neither a PNG nor a JPEG image")));
    };
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    check_dimensions(u64::from(width), u64::from(height)).map_err(|why| {
        TaskError::permanent(format!(
            "image `{name}` is {width} by {height} pixels, {why}; scale it down first"
        ))
    })?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(PIXELS_MAX * 8);
    decoder.set_limits(limits).map_err(unreadable)?;
    // Cameras store the orientation in the metadata, which is not copied: rotate the pixels instead.
    let orientation = decoder.orientation().map_err(unreadable)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    picture.apply_orientation(orientation);
    Ok((picture, format))
}

fn check_dimensions(width: u64, height: u64) -> Result<(), String> {
    if width.max(height) > u64::from(SIDE_MAX) {
        return Err(format!("longer than {SIDE_MAX} on a side"));
    }
    if width * height > PIXELS_MAX {
        return Err(format!("more than {} million", PIXELS_MAX / 1_000_000));
    }
    Ok(())
}

fn apply(picture: DynamicImage, operation: Operation) -> Result<DynamicImage, TaskError> {
    let (from_width, from_height) = (picture.width(), picture.height());
    let makes = |width: u32, height: u32| {
        check_dimensions(u64::from(width), u64::from(height)).map_err(|why| {
            TaskError::permanent(format!("the result of `{operation}` would be {why}; use a smaller size"))
        })
    };
    Ok(match operation {
        Operation::Resize(width, height) => {
            let (width, height) = fit((from_width, from_height), (width, height));
            makes(width, height)?;
            picture.resize_exact(width, height, FilterType::Lanczos3)
        }
        Operation::ResizeExact(width, height) => {
            makes(width, height)?;
            picture.resize_exact(width, height, FilterType::Lanczos3)
        }
        Operation::Thumbnail(width, height) if from_width <= width && from_height <= height => picture,
        Operation::Thumbnail(width, height) => {
            let (width, height) = fit((from_width, from_height), (width, height));
            picture.thumbnail_exact(width, height)
        }
        Operation::Crop { x, y, width, height } => {
            let inside =
                |from: u32, length: u32, whole: u32| from.checked_add(length).is_some_and(|end| end <= whole);
            if !(inside(x, width, from_width) && inside(y, height, from_height)) {
                return Err(TaskError::permanent(format!(
                    "`{operation}` exceeds the image, which is {from_width} by {from_height} pixels at this point; write \
                     X + W up to {from_width} and Y + H up to {from_height}"
                )));
            }
            picture.crop_imm(x, y, width, height)
        }
        Operation::Rotate90 => picture.rotate90(),
        Operation::Rotate180 => picture.rotate180(),
        Operation::Rotate270 => picture.rotate270(),
        Operation::Grayscale => picture.grayscale(),
        Operation::Blur(sigma) => picture.fast_blur(sigma),
        // Applies when the file is written.
        Operation::Optimize => picture,
    })
}

/// The largest size in proportion that fits into `frame`, at least one pixel.
fn fit((width, height): (u32, u32), frame: (u32, u32)) -> (u32, u32) {
    let scale = (f64::from(frame.0) / f64::from(width)).min(f64::from(frame.1) / f64::from(height));
    let scaled = |side: u32| (f64::from(side) * scale).round().max(1.0) as u32;
    (scaled(width), scaled(height))
}

fn encode(picture: &DynamicImage, format: ImageFormat, optimize: bool) -> Result<Vec<u8>, TaskError> {
    let mut bytes = Cursor::new(Vec::new());
    let written =
        match format {
            ImageFormat::Jpeg => {
                let quality = if optimize { 75 } else { 90 };
                // JPEG has no transparency and 8 bits per channel.
                let flat = if picture.color().has_color() {
                    DynamicImage::from(picture.to_rgb8())
                } else {
                    DynamicImage::from(picture.to_luma8())
                };
                flat.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))
            }
            _ if optimize => without_spare_channels(picture).write_with_encoder(
                PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, PngFilter::Adaptive),
            ),
            _ => picture.write_with_encoder(PngEncoder::new(&mut bytes)),
        };
    written.map_err(|error| TaskError::permanent(format!("cannot encode this image: {error}")))?;
    Ok(bytes.into_inner())
}

/// The same pixels without an alpha channel that is fully opaque, and in gray if no pixel has a color.
fn without_spare_channels(picture: &DynamicImage) -> DynamicImage {
    let DynamicImage::ImageRgba8(pixels) = picture else { return picture.clone() };
    if pixels.pixels().any(|pixel| pixel[3] != u8::MAX) {
        return picture.clone();
    }
    if pixels.pixels().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]) {
        return DynamicImage::from(picture.to_luma8());
    }
    DynamicImage::from(picture.to_rgb8())
}

fn output_path(source: &Path, format: ImageFormat, run: &Run) -> PathBuf {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    let ending = if format == ImageFormat::Jpeg { "jpg" } else { "png" };
    source.with_file_name(format!("{stem}.job-{}.{ending}", run.job))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_operation_is_parsed_back() {
        for text in [
            "resize:200x200",
            "resize:10x20!",
            "thumbnail:1x16384",
            "crop:0,1,2,3",
            "rotate:90",
            "rotate:180",
            "rotate:270",
            "grayscale",
            "blur:2.5",
            "optimize",
        ] {
            assert_eq!(text.parse::<Operation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_error_for_an_invalid_operation_contains_a_valid_one() {
        for (text, write) in [
            ("sharpen", "resize:WxH"),
            ("", "resize:WxH"),
            ("grayscale:1", "grayscale"),
            ("resize", "resize:200x200"),
            ("resize:200", "resize:200x200"),
            ("resize:0x5", "from 1 to 16384"),
            ("resize:99999x5", "from 1 to 16384"),
            ("resize:-1x5", "resize:200x200"),
            ("crop:1,2,3", "crop:X,Y,W,H"),
            ("crop:1,2,3,4,5", "crop:X,Y,W,H"),
            ("crop:0,0,0,1", "crop:X,Y,W,H"),
            ("rotate:45", "rotate:90"),
            ("blur:0", "blur:SIGMA"),
            ("blur:NaN", "blur:SIGMA"),
            ("blur:inf", "blur:SIGMA"),
            ("thumbnail:axb", "thumbnail:128x128"),
        ] {
            let error = text.parse::<Operation>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && error.contains(write), "{text}: {error}");
        }
    }

    #[test]
    fn a_fitted_image_keeps_its_proportions() {
        assert_eq!(fit((400, 300), (200, 200)), (200, 150));
        assert_eq!(fit((30, 40), (200, 200)), (150, 200));
        assert_eq!(fit((10_000, 1), (10, 10)), (10, 1));
    }
}
